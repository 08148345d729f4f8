"""Convolutions whose weights are a direction and a learned length."""

import math

import keras
import numpy as np
from keras import ops

from kecgi.layers.initial import FanInUniform

TINY, START = 1e-5, 1e-2


@keras.saving.register_keras_serializable(package="kecgi")
class WeightNormConv1D(keras.layers.Layer):
    """Weight-normalised convolution along time.

    ``w_o = exp(a_o) v_o / (|v_o| + 1e-5)`` for each output o. The scale is applied to the output of
    the convolution with v, not to v: that is the same, and needs no second copy of the weights.
    Zeros are padded on both sides, ``(kernel_size - 1) / 2`` of them, also where the stride is 2,
    so that the phase is that of a symmetric filter.

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size : int
        Taps, an odd number.
    strides : int
        Step along time.
    use_bias : bool
        Whether a bias is added.

    References
    ----------
    Salimans & Kingma, Weight normalization, NeurIPS 2016; Vahdat & Kautz, NVAE, NeurIPS 2020.
    """

    dimensions = 1

    def __init__(
        self, filters: int, kernel_size: int = 1, strides: int = 1, use_bias: bool = True, **kwargs
    ):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.use_bias = use_bias

    def build(self, x_shape):
        """Make the directions, uniform in ±1/sqrt(fan in), and lengths a little above theirs."""
        shape = (self.kernel_size,) * self.dimensions + (x_shape[-1], self.filters)
        uniform = FanInUniform(math.prod(shape[:-1]))
        direction = uniform(shape, "float32")
        length = np.sqrt(np.sum(np.square(direction.reshape(-1, self.filters)), axis=0))
        start = np.log(length + START)
        self.direction = self.add_weight(
            name="direction", shape=shape, initializer=lambda shape, dtype: direction
        )
        self.log_length = self.add_weight(
            name="log_length", shape=(self.filters,), initializer=lambda shape, dtype: start
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=uniform)

    def call(self, x):
        """Filter x, (batch, time, channels) or with more axes before the last."""
        direction = ops.convert_to_tensor(self.direction)
        if self.kernel_size == 1:
            # TensorFlow's own convolution of every other sample writes beyond its memory on
            # processors (oneDNN, gradient of the weights), and a product is as fast
            if self.strides > 1:
                x = x[(slice(None), *(slice(None, None, self.strides),) * self.dimensions)]
            y = ops.matmul(x, ops.reshape(direction, direction.shape[-2:]))
        else:
            y = self._convolve(x, direction)
        y = y * (ops.exp(self.log_length) / (norms(direction) + TINY))
        return y if self.bias is None else y + self.bias

    def _convolve(self, x, direction):
        # An image of one row: PyTorch copies a signal to another layout and back, not an image
        margin = (self.kernel_size // 2,) * 2
        rows = ops.pad(x[:, None], ((0, 0), (0, 0), margin, (0, 0)))
        return ops.conv(rows, direction[None], strides=(1, self.strides), padding="valid")[:, 0]

    def compute_output_shape(self, x_shape):
        """Return the shape with time divided by the strides, rounded up, and the filters."""
        grid = [None if n is None else -(-n // self.strides) for n in x_shape[1:-1]]
        return (x_shape[0], *grid, self.filters)

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "use_bias": self.use_bias,
        }


@keras.saving.register_keras_serializable(package="kecgi")
class WeightNormConv2D(WeightNormConv1D):
    """The same along two axes, such as time and frequency."""

    dimensions = 2

    def _convolve(self, x, direction):
        margin = (self.kernel_size // 2,) * 2
        x = ops.pad(x, ((0, 0), margin, margin, (0, 0)))
        return ops.conv(x, direction, strides=self.strides, padding="valid")


def norms(direction):
    """Euclidean norm of each filter of (taps, ..., channels in, filters)."""
    squared = ops.square(ops.reshape(direction, (-1, direction.shape[-1])))
    return ops.sqrt(ops.sum(squared, axis=0))  # twice as fast as the norm on PyTorch
