"""Are generated 12-lead ECGs ECGs? Lead laws, copies, heart rates, amplitudes and intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import spatial, stats

from kecgi.data.ecg.leads import lead_law_residuals_uv
from kecgi.evaluate.ecg_beats import heart_rate_bpm, intervals_ms
from kecgi.geometry.electrodes import LEADS_12


def lead_law_error_uv(ecg_mv: ArrayLike) -> dict[str, float]:
    """Largest departure from Einthoven's and from Goldberger's laws, µV, of (n, 12, time) ECGs."""
    residuals = lead_law_residuals_uv(_checked(ecg_mv))
    einthoven = float(residuals.pop("einthoven").max())
    return {"einthoven": einthoven, "goldberger": float(max(r.max() for r in residuals.values()))}


def duplicates(
    ecg_mv: ArrayLike, others_mv: ArrayLike | None = None, tolerance_mv: float = 0.001
) -> list[tuple[int, int]]:
    """Pairs of ECGs that nowhere differ by more than a tolerance.

    Parameters
    ----------
    ecg_mv : (n, 12, time) array
        ECGs.
    others_mv : (m, 12, time) array, optional
        Others, such as the training set, to find copies of; by default pairs within `ecg_mv`.
    tolerance_mv : float
        Largest difference.

    Returns
    -------
    list of (int, int)
        Indices of each pair: into `ecg_mv`, and into the others where there are some.
    """
    ecg_mv = _checked(ecg_mv)
    others = ecg_mv if others_mv is None else _checked(others_mv)
    if others.shape[1:] != ecg_mv.shape[1:]:
        raise ValueError(f"ECGs have shapes {ecg_mv.shape} and {others.shape}, expected one length")
    # what agrees everywhere agrees at a few samples: these find the candidates
    at = np.linspace(0, ecg_mv[0].size - 1, 24).astype(int)
    trees = [spatial.KDTree(x.reshape(len(x), -1)[:, at].astype(float)) for x in (ecg_mv, others)]
    near = trees[0].query_ball_tree(trees[1], tolerance_mv * (1 + 1e-6), p=np.inf)
    return [
        (i, j)
        for i, candidates in enumerate(near)
        for j in sorted(candidates)
        if (others_mv is not None or i < j)
        and float(np.abs(ecg_mv[i] - others[j]).max()) <= tolerance_mv
    ]


def nearest_rms_mv(ecg_mv: ArrayLike, others_mv: ArrayLike) -> np.ndarray:
    """Root mean square difference of each ECG from the nearest of others.

    A generator that has learned its training set by heart makes ECGs that are nearer to it than
    real ones kept out of the training are: compare both, against the same training set.

    Parameters
    ----------
    ecg_mv, others_mv : (n, 12, time) and (m, 12, time) arrays
        ECGs in mV.

    Returns
    -------
    ndarray, shape (n,)
    """
    ecg_mv, others = _checked(ecg_mv), _checked(others_mv)
    if others.shape[1:] != ecg_mv.shape[1:]:
        raise ValueError(f"ECGs have shapes {ecg_mv.shape} and {others.shape}, expected one length")
    first, second = (x.reshape(len(x), -1).astype(np.float64) for x in (ecg_mv, others))
    squared = np.square(second).sum(axis=1) - 2 * first @ second.T
    nearest = second[np.argmin(squared, axis=1)]
    return np.sqrt(np.square(first - nearest).mean(axis=1))


def heart_rates_bpm(ecg_mv: ArrayLike, sampling_hz: float) -> np.ndarray:
    """Heart rate of each ECG, (n,); NaN where fewer than two beats are found."""
    return np.array([heart_rate_bpm(record, sampling_hz) for record in _checked(ecg_mv)])


def wasserstein(real: ArrayLike, generated: ArrayLike, sampling_hz: float) -> dict[str, float]:
    """Wasserstein-1 distances of amplitudes and intervals of two sets of ECGs.

    Parameters
    ----------
    real, generated : (n, 12, time) arrays
        ECGs in mV.
    sampling_hz : float
        Sampling rate of both.

    Returns
    -------
    dict of float
        ``highest_mv`` and ``lowest_mv``, means over the leads of the distances of the records'
        maxima and minima; ``rate_bpm``; ``pr_ms``, ``qrs_ms`` and ``qt_ms``. Records without the
        interval are left out, and ``pr_found`` is the difference of the shares that have a PR.
        NaN where no record has the interval.
    """
    real, generated = _checked(real), _checked(generated)
    result = {}
    for name, extreme in (("highest_mv", np.max), ("lowest_mv", np.min)):
        first, second = extreme(real, axis=-1), extreme(generated, axis=-1)
        result[name] = float(
            np.mean([stats.wasserstein_distance(first[:, i], second[:, i]) for i in range(12)])
        )
    measured = []
    for records in (real, generated):
        values = [intervals_ms(record, sampling_hz) for record in records]
        table = {f"{k}_ms": np.array([v[k] for v in values]) for k in ("pr", "qrs", "qt")}
        measured.append({"rate_bpm": heart_rates_bpm(records, sampling_hz), **table})
    for name in measured[0]:
        first, second = (m[name][np.isfinite(m[name])] for m in measured)
        result[name] = (
            float(stats.wasserstein_distance(first, second))
            if len(first) and len(second)
            else float("nan")
        )
    shares = [float(np.isfinite(m["pr_ms"]).mean()) for m in measured]
    return {**result, "pr_found": shares[1] - shares[0]}


def _checked(ecg_mv: ArrayLike) -> np.ndarray:
    ecg_mv = np.asarray(ecg_mv)
    if ecg_mv.ndim != 3 or ecg_mv.shape[1] != len(LEADS_12):
        raise ValueError(f"ECGs have shape {ecg_mv.shape}, expected (n, 12, time)")
    return ecg_mv
