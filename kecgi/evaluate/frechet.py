"""Fréchet distance between two sets of signals on a named feature map.

A score means something only beside the features it was measured with: their name, version and
preprocessing are part of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class FeatureMap:
    """What turns signals into features, and how it is cited.

    Parameters
    ----------
    name, version : str
        Which features: a trained network's name with its checkpoint's digest, for example.
    preprocessing : str
        What is done to signals in mV before the features, in words.
    function : callable
        Takes (n, leads, time) signals in mV and gives (n, features). Its own preprocessing is
        part of it.
    """

    name: str
    version: str
    preprocessing: str
    function: Callable[[np.ndarray], np.ndarray]


def frechet(
    real: ArrayLike, generated: ArrayLike, features: FeatureMap
) -> dict[str, float | int | str | bool]:
    """Fréchet distance of two sets of signals.

    Parameters
    ----------
    real, generated : (n, leads, time) arrays
        Signals in mV.
    features : FeatureMap
        Where the distance is measured.

    Returns
    -------
    dict
        ``distance``; ``features``, ``version`` and ``preprocessing``; ``dimensions``, ``real`` and
        ``generated`` (numbers of signals); ``full_rank``, which is False where a set has no more
        signals than dimensions, so that its covariance is singular and the distance biased.
    """
    sets = []
    for name, values in (("real", real), ("generated", generated)):
        found = np.asarray(features.function(np.asarray(values)), np.float64)
        if found.ndim != 2 or len(found) != len(values) or len(found) < 2:
            raise ValueError(
                f"{features.name} gave features of shape {found.shape} for {len(values)} {name} "
                "signals, expected (n, features) of 2 signals or more"
            )
        sets.append(found)
    dimensions = sets[0].shape[1]
    return {
        "distance": frechet_distance(*sets),
        "features": features.name,
        "version": features.version,
        "preprocessing": features.preprocessing,
        "dimensions": dimensions,
        "real": len(sets[0]),
        "generated": len(sets[1]),
        "full_rank": min(map(len, sets)) > dimensions,
    }


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Squared Fréchet distance of Gaussians with the means and covariances of two sets.

    ``|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½)``, in float64, covariances with N - 1.

    Parameters
    ----------
    first, second : (n, features) arrays
        Features.

    References
    ----------
    Dowson and Landau 1982, doi 10.1016/0047-259X(82)90077-X; Heusel et al. 2017,
    arXiv 1706.08500.
    """
    first, second = (np.asarray(x, np.float64) for x in (first, second))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"features have shapes {first.shape} and {second.shape}, expected (n, features)"
        )
    gap = first.mean(axis=0) - second.mean(axis=0)
    one, two = (np.cov(x, rowvar=False).reshape(x.shape[1], -1) for x in (first, second))
    # the trace of (S1 S2)^½ is the sum of the singular values of S1^½ S2^½
    shared = np.linalg.svd(_root(one) @ _root(two), compute_uv=False).sum()
    return float(gap @ gap + np.trace(one) + np.trace(two) - 2 * shared)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def signal_statistics(sampling_hz: float) -> FeatureMap:
    """Return a feature map that needs no network: size and spectrum of each lead.

    Per lead: minimum, maximum, standard deviation and that of the slope (mV, mV per 10 ms), and
    the natural logarithm of the amplitude in four bands.
    """
    bands_hz = ((0.5, 3), (3, 8), (8, 18), (18, 40))

    def statistics(ecg_mv: np.ndarray) -> np.ndarray:
        ecg_mv = np.asarray(ecg_mv, np.float64)
        slope = np.diff(ecg_mv, axis=-1) * (sampling_hz / 100)
        spectrum = np.abs(np.fft.rfft(ecg_mv, axis=-1)) / ecg_mv.shape[-1]
        hz = np.fft.rfftfreq(ecg_mv.shape[-1], 1 / sampling_hz)
        power = [
            np.log(spectrum[..., (hz >= low) & (hz < high)].mean(axis=-1) + 1e-6)
            for low, high in bands_hz
        ]
        size = [ecg_mv.min(axis=-1), ecg_mv.max(axis=-1), ecg_mv.std(axis=-1), slope.std(axis=-1)]
        return np.concatenate([*size, *power], axis=-1)

    return FeatureMap("signal statistics", "1", f"none, mV at {sampling_hz:g} Hz", statistics)
