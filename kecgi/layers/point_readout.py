"""From features at a few places to values at any point."""

import keras
import numpy as np
from keras import layers, ops


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
        self.planes = PlaneReadout(outputs, name="planes")
        self.hidden = [
            layers.Dense(units, activation="silu", dtype=policy, name=f"hidden_{i}")
            for i in range(2)
        ]
        self.correct = layers.Dense(outputs, dtype="float32", name="correct")

    def build(self, points_shape, places_shape, features_shape):
        """Build the dense layers."""
        self.offer.build(features_shape)
        self.planes.build(points_shape, places_shape, features_shape)
        gathered = self.units * len(self.widths) + 3 + self.outputs
        self.hidden[0].build((None, None, gathered))
        self.hidden[1].build((None, None, self.units))
        self.correct.build((None, None, self.units))
        self.log_width = self.add_weight(
            shape=(len(self.widths),), initializer="zeros", autocast=False, name="log_width"
        )

    def weights_of(self, points, places):
        """Weight of each place at each point, (batch, points, heads, places), sums of 1.

        The squared distances' part that all places share cancels, and the rest is one product.
        """
        start = ops.convert_to_tensor(np.square(self.widths), "float32")
        inverse = (ops.exp(-2.0 * self.log_width) / start)[:, None]
        # about the places' own centre, where numbers are small
        centre = ops.mean(places, axis=1, keepdims=True)
        points, places = points - centre, places - centre
        level = -0.5 * ops.sum(ops.square(places), axis=-1)[:, None] * inverse
        slope = places[:, None] * inverse[..., None]
        heads, number = len(self.widths), ops.shape(places)[1]
        slope = ops.reshape(slope, (-1, heads * number, 3))
        score = ops.matmul(points, ops.transpose(slope, (0, 2, 1)))
        score = ops.reshape(score, (-1, ops.shape(points)[1], heads, number))
        return ops.softmax(score + level[:, None], axis=-1)

    def call(self, points, places, features, weights=None):
        """Read (batch, points, outputs) at points (batch, points, 3).

        Points and places of one heart, with a batch of 1, serve any number of feature sets. Give
        the weights where they are at hand from `weights_of`.
        """
        if weights is None:
            weights = self.weights_of(points, places)
        estimate = self.planes(points, places, features, weights)
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
        joined = ops.reshape(weights, (-1, count, heads * number))
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


@keras.saving.register_keras_serializable(package="kecgi")
class PlaneReadout(layers.Layer):
    """Read values at points as the weighted mean of planes through the places nearby.

    Each place offers a value and a gradient per output. Sets of features share all but one product
    of matrices, so many are read at about the price of one.

    Parameters
    ----------
    outputs : int
        Values at a point.
    """

    def __init__(self, outputs: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.outputs = outputs
        self.plane = layers.Dense(4 * outputs, dtype="float32", name="plane")

    def build(self, points_shape, places_shape, features_shape):
        """Build the dense layer."""
        self.plane.build(features_shape)

    def call(self, points, places, features, weights):
        """Read (batch, points, outputs) at points (batch, points, 3).

        The weights are those of `PointReadout.weights_of`, of which the first head's are taken.
        Points, places and weights of one heart, with a batch of 1, serve any number of feature
        sets.
        """
        count, number, size = ops.shape(points)[1], ops.shape(places)[1], self.outputs
        planes = ops.reshape(self.plane(features), (-1, number, size, 4))
        slope = planes[..., 1:]
        level = planes[..., 0] - ops.sum(slope * places[:, :, None], axis=-1)
        # (batch, places, sets, values and gradients): the sets of one heart go side by side
        planes = ops.concatenate([level[..., None], slope], axis=-1)
        shared = weights.shape[0] == 1
        planes = ops.transpose(planes, (1, 0, 2, 3))[None] if shared else planes[:, :, None]
        sets = ops.shape(planes)[2]
        flat = ops.reshape(planes, (-1, number, sets * size * 4))
        mean = ops.reshape(ops.matmul(weights[:, :, 0], flat), (-1, count, sets * size, 4))
        values = mean[..., 0] + ops.sum(mean[..., 1:] * points[:, :, None], axis=-1)
        values = ops.reshape(values, (-1, count, sets, size))
        return ops.transpose(values[0], (1, 0, 2)) if shared else values[:, :, 0]

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"outputs": self.outputs}
