"""Electrograms as signals of points in space: an encoder and a decoder that know where nodes are.

Every node goes through the same convolutions in time. Tokens, the first few nodes, gather what the
nodes around them see; attention by distance (`kecgi.layers.PointAttention`) lets them tell each
other, at each step of time; and the code of a step is read from all tokens. Some numbers of the
code stand for the whole window, read from the mean and the largest over its steps: atria stay the
same from beat to beat. The decoder goes the same way back. So the networks treat all times alike,
know the nodes by their places and not by their order, and their cost grows with the number of
nodes, not with its square.
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

HIDDEN = 4
"""Features of a step, of all tokens together, as a multiple of a token's."""


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

    def __init__(
        self, samples, positions_mm, latent_dim, whole, *, tokens, units, heads, blocks, filters,
        **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.samples, self.steps = samples, steps_of(samples)
        self.latent_dim, self.whole = latent_dim, whole
        self.per_step = (latent_dim - whole) // self.steps
        self.units, self.filters, self.hidden = units, filters, HIDDEN * units
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

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        units, filters, hidden = self.units, self.filters, self.hidden
        self.narrow = [
            self.conv(layers.Conv1D, filters, 9, 1, STRIDE),
            self.conv(layers.Conv1D, units, 9, filters, STRIDE),
        ]
        self.place = self.dense(units, self.features.shape[1], "place")
        self.gather = self.dense(hidden, self.tokens * units, "gather")
        self.heads = self.conv(
            layers.Conv1D, 2 * self.per_step, CONTEXT, hidden, activation=None, dtype="float32"
        )
        if self.whole:
            self.pooled = self.dense(2 * self.whole, 2 * hidden, "pooled", "float32")

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
        x = ops.gelu(self.gather(x))
        parts = [
            ops.reshape(part, (-1, self.latent_dim - self.whole))
            for part in ops.split(self.heads(x), 2, axis=-1)
        ]
        if self.whole:
            pooled = ops.concatenate([ops.mean(x, axis=1), ops.max(x, axis=1)], axis=-1)
            every = ops.split(self.pooled(pooled), 2, axis=-1)
            parts = [ops.concatenate(pair, axis=-1) for pair in zip(every, parts, strict=True)]
        return ops.concatenate(parts, axis=-1)


class PointDecoder(_Places):
    """From codes (batch, latent_dim) and conditions (batch, known) to signals."""

    def __init__(self, *args, known, **kwargs):
        super().__init__(*args, **kwargs)
        units, filters, hidden = self.units, self.filters, self.hidden
        self.context = self.conv(layers.Conv1D, hidden, CONTEXT, self.per_step + self.whole + known)
        self.spread = self.dense(self.tokens * units, hidden, "spread")
        self.place = self.dense(units, self.features.shape[1], "place")
        self.mix = self.conv(layers.Conv1D, units, 3, units)
        self.widen = self.conv(layers.Conv1DTranspose, filters, 2 * STRIDE, units, STRIDE)
        self.signal = self.conv(
            layers.Conv1DTranspose, 1, 4 * STRIDE, filters, STRIDE, activation="tanh",
            dtype="float32",
        )  # fmt: skip

    def call(self, code):
        """Decode."""
        # what holds for the whole window, then the steps one after the other, then the condition
        every, last = code[:, : self.whole], code[:, self.latent_dim :]
        x = ops.reshape(code[:, self.whole : self.latent_dim], (-1, self.steps, self.per_step))
        same = ops.concatenate([every, last], axis=-1)
        x = ops.concatenate([x, ops.repeat(same[:, None], self.steps, axis=1)], axis=-1)
        x = ops.reshape(self.spread(self.context(x)), (-1, self.tokens, self.units))
        x = self.exchange(x)
        share = ops.softmax(ops.convert_to_tensor(self.near), axis=1)
        x = ops.matmul(ops.cast(share, x.dtype), x)
        x = x + self.place(ops.convert_to_tensor(self.features))
        x = ops.reshape(x, (-1, self.steps, self.nodes, self.units))
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, self.steps, self.units))
        x = self.signal(self.widen(self.mix(x)))[:, : self.samples, 0]
        return ops.transpose(ops.reshape(x, (-1, self.nodes, self.samples)), (0, 2, 1))
