"""Does a change help? Scores of several arms on the same cases, from the same seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from kecgi.evaluate.signals import pearson


def temporal_correlation(true: ArrayLike, predicted: ArrayLike) -> dict[str, np.ndarray]:
    """Correlation of each channel over time, mean over the channels.

    Parameters
    ----------
    true, predicted : (n, channel, time) arrays
        Signals. A flat truth is left out, a flat prediction counts as 0.

    Returns
    -------
    dict
        ``spearman`` and ``pearson``, each (n,).
    """
    true, predicted = np.asarray(true, float), np.asarray(predicted, float)
    if true.shape != predicted.shape or true.ndim != 3:
        raise ValueError(
            f"signals have shapes {true.shape} and {predicted.shape}, expected one shape (n, "
            "channel, time)"
        )
    ranks = (stats.rankdata(x, axis=-1) for x in (true, predicted))
    found = {"spearman": pearson(*ranks), "pearson": pearson(true, predicted)}
    varies = np.ptp(true, axis=-1) > 0
    return {
        name: np.nan_to_num(values).sum(axis=1, where=varies) / np.maximum(varies.sum(axis=1), 1)
        for name, values in found.items()
    }


@dataclass(frozen=True, eq=False)
class Gains:
    """Mean gain of each arm over the baseline, and its intervals.

    Parameters
    ----------
    gain : ndarray, shape (arms,)
    low, high : ndarray, shape (arms,)
        Interval of each arm alone.
    low_all, high_all : ndarray, shape (arms,)
        Intervals that hold for all arms at once, so for whichever is the best.
    """

    gain: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_all: np.ndarray
    high_all: np.ndarray


def paired_gains(
    scores: ArrayLike,
    baseline: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 4000,
    rng: np.random.Generator,
) -> Gains:
    """Compare arms with a baseline, case by case and seed by seed.

    Seeds and cases are resampled both, with replacement, the same for all arms. Intervals of one
    arm are percentiles. Those of all arms together are the gain plus or minus so many standard
    deviations that the largest deviation among the arms stays within them: to pick the best arm
    and to test it then is allowed.

    Parameters
    ----------
    scores : (arms, seeds, cases) array
        The higher the better.
    baseline : (seeds, cases) array
        Of the same seeds and cases.
    level : float
        Share of the resamples inside.
    resamples : int
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        Where shapes don't match, or there are less than two seeds or cases.

    References
    ----------
    Westfall and Young, Resampling-based multiple testing, 1993, chapter 2 (the largest deviation);
    Owen 2007, The pigeonhole bootstrap, doi 10.1214/07-AOAS122 (two crossed factors).
    """
    scores, baseline = np.asarray(scores, float), np.asarray(baseline, float)
    if scores.ndim != 3 or scores.shape[1:] != baseline.shape or min(baseline.shape) < 2:
        raise ValueError(
            f"scores have shape {scores.shape} and the baseline {baseline.shape}, expected (arms, "
            "seeds, cases) and (seeds, cases) with two seeds and two cases or more"
        )
    paired = scores - baseline
    gain, (seeds, cases) = paired.mean(axis=(1, 2)), baseline.shape
    of_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    of_case = rng.multinomial(cases, np.full(cases, 1 / cases), size=resamples) / cases
    drawn = np.einsum("rs,asc,rc->ar", of_seed, paired, of_case, optimize=True)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=1)
    deviation = drawn - gain[:, None]
    spread = np.maximum(deviation.std(axis=1), 1e-12)
    reach = np.quantile(np.abs(deviation / spread[:, None]).max(axis=0), level) * spread
    return Gains(gain, low, high, gain - reach, gain + reach)
