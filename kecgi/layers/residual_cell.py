"""Residual cells of a hierarchical variational autoencoder."""

import math
from typing import Literal

import keras
from keras import layers, ops

from kecgi.layers.initial import dense
from kecgi.layers.upsampling import along_each_axis, interpolate_twice, repeat_samples
from kecgi.layers.weight_norm_conv import WeightNormConv1D, WeightNormConv2D

RESIDUAL_SCALE = 0.1
MOMENTUM, EPSILON = 0.95, 1e-5
CONVOLUTIONS = {1: WeightNormConv1D, 2: WeightNormConv2D}  # by the axes they are along
GROUP = 4  # channels, or as many of them as divide the layer


@keras.saving.register_keras_serializable(package="kecgi")
class LargestGain(keras.regularizers.Regularizer):
    """Penalty ``strength * max |gain|`` on the gains of a normalisation (Vahdat & Kautz 2020)."""

    def __init__(self, strength: float):
        self.strength = strength

    def __call__(self, gains):
        """Return the penalty, a scalar."""
        return self.strength * ops.max(ops.abs(gains))

    def get_config(self):
        """Return the constructor's arguments."""
        return {"strength": self.strength}


class SqueezeExcitation(layers.Layer):
    """Gate each channel by two dense layers of the channels' means over time, or over an image.

    References
    ----------
    Hu et al., Squeeze-and-excitation networks, CVPR 2018.
    """

    def build(self, x_shape):
        """Build the dense layers, with a 16th of the channels between them, at least 4."""
        channels = x_shape[-1]
        hidden = max(channels // 16, 4)
        self.squeeze = dense(channels, hidden, "relu", dtype=self.dtype_policy, name="squeeze")
        self.excite = dense(hidden, channels, "sigmoid", dtype=self.dtype_policy, name="excite")

    def call(self, x):
        """Gate x (batch, time, channels) or (batch, time, frequency, channels)."""
        axes = tuple(range(1, len(x.shape) - 1))
        gates = self.excite(self.squeeze(ops.mean(x, axis=axes)))
        return x * ops.expand_dims(gates, axes)


class ResidualCell(layers.Layer):
    """``skip(x) + 0.1 * h(x)``: normalise, ELU, convolve, twice; then squeeze and excite.

    A "down" cell halves the samples and doubles the channels, an "up" cell does the reverse.
    The skip of the first is a swish and two convolutions of every other sample; that of the second
    is linear interpolation and a convolution.

    Parameters
    ----------
    direction : {"same", "down", "up"}
        What becomes of the samples.
    norm : {"batch", "group"}
        Normalisation over batch and time, or over time and groups of channels. The second one does
        the same in training and afterwards.
    norm_penalty : float
        Strength of the penalty on the largest gain of each normalisation.
    dimensions : {1, 2}
        Of the convolutions: along time, or along time and frequency.
    """

    def __init__(
        self,
        direction: Literal["same", "down", "up"] = "same",
        *,
        norm: Literal["batch", "group"] = "batch",
        norm_penalty: float = 0.0,
        dimensions: Literal[1, 2] = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if direction not in ("same", "down", "up"):
            raise ValueError(f'direction must be "same", "down" or "up", got {direction!r}')
        if norm not in ("batch", "group"):
            raise ValueError(f'norm must be "batch" or "group", got {norm!r}')
        self.direction, self.norm, self.norm_penalty = direction, norm, norm_penalty
        self.dimensions = dimensions

    def build(self, x_shape):
        """Build the cell for (batch, time, channels) or (batch, time, frequency, channels)."""
        channels = x_shape[-1]
        if self.direction == "up" and channels % 2:
            raise ValueError(f"an up cell halves the channels: give an even number, not {channels}")
        wide = {"same": channels, "down": 2 * channels, "up": channels // 2}[self.direction]
        policy, convolution = self.dtype_policy, CONVOLUTIONS[self.dimensions]
        stride = 2 if self.direction == "down" else 1
        self.first_norm = self._normalisation(channels, "first_norm")
        self.second_norm = self._normalisation(wide, "second_norm")
        self.first = convolution(wide, 3, stride, dtype=policy, name="first")
        self.second = convolution(wide, 3, dtype=policy, name="second")
        self.gate = SqueezeExcitation(dtype=policy, name="gate")
        self.skips = []
        if self.direction == "down":
            self.skips = [
                convolution(channels, 1, 2, dtype=policy, name=f"skip_{i}") for i in range(2)
            ]
        elif self.direction == "up":
            self.skips = [convolution(wide, 1, use_bias=False, dtype=policy, name="skip")]
        for layer in (self.first_norm, self.first, *self.skips):
            layer.build((*x_shape[:-1], channels))
        for layer in (self.second_norm, self.second, self.gate):
            layer.build((*x_shape[:-1], wide))

    def _normalisation(self, channels, name):
        penalty = LargestGain(self.norm_penalty) if self.norm_penalty else None
        options = {
            "epsilon": EPSILON,
            "gamma_regularizer": penalty,
            "dtype": self.dtype_policy,
            "name": name,
        }
        if self.norm == "batch":
            return layers.BatchNormalization(momentum=MOMENTUM, **options)
        return layers.GroupNormalization(channels // math.gcd(channels, GROUP), **options)

    def call(self, x, training=False):
        """Map x, of the shape built for; odd numbers of samples are rounded up on the way down."""
        h = ops.elu(self._normalise(self.first_norm, x, training))
        if self.direction == "up":
            h = along_each_axis(repeat_samples, h)
        h = ops.elu(self._normalise(self.second_norm, self.first(h), training))
        return self._skip(x) + RESIDUAL_SCALE * self.gate(self.second(h))

    def _normalise(self, norm, x, training):
        return norm(x, training=training) if self.norm == "batch" else norm(x)

    def _skip(self, x):
        if self.direction == "down":
            x = ops.silu(x)
            return ops.concatenate([skip(x) for skip in self.skips], axis=-1)
        if self.direction == "up":
            return self.skips[0](along_each_axis(interpolate_twice, x))
        return x

    def compute_output_shape(self, x_shape):
        """Return the shape after halving or doubling."""
        batch, *grid, channels = x_shape
        if self.direction == "down":
            return (batch, *(None if n is None else -(-n // 2) for n in grid), 2 * channels)
        if self.direction == "up":
            return (batch, *(None if n is None else 2 * n for n in grid), channels // 2)
        return tuple(x_shape)
