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

    def __init__(self, outputs: int, units: int = 32, widths=(0.1, 0.2, 0.3, 0.5), **kwargs):
        # the policy is that of the dense layers: places and estimates carry millimetres and
        # milliseconds, and stay in single precision
        super().__init__(autocast=False, **kwargs)
        self.outputs, self.units = outputs, units
        self.widths = tuple(float(w) for w in widths)
        policy = self.dtype_policy
        self.offer = layers.Dense(units * len(self.widths), dtype=policy, name="offer")
        self.plane = layers.Dense(4 * outputs, dtype="float32", name="plane")
        self.hidden = [
            layers.Dense(units, activation="gelu", dtype=policy, name=f"hidden_{i}")
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

    def call(self, points, places, features):
        """Read (batch, points, outputs) at points (batch, points, 3).

        Points and places of one heart, with a batch of 1, serve any number of feature sets.
        """
        count, number = ops.shape(points)[1], ops.shape(places)[1]
        heads = len(self.widths)
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
        offered = ops.reshape(self.offer(features), (-1, number, heads, self.units))
        gathered = ops.matmul(
            ops.cast(weights, offered.dtype), ops.transpose(offered, (0, 2, 1, 3))
        )
        gathered = ops.reshape(
            ops.transpose(gathered, (0, 2, 1, 3)), (-1, count, heads * self.units)
        )
        here = ops.broadcast_to(points, (*ops.shape(estimate)[:-1], 3))
        known = ops.cast(ops.concatenate([here, estimate], axis=-1), gathered.dtype)
        hidden = ops.concatenate([gathered, known], axis=-1)
        for layer in self.hidden:
            hidden = layer(hidden)
        return estimate + self.correct(hidden)

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "outputs": self.outputs,
            "units": self.units,
            "widths": self.widths,
        }
