"""Attention between points in space."""

import keras
import numpy as np
from keras import layers, ops


def squared_distances(a, b):
    """Squared distances of two batches of points, (batch, n, d) and (batch, m, d) to (batch, n, m).

    By differences, not by the binomial formula, which loses near points in single precision.
    """
    return ops.sum(ops.square(a[:, :, None] - b[:, None]), axis=-1)


@keras.saving.register_keras_serializable(package="kecgi")
class PointAttention(layers.Layer):
    """Transformer block on points: each head prefers neighbours within a width of its own.

    Attention scores are ``q . k / sqrt(d) - |x - y|² / width²`` with a learned width a head, from
    narrow (as a convolution) to wide (as plain attention). Normalisation comes first, two dense
    layers follow.

    Parameters
    ----------
    units : int
        Features of a point, a multiple of ``heads``.
    heads : int
        Attention heads.
    narrowest, widest : float
        Widths at the start of training, spaced evenly on a logarithmic scale, in the unit of the
        coordinates.
    """

    def __init__(
        self,
        units: int = 96,
        heads: int = 8,
        narrowest: float = 0.2,
        widest: float = 4.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units % heads:
            raise ValueError(f"units must be a multiple of heads={heads}, got {units}")
        self.units, self.heads = units, heads
        self.narrowest, self.widest = narrowest, widest
        policy = self.dtype_policy
        self.first_norm = layers.LayerNormalization(epsilon=1e-5, dtype=policy, name="first_norm")
        self.second_norm = layers.LayerNormalization(epsilon=1e-5, dtype=policy, name="second_norm")
        self.project = layers.Dense(3 * units, dtype=policy, name="project")
        self.merge = layers.Dense(units, dtype=policy, name="merge")
        self.widen = layers.Dense(2 * units, activation="gelu", dtype=policy, name="widen")
        self.narrow = layers.Dense(units, dtype=policy, name="narrow")

    def build(self, features_shape, squared_distance_shape):
        """Build the block's layers."""
        shape = (*features_shape[:-1], self.units)
        for layer in (self.first_norm, self.second_norm, self.project, self.merge, self.widen):
            layer.build(shape)
        self.narrow.build((*shape[:-1], 2 * self.units))
        # log of the width relative to its start, so that zeros are the start
        self.log_width = self.add_weight(shape=(self.heads,), initializer="zeros", name="log_width")

    def call(self, features, squared_distance):
        """Update features (batch, points, units) given distances (batch, points, points)."""
        number, size = ops.shape(features)[1], self.units // self.heads
        mixed = self.project(self.first_norm(features))
        mixed = ops.reshape(mixed, (-1, number, 3, self.heads, size))
        query, key, value = ops.unstack(ops.transpose(mixed, (2, 0, 3, 1, 4)), axis=0)
        start = np.geomspace(self.narrowest, self.widest, self.heads).astype("float32")
        inverse = ops.exp(-2.0 * self.log_width) / ops.cast(start**2, self.log_width.dtype)
        score = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / size**0.5
        near = ops.cast(squared_distance, score.dtype)[:, None]
        score = score - near * ops.cast(inverse, score.dtype)[:, None, None]
        attended = ops.matmul(ops.softmax(score, axis=-1), value)
        attended = ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), (-1, number, self.units))
        features = features + self.merge(attended)
        return features + self.narrow(self.widen(self.second_norm(features)))

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "heads": self.heads,
            "narrowest": self.narrowest,
            "widest": self.widest,
        }
