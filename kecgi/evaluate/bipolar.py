"""What single bipolar electrograms are like, whatever their unit: rate, deflections, spectrum.

Signals are (n, time), each in units of its root mean square
(`kecgi.data.egm.iafdb.comparable`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage, stats

from kecgi.evaluate.egm import deflection_counts, dominant_frequency_hz
from kecgi.evaluate.frechet import FeatureMap

BANDS_HZ = ((3.0, 8.0), (8.0, 18.0), (18.0, 45.0))
"""Bands whose shares of the power are compared."""

ACTIVE = 0.2
"""A signal is active where its envelope is above this share of its maximum."""

ENVELOPE_MS = 20.0
"""Length over which the envelope, the largest magnitude around a time, is taken."""


def bipolar_measures(signals: ArrayLike, sampling_hz: float) -> dict[str, np.ndarray]:
    """Measure signals, (n,) each.

    Returns
    -------
    dict
        ``dominant_hz``; ``deflections`` in a second; ``active``, the share of the time in which a
        signal is active (1 in fractionated fibrillation, little between sharp deflections);
        ``width_ms``, how long it stays active at a time; ``kurtosis``, less 3; and ``log_3_8_hz``
        and so on, the logarithm of the share of the power in a band.
    """
    x = np.asarray(signals, float)
    if x.ndim != 2:
        raise ValueError(f"signals have shape {x.shape}, expected (n, time)")
    single = x[:, None]
    envelope = ndimage.maximum_filter1d(
        np.abs(x), max(1, round(ENVELOPE_MS * sampling_hz / 1000)), axis=1
    )
    active = envelope > ACTIVE * envelope.max(axis=1, keepdims=True)
    times = 1 + np.count_nonzero(active[:, 1:] & ~active[:, :-1], axis=1) - ~active[:, 0]
    power = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]))) ** 2
    hz = np.fft.rfftfreq(x.shape[1], 1 / sampling_hz)
    shares = {
        f"log_{low:g}_{high:g}_hz": np.log(
            power[:, (hz >= low) & (hz < high)].sum(axis=1) / power.sum(axis=1) + 1e-6
        )
        for low, high in BANDS_HZ
        if np.any((hz >= low) & (hz < high))
    }
    seconds = x.shape[1] / sampling_hz
    return {
        "dominant_hz": dominant_frequency_hz(single, sampling_hz)[:, 0],
        "deflections": deflection_counts(single, sampling_hz)[:, 0] / seconds,
        "active": active.mean(axis=1),
        "width_ms": 1000 * seconds * active.mean(axis=1) / np.maximum(times, 1),
        "kurtosis": stats.kurtosis(x, axis=1),
        **shares,
    }


def bipolar_features(sampling_hz: float) -> FeatureMap:
    """Return the measures as a feature map, for `kecgi.evaluate.egm.set_distances`.

    Widths and kurtosis, which have long tails, by their logarithm.
    """

    def features(signals: np.ndarray) -> np.ndarray:
        found = bipolar_measures(signals, sampling_hz)
        found["width_ms"] = np.log(found["width_ms"] + 1)
        found["kurtosis"] = np.log(found["kurtosis"].clip(-1.9) + 3)
        return np.stack(list(found.values()), axis=1)

    return FeatureMap("bipolar measures", "1", "3-45 Hz, root mean square 1", features)
