"""Bootstrap intervals of statistics that are functions of sums over cases."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike


def bootstrap_interval(
    statistic: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    sums: Mapping[str, np.ndarray],
    groups: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Percentile interval of a pooled statistic, cases resampled with replacement.

    Parameters
    ----------
    statistic : callable
        Takes sums, each shaped (resamples,), and gives the statistic, shaped (resamples,).
    sums : mapping of (cases,) arrays
        What each case adds to each sum, e.g. ``{"absolute": ..., "voxels": ...}``.
    groups : (cases,) array, optional
        Cases of one group, such as one anatomy, are drawn together, since they are not
        independent. With a single group the cases themselves are drawn.
    level : float
        Share of the resampled values inside the interval.
    resamples : int
        Number of resamples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (low, high) : floats; NaN when there is only one case or the statistic is undefined.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 (clusters) and 13.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    cases = len(next(iter(sums.values())))
    member = np.arange(cases)
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (cases,):
            raise ValueError(f"groups must be shaped ({cases},), one a case; got {groups.shape}")
        kinds, of_case = np.unique(groups, return_inverse=True)
        if len(kinds) > 1:
            member = of_case
    units = member.max() + 1
    if units < 2:
        return float("nan"), float("nan")
    draws = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    resampled = {
        name: draws @ np.bincount(member, weights=values, minlength=units)
        for name, values in sums.items()
    }
    values = statistic(resampled)
    defined = values[np.isfinite(values)]
    if not defined.size:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
