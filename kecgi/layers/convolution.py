"""Convolutional encoder and decoder of the paper's models, for images of two or three dimensions.

Both halve the grid twice. An odd size is rounded up on the way down and the surplus line is cropped
on the way up, so any grid works.
"""

import math

import keras
from keras import layers

HALVINGS = 2
KERNEL = 3


def grid_levels(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the grids from the full one to the coarsest.

    Examples
    --------
    >>> grid_levels((64, 50))
    [(64, 50), (32, 25), (16, 13)]
    """
    levels = [tuple(shape)]
    for _ in range(HALVINGS):
        levels.append(tuple(-(-size // 2) for size in levels[-1]))
    return levels


def conv_encoder(
    shape: tuple[int, ...],
    channels: int,
    latent_dim: int,
    *,
    filters: int,
    units: int,
    activation: str,
    dtype=None,
) -> keras.Model:
    """Two strided convolutions, one dense layer, and the two heads of a Gaussian.

    Parameters
    ----------
    shape : tuple of int
        Grid of the image, of length 2 or 3.
    channels : int
        Channels of the image.
    latent_dim : int
        Size of the latent code.
    filters, units : int
        Filters of each convolution and units of the dense layer.
    activation : str
        Activation of the convolutions and of the dense layer; the heads are linear.
    dtype : keras.DTypePolicy or str, optional
        Policy of the hidden layers; the heads are float32.

    Returns
    -------
    keras.Model
        From (batch, *shape, channels) to the pair (mean, log variance), each (batch, latent_dim).
    """
    convolution = _for_rank(shape, layers.Conv2D, layers.Conv3D)
    image = x = keras.Input((*shape, channels), name="image")
    for _ in range(HALVINGS):
        x = convolution(filters, KERNEL, 2, "same", activation=activation, dtype=dtype)(x)
    x = layers.Flatten(dtype=dtype)(x)
    x = layers.Dense(units, activation=activation, dtype=dtype)(x)
    mean = layers.Dense(latent_dim, dtype="float32", name="mean")(x)
    log_var = layers.Dense(latent_dim, dtype="float32", name="log_var")(x)
    return keras.Model(image, (mean, log_var), name="encoder")


def conv_decoder(
    shape: tuple[int, ...],
    latent_dim: int,
    *,
    filters: int,
    activation: str,
    output_activation: str,
    condition_channels: int = 0,
    dtype=None,
) -> keras.Model:
    """One dense layer and three transposed convolutions, the last with stride 1 and one filter.

    Parameters
    ----------
    shape : tuple of int
        Grid of the image, of length 2 or 3.
    latent_dim : int
        Size of the latent code.
    filters : int
        Filters of each hidden layer.
    activation, output_activation : str
        Activations of the hidden layers and of the output.
    condition_channels : int
        Channels of a condition image on the same grid; averaged over blocks to the grid of each
        hidden transposed convolution, it is concatenated with the convolution's output.
    dtype : keras.DTypePolicy or str, optional
        Policy of the hidden layers; the output is float32.

    Returns
    -------
    keras.Model
        From the code (batch, latent_dim), or the pair (code, condition) with the condition of shape
        (batch, *shape, condition_channels), to the image (batch, *shape, 1).
    """
    transposed = _for_rank(shape, layers.Conv2DTranspose, layers.Conv3DTranspose)
    pooling = _for_rank(shape, layers.AveragePooling2D, layers.AveragePooling3D)
    cropping = _for_rank(shape, layers.Cropping2D, layers.Cropping3D)
    *finer, coarsest = grid_levels(shape)

    inputs = code = keras.Input((latent_dim,), name="code")
    conditions = []
    if condition_channels:
        condition = keras.Input((*shape, condition_channels), name="condition")
        inputs = (code, condition)
        conditions = [condition, pooling(2, 2, "same", dtype="float32")(condition)]

    x = layers.Dense(math.prod(coarsest) * filters, activation=activation, dtype=dtype)(code)
    x = layers.Reshape((*coarsest, filters), dtype=dtype)(x)
    for level in reversed(range(HALVINGS)):
        x = transposed(filters, KERNEL, 2, "same", activation=activation, dtype=dtype)(x)
        surplus = [(0, have - want) for have, want in zip(x.shape[1:-1], finer[level], strict=True)]
        if any(extra for _, extra in surplus):
            x = cropping(surplus, dtype=dtype)(x)
        if conditions:
            x = layers.Concatenate(dtype=dtype)([x, conditions[level]])
    image = transposed(
        1, KERNEL, 1, "same", activation=output_activation, dtype="float32", name="image"
    )(x)
    return keras.Model(inputs, image, name="decoder")


def _for_rank(shape, two, three):
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"the grid must be two or three positive sizes, got {tuple(shape)}")
    return (two, three)[len(shape) - 2]
