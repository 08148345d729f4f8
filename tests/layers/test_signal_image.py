"""Signals resized to a map's grid."""

import numpy as np
import pytest
from keras import ops

from kecgi.layers import SignalImage

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("signals", [(100, 128), (12, 40), (7, 9)])
@pytest.mark.parametrize("grid", [(64, 64), (33, 20)])
def test_resizing_is_antialiased_bilinear(signals, grid):
    x = np.random.default_rng(0).normal(size=(2, *signals, 1)).astype("float32")
    expected = ops.image.resize(x, grid, interpolation="bilinear", antialias=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(SignalImage(grid)(x)), ops.convert_to_numpy(expected), atol=1e-5
    )


def test_a_third_axis_repeats_the_image():
    x = np.random.default_rng(0).normal(size=(2, 10, 12, 1)).astype("float32")
    flat = ops.convert_to_numpy(SignalImage((6, 5))(x))
    deep = ops.convert_to_numpy(SignalImage((6, 5, 4))(x))
    assert deep.shape == (2, 6, 5, 4, 1)
    for k in range(4):
        np.testing.assert_array_equal(deep[:, :, :, k], flat)


def test_every_electrode_and_every_sample_counts():
    for line in range(10):
        for axis in (1, 2):
            x = np.zeros((1, 10, 10, 1), "float32")
            np.moveaxis(x, axis, 0)[line] = 1.0
            assert ops.convert_to_numpy(SignalImage((3, 3))(x)).max() > 0.05
