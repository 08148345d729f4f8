"""Electrograms as an image of time by nodes: the paper's encoder and decoder (arXiv 2512.14537)."""

import math

import keras
from keras import layers

SLOPE = 0.2
"""Slope of the LeakyReLU; the paper does not say."""

ENCODER = ((32, (5, 15), (2, 4)), (64, (5, 15), (2, 4)), (10, (3, 5), (2, 2)))
"""Filters, kernel and stride of each convolution."""

DECODER = ((64, (2, 4)), (32, (2, 4)), (32, (2, 2)), (1, (2, 4)))
"""Filters and stride of each transposed convolution."""

WIDTH, FILTERS = 16, 32
"""Columns and filters of the image that the decoder starts from, of 2 048 nodes."""


def image_encoder(samples: int, nodes: int, latent_dim: int, dtype=None) -> keras.Model:
    """Return the network from signals (batch, time, node) to 2 * latent_dim numbers."""
    signals = keras.Input((samples, nodes), name="egm")
    x = layers.Reshape((samples, nodes, 1), dtype=dtype)(signals)
    for filters, kernel, stride in ENCODER:
        x = layers.Conv2D(filters, kernel, stride, padding="same", dtype=dtype)(x)
        x = layers.LeakyReLU(SLOPE, dtype=dtype)(x)
    x = layers.Flatten(dtype=dtype)(x)
    heads = layers.Dense(2 * latent_dim, dtype="float32", name="heads")(x)
    return keras.Model(signals, heads, name="encoder")


def image_decoder(samples: int, nodes: int, code_dim: int, dtype=None) -> keras.Model:
    """Return the network from codes to signals (batch, time, node).

    Of 400 samples and 2 048 nodes it is the paper's, which starts from 25 x 16 and does not say
    which kernels its transposed convolutions have: twice the stride here, 3 where that is 1. Fewer
    nodes take smaller strides; what is too much of the last image is cut off.
    """
    height = math.ceil(samples / math.prod(stride for _, (stride, _) in DECODER))
    width = min(WIDTH, nodes)
    missing = math.ceil(nodes / width)
    code = keras.Input((code_dim,), name="code")
    x = layers.Dense(height * width * FILTERS, dtype=dtype)(code)
    x = layers.Reshape((height, width, FILTERS), dtype=dtype)(x)
    for i, (filters, (rows, most)) in enumerate(DECODER):
        last = i == len(DECODER) - 1
        columns = min(most, missing)
        missing = math.ceil(missing / columns)
        kernel = (2 * rows, 2 * columns if columns > 1 else 3)
        x = layers.Conv2DTranspose(
            filters, kernel, (rows, columns), padding="same", dtype="float32" if last else dtype
        )(x)
        if not last:
            x = layers.LeakyReLU(SLOPE, dtype=dtype)(x)
            x = layers.Conv2D(filters, (5, 1), padding="same", dtype=dtype)(x)
            x = layers.LeakyReLU(SLOPE, dtype=dtype)(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    cut = ((0, x.shape[1] - samples), (0, x.shape[2] - nodes))
    x = layers.Reshape((samples, nodes), dtype="float32")(layers.Cropping2D(cut)(x))
    return keras.Model(code, x, name="decoder")
