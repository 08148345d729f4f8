import numpy as np
import pytest

from kecgi.simulate.ecg12 import Wave
from kecgi.simulate.ecg_rhythm import (
    electrode_noise,
    fibrillation_beats_ms,
    fibrillatory_potentials,
    place,
    sinus_beats_ms,
)


@pytest.mark.parametrize("rate", [42, 75, 145])
def test_sinus_beats_keep_their_rate_and_cover_the_record(rate):
    for seed in range(20):
        beats = sinus_beats_ms(np.random.default_rng(seed), rate, 10)
        assert beats[0] < 0 and beats[-1] > 10_000
        rr = np.diff(beats)
        assert 60_000 / rr.mean() == pytest.approx(rate, rel=0.02)
        assert 0.005 < rr.std() / rr.mean() < 0.05


def test_fibrillation_is_irregular_and_respects_the_refractory_time():
    rr = np.concatenate(
        [np.diff(fibrillation_beats_ms(np.random.default_rng(s), 90, 10)) for s in range(60)]
    )
    assert rr.min() >= 300
    assert 60_000 / rr.mean() == pytest.approx(90, rel=0.03)
    assert rr.std() / rr.mean() == pytest.approx(0.22, rel=0.1)
    # independent of each other, unlike a sinus rhythm's
    assert abs(np.corrcoef(rr[:-1], rr[1:])[0, 1]) < 0.1


def test_placed_waves_are_interpolated_where_they_belong():
    wave = Wave(-20.0, np.stack([np.hanning(101), -np.hanning(101)]))  # peaks at 30 ms
    potentials = np.zeros((2, 500))
    place(potentials, wave, [100.5, 700.0], sampling_hz=500)
    time_ms = np.arange(500) * 2
    expected = np.interp(time_ms, 80.5 + np.arange(101), np.hanning(101), left=0, right=0)
    expected += np.interp(time_ms, 680 + np.arange(101), np.hanning(101), left=0, right=0)
    np.testing.assert_allclose(potentials, [expected, -expected], atol=1e-12)


def test_waves_beyond_the_record_are_cut():
    wave = Wave(-20.0, np.ones((1, 100)))
    potentials = np.zeros((1, 100))
    place(potentials, wave, [-5000.0, -50.0, 990.0, 5000.0], sampling_hz=100)
    np.testing.assert_array_equal(np.flatnonzero(potentials[0]), [0, 1, 2, 97, 98, 99])


def test_fibrillatory_potentials_have_the_cycle_of_their_regions():
    pulse = np.zeros((1, 320))
    pulse[0, 20:60] = np.hanning(40)
    rng = np.random.default_rng(0)
    found = fibrillatory_potentials(rng, [Wave(-20.0, pulse)], 20_000, 500, cycle_ms=165)
    beats = np.count_nonzero(np.diff((found[0] > 0.5).astype(int)) == 1)
    assert 40_000 / beats == pytest.approx(165, rel=0.18)


def test_noise_has_its_size_and_spectrum():
    noise = electrode_noise(
        np.random.default_rng(0), 9, 5000, 500, baseline_mv=0.05, muscle_mv=0.01
    )
    spectrum = np.abs(np.fft.rfft(noise, axis=1)) ** 2
    hz = np.fft.rfftfreq(5000, 1 / 500)
    power = 2 * spectrum / 5000**2
    slow, fast = power[:, (hz > 0) & (hz < 1)].sum(axis=1), power[:, hz >= 1.2].sum(axis=1)
    assert np.sqrt(fast.mean()) == pytest.approx(0.01, rel=0.05)
    assert 0.045 < np.sqrt(slow.mean()) < 0.09
    assert power[:, hz > 160].sum() < 1e-6 * power.sum()
