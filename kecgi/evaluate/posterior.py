"""Is the uncertainty true? Checks of a posterior from its draws.

Draws are shaped (draws, ...) and the truth (...), in the same unit. Voxels where the truth is NaN,
or that lie outside the mask, do not count.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from kecgi.evaluate.masked import tissue


def central_interval(draws: ArrayLike, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Central interval that holds a share `level` of the posterior, from few or many draws.

    If the truth comes from the same distribution as the n draws, it falls below the k-th smallest
    draw with probability k / (n + 1). So the p-quantile is the order statistic at p (n + 1),
    interpolated (numpy's "weibull" rule); the more usual p (n - 1) + 1 is too narrow: of ten
    draws, the range holds the truth in 9 of 11 cases, not in all. Beyond the outermost draws (a
    90 % interval needs 19) the Student-t predictive interval stands in,
    mean ± t(n - 1) SD sqrt(1 + 1 / n), exact for normal posteriors.

    Parameters
    ----------
    draws : (draws, ...) array
        At least two draws.
    level : float
        Between 0 and 1.

    Returns
    -------
    low, high : (...) arrays
    """
    draws = _draws(draws)
    return _interval(np.sort(draws, axis=0), level)


def coverage(
    draws: ArrayLike, truth: ArrayLike, level: float, mask: ArrayLike | None = None
) -> float:
    """Share of the truth inside the central interval of that level; see `central_interval`."""
    draws, truth = _on_mask(draws, truth, mask)
    return interval_coverage(*central_interval(draws, level), truth)


def interval_coverage(
    low: ArrayLike, high: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Share of the truth inside [low, high], for models that predict quantiles."""
    low, high, truth = np.asarray(low), np.asarray(high), np.asarray(truth)
    if not low.shape == high.shape == truth.shape:
        raise ValueError(f"shapes differ: low {low.shape}, high {high.shape}, truth {truth.shape}")
    on = _counting(truth, mask)
    return float(np.mean((low[on] <= truth[on]) & (truth[on] <= high[on])))


def reliability_curve(
    draws: ArrayLike, truth: ArrayLike, levels: Sequence[float], mask: ArrayLike | None = None
) -> np.ndarray:
    """Coverage at each of the levels, shaped (levels,); the diagonal is perfect."""
    draws, truth = _on_mask(draws, truth, mask)
    ordered = np.sort(draws, axis=0)
    return np.array([interval_coverage(*_interval(ordered, level), truth) for level in levels])


def pit_histogram(
    draws: ArrayLike, truth: ArrayLike, bins: int = 10, mask: ArrayLike | None = None
) -> np.ndarray:
    """Density of the probability integral transform, in equal bins on [0, 1]; shaped (bins,).

    A truth above r of n draws is spread evenly over [r / (n + 1), (r + 1) / (n + 1)] (over more
    where it equals draws), so a calibrated posterior gives a flat histogram at 1 for every number
    of draws. A U is too narrow a posterior, a dome too wide a one, a slope a bias.

    References
    ----------
    Czado, Gneiting and Held, Biometrics 65, 2009, 10.1111/j.1541-0420.2009.01191.x (the
    non-random form).
    """
    draws, truth = _on_mask(draws, truth, mask)
    below = (draws < truth).sum(axis=0)
    width = (draws <= truth).sum(axis=0) - below + 1
    cumulative = [
        np.mean(np.clip((edge * (len(draws) + 1) - below) / width, 0, 1))
        for edge in np.linspace(0, 1, bins + 1)
    ]
    return bins * np.diff(cumulative)


def crps(draws: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Continuous ranked probability score of each value, in its unit; smaller is better.

    The fair form, mean|x_i - y| - Σ_i Σ_j |x_i - x_j| / (2 n (n - 1)): its expectation does not
    depend on the number of draws n. Of a point forecast the score is the absolute error. NaN where
    the truth is NaN.

    Parameters
    ----------
    draws : (draws, ...) array
        At least two draws.
    truth : (...) array

    Returns
    -------
    (...) array

    References
    ----------
    Ferro, Q. J. R. Meteorol. Soc. 140, 2014, 10.1002/qj.2270.
    """
    draws, truth = _draws(draws), np.asarray(truth)
    _require_same(draws, truth)
    n = len(draws)
    weights = 2 * np.arange(1, n + 1) - n - 1  # of the sorted draws, in Σ_{i<j} |x_i - x_j|
    pairs = np.tensordot(weights, np.sort(draws, axis=0), axes=1)
    return np.abs(draws - truth).mean(axis=0) - pairs / (n * (n - 1))


def crps_normal(mean: ArrayLike, sd: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Continuous ranked probability score of a normal prediction, in closed form.

    References
    ----------
    Gneiting and Raftery, JASA 102, 2007, 10.1198/016214506000001437, equation 21's example.
    """
    sd = np.asarray(sd, dtype=float)
    if not (sd > 0).all():
        raise ValueError(f"the SD must be positive, got {sd.min()}")
    z = (np.asarray(truth) - np.asarray(mean)) / sd
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return sd * (z * (2 * special.ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))


def sd_error_rank_correlation(
    sd: ArrayLike, error: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Spearman correlation of SD and absolute error; NaN when either is constant."""
    sd, error = np.asarray(sd), np.abs(np.asarray(error))
    if sd.shape != error.shape:
        raise ValueError(f"shapes differ: SD {sd.shape}, error {error.shape}")
    on = _counting(error, mask)
    sd, error = sd[on], error[on]
    if np.ptp(sd) == 0 or np.ptp(error) == 0:
        return float("nan")
    return float(stats.spearmanr(sd, error).statistic)


def summarise_posterior(
    draws: ArrayLike, true: ArrayLike, mask: ArrayLike | None = None
) -> dict[str, float | int | None]:
    """Every headline figure of a set of posteriors of maps, ready for JSON.

    Parameters
    ----------
    draws : (draws, cases, *space) array
        Maps in ms.
    true : (cases, *space) array
    mask : bool array, optional
        Tissue, shaped like `true` or like one map.

    Returns
    -------
    dict
        ``coverage50``, ``coverage90``, ``crps_ms`` and ``sd_ms`` (root mean variance), pooled over
        voxels; ``spearman_sd_error`` pooled, ``spearman_sd_error_case_median`` (does the SD map
        point to where the error is, within one heart) and ``spearman_sd_error_cases`` (does a
        case's mean SD tell its mean error); ``spearman_sd_error_expected``, what the pooled one
        would be if one of the draws were the truth: the most that a calibrated posterior with
        these SDs can reach; ``draws``, their number.
    """
    draws, true = np.asarray(draws), np.asarray(true)
    _require_same(draws, true)
    on = tissue(true, mask)
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("in50", "in90", "crps", "variance", "error", "others", "one")
    }
    ranks = []
    for i, inside in enumerate(on):  # a case at a time: draws of many hearts are large
        x, y = _on_mask(draws[:, i], true[i], inside)
        ordered = np.sort(x, axis=0)
        for name, level in (("in50", 0.5), ("in90", 0.9)):
            low, high = _interval(ordered, level)
            parts[name].append((low <= y) & (y <= high))
        parts["crps"].append(crps(x, y))
        parts["variance"].append(x.var(axis=0, ddof=1))
        parts["error"].append(x.mean(axis=0) - y)
        if len(x) > 2:
            parts["others"].append(x[1:].var(axis=0, ddof=1))
            parts["one"].append(x[1:].mean(axis=0) - x[0])
        ranks.append(sd_error_rank_correlation(np.sqrt(parts["variance"][-1]), parts["error"][-1]))
    by_case = [
        [np.sqrt(v).mean(), np.abs(e).mean()]
        for v, e in zip(parts["variance"], parts["error"], strict=True)
    ]
    values = {name: np.concatenate(part) for name, part in parts.items() if part}
    defined = np.array(ranks)[np.isfinite(ranks)]
    pooled_rank = sd_error_rank_correlation(np.sqrt(values["variance"]), values["error"])
    expected = (
        sd_error_rank_correlation(np.sqrt(values["others"]), values["one"])
        if "one" in values
        else np.nan
    )
    case_rank = sd_error_rank_correlation(*np.transpose(by_case))
    return {
        "coverage50": float(values["in50"].mean()),
        "coverage90": float(values["in90"].mean()),
        "crps_ms": float(values["crps"].mean()),
        "sd_ms": float(np.sqrt(values["variance"].mean())),
        "spearman_sd_error": pooled_rank if np.isfinite(pooled_rank) else None,
        "spearman_sd_error_case_median": float(np.median(defined)) if defined.size else None,
        "spearman_sd_error_cases": case_rank if np.isfinite(case_rank) else None,
        "spearman_sd_error_expected": expected if np.isfinite(expected) else None,
        "draws": len(draws),
    }


def _interval(ordered: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Central interval of draws that are sorted along the first axis."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    n = len(ordered)
    position = (n + 1) * (1 - level) / 2  # of the lower bound among the order statistics 1 … n
    if position < 1:
        half = stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(1 + 1 / n) * ordered.std(0, ddof=1)
        mean = ordered.mean(axis=0)
        return mean - half, mean + half
    k = int(position)
    part = position - k
    low = ordered[k - 1] + part * (ordered[k] - ordered[k - 1])
    high = ordered[n - k] - part * (ordered[n - k] - ordered[n - k - 1])
    return low, high


def _draws(draws: ArrayLike) -> np.ndarray:
    draws = np.asarray(draws)
    if draws.ndim < 1 or len(draws) < 2:
        raise ValueError(
            f"a posterior needs at least two draws on the first axis, got shape {draws.shape}"
        )
    return draws if draws.dtype.kind == "f" else draws.astype(float)


def _require_same(draws: np.ndarray, truth: np.ndarray) -> None:
    if draws.shape[1:] != truth.shape:
        raise ValueError(
            f"draws {draws.shape} must be the truth's shape {truth.shape} with the draws in front"
        )


def _counting(truth: np.ndarray, mask: ArrayLike | None) -> np.ndarray:
    on = np.isfinite(truth)
    if mask is not None:
        on = on & np.broadcast_to(np.asarray(mask, dtype=bool), truth.shape)
    if not on.any():
        raise ValueError("nothing to evaluate: the truth is nowhere finite inside the mask")
    return on


def _on_mask(
    draws: ArrayLike, truth: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    """Draws and truth where the truth counts, shaped (draws, values) and (values,)."""
    draws, truth = _draws(draws), np.asarray(truth)
    _require_same(draws, truth)
    on = _counting(truth, mask)
    draws = draws[:, on]
    if not np.isfinite(draws).all():
        raise ValueError(f"{int((~np.isfinite(draws)).sum())} drawn value(s) are not finite")
    return draws, truth[on]
