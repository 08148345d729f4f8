"""Area under the ROC curve of multi-label classifiers, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike


def auroc(truth: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Probability that a positive case scores higher than a negative one; ties count half.

    Parameters
    ----------
    truth : (cases,) array
        1 or True for positive cases.
    score : (cases,) array
        The classifier's scores, on any scale.
    weight : (cases,) array, optional
        How often each case counts.

    Returns
    -------
    float; NaN where positives or negatives are missing.

    References
    ----------
    Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747.
    """
    truth, score = np.asarray(truth, float), np.asarray(score, float)
    if truth.shape != score.shape or truth.ndim != 1:
        raise ValueError(f"truth and score have shapes {truth.shape}, {score.shape}: expected one")
    if not np.all(np.isfinite(score)):
        raise ValueError("score has values that are not finite")
    weight = np.ones(len(truth)) if weight is None else np.asarray(weight, float)
    _, place = np.unique(score, return_inverse=True)
    return _auroc(truth >= 0.5, place, weight)


def macro_auroc(
    truth: ArrayLike,
    score: ArrayLike,
    names: Sequence[str],
    groups: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    rng: np.random.Generator,
) -> dict[str, dict[str, float | None]]:
    """AUROC of each class and their mean, with percentile bootstrap intervals.

    Parameters
    ----------
    truth, score : (cases, classes) arrays
        Multi-hot labels, and scores on any scale.
    names : sequence of str
        Names of the classes.
    groups : (cases,) array, optional
        Cases of one heart or patient are drawn together, since they are not independent.
    level : float
        Share of the resampled values inside an interval.
    resamples : int
        Number of resamples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    dict
        ``auroc``, ``low`` and ``high`` for each class and for ``macro``, the mean over the classes
        that have positives and negatives; None where undefined. Ready for JSON.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 (clusters) and 13.
    """
    truth, score = np.asarray(truth), np.asarray(score, float)
    if truth.ndim != 2 or truth.shape != score.shape or truth.shape[1] != len(names):
        raise ValueError(
            f"truth and score have shapes {truth.shape} and {score.shape}, expected (cases, "
            f"{len(names)}) for {list(names)}"
        )
    if not np.all(np.isfinite(score)):
        raise ValueError("score has values that are not finite")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    weights = _weights(len(truth), groups, resamples, rng)
    values = np.empty((resamples + 1, len(names)))
    for k in range(len(names)):
        _, place = np.unique(score[:, k], return_inverse=True)
        values[:, k] = [_auroc(truth[:, k] >= 0.5, place, w) for w in weights]
    # a class that has no positive in a resample must not change which classes the mean is over
    defined = np.isfinite(values[0])
    mean = values[:, defined].mean(axis=1) if defined.any() else np.full(len(values), np.nan)
    tail = (1 - level) / 2
    result = {}
    for name, column in zip(("macro", *names), (mean, *values.T), strict=True):
        finite = column[1:][np.isfinite(column[1:])]
        low, high = np.quantile(finite, [tail, 1 - tail]) if finite.size else (np.nan, np.nan)
        result[name] = {
            key: float(v) if np.isfinite(v) else None
            for key, v in (("auroc", column[0]), ("low", low), ("high", high))
        }
    return result


def compare_auroc(
    truth: ArrayLike,
    scores: Mapping[str, ArrayLike],
    reference: str,
    groups: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    rng: np.random.Generator,
) -> dict[str, dict[str, float | int]]:
    """Macro AUROC of trainings from several seeds, and how much each gains over a reference.

    Intervals hold what another test set and another seed would change: hearts or patients are
    resampled, the same for all, and so are each training's seeds.

    Parameters
    ----------
    truth : (cases, classes) array
        Multi-hot labels.
    scores : mapping of str to (seeds, cases, classes) array
        Scores of each way of training.
    reference : str
        The way that the others are compared with.
    groups : (cases,) array, optional
        Cases of one heart or patient are drawn together.
    level : float
        Share of the resampled values inside an interval.
    resamples : int
        Number of resamples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    dict of dict
        For each way: ``auroc``, the mean over seeds of the mean over the classes that have
        positives and negatives; ``low``, ``high``; ``seeds`` and ``seed_sd``, the SD over them
        (0 for one); and unless it is the reference ``gain``, ``gain_low`` and ``gain_high``.

    Raises
    ------
    ValueError
        Where shapes don't fit, the reference isn't there, or no class can be judged.
    """
    truth = np.asarray(truth)
    if reference not in scores:
        raise ValueError(f"reference is {reference!r}, expected one of {list(scores)}")
    positive = truth >= 0.5
    judged = np.flatnonzero(positive.any(axis=0) & ~positive.all(axis=0))
    if not judged.size:
        raise ValueError("no class has positives and negatives")
    weights, tail = _weights(len(truth), groups, resamples, rng), (1 - level) / 2
    table, resampled = {}, {}
    for name, score in scores.items():
        score = np.asarray(score, float)
        if score.ndim != 3 or score.shape[1:] != truth.shape or not np.isfinite(score).all():
            raise ValueError(
                f"scores of {name!r} have shape {score.shape}, expected finite numbers of shape "
                f"(seeds, {', '.join(map(str, truth.shape))})"
            )
        seeds = len(score)
        values = np.empty((seeds, resamples + 1, len(judged)))
        for i, k in np.ndindex(seeds, len(judged)):
            _, place = np.unique(score[i, :, judged[k]], return_inverse=True)
            values[i, :, k] = [_auroc(positive[:, judged[k]], place, w) for w in weights]
        macro = _mean_of_defined(values)
        drawn = rng.integers(seeds, size=(seeds, resamples))
        resampled[name] = macro[drawn, np.arange(1, resamples + 1)].mean(axis=0)
        low, high = np.nanquantile(resampled[name], [tail, 1 - tail])
        table[name] = {
            "auroc": float(macro[:, 0].mean()),
            "low": float(low),
            "high": float(high),
            "seeds": seeds,
            "seed_sd": float(macro[:, 0].std(ddof=1)) if seeds > 1 else 0.0,
        }
    for name in table.keys() - {reference}:
        low, high = np.nanquantile(resampled[name] - resampled[reference], [tail, 1 - tail])
        gain = table[name]["auroc"] - table[reference]["auroc"]
        table[name] |= {"gain": gain, "gain_low": float(low), "gain_high": float(high)}
    return table


def _weights(
    cases: int, groups: ArrayLike | None, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """How often each case counts: once, and then in each resample of the groups."""
    _, member = np.unique(np.arange(cases) if groups is None else groups, return_inverse=True)
    if len(member) != cases:
        raise ValueError(f"{len(member)} groups for {cases} cases")
    count = int(member.max()) + 1
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.concatenate([np.ones((1, cases)), draws[:, member]])


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what isn't NaN; NaN where all is."""
    defined = np.isfinite(values)
    number = defined.sum(axis=-1)
    return np.where(
        number, np.where(defined, values, 0).sum(axis=-1) / np.maximum(number, 1), np.nan
    )


def _auroc(positive: np.ndarray, place: np.ndarray, weight: np.ndarray) -> float:
    """Weighted AUROC of cases whose scores have the given places in order."""
    ups = np.bincount(place, weight * positive)
    downs = np.bincount(place, weight * ~positive)
    pairs = ups.sum() * downs.sum()
    below = np.cumsum(downs) - 0.5 * downs
    return float(ups @ below / pairs) if pairs else float("nan")
