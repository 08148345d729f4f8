"""Pairs of body-surface potentials and electrograms, and how a reconstruction sees them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from kecgi.data.egm.store import EGMCohort

FLOOR = 1e-2
"""What whitening adds to the variance along each axis, as a share of the whole: -20 dB."""

GAIN = 5.0
"""Electrograms below a fifth of their root mean square are hardly compressed."""


@dataclass(frozen=True, eq=False)
class EGMPairs:
    """Windows of potentials and the electrograms that belong to them.

    Parameters
    ----------
    bspm_mv : ndarray, shape (n, time, lead)
    egm_mv : ndarray, shape (n, time, node)
    rhythm : ndarray of int, shape (n,)
        As in `kecgi.data.EGMCohort.rhythm`.
    simulation : ndarray of int, shape (n,)
        Row in the dataset; -1 of generated ones.
    """

    bspm_mv: np.ndarray
    egm_mv: np.ndarray
    rhythm: np.ndarray
    simulation: np.ndarray

    @classmethod
    def read(
        cls, cohort: EGMCohort, simulations: np.ndarray, placements: int | None = None
    ) -> Self:
        """Read simulations of a dataset, with the first so many torsos or all of them."""
        pairs = cohort.pairs(np.sort(simulations), placements)
        return cls(*(pairs[field.name] for field in fields(cls)))

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.egm_mv)


@dataclass(frozen=True, eq=False)
class PairScale:
    """What a reconstruction sees of pairs; amplitudes are relative to each window.

    Potentials are centred in time, divided by their root mean square over all leads, and whitened:
    a few smooth patterns have nearly all of their variance, and what tells one place of the atria
    from another is in the rest. The symmetric whitening keeps each lead at its place.

    Electrograms lose their median in time, are divided by their root mean square over all nodes,
    and compressed by ``arcsinh``: a squared error of the signals themselves would be one of the
    steepest deflections alone, whereas most of the time they are small. Ranks over time stay what
    they are.

    Parameters
    ----------
    whitening : ndarray, shape (lead, lead)
        Symmetric.
    spread : float
        Standard deviation of the compressed electrograms.
    """

    whitening: np.ndarray
    spread: float

    @classmethod
    def fit(cls, pairs: EGMPairs, floor: float = FLOOR) -> Self:
        """Measure training pairs.

        Parameters
        ----------
        pairs : EGMPairs
        floor : float
            Added to the variance along each axis, as a share of the sum: axes below it, which in a
            measurement are noise, stay small.
        """
        leads = _relative(pairs.bspm_mv, np.mean).reshape(-1, pairs.bspm_mv.shape[2])
        variance, axes = np.linalg.eigh(np.cov(leads.T))
        whitening = (axes / np.sqrt(variance + floor * variance.sum())) @ axes.T
        whitening /= np.sqrt(np.mean(np.square(leads @ whitening)))
        return cls(whitening.astype(np.float32), float(_compressed(pairs.egm_mv).std()))

    def bspm(self, bspm_mv: np.ndarray) -> np.ndarray:
        """Scale potentials (n, time, lead)."""
        return (_relative(bspm_mv, np.mean) @ self.whitening).astype(np.float32)

    def apply(self, pairs: EGMPairs) -> dict[str, np.ndarray]:
        """Return pairs as `kecgi.models.BSPMToEGM` takes them."""
        egm = _compressed(pairs.egm_mv) / self.spread
        return {"bspm": self.bspm(pairs.bspm_mv), "egm": egm.astype(np.float32)}

    def signals(self, egm: np.ndarray) -> np.ndarray:
        """Undo the compression of electrograms: relative to the window's root mean square."""
        return np.sinh(egm * self.spread) / GAIN


def _compressed(egm_mv: np.ndarray) -> np.ndarray:
    return np.arcsinh(GAIN * _relative(egm_mv, np.median))


def _relative(signals: np.ndarray, middle) -> np.ndarray:
    centred = signals - middle(signals, axis=1, keepdims=True)
    size = np.sqrt(np.mean(np.square(centred), axis=(1, 2), keepdims=True))
    return centred / np.where(size > 0, size, 1)
