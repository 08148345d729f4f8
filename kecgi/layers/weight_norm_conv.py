"""Convolution along time whose weights are a direction and a learned length."""

import keras
import numpy as np
from keras import ops

from kecgi.layers.initial import FanInUniform

TINY, START = 1e-5, 1e-2


@keras.saving.register_keras_serializable(package="kecgi")
class WeightNormConv1D(keras.layers.Layer):
    """Weight-normalised convolution, ``w_o = exp(a_o) v_o / (|v_o| + 1e-5)`` for each output o.

    The scale is applied to the output of the convolution with v, not to v: that is the same, and
    needs no second copy of the weights. Zeros are padded on both sides, ``(kernel_size - 1) / 2``
    of them, also where the stride is 2, so that the phase is that of a symmetric filter.

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
        shape = (self.kernel_size, x_shape[-1], self.filters)
        uniform = FanInUniform(self.kernel_size * x_shape[-1])
        direction = uniform(shape, "float32")
        start = np.log(np.sqrt(np.sum(np.square(direction), axis=(0, 1))) + START)
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
        """Filter x (batch, time, channels)."""
        direction = ops.convert_to_tensor(self.direction)
        if self.kernel_size == 1:
            # TensorFlow's own convolution of every other sample writes beyond its memory on
            # processors (oneDNN, gradient of the weights), and a product is as fast
            y = ops.matmul(x[:, :: self.strides], direction[0])
        else:
            # images of one row: PyTorch copies a signal to another layout and back, not an image
            margin = self.kernel_size // 2
            rows = ops.pad(x[:, None], ((0, 0), (0, 0), (margin, margin), (0, 0)))
            y = ops.conv(rows, direction[None], strides=(1, self.strides), padding="valid")[:, 0]
        y = y * (ops.exp(self.log_length) / (norms(direction) + TINY))
        return y if self.bias is None else y + self.bias

    def compute_output_shape(self, x_shape):
        """Return (batch, time / strides rounded up, filters)."""
        time = None if x_shape[1] is None else -(-x_shape[1] // self.strides)
        return (x_shape[0], time, self.filters)

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "use_bias": self.use_bias,
        }


def norms(direction):
    """Euclidean norm of each filter of (taps, channels in, filters)."""
    return ops.norm(ops.reshape(direction, (-1, direction.shape[-1])), axis=0)
