"""Electrograms as signals of points in space: an encoder and a decoder that know where nodes are.

Every node goes through the same convolutions in time. Tokens, the first few nodes, gather what the
nodes around them see; attention by distance (`kecgi.layers.PointAttention`) lets them tell each
other, at each step of time; and the code of a step is read from all tokens. The decoder goes the
same way back. So the networks treat all times alike, know the nodes by their places and not by
their order, and their cost grows with the number of nodes, not with its square.
"""

import math

import numpy as np
from keras import layers, ops

from kecgi.layers import PointAttention

UNIT_MM = 30.0
"""Length that is 1 in the networks: about an atrium's radius."""

STRIDE = 4
"""Stride in time of each of two convolutions: a step of the code is 16 samples."""

OCTAVES = 3
CONTEXT = 5
"""Steps that a step of the code is read from, and written to."""


def steps_of(samples: int) -> int:
    """Return the steps in the code of a window."""
    return math.ceil(math.ceil(samples / STRIDE) / STRIDE)


def place_features(positions_mm) -> np.ndarray:
    """Return coordinates with sines and cosines of three octaves, (nodes, 21)."""
    at = np.asarray(positions_mm, float)
    at = (at - at.mean(axis=0)) / UNIT_MM
    waves = [at * 2.0**k for k in range(OCTAVES)]
    parts = [at, *map(np.sin, waves), *map(np.cos, waves)]
    return np.concatenate(parts, axis=1).astype("float32")


class _Places(layers.Layer):
    """What encoder and decoder share: nodes, tokens, how near they are, and attention."""

    def __init__(self, samples, positions_mm, *, tokens, units, heads, blocks, filters, **kwargs):
        super().__init__(**kwargs)
        self.samples, self.steps = samples, steps_of(samples)
        self.units, self.filters = units, filters
        at = np.asarray(positions_mm, "float32") / UNIT_MM
        self.nodes, self.tokens = len(at), min(tokens, len(at))
        self.features = place_features(positions_mm)
        chosen = at[: self.tokens]
        self.squared = np.square(chosen[:, None] - chosen[None]).sum(axis=-1)[None]
        # a token sees, and is seen, about as far as it is to the next ones
        squared = np.square(at[:, None] - chosen[None]).sum(axis=-1)
        self.near = -squared / max(float(np.median(squared.min(axis=1))), 0.02)
        self.attention = [
            PointAttention(units, heads, dtype=self.dtype_policy, name=f"attention_{i}")
            for i in range(blocks)
        ]
        for block in self.attention:
            block.build((None, self.tokens, units), (None, self.tokens, self.tokens))
        self.norm = layers.LayerNormalization(epsilon=1e-5, dtype=self.dtype_policy, name="norm")
        self.norm.build((None, self.tokens, units))

    def dense(self, size, inputs, name, dtype=None):
        """Return a built dense layer."""
        layer = layers.Dense(size, dtype=dtype or self.dtype_policy, name=name)
        layer.build((None, inputs))
        return layer

    def conv(self, kind, filters, kernel, inputs, stride=1, **kwargs):
        """Return a built convolution in time."""
        kwargs = {"activation": "gelu", "dtype": self.dtype_policy, **kwargs}
        layer = kind(filters, kernel, stride, padding="same", **kwargs)
        layer.build((None, None, inputs))
        return layer

    def exchange(self, x):
        """Let tokens, (batch, token, units), see each other."""
        squared = ops.convert_to_tensor(self.squared)
        for block in self.attention:
            x = block(x, squared)
        return self.norm(x)


class PointEncoder(_Places):
    """From signals (batch, time, node) to 2 * latent_dim numbers."""

    def __init__(self, samples, positions_mm, latent_dim, **kwargs):
        super().__init__(samples, positions_mm, **kwargs)
        units, filters = self.units, self.filters
        self.narrow = [
            self.conv(layers.Conv1D, filters, 9, 1, STRIDE),
            self.conv(layers.Conv1D, units, 9, filters, STRIDE),
        ]
        self.place = self.dense(units, self.features.shape[1], "place")
        self.gather = self.dense(2 * units, self.tokens * units, "gather")
        self.heads = self.conv(
            layers.Conv1D, 2 * latent_dim // self.steps, CONTEXT, 2 * units, activation=None,
            dtype="float32",
        )  # fmt: skip

    def call(self, signals):
        """Encode."""
        x = ops.reshape(ops.transpose(signals, (0, 2, 1)), (-1, self.samples, 1))
        for convolution in self.narrow:
            x = convolution(x)
        x = ops.reshape(x, (-1, self.nodes, self.steps * self.units))
        share = ops.softmax(ops.convert_to_tensor(self.near), axis=0)
        x = ops.matmul(ops.cast(ops.transpose(share), x.dtype), x)
        x = ops.reshape(x, (-1, self.tokens, self.steps, self.units))
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, self.tokens, self.units))
        x = self.exchange(x + self.place(ops.convert_to_tensor(self.features[: self.tokens])))
        x = ops.reshape(x, (-1, self.steps, self.tokens * self.units))
        mean, log_var = ops.split(self.heads(ops.gelu(self.gather(x))), 2, axis=-1)
        flat = [ops.reshape(part, (ops.shape(signals)[0], -1)) for part in (mean, log_var)]
        return ops.concatenate(flat, axis=-1)


class PointDecoder(_Places):
    """From codes (batch, latent_dim) and conditions (batch, known) to signals."""

    def __init__(self, samples, positions_mm, latent_dim, known, **kwargs):
        super().__init__(samples, positions_mm, **kwargs)
        units, filters = self.units, self.filters
        self.latent_dim, self.known = latent_dim, known
        code = latent_dim // self.steps + known
        self.context = self.conv(layers.Conv1D, 2 * units, CONTEXT, code)
        self.spread = self.dense(self.tokens * units, 2 * units, "spread")
        self.place = self.dense(units, self.features.shape[1], "place")
        self.mix = self.conv(layers.Conv1D, units, 3, units)
        self.widen = self.conv(layers.Conv1DTranspose, filters, 2 * STRIDE, units, STRIDE)
        self.signal = self.conv(
            layers.Conv1DTranspose, 1, 4 * STRIDE, filters, STRIDE, activation="tanh",
            dtype="float32",
        )  # fmt: skip

    def call(self, code):
        """Decode."""
        x = ops.reshape(code[:, : self.latent_dim], (-1, self.steps, self.latent_dim // self.steps))
        if self.known:
            rhythm = ops.repeat(code[:, None, self.latent_dim :], self.steps, axis=1)
            x = ops.concatenate([x, rhythm], axis=-1)
        x = ops.reshape(self.spread(self.context(x)), (-1, self.tokens, self.units))
        x = self.exchange(x)
        share = ops.softmax(ops.convert_to_tensor(self.near), axis=1)
        x = ops.matmul(ops.cast(share, x.dtype), x)
        x = x + self.place(ops.convert_to_tensor(self.features))
        x = ops.reshape(x, (-1, self.steps, self.nodes, self.units))
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, self.steps, self.units))
        x = self.signal(self.widen(self.mix(x)))[:, : self.samples, 0]
        return ops.transpose(ops.reshape(x, (-1, self.nodes, self.samples)), (0, 2, 1))
