"""Weight-normalised convolution against its formula."""

import numpy as np
import pytest
from keras import ops

from kecgi.layers.weight_norm_conv import WeightNormConv1D


def by_formula(layer, x):
    """Convolve x (time, channels) as the paper writes it."""
    v = ops.convert_to_numpy(layer.direction).astype("float64")
    length = np.exp(ops.convert_to_numpy(layer.log_length).astype("float64"))
    w = length * v / (np.sqrt((v**2).sum((0, 1))) + 1e-5)
    margin = layer.kernel_size // 2
    padded = np.pad(x, ((margin, margin), (0, 0)))
    starts = range(0, len(padded) - layer.kernel_size + 1, layer.strides)
    y = np.array([np.einsum("kc,kco->o", padded[s : s + layer.kernel_size], w) for s in starts])
    return y + (0 if layer.bias is None else ops.convert_to_numpy(layer.bias))


@pytest.mark.backend
@pytest.mark.parametrize(
    ("kernel", "stride", "samples"), [(1, 1, 5), (3, 1, 6), (3, 2, 8), (3, 2, 7), (1, 2, 6)]
)
def test_it_is_the_formula(kernel, stride, samples):
    layer = WeightNormConv1D(4, kernel, stride, use_bias=kernel > 1)
    x = np.random.default_rng(0).normal(size=(2, samples, 3)).astype("float32")
    y = ops.convert_to_numpy(layer(x))
    assert y.shape == layer.compute_output_shape(x.shape)
    for found, case in zip(y, x, strict=True):
        np.testing.assert_allclose(found, by_formula(layer, case), atol=1e-5)


def test_it_starts_as_an_ordinary_convolution():
    layer = WeightNormConv1D(50, 3)
    layer.build((None, None, 40))
    direction = ops.convert_to_numpy(layer.direction)
    bound = 120**-0.5
    assert 0.99 * bound < np.abs(direction).max() <= bound
    assert direction.std() == pytest.approx(bound / 3**0.5, rel=0.05)
    norms = np.sqrt((direction**2).sum((0, 1)))
    np.testing.assert_allclose(
        np.exp(ops.convert_to_numpy(layer.log_length)), norms + 0.01, rtol=1e-5
    )
    assert np.abs(ops.convert_to_numpy(layer.bias)).max() <= bound


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd, got 4"):
        WeightNormConv1D(2, 4)
