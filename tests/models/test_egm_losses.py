"""Terms of the electrograms' loss against NumPy and SciPy."""

import numpy as np
import pytest
from keras import ops
from scipy import signal

from kecgi.models import egm_losses

pytestmark = pytest.mark.backend


@pytest.fixture
def pair():
    rng = np.random.default_rng(4)
    return rng.uniform(-1, 1, (2, 3, 400, 5)).astype("float32")


def value(term):
    return ops.convert_to_numpy(term)


def test_terms_are_means_of_a_case(pair):
    true, other = pair
    error = true - other
    np.testing.assert_allclose(
        value(egm_losses.mean_squared(true, other)), (error**2).mean(axis=(1, 2)), rtol=1e-5
    )
    slope = np.abs(np.diff(true, axis=1) - np.diff(other, axis=1)).mean(axis=(1, 2))
    np.testing.assert_allclose(value(egm_losses.gradient_l1(true, other)), slope, rtol=1e-5)
    pearson = [
        1 - np.mean([np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(5)])
        for a, b in zip(true, other, strict=True)
    ]
    np.testing.assert_allclose(value(egm_losses.decorrelation(true, other)), pearson, atol=1e-5)


def test_a_flat_channel_is_not_correlated(pair):
    flat = np.zeros_like(pair[0])
    np.testing.assert_array_equal(value(egm_losses.decorrelation(pair[0], flat)), 1)


def test_spectra_are_those_of_a_short_time_transform(pair):
    true = pair[0]
    spectra = value(egm_losses.log_spectra(ops.convert_to_tensor(true), 256))
    assert spectra.shape == (3, 3, 129, 5)  # frames at 0, 72 and 144
    window = signal.windows.hann(258)[1:-1]
    frame = np.abs(np.fft.rfft(true[1, 72:328, 2] * window))
    np.testing.assert_allclose(spectra[1, 1, :, 2], np.log(frame), atol=1e-3)
    # longer than the signal: all of it, without a window
    whole = value(egm_losses.log_spectra(ops.convert_to_tensor(true), 512))
    padded = np.abs(np.fft.rfft(true[2, :, 4], 512))
    np.testing.assert_allclose(whole[2, 0, :, 4], np.log(padded), atol=1e-3)


def test_only_what_is_added_and_high_is_spurious():
    time = np.arange(400)[None, :, None] / 200
    low, high = np.sin(2 * np.pi * 10.15 * time), 0.1 * np.sin(2 * np.pi * 70.15 * time)
    low, both = (x.astype("float32") for x in (low, low + high))

    def terms(true, predicted):
        pair = ops.convert_to_tensor(true), ops.convert_to_tensor(predicted)
        return [float(value(t)[0]) for t in egm_losses.spectral_terms(*pair, 200.0)]

    assert terms(low, low) == [0, 0]
    mismatch, added = terms(low, both)
    assert added > 0.5
    removed_mismatch, removed = terms(both, low)
    assert removed < 0.1 * added  # leakage of a finite window
    assert removed_mismatch == pytest.approx(mismatch, rel=1e-3)
    noise = np.random.default_rng(0).normal(0, 0.3, (1, 400, 2)).astype("float32")
    assert terms(noise, 2 * noise)[0] == pytest.approx(np.log(2), rel=0.01)
