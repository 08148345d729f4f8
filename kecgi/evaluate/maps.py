"""Errors of activation maps, on the tissue only.

Maps are shaped (cases, *space) in ms. The hearts of the cases may differ: a mask, shaped like the
maps or like one map, says which voxels count; without it the finite voxels of the true maps do.
Pooled metrics weigh every voxel alike; per-case values weigh every case alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from kecgi.evaluate.bootstrap import bootstrap_interval
from kecgi.evaluate.masked import require_like, tissue


def mae_ms(true: ArrayLike, predicted: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean absolute error over all tissue voxels, in ms."""
    return float(_mae(_pooled(_sums(true, predicted, mask))))


def mse(
    true: ArrayLike,
    predicted: ArrayLike,
    mask: ArrayLike | None = None,
    scale_ms: tuple[float, float] | None = None,
) -> float:
    """Mean square error over all tissue voxels, in ms², or on maps scaled to [-1, 1].

    Parameters
    ----------
    true, predicted : (cases, *space) arrays
        Maps in ms.
    mask : bool array, optional
        Tissue; see the module's text.
    scale_ms : (low, high), optional
        The activation times that are scaled to -1 and 1. An MSE without its scale says nothing:
        for uniform maps 0.095 is an R² of 0.71 on [-1, 1], and worse than a constant on [0, 1].

    Returns
    -------
    float
    """
    return float(_mse(_pooled(_sums(true, predicted, mask)))) * _scale_factor(scale_ms)


def skill(
    true: ArrayLike,
    predicted: ArrayLike,
    reference: ArrayLike | float,
    mask: ArrayLike | None = None,
) -> float:
    """R² against a reference prediction: 1 - Σ(true - predicted)² / Σ(true - reference)².

    The sums run over all tissue voxels of all cases. 1 is perfect; 0 is no better than the
    reference; below 0 is worse.

    Parameters
    ----------
    true, predicted : (cases, *space) arrays
        Maps in ms.
    reference : (cases, *space) or (*space) array, or float
        The prediction to beat: what `kecgi.evaluate.baselines.TrainingMean` predicts. For one
        anatomy that is the mean map of the training set. For hearts that were not seen it is that
        mean carried to them (see `kecgi.evaluate.carry`). A float, the mean activation time of
        the training set, is an easier reference.
    mask : bool array, optional
        Tissue; see the module's text.

    Returns
    -------
    float
    """
    return float(_r2(_pooled(_sums(true, predicted, mask, reference))))


def correlation(true: ArrayLike, predicted: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Pearson correlation over all tissue voxels of all cases; NaN when either is constant."""
    return float(_correlation(_pooled(_sums(true, predicted, mask))))


def per_case(
    true: ArrayLike,
    predicted: ArrayLike,
    reference: ArrayLike | float,
    mask: ArrayLike | None = None,
) -> dict[str, np.ndarray]:
    """``mae_ms``, ``r2`` and ``correlation`` of each case, each shaped (cases,).

    NaN where undefined: R² of a case that equals the reference, correlation of a constant map.
    """
    sums = _sums(true, predicted, mask, reference)
    return {"mae_ms": _mae(sums), "r2": _r2(sums), "correlation": _correlation(sums)}


def summarise_maps(
    true: ArrayLike,
    predicted: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    reference: ArrayLike | float,
    scale_ms: tuple[float, float],
    groups: ArrayLike | None = None,
    rng: np.random.Generator,
) -> dict[str, float | int | str | list[float] | None]:
    """Every headline figure of a set of predicted maps, ready for JSON.

    Parameters
    ----------
    true, predicted : (cases, *space) arrays
        Maps in ms.
    mask : bool array, optional
        Tissue; see the module's text.
    reference : array or float
        What R² is measured against; see `skill`.
    scale_ms : (low, high)
        Activation times scaled to -1 and 1 for the MSE; see `mse`.
    groups : (cases,) array, optional
        Anatomy of each case: the bootstrap draws whole anatomies.
    rng : numpy.random.Generator
        For the bootstrap.

    Returns
    -------
    dict
        ``mae_ms``, ``rmse_ms``, ``r2``, ``correlation``, ``mse`` pooled over voxels;
        ``mse_scale`` and ``mse_scale_ms``; ``mae_ms_interval``, ``r2_interval`` and
        ``correlation_interval`` ([low, high], 95 %, bootstrap); ``mae_ms_case_median``,
        ``r2_case_median`` and ``correlation_case_median``; ``cases`` and ``voxels``.
        What is undefined is None.
    """
    factor = _scale_factor(scale_ms)
    sums = _sums(true, predicted, mask, reference)
    pooled = _pooled(sums)
    summary: dict = {}
    for name, metric in (("mae_ms", _mae), ("r2", _r2), ("correlation", _correlation)):
        cases = metric(sums)
        defined = cases[np.isfinite(cases)]
        interval = bootstrap_interval(metric, sums, groups, rng=rng)
        summary[name] = _json(metric(pooled))
        summary[f"{name}_interval"] = None if np.isnan(interval).any() else list(interval)
        summary[f"{name}_case_median"] = _json(np.median(defined)) if defined.size else None
    square = float(_mse(pooled))
    return summary | {
        "rmse_ms": float(np.sqrt(square)),
        "mse": square * factor,
        "mse_scale": "[-1, 1]",
        "mse_scale_ms": [float(limit) for limit in scale_ms],
        "cases": len(sums["voxels"]),
        "voxels": int(pooled["voxels"]),
    }


def localisation_error_mm(
    predicted: ArrayLike,
    onsets_mm: ArrayLike,
    spacing_mm: Sequence[float],
    origin_mm: Sequence[float],
    mask: ArrayLike | None = None,
    share: float = 0.01,
) -> np.ndarray:
    """Distance from the earliest predicted tissue to the nearest true onset, in mm.

    The earliest predicted place is the centre of the earliest 1 % of the voxels (at least one).
    Where these form several patches, the largest counts: the centre of two foci lies in neither.

    Parameters
    ----------
    predicted : (cases, *space) array
        Maps in ms.
    onsets_mm : (cases, onsets, ndim) array
        True onsets, in the frame of `origin_mm`; rows of NaN are padding.
    spacing_mm, origin_mm : (ndim,) sequences
        Voxel size, and centre of voxel (0, 0, 0).
    mask : bool array, optional
        Tissue; without it the finite voxels of `predicted`.
    share : float
        Share of the voxels that are "the earliest".

    Returns
    -------
    (cases,) array
    """
    predicted = np.asarray(predicted, dtype=float)
    on = tissue(predicted, mask)
    onsets = np.asarray(onsets_mm, dtype=float)
    ndim = predicted.ndim - 1
    spacing, origin = np.asarray(spacing_mm, dtype=float), np.asarray(origin_mm, dtype=float)
    if spacing.shape != (ndim,) or origin.shape != (ndim,):
        raise ValueError(
            f"maps have {ndim} axes, but spacing_mm is {spacing_mm} and origin_mm {origin_mm}"
        )
    if onsets.ndim != 3 or onsets.shape[0] != len(predicted) or onsets.shape[2] != ndim:
        raise ValueError(
            f"onsets_mm must be shaped ({len(predicted)}, onsets, {ndim}), got {onsets.shape}"
        )
    known = np.isfinite(onsets).all(axis=2)
    if not known.any(axis=1).all():
        raise ValueError(f"case {int(np.argmin(known.any(axis=1)))} has no onset: all are NaN")
    errors = np.empty(len(predicted))
    for i, times in enumerate(predicted):
        flat = np.flatnonzero(on[i])
        count = max(1, round(share * len(flat)))
        earliest = flat[np.argsort(times.ravel()[flat], kind="stable")[:count]]
        patch = np.zeros(times.shape, dtype=bool)
        patch.ravel()[earliest] = True
        labels, _ = ndimage.label(patch, np.ones((3,) * ndim))
        largest = labels == 1 + np.argmax(np.bincount(labels[patch])[1:])
        centre = origin + spacing * np.argwhere(largest).mean(axis=0)
        errors[i] = np.linalg.norm(onsets[i][known[i]] - centre, axis=1).min()
    return errors


def _sums(
    true: ArrayLike,
    predicted: ArrayLike,
    mask: ArrayLike | None,
    reference: ArrayLike | float | None = None,
) -> dict[str, np.ndarray]:
    """Return what each case adds to the sums that all metrics are made of, each (cases,)."""
    true = np.asarray(true)
    on = tissue(true, mask)
    predicted = require_like(predicted, on, "the predicted maps")
    if reference is not None:
        reference = np.asarray(reference)
        if reference.shape not in ((), on.shape[1:], on.shape):
            raise ValueError(
                f"the reference has shape {reference.shape}, expected a number, one map "
                f"{on.shape[1:]} or one map a case {on.shape}"
            )
        reference = require_like(np.broadcast_to(reference, on.shape), on, "the reference")
    rows = []
    for i, inside in enumerate(on):
        t = true[i][inside].astype(float)
        p = predicted[i][inside].astype(float)
        row = {
            "voxels": t.size,
            "absolute": np.abs(p - t).sum(),
            "square": ((p - t) ** 2).sum(),
            "t": t.sum(),
            "p": p.sum(),
            "tt": t @ t,
            "pp": p @ p,
            "tp": t @ p,
        }
        if reference is not None:
            row["reference"] = ((t - reference[i][inside]) ** 2).sum()
        rows.append(row)
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}


def _pooled(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values.sum() for name, values in sums.items()}


def _mae(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    return sums["absolute"] / sums["voxels"]


def _mse(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    return sums["square"] / sums["voxels"]


def _r2(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    return 1 - sums["square"] / _positive(sums["reference"])


def _correlation(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    n = sums["voxels"]
    spread = [
        # What rounding leaves of a constant map's variance is no variance.
        _positive(sums[2 * x] - sums[x] ** 2 / n, above=1e-12 * sums[2 * x])
        for x in "tp"
    ]
    return (sums["tp"] - sums["t"] * sums["p"] / n) / np.sqrt(spread[0] * spread[1])


def _positive(values: np.ndarray, above: np.ndarray | float = 0.0) -> np.ndarray:
    return np.where(values > above, values, np.nan)


def _scale_factor(scale_ms: tuple[float, float] | None) -> float:
    if scale_ms is None:
        return 1.0
    low, high = scale_ms
    if not high > low:
        raise ValueError(f"scale_ms must be (low, high) with high above low, got {scale_ms}")
    return (2 / (high - low)) ** 2


def _json(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
