"""Body-surface potentials as an image on the grid of an activation map."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kecgi")
class SignalImage(keras.layers.Layer):
    """Resize an (electrode, time) image to a map's grid.

    Linear interpolation along both axes; an axis that shrinks is averaged with a triangle as wide
    as the step, so that every electrode and every sample counts. The electrodes go to the map's
    first axis and time to its second; a third axis repeats the image. Written as two matrix
    products because TensorFlow cannot compile its anti-aliased resizing with XLA.

    Parameters
    ----------
    grid : tuple of int
        Grid of the map, of length 2 or 3.
    """

    def __init__(self, grid: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def build(self, signal_shape):
        """Compute the two interpolation matrices; nothing here is trained."""
        _, electrodes, samples, _ = signal_shape
        self._rows = interpolation_matrix(electrodes, self.grid[0])
        self._columns = interpolation_matrix(samples, self.grid[1])

    def call(self, signals):
        """Turn signals (batch, electrodes, time, channels) into (batch, *grid, channels)."""
        rows = ops.cast(self._rows, signals.dtype)
        columns = ops.cast(self._columns, signals.dtype)
        image = ops.einsum("betc,ie,jt->bijc", signals, rows, columns)
        if len(self.grid) == 3:
            image = ops.repeat(ops.expand_dims(image, 3), self.grid[2], axis=3)
        return image

    def compute_output_shape(self, signal_shape):
        """Return (batch, *grid, channels)."""
        return (signal_shape[0], *self.grid, signal_shape[-1])

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"grid": self.grid}


def interpolation_matrix(source: int, target: int) -> np.ndarray:
    """Return the weights (target, source) that resize a line of ``source`` samples linearly.

    Samples are cells of equal width that cover the same interval before and after.
    """
    step = source / target
    centres = (np.arange(target) + 0.5) * step - 0.5
    distance = np.abs(np.arange(source) - centres[:, None])
    weights = np.maximum(0.0, 1.0 - distance / max(step, 1.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
