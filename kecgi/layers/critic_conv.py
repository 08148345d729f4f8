"""What the critics of the ECG generators are made of."""

import keras
from keras import ops

from kecgi.layers.initial import FanInNormal, FanInUniform


def windows(x, size: int, stride: int = 1):
    """Return the windows of x (batch, time, channels) as (batch, windows, size * channels).

    A convolution is this and a matrix product. Of a wide layer over a short signal the product's
    gradients are several times faster than the convolution's.
    """
    last = (x.shape[1] - size) // stride * stride
    return ops.concatenate([x[:, j : j + last + 1 : stride] for j in range(size)], axis=-1)


@keras.saving.register_keras_serializable(package="kecgi")
class PaddedConv1D(keras.layers.Layer):
    """Convolution along time after zeros on both sides.

    Parameters
    ----------
    filters, kernel_size, strides : int
        As in ``keras.layers.Conv1D``.
    padding : int
        Zeros on each side.
    normal : bool
        Whether the weights start from He's normal distribution instead of the uniform one that
        PyTorch takes.
    by_windows : bool
        Whether the product of :func:`windows` is taken instead of a convolution.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: int = 0,
        *,
        normal: bool = False,
        by_windows: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.padding, self.by_windows = padding, by_windows
        self.normal = normal

    def build(self, x_shape):
        """Make kernel and bias for (batch, time, channels)."""
        shape = (self.kernel_size, x_shape[-1], self.filters)
        fan_in = self.kernel_size * x_shape[-1]
        start = (FanInNormal if self.normal else FanInUniform)(fan_in)
        self.kernel = self.add_weight(shape=shape, initializer=start, name="kernel")
        self.bias = self.add_weight(
            shape=(self.filters,), initializer=FanInUniform(fan_in), name="bias"
        )

    def call(self, x):
        """Filter x (batch, time, channels)."""
        kernel = ops.convert_to_tensor(self.kernel)
        x = ops.pad(x, ((0, 0), (self.padding, self.padding), (0, 0)))
        if self.by_windows:
            flat = ops.reshape(kernel, (-1, self.filters))
            y = ops.matmul(windows(x, self.kernel_size, self.strides), flat)
        else:
            y = ops.conv(x, kernel, strides=self.strides, padding="valid")
        return y + self.bias

    def compute_output_shape(self, x_shape):
        """Return (batch, number of windows, filters)."""
        time = (x_shape[1] + 2 * self.padding - self.kernel_size) // self.strides + 1
        return (x_shape[0], time, self.filters)

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "normal": self.normal,
            "by_windows": self.by_windows,
        }


def phase_shuffle(x, shift, reach: int):
    """Shift each case along time, and fill the gap by reflection.

    Sample t of the result is sample ``t - shift`` of x, reflected at both ends without repeating
    the end. A critic that sees such shifts cannot tell a generator by the phase of the artefacts
    that its upsampling leaves.

    Parameters
    ----------
    x : tensor, shape (batch, time, channels)
        Features.
    shift : int tensor, shape (batch,)
        Between -reach and reach.
    reach : int
        Largest shift; less than the number of samples.

    Returns
    -------
    tensor, of the shape of x

    References
    ----------
    Donahue et al., Adversarial audio synthesis, ICLR 2019.
    """
    length = x.shape[1]
    padded = ops.pad(x, ((0, 0), (reach, reach), (0, 0)), mode="reflect")
    # a sum over the few shifts, not a gather: its second derivative is simple on every backend
    total = 0.0
    for k in range(-reach, reach + 1):
        chosen = ops.cast(ops.equal(shift, k), x.dtype)[:, None, None]
        total = total + chosen * padded[:, reach - k : reach - k + length]
    return total
