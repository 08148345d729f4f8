"""Beats and intervals against signals whose beats are known, and real records against readers."""

import numpy as np
import pytest

from kecgi.evaluate import heart_rate_bpm, intervals_ms, r_peaks
from kecgi.evaluate.ecg_beats import rr_variability


def bump(time_ms, at, width, height):
    return height * np.exp(-0.5 * ((time_ms - at) / width) ** 2)


def drawn_ecg(beats_ms, hz=500, seconds=10, pr=160, qrs=90, qt=400, leads=(1.0, -0.6, 0.4)):
    """Draw an ECG from triangles and bells: P, QRS and T with known ends."""
    time_ms = np.arange(round(seconds * hz)) * 1000 / hz
    signal = np.zeros_like(time_ms)
    for r in beats_ms:
        start = r - qrs / 2
        signal += bump(time_ms, start - pr + 45, 18, 0.12)
        signal += np.interp(time_ms, start + np.array([0, 0.2, 0.5, 0.8, 1]) * qrs,
                            [0, -0.15, 1.2, -0.3, 0])  # fmt: skip
        signal += bump(time_ms, start + qt - 75, 38, 0.3)
    return np.outer(leads, signal)


BEATS = 350.0 + np.arange(12) * 800


def noise(shape, seed=0, size=0.01):
    return size * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("hz", [100, 250, 500, 1000])
def test_peaks_of_a_drawn_ecg(hz):
    signal = drawn_ecg(BEATS, hz)
    found = r_peaks(signal + noise(signal.shape), hz) * 1000 / hz
    np.testing.assert_allclose(found, BEATS, atol=25)
    assert heart_rate_bpm(signal, hz) == pytest.approx(75, abs=0.5)


def test_one_lead_polarity_and_wandering_baseline():
    signal = drawn_ecg(BEATS)
    wander = 0.8 * np.sin(2 * np.pi * 0.3 * np.arange(5000) / 500)
    for lead in (signal[0] + wander, -3 * signal[0], 0.2 * signal[0]):
        assert len(r_peaks(lead, 500)) == 12


def test_tall_t_waves_are_not_counted():
    time_ms = np.arange(5000) * 2.0
    signal = drawn_ecg(BEATS)[0] + sum(bump(time_ms, b + 280, 40, 0.9) for b in BEATS)
    assert len(r_peaks(signal, 500)) == 12


@pytest.mark.parametrize("rate", [40, 180])
def test_slow_and_fast(rate):
    beats = np.arange(200, 9800, 60_000 / rate)
    signal = drawn_ecg(beats, pr=110, qt=270)
    assert heart_rate_bpm(signal, 500) == pytest.approx(rate, rel=0.01)


def test_irregular_rhythm():
    rng = np.random.default_rng(1)
    beats = np.cumsum(rng.uniform(450, 1100, 14))
    beats = beats[beats < 9600]
    signal = drawn_ecg(beats, pr=0, qt=330)
    rr = np.diff(beats)
    assert heart_rate_bpm(signal, 500) == pytest.approx(60_000 / rr.mean(), rel=0.01)
    assert rr_variability(signal, 500) == pytest.approx(rr.std() / rr.mean(), rel=0.05)


@pytest.mark.parametrize(("pr", "qrs", "qt"), [(140, 90, 380), (240, 90, 420), (170, 130, 440)])
def test_intervals_of_a_drawn_ecg(pr, qrs, qt):
    beats = 500.0 + np.arange(10) * 950
    signal = drawn_ecg(beats, pr=pr, qrs=qrs, qt=qt)
    found = intervals_ms(signal + noise(signal.shape, size=0.005), 500)
    assert found["pr"] == pytest.approx(pr, abs=15)
    assert found["qrs"] == pytest.approx(qrs, abs=20)
    assert found["qt"] == pytest.approx(qt, abs=20)


def test_no_p_no_pr():
    signal = drawn_ecg(BEATS)
    time_ms = np.arange(5000) * 2.0
    without = signal[0] - sum(bump(time_ms, b - 45 - 160 + 45, 18, 0.12) for b in BEATS)
    assert np.isnan(intervals_ms(without, 500)["pr"])
    assert intervals_ms(signal, 500)["pr"] == pytest.approx(160, abs=15)


def test_nothing_to_find():
    assert len(r_peaks(np.zeros((2, 1000)), 500)) == 0
    assert np.isnan(heart_rate_bpm(np.zeros(1000), 500))
    assert all(np.isnan(v) for v in intervals_ms(np.zeros((2, 1000)), 500).values())
    with pytest.raises(ValueError, match="not finite"):
        r_peaks(np.full(1000, np.nan), 500)
    with pytest.raises(ValueError, match="at least 80 Hz"):
        r_peaks(np.zeros(1000), 50)


def test_rates_of_real_records_agree_with_their_labels(data_folder, tmp_path):
    from kecgi.data import ECGFolderConfig, build_ecg, open_ecg

    folder = data_folder / "cinc2021_12lead_25"
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}")
    store = open_ecg(build_ecg(ECGFolderConfig(str(folder)), tmp_path / "real", progress=False))
    ecg = store.load()["ecg_mv"].transpose(0, 2, 1)
    rates = np.array([heart_rate_bpm(record, 500) for record in ecg])
    labels = {n: store.labels[:, store.schema.index(n)] > 0 for n in ("SR", "SB", "STach")}
    slow = labels["SB"] & np.array([n != "JS20014" for n in store.names])  # its rate varies
    assert rates[labels["STach"]].min() > 100
    assert rates[slow].max() < 60
    regular = labels["SR"] & ~labels["SB"]
    assert np.all((rates[regular] > 60) & (rates[regular] < 100))
