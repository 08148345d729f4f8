"""Interpolation that keeps both ends."""

import numpy as np
import pytest
from keras import ops

from kecgi.layers import upsampling


@pytest.mark.backend
def test_golden_values():
    x = ops.convert_to_tensor(np.array([0.0, 1, 4], "float32")[None, :, None])
    found = ops.convert_to_numpy(upsampling.interpolate_twice(x))[0, :, 0]
    np.testing.assert_allclose(found, [0, 0.4, 0.8, 1.6, 2.8, 4], atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_it_is_interpolation_between_the_ends(length):
    x = np.random.default_rng(length).normal(size=(2, length, 3)).astype("float32")
    found = ops.convert_to_numpy(upsampling.interpolate_twice(x))
    places = np.linspace(0, length - 1, 2 * length)
    for case in range(2):
        for channel in range(3):
            expected = np.interp(places, np.arange(length), x[case, :, channel])
            np.testing.assert_allclose(found[case, :, channel], expected, atol=1e-6)


def test_repeated_samples():
    x = np.arange(6.0).reshape(1, 3, 2)
    found = ops.convert_to_numpy(upsampling.repeat_samples(x, 2))
    np.testing.assert_array_equal(found, np.repeat(x, 2, axis=1))
