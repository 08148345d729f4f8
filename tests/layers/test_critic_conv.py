"""Windows, padded convolutions and phase shuffles."""

import numpy as np
import pytest
from keras import ops

from kecgi.layers.critic_conv import PaddedConv1D, phase_shuffle, windows


def test_windows_hold_what_they_cover():
    x = np.arange(14.0).reshape(1, 7, 2)
    found = ops.convert_to_numpy(windows(x, 3, 2))
    expected = [x[0, s : s + 3].ravel() for s in (0, 2, 4)]
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.backend
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_product_of_windows_is_the_convolution(stride):
    x = np.random.default_rng(0).normal(size=(2, 30, 5)).astype("float32")
    plain = PaddedConv1D(3, 25, stride, 11)
    by_windows = PaddedConv1D(3, 25, stride, 11, by_windows=True)
    y = ops.convert_to_numpy(plain(x))
    by_windows.build(x.shape)
    by_windows.set_weights(plain.get_weights())
    np.testing.assert_allclose(ops.convert_to_numpy(by_windows(x)), y, atol=1e-5)
    assert y.shape == plain.compute_output_shape(x.shape)


def test_he_s_initial_weights():
    layer = PaddedConv1D(200, 25, normal=True)
    layer.build((None, None, 8))
    kernel = ops.convert_to_numpy(layer.kernel)
    assert kernel.std() == pytest.approx((2 / 200) ** 0.5, rel=0.02)


@pytest.mark.backend
def test_a_phase_shuffle_shifts_and_reflects():
    x = np.random.default_rng(0).normal(size=(5, 6, 2)).astype("float32")
    shift = np.arange(-2, 3)
    found = ops.convert_to_numpy(phase_shuffle(x, ops.convert_to_tensor(shift), 2))
    for case, k in enumerate(shift):
        source = np.abs(np.arange(6) - k)
        source = np.where(source > 5, 10 - source, source)
        np.testing.assert_array_equal(found[case], x[case, source], err_msg=f"shift {k}")
