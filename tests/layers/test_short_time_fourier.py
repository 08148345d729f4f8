"""Short-time Fourier transform: an exact inverse, and frequencies where they belong."""

import numpy as np
import pytest
from keras import ops

from kecgi.layers.short_time_fourier import analyse, frames_of, synthesise


@pytest.mark.backend
def test_the_inverse_is_exact_and_the_energy_stays():
    x = np.random.default_rng(0).normal(size=(2, 96, 3)).astype("float32")
    image = analyse(ops.convert_to_tensor(x), 16)
    assert tuple(image.shape) == (2, frames_of(96, 16), 8, 6) == (2, 13, 8, 6)
    np.testing.assert_allclose(ops.convert_to_numpy(synthesise(image, 16)), x, atol=2e-6)
    energy = np.square(ops.convert_to_numpy(image)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(energy, np.square(x).sum(axis=(1, 2)), rtol=1e-5)


def test_frames_are_the_fourier_transform_of_weighted_pieces():
    x = np.random.default_rng(1).normal(size=(1, 64, 2)).astype("float32")
    image = ops.convert_to_numpy(analyse(ops.convert_to_tensor(x), 32))
    weight = np.sin(np.pi * (np.arange(32) + 0.5) / 32)
    spectrum = np.fft.rfft(weight * x[0, 16:48, 1]) / np.sqrt(16)  # the third frame
    np.testing.assert_allclose(image[0, 2, 1:, 1], spectrum[1:16].real, atol=1e-5)
    np.testing.assert_allclose(image[0, 2, 1:, 3], -spectrum[1:16].imag, atol=1e-5)
    ends = [image[0, 2, 0, 1], image[0, 2, 0, 3]]
    np.testing.assert_allclose(ends, spectrum[[0, 16]].real / 2**0.5, atol=1e-5)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="90 samples"):
        analyse(ops.convert_to_tensor(np.zeros((1, 90, 2), "float32")), 16)
