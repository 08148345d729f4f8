"""From features at a few places to values at any point."""

import keras
import numpy as np
from keras import layers, ops

from kecgi.layers.point_attention import squared_distances


@keras.saving.register_keras_serializable(package="kecgi")
class PointReadout(layers.Layer):
    """Read values at points from the features of places nearby.

    Each place offers a value and a gradient per output, and a few features per head. A point takes
    the mean of its places, weighted by a Gaussian of their distance with learned widths: of the
    linear extrapolations for a first estimate, and of the features for a correction to it by two
    dense layers.

    Parameters
    ----------
    outputs : int
        Values at a point.
    units : int
        Features per head and width of the dense layers.
    widths : sequence of float
        Width of each head's Gaussian at the start, in the unit of the coordinates; the first one's
        is that of the linear estimate.
    """

    def __init__(self, outputs: int, units: int = 32, widths=(0.1, 0.2, 0.4), **kwargs):
        # the policy is that of the dense layers: places and estimates carry millimetres and
        # milliseconds, and stay in single precision
        super().__init__(autocast=False, **kwargs)
        self.outputs, self.units = outputs, units
        self.widths = tuple(float(w) for w in widths)
        policy = self.dtype_policy
        self.offer = layers.Dense(units * len(self.widths), dtype=policy, name="offer")
        self.plane = layers.Dense(4 * outputs, dtype="float32", name="plane")
        self.hidden = [
            layers.Dense(units, activation="silu", dtype=policy, name=f"hidden_{i}")
            for i in range(2)
        ]
        self.correct = layers.Dense(outputs, dtype="float32", name="correct")

    def build(self, points_shape, places_shape, features_shape):
        """Build the dense layers."""
        self.offer.build(features_shape)
        self.plane.build(features_shape)
        gathered = self.units * len(self.widths) + 3 + self.outputs
        self.hidden[0].build((None, None, gathered))
        self.hidden[1].build((None, None, self.units))
        self.correct.build((None, None, self.units))
        self.log_width = self.add_weight(
            shape=(len(self.widths),), initializer="zeros", autocast=False, name="log_width"
        )

    def weights_of(self, points, places):
        """Weight of each place at each point, (batch, heads, points, places), sums of 1."""
        start = ops.convert_to_tensor(np.square(self.widths), "float32")
        inverse = ops.exp(-2.0 * self.log_width) / start
        near = squared_distances(points, places)[:, None]
        return ops.softmax(-0.5 * near * inverse[:, None, None], axis=-1)

    def call(self, points, places, features, weights=None):
        """Read (batch, points, outputs) at points (batch, points, 3).

        Points and places of one heart, with a batch of 1, serve any number of feature sets. Give
        the weights where they are at hand from `weights_of`.
        """
        count, number = ops.shape(points)[1], ops.shape(places)[1]
        if weights is None:
            weights = self.weights_of(points, places)
        planes = ops.reshape(self.plane(features), (-1, number, self.outputs, 4))
        slope = planes[..., 1:]
        level = planes[..., 0] - ops.sum(slope * places[:, :, None], axis=-1)
        mean = ops.matmul(
            weights[:, 0],
            ops.concatenate([level, ops.reshape(slope, (-1, number, 3 * self.outputs))], axis=-1),
        )
        slope = ops.reshape(mean[..., self.outputs :], (-1, count, self.outputs, 3))
        estimate = mean[..., : self.outputs] + ops.sum(slope * points[:, :, None], axis=-1)
        hidden = self._first_hidden(points, weights, estimate, features)
        return estimate + self.correct(self.hidden[1](hidden))

    def _first_hidden(self, points, weights, estimate, features):
        """First dense layer on all that a point gathers.

        It is linear before its activation, so the few places go through it, not the many points.
        """
        layer, heads = self.hidden[0], len(self.widths)
        count, number = ops.shape(points)[1], ops.shape(features)[1]
        kernel = ops.cast(layer.kernel, self.compute_dtype)
        of_offer, of_points, of_estimate = (
            kernel[: heads * self.units],
            kernel[heads * self.units :][:3],
            kernel[heads * self.units + 3 :],
        )
        offered = ops.reshape(self.offer(features), (-1, number, heads, self.units))
        of_offer = ops.reshape(of_offer, (heads, self.units, self.units))
        offered = ops.matmul(ops.transpose(offered, (0, 2, 1, 3)), of_offer)
        offered = ops.reshape(offered, (-1, heads * number, self.units))
        joined = ops.reshape(ops.transpose(weights, (0, 2, 1, 3)), (-1, count, heads * number))
        gathered = ops.matmul(ops.cast(joined, self.compute_dtype), offered)
        own = ops.matmul(ops.cast(points, self.compute_dtype), of_points)
        guess = ops.matmul(ops.cast(estimate, self.compute_dtype), of_estimate)
        return layer.activation(gathered + own + guess + ops.cast(layer.bias, self.compute_dtype))

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "outputs": self.outputs,
            "units": self.units,
            "widths": self.widths,
        }
