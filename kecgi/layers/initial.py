"""Initial weights of large convolutional models."""

import keras
import numpy as np


class _ByNumPy(keras.initializers.Initializer):
    """Base of initialisers drawn by NumPy, from Keras's global seed.

    A large model has hundreds of shapes, and some backends compile a random operation for each.

    Parameters
    ----------
    fan_in : int
        Inputs that an output depends on.
    """

    def __init__(self, fan_in: int):
        self.fan_in = fan_in
        self.rng = np.random.default_rng(keras.initializers.RandomUniform().seed)


class FanInUniform(_ByNumPy):
    """Uniform in ±1/sqrt(fan in): PyTorch's default for weights and biases."""

    def __call__(self, shape, dtype=None):
        """Return an array of the shape, float32."""
        bound = np.float32(self.fan_in**-0.5)
        return self.rng.random(shape, "float32") * (2 * bound) - bound


class FanInNormal(_ByNumPy):
    """Normal with variance 2 / fan in (He et al., ICCV 2015)."""

    def __call__(self, shape, dtype=None):
        """Return an array of the shape, float32."""
        return self.rng.standard_normal(shape, "float32") * np.float32((2 / self.fan_in) ** 0.5)


def dense(
    inputs: int, units: int, activation: str | None = None, *, normal: bool = False, **options
) -> keras.layers.Dense:
    """Return a dense layer, built, with uniform weights by default and a uniform bias."""
    layer = keras.layers.Dense(
        units,
        activation,
        kernel_initializer=(FanInNormal if normal else FanInUniform)(inputs),
        bias_initializer=FanInUniform(inputs) if options.get("use_bias", True) else None,
        **options,
    )
    layer.build((None, inputs))
    return layer
