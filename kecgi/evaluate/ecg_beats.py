"""Beats of an ECG: R peaks, heart rate, and the intervals of the typical beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal

REFRACTORY_MS = 270.0
"""Two R peaks are at least so far apart: rates up to 220 per minute."""

BEFORE_MS, AFTER_MS = 420.0, 600.0
"""What the typical beat holds around R."""


QRS_REACH_MS, P_REACH_MS = 130.0, 110.0
"""How far from R a QRS complex may extend, and how long before its peak P may begin."""


def r_peaks(ecg_mv: ArrayLike, sampling_hz: float) -> np.ndarray:
    """Find R peaks from the energy of steep slopes in all leads.

    As in Pan and Tompkins: band-pass 8-30 Hz, slope, square, sum over the leads, moving mean of
    100 ms, threshold. The threshold is 0.3 of the typical peak, found anew for each record. A peak
    is reported where the QRS complex is steepest on the whole, near R.

    Parameters
    ----------
    ecg_mv : (leads, time) or (time,) array
        One record, any leads.
    sampling_hz : float
        Sampling rate, at least 80 Hz.

    Returns
    -------
    ndarray of int
        Samples of the peaks.

    References
    ----------
    Pan and Tompkins 1985, A real-time QRS detection algorithm, doi 10.1109/TBME.1985.325532.
    """
    ecg_mv = np.atleast_2d(np.asarray(ecg_mv, float))
    if ecg_mv.ndim != 2:
        raise ValueError(f"ecg_mv has shape {ecg_mv.shape}, expected (leads, time)")
    if not sampling_hz >= 80:
        raise ValueError(f"sampling_hz is {sampling_hz}, expected at least 80 Hz")
    if not np.all(np.isfinite(ecg_mv)):
        raise ValueError("ecg_mv has values that are not finite")
    sections = signal.butter(2, (8, 30), "bandpass", fs=sampling_hz, output="sos")
    steep = np.gradient(signal.sosfiltfilt(sections, ecg_mv, axis=-1), axis=-1)
    energy = np.square(steep).sum(axis=0)
    width = max(1, round(0.1 * sampling_hz))
    energy = np.convolve(energy, np.ones(width) / width, mode="same")
    apart = max(1, int(REFRACTORY_MS * sampling_hz / 1000))
    candidates, _ = signal.find_peaks(energy, distance=apart)
    if not len(candidates):
        return candidates
    # the typical peak: the median of the largest, as many as beats at 40 per minute
    expected = max(1, int(ecg_mv.shape[1] / sampling_hz * 40 / 60))
    typical = np.median(np.sort(energy[candidates])[-expected:])
    return candidates[energy[candidates] >= 0.3 * typical]


def heart_rate_bpm(ecg_mv: ArrayLike, sampling_hz: float) -> float:
    """Mean heart rate of one record from its R peaks; NaN with fewer than two."""
    peaks = r_peaks(ecg_mv, sampling_hz)
    if len(peaks) < 2:
        return float("nan")
    return float(60 * sampling_hz * (len(peaks) - 1) / (peaks[-1] - peaks[0]))


def rr_variability(ecg_mv: ArrayLike, sampling_hz: float) -> float:
    """Return the SD of RR intervals relative to their mean; NaN with fewer than two intervals."""
    intervals = np.diff(r_peaks(ecg_mv, sampling_hz))
    return float(intervals.std() / intervals.mean()) if len(intervals) > 1 else float("nan")


def intervals_ms(ecg_mv: ArrayLike, sampling_hz: float) -> dict[str, float]:
    """Measure PR, QRS and QT on the median beat.

    Waves are found in the root mean square over the leads: QRS where the slope stays above 10 % of
    its largest, P as the last wave of 30 µV or more before it and T as the largest after it, P from
    20 % of its height and T to 20 %.

    Parameters
    ----------
    ecg_mv : (leads, time) array
        One record.
    sampling_hz : float
        Sampling rate.

    Returns
    -------
    dict of float
        ``pr``, ``qrs`` and ``qt`` in ms; NaN where a wave is not found.
    """
    ecg_mv = np.atleast_2d(np.asarray(ecg_mv, float))
    nothing = dict.fromkeys(("pr", "qrs", "qt"), float("nan"))
    peaks = r_peaks(ecg_mv, sampling_hz)
    if len(peaks) < 3:
        return nothing
    per_ms = sampling_hz / 1000
    rr = int(np.median(np.diff(peaks)))
    # the window stays clear of the T before and the P after
    before, after = min(int(BEFORE_MS * per_ms), int(0.6 * rr)), int(AFTER_MS * per_ms)
    after = min(after, int(0.7 * rr))
    whole = [p for p in peaks if p - before >= 0 and p + after < ecg_mv.shape[1]]
    if len(whole) < 2:
        return nothing
    beat = np.median([ecg_mv[:, p - before : p + after] for p in whole], axis=0)
    r = before
    slope = np.sqrt(np.square(np.gradient(beat, axis=1)).mean(axis=0))
    reach, gap = round(QRS_REACH_MS * per_ms), round(12 * per_ms)
    around = slope[max(0, r - reach) : r + reach]
    steep = around > 0.1 * around.max()
    offset = max(0, r - reach)
    start = offset + _run_back(steep, r - offset, gap)
    end = offset + len(steep) - 1 - _run_back(steep[::-1], len(steep) - 1 - (r - offset), gap)
    found = {**nothing, "qrs": (end - start) / per_ms}
    level = beat[:, max(0, start - round(24 * per_ms)) : start].mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(beat - level).mean(axis=0))
    size = np.convolve(size, np.ones(gap) / gap, mode="same")[gap // 2 : len(size) - gap // 2]
    start, end = start - gap // 2, end - gap // 2
    waves, _ = signal.find_peaks(size[: max(start, 0)], prominence=0.03)
    if len(waves):
        p = int(waves[-1])
        rise = size[max(0, p - round(P_REACH_MS * per_ms)) : p + 1]
        foot = np.flatnonzero(rise < rise[-1] - 0.8 * (rise[-1] - rise.min()))
        found["pr"] = (start - (p - len(rise) + 1 + foot[-1])) / per_ms
    t_start = end + round(60 * per_ms)
    if t_start < len(size):
        t = t_start + int(np.argmax(size[t_start:]))
        low = np.flatnonzero(size[t:] < 0.2 * size[t])
        if len(low):
            found["qt"] = (t + low[0] - start) / per_ms
    return found


def _run_back(steep: np.ndarray, at: int, gap: int) -> int:
    """Walk back from a sample to where nothing is steep for `gap` samples."""
    while at > gap and steep[at - gap : at].any():
        at -= gap - int(np.argmax(steep[at - gap : at]))
    return at
