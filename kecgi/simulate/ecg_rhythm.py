"""Records from waves: when beats come, what lies between them, breath and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kecgi.simulate.ecg12 import Wave


def sinus_beats_ms(
    rng: np.random.Generator, rate_bpm: float, seconds: float, variability: float = 0.03
) -> np.ndarray:
    """Draw times of sinus beats, from before a record's start to its end.

    RR intervals swing with the breath and drift at random.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    rate_bpm : float
        Mean heart rate.
    seconds : float
        Length of the record.
    variability : float
        Standard deviation of RR relative to its mean, at most 0.1.
    """
    mean_ms = 60_000 / rate_bpm
    count = int(1000 * seconds / mean_ms * 1.5) + 4
    beat = np.arange(count)
    breath = np.sin(2 * np.pi * rng.uniform(0.18, 0.33) * beat * mean_ms / 1000 + _phase(rng))
    drift = rng.standard_normal(count).clip(-2, 2)
    swing = variability * (breath + 0.7 * drift) / np.hypot(np.sqrt(0.5), 0.7)
    # the mean over the record stays what was asked for
    rr_ms = mean_ms * (1 + swing - swing.mean())
    return _from_before(rng, rr_ms, mean_ms)


def fibrillation_beats_ms(
    rng: np.random.Generator, rate_bpm: float, seconds: float, variability: float = 0.22
) -> np.ndarray:
    """Draw times of beats that are conducted at random in atrial fibrillation.

    RR intervals are independent and gamma-distributed beyond a refractory time of 300 ms.
    Parameters as in `sinus_beats_ms`.
    """
    mean_ms = 60_000 / rate_bpm
    count = int(1000 * seconds / mean_ms * 2) + 6
    free_ms = mean_ms - 300.0
    shape = (free_ms / (variability * mean_ms)) ** 2
    rr_ms = 300.0 + rng.gamma(shape, free_ms / shape, count)
    return _from_before(rng, rr_ms, mean_ms)


def place(
    potentials_mv: np.ndarray, wave: Wave, at_ms: Sequence[float], sampling_hz: float
) -> None:
    """Add a wave at each of some times to sampled potentials, shape (electrodes, time)."""
    step_ms = 1000 / sampling_hz
    samples, length = potentials_mv.shape[1], wave.potentials_mv.shape[1]
    for at in at_ms:
        begin = at + wave.start_ms
        first = max(0, int(np.ceil(begin / step_ms)))
        last = min(samples, int((begin + length - 1) / step_ms) + 1)
        if first < last:
            position = np.arange(first, last) * step_ms - begin
            low = np.minimum(position.astype(int), length - 2)
            share = position - low
            potentials_mv[:, first:last] += (
                wave.potentials_mv[:, low] * (1 - share) + wave.potentials_mv[:, low + 1] * share
            )


def fibrillatory_potentials(
    rng: np.random.Generator,
    waves: Sequence[Wave],
    samples: int,
    sampling_hz: float,
    cycle_ms: float = 165.0,
) -> np.ndarray:
    """Atria in fibrillation: each region's wave at its own, irregular cycle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    waves : sequence of Wave
        From `kecgi.simulate.ecg12.fibrillating_waves`.
    samples, sampling_hz : int, float
        Length and sampling rate.
    cycle_ms : float
        Mean cycle; 165 ms is 6 Hz, the middle of what is seen in V1.

    Returns
    -------
    ndarray, shape (electrodes, samples)
    """
    potentials = np.zeros((waves[0].potentials_mv.shape[0], samples))
    end_ms = 1000 * samples / sampling_hz
    for wave in waves:
        mean = cycle_ms * rng.uniform(0.85, 1.15)
        count = int(1.3 * (end_ms + 400) / mean) + 2
        cycles = mean * (1 + 0.12 * rng.standard_normal(count).clip(-2, 2))
        place(potentials, wave, np.cumsum(cycles) - 400 * rng.uniform(0.5, 1), sampling_hz)
    return potentials


def electrode_noise(
    rng: np.random.Generator,
    electrodes: int,
    samples: int,
    sampling_hz: float,
    *,
    baseline_mv: float = 0.05,
    muscle_mv: float = 0.008,
) -> np.ndarray:
    """Noise that each electrode adds: breath, drift of the skin potential, muscle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    electrodes, samples : int
        Size of the result.
    sampling_hz : float
        Sampling rate.
    baseline_mv, muscle_mv : float
        Standard deviation of the slow and of the fast part. The slow one has a spectrum below
        0.5 Hz; the fast one is white up to 150 Hz.

    Returns
    -------
    ndarray, shape (electrodes, samples)
    """
    frequency = np.fft.rfftfreq(samples, 1 / sampling_hz)
    spectrum = rng.standard_normal((2, electrodes, frequency.size))
    slow = (frequency > 0) / (1 + (frequency / 0.2) ** 4)
    fast = ((frequency > 1) & (frequency < 150)).astype(float)
    parts = []
    for part, gain, wanted in zip(spectrum, (slow, fast), (baseline_mv, muscle_mv), strict=True):
        phases = np.exp(1j * rng.uniform(0, 2 * np.pi, part.shape))
        signal = np.fft.irfft(part * gain * phases, samples)
        parts.append(wanted * signal / np.maximum(signal.std(axis=1, keepdims=True), 1e-12))
    time_s = np.arange(samples) / sampling_hz
    breath = np.sin(2 * np.pi * rng.uniform(0.18, 0.33) * time_s + _phase(rng))
    return parts[0] + parts[1] + 0.6 * baseline_mv * rng.standard_normal((electrodes, 1)) * breath


def _phase(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 2 * np.pi))


def _from_before(rng: np.random.Generator, rr_ms: np.ndarray, mean_ms: float) -> np.ndarray:
    """Beats that start up to two intervals before the record, so that it begins amid a beat."""
    return np.cumsum(rr_ms) - rr_ms[0] - mean_ms * (1 + rng.uniform())
