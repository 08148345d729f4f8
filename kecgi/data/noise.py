"""Measurement noise on body-surface potentials."""

from __future__ import annotations

import numpy as np


def add_noise(
    bspm_mv: np.ndarray, snr_db: float | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Add white Gaussian noise at a signal-to-noise ratio per case.

    The signal's power is its mean square over all electrodes and times of a case, so that far
    electrodes with small signals get the same noise as near ones, as in a recording.

    Parameters
    ----------
    bspm_mv : ndarray, shape (..., electrode, time)
        Clean potentials.
    snr_db : float or ndarray, shape (...)
        10 log10 of signal power over noise power; one value, or one per case.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    ndarray
        Noisy potentials, of the input's shape and type.

    Raises
    ------
    ValueError
        Where the array has no electrode and time axes, or a ratio is not finite.
    """
    if np.ndim(bspm_mv) < 2:
        raise ValueError(f"bspm_mv has shape {np.shape(bspm_mv)}, expected (..., electrode, time)")
    if not np.all(np.isfinite(snr_db)):
        raise ValueError(f"snr_db is {snr_db}, expected finite decibels")
    power = np.mean(np.square(bspm_mv, dtype=np.float64), axis=(-2, -1))
    deviation = np.sqrt(power / 10 ** (np.asarray(snr_db) / 10))
    noise = rng.standard_normal(bspm_mv.shape, dtype=np.float32)
    return (bspm_mv + noise * deviation[..., None, None]).astype(bspm_mv.dtype)
