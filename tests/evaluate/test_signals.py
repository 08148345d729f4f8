import json

import numpy as np
import pytest
from scipy import stats

from kecgi.evaluate import signals

TIME = np.linspace(0, 1, 201)


@pytest.fixture
def potentials():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(3, 12, 50))
    return true, true + 0.3 * rng.normal(size=true.shape)


def test_identical_signals_are_perfect(potentials):
    true, _ = potentials
    assert signals.summarise_bspm(true, true) == pytest.approx(
        {
            "correlation": 1,
            "mean_difference_percent": 0,
            "mean_difference_percent_median": 0,
            "area_difference_percent": 0,
            "area_difference_percent_median": 0,
            "max_amplitude_difference_percent": 0,
            "max_amplitude_difference_percent_median": 0,
            "first_peak_sign_percent": 100,
        }
    )


def test_a_gain_changes_areas_and_amplitudes_alone(potentials):
    true, _ = potentials
    summary = signals.summarise_bspm(true, 0.9 * true)
    assert summary["correlation"] == pytest.approx(1)
    assert summary["area_difference_percent"] == pytest.approx(-10)
    assert summary["max_amplitude_difference_percent"] == pytest.approx(-10)
    assert summary["first_peak_sign_percent"] == 100


def test_mean_difference_of_a_known_offset():
    wave = np.sin(2 * np.pi * np.arange(200) / 200)[None]  # mean 0, mean magnitude 2 / π
    metrics = signals.bspm_metrics(wave, wave + 0.1)
    assert metrics["mean_difference_percent"][0] == pytest.approx(100 * 0.1 * np.pi / 2, rel=1e-3)
    assert metrics["max_amplitude_difference_percent"][0] == pytest.approx(10)


def test_first_peak_is_the_first_of_some_size():
    small = 0.1 * np.exp(-(((TIME - 0.1) / 0.02) ** 2))  # too small to be a peak
    first = 0.5 * np.exp(-(((TIME - 0.4) / 0.05) ** 2))
    largest = np.exp(-(((TIME - 0.7) / 0.05) ** 2))
    x = -small + first - largest
    cases = {1: small + first - largest, 0: -small - first + largest}
    for expected, y in cases.items():
        assert signals.bspm_metrics(x[None], y[None])["first_peak_sign"] == expected


def test_flat_channels_are_left_out(potentials):
    true, predicted = potentials
    flat = np.concatenate([true, np.zeros((3, 1, 50))], axis=1)
    other = np.concatenate([predicted, np.ones((3, 1, 50))], axis=1)
    assert signals.summarise_bspm(flat, other) == pytest.approx(
        signals.summarise_bspm(true, predicted)
    )
    nothing = signals.summarise_bspm(np.zeros((2, 50)), np.ones((2, 50)))
    assert set(nothing.values()) == {None}
    assert json.dumps(nothing, allow_nan=False)


def test_correlation_is_scipys_along_either_axis(potentials):
    true, predicted = potentials
    temporal, spatial = (signals.pearson(true, predicted, axis) for axis in (-1, -2))
    assert temporal.shape == (3, 12)
    assert spatial.shape == (3, 50)
    expected = stats.pearsonr(true[1, 4], predicted[1, 4]).statistic
    assert temporal[1, 4] == pytest.approx(expected)
    expected = stats.pearsonr(true[2, :, 7], predicted[2, :, 7]).statistic
    assert spatial[2, 7] == pytest.approx(expected)


def test_relative_error_rdm_and_mag_of_known_maps():
    x = np.array([[3.0], [4.0], [0.0]])  # one time sample of three nodes
    assert signals.relative_error(x, 0.5 * x, axis=-2)[0] == pytest.approx(0.5)
    assert signals.rdm_star(x, 7 * x)[0] == pytest.approx(0, abs=1e-12)
    assert signals.rdm_star(x, -x)[0] == pytest.approx(2)
    assert signals.rdm_star(x, np.array([[0.0], [0.0], [2.0]]))[0] == pytest.approx(np.sqrt(2))
    assert signals.magnitude_ratio(x, 7 * x)[0] == pytest.approx(7)
    assert np.isnan(signals.magnitude_ratio(0 * x, x)[0])


def test_rdm_follows_from_the_cosine(potentials):
    true, predicted = potentials
    cosine = (true * predicted).sum(-2) / np.linalg.norm(true, axis=-2)
    cosine = cosine / np.linalg.norm(predicted, axis=-2)
    assert signals.rdm_star(true, predicted) == pytest.approx(np.sqrt(2 * (1 - cosine)))


def test_summary_gives_median_and_quartiles(potentials):
    true, predicted = potentials
    summary = signals.summarise_potentials(true, predicted)
    spatial = signals.pearson(true, predicted, axis=-2)
    assert summary["spatial_cc"]["median"] == pytest.approx(np.median(spatial))
    assert summary["spatial_cc"]["q25"] == pytest.approx(np.quantile(spatial, 0.25))
    assert set(summary) == {
        "spatial_cc",
        "spatial_re",
        "temporal_cc",
        "temporal_re",
        "rdm_star",
        "mag",
    }


def test_log_spectral_distance_of_a_gain():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4, 3, 250))
    # The same factor at all frequencies: |ln 2|, and 20.8 dB is 2.39.
    assert signals.log_spectral_distance(true, 2 * true) == pytest.approx(np.log(2), rel=1e-6)
    tenfold = 10 ** (20.8 / 20)
    assert signals.log_spectral_distance(true, tenfold * true) == pytest.approx(2.39, abs=0.01)


def test_log_spectral_distance_of_silence_is_bounded():
    silence, impulse = np.zeros((1, 64)), np.eye(1, 64)  # the impulse has amplitude 1 throughout
    assert signals.log_spectral_distance(silence, silence) == 0
    assert signals.log_spectral_distance(silence, impulse) == pytest.approx(np.log(1e8))


def test_band_leaves_out_what_lies_outside():
    rate = 500
    time = np.arange(rate) / rate
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=(3, rate)))
    changed = spectrum * np.where(np.fft.rfftfreq(rate, 1 / rate) > 40, 100, 1)
    true, predicted = np.fft.irfft(spectrum), np.fft.irfft(changed)
    assert time.size == true.shape[-1]
    band = signals.log_spectral_distance(true, predicted, sampling_hz=rate, band_hz=(0.5, 40))
    assert band == pytest.approx(0, abs=1e-6)
    assert signals.log_spectral_distance(true, predicted) > 3
    with pytest.raises(ValueError, match="no frequency in"):
        signals.log_spectral_distance(true, predicted, sampling_hz=rate, band_hz=(0.1, 0.2))
    with pytest.raises(ValueError, match="needs sampling_hz"):
        signals.log_spectral_distance(true, predicted, band_hz=(0.5, 40))


def test_wrong_input_is_named(potentials):
    true, predicted = potentials
    with pytest.raises(ValueError, match="shapes differ"):
        signals.pearson(true, predicted[:2])
    with pytest.raises(ValueError, match="lost channels"):
        signals.relative_error(true, np.full_like(true, np.nan))
