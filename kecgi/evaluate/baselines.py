"""Naive predictors that every result stands beside.

All are used alike, on one anatomy or across anatomies, in 2-D and 3-D::

    predicted = TrainingMean.fit(bspm, maps, spacing_mm).predict(new_bspm, new_mask)

with `bspm` (cases, electrodes, time), `maps` (cases, *space) in ms with NaN outside the tissue,
all on one grid, and `new_mask` (cases, *space) or (*space). How a map of one heart is read on
another is the subject of `kecgi.evaluate.carry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from kecgi.evaluate.carry import Sites, collect


class Baseline(Protocol):
    """What the baselines share."""

    @classmethod
    def fit(cls, bspm: ArrayLike, maps: ArrayLike, spacing_mm: Sequence[float]) -> Self:
        """Learn from training cases."""
        ...

    def predict(self, bspm: ArrayLike, mask: ArrayLike) -> np.ndarray:
        """Predict maps (cases, *space) in ms, float32, NaN outside the mask."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingMean:
    """The mean map of the training set, whatever the BSPM."""

    sites: Sites
    mean: np.ndarray  # (sites,)

    @classmethod
    def fit(cls, bspm: ArrayLike, maps: ArrayLike, spacing_mm: Sequence[float]) -> Self:
        """Average the training maps; `bspm` only has to have as many cases."""
        _signals(bspm, cases=len(maps))
        sites, values = collect(maps, spacing_mm)
        return cls(sites, values.mean(axis=0, dtype=float))

    def predict(self, bspm: ArrayLike, mask: ArrayLike) -> np.ndarray:
        """Return the mean map for every case of `bspm`."""
        return self.sites.spread(np.tile(self.mean, (len(bspm), 1)), mask)


@dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """The map of the training case whose BSPM is nearest (Euclidean, over electrodes and time)."""

    sites: Sites
    signals: np.ndarray  # (training cases, electrodes * time)
    values: np.ndarray  # (training cases, sites)

    @classmethod
    def fit(cls, bspm: ArrayLike, maps: ArrayLike, spacing_mm: Sequence[float]) -> Self:
        """Remember the training cases."""
        signals = _signals(bspm, cases=len(maps))
        sites, values = collect(maps, spacing_mm)
        return cls(sites, signals, values)

    def neighbours(self, bspm: ArrayLike) -> np.ndarray:
        """Index of the nearest training case, (cases,)."""
        signals = _signals(bspm, features=self.signals.shape[1])
        # The square distance less the term that all training cases share.
        return np.argmin((self.signals**2).sum(axis=1) - 2 * signals @ self.signals.T, axis=1)

    def predict(self, bspm: ArrayLike, mask: ArrayLike) -> np.ndarray:
        """Return the nearest training case's map for every case of `bspm`."""
        return self.sites.spread(self.values[self.neighbours(bspm)], mask)


@dataclass(frozen=True, eq=False)
class PCARidge:
    """Ridge regression of the map on principal components of the BSPM.

    The penalty minimises the generalised cross-validation score of the training set.

    References
    ----------
    Golub, Heath and Wahba, Technometrics 21, 1979, 10.1080/00401706.1979.10489751.
    """

    sites: Sites
    signal_mean: np.ndarray  # (electrodes * time,)
    components: np.ndarray  # (electrodes * time, components)
    map_mean: np.ndarray  # (sites,)
    coefficients: np.ndarray  # (components, sites)
    penalty: float

    @classmethod
    def fit(
        cls,
        bspm: ArrayLike,
        maps: ArrayLike,
        spacing_mm: Sequence[float],
        components: int = 128,
    ) -> Self:
        """Fit in closed form; `components` is the largest number of principal components."""
        signals = _signals(bspm, cases=len(maps))
        sites, values = collect(maps, spacing_mm)
        signal_mean, map_mean = signals.mean(axis=0), values.mean(axis=0)
        signals -= signal_mean
        values -= map_mean
        scores, singular, axes = truncated_svd(signals, components)
        if not singular.size:
            raise ValueError("all training cases have the same bspm: nothing to regress on")
        projected = scores.T @ values
        penalty = gcv_penalty(singular, (projected**2).sum(axis=1), (values**2).sum(), len(values))
        shrink = singular / (singular**2 + penalty)
        return cls(sites, signal_mean, axes, map_mean, shrink[:, None] * projected, float(penalty))

    def predict(self, bspm: ArrayLike, mask: ArrayLike) -> np.ndarray:
        """Return the regression's map for every case of `bspm`."""
        signals = _signals(bspm, features=len(self.signal_mean)) - self.signal_mean
        return self.sites.spread(
            signals @ self.components @ self.coefficients + self.map_mean, mask
        )


BASELINES: dict[str, type[Baseline]] = {
    "mean": TrainingMean,
    "nearest": NearestNeighbour,
    "regression": PCARidge,
}


def truncated_svd(
    matrix: np.ndarray, rank: int, passes: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading singular vectors and values of a centred matrix, by random subspace iteration.

    Parameters
    ----------
    matrix : (cases, features) array
    rank : int
        Number of singular values wanted; fewer come back where the matrix has fewer.
    passes : int
        Power iterations; the error falls with the ratio of singular values to their power.

    Returns
    -------
    left (cases, rank), values (rank,), right (features, rank)

    References
    ----------
    Halko, Martinsson and Tropp, SIAM Review 53, 2011, 10.1137/090771806, algorithm 4.4.
    """
    most = min(matrix.shape)
    rng = np.random.default_rng(0)  # the result does not depend on it but for rounding
    probe = rng.standard_normal((matrix.shape[1], min(most, rank + 16)), dtype=np.float32)
    basis = np.linalg.qr(matrix @ probe)[0]
    for _ in range(passes):
        basis = np.linalg.qr(matrix.T @ basis)[0]
        basis = np.linalg.qr(matrix @ basis)[0]
    left, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    keep = slice(0, min(rank, int((values > 1e-6 * values[0]).sum())))
    return basis @ left[:, keep], values[keep], right[keep].T


def gcv_penalty(singular: np.ndarray, projected: np.ndarray, total: float, cases: int) -> float:
    """Ridge penalty with the least generalised cross-validation score.

    Parameters
    ----------
    singular : (rank,) array
        Singular values of the centred inputs.
    projected : (rank,) array
        Square norm of the centred targets along each left singular vector.
    total : float
        Square norm of the centred targets.
    cases : int
        Number of training cases.

    Returns
    -------
    float
    """
    candidates = singular[0] ** 2 * np.logspace(-8, 1, 91)
    keep = singular**2 / (singular**2 + candidates[:, None])  # (candidates, rank)
    residual = total - projected.sum() + ((1 - keep) ** 2 * projected).sum(axis=1)
    freedom = 1 - (1 + keep.sum(axis=1)) / cases  # one for the mean
    return float(candidates[np.argmin(residual / np.maximum(freedom, 1e-9) ** 2)])


def _signals(
    bspm: ArrayLike, *, cases: int | None = None, features: int | None = None
) -> np.ndarray:
    """BSPM as a new matrix (cases, electrodes * time), float32."""
    bspm = np.asarray(bspm)
    if bspm.ndim != 3:
        raise ValueError(f"bspm must be shaped (cases, electrodes, time), got {bspm.shape}")
    if cases is not None and len(bspm) != cases:
        raise ValueError(f"{len(bspm)} cases of bspm, but {cases} maps")
    flat = np.array(bspm.reshape(len(bspm), -1), dtype=np.float32)
    if features is not None and flat.shape[1] != features:
        raise ValueError(
            f"bspm of shape {bspm.shape[1:]} has {flat.shape[1]} values a case, the training "
            f"cases had {features}: use the same electrodes and time samples"
        )
    if not np.isfinite(flat).all():
        raise ValueError("bspm must be finite; fill or leave out lost electrodes first")
    return flat
