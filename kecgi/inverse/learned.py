"""A learned posterior bound to one heart and its electrodes, as an inverse method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kecgi.geometry import Electrodes, Heart, spread_points
from kecgi.geometry.surfaces import TriangleSurface
from kecgi.geometry.torso import require_on
from kecgi.inverse.interface import Estimate
from kecgi.simulate.bem import without_boundary


@dataclass(frozen=True, eq=False)
class LearnedInverse:
    """Posterior of activation maps on a heart's own grid; an `InverseMethod`.

    Parameters
    ----------
    model : kecgi.models.ActivationPosterior
        The trained model.
    heart : Heart
        Its voxels are the places of the estimate, in the order of `Heart.voxels_mm`.
    electrodes : Electrodes
        In the heart's frame.
    torso : TriangleSurface, optional
        Surface of a torso in air with the electrodes as its first nodes, as
        `kecgi.geometry.torso.torso_through` makes it. Its part of the potentials is taken away
        (`kecgi.simulate.bem.without_boundary`) for a model that knows an unbounded conductor, such
        as the one that comes with kecgi. Give it for measured potentials.
    draws : int
        Draws from the posterior; their mean is the estimate.
    seed : int
        Seed of the draws.

    Raises
    ------
    ValueError
        Where electrodes lie inside the heart, or aren't the torso's first nodes.
    """

    model: Any
    heart: Heart
    electrodes: Electrodes
    torso: TriangleSurface | None = None
    draws: int = 50
    seed: int = 0
    name: str = "activation posterior"

    def __post_init__(self) -> None:
        """Check electrodes and heart."""
        self.electrodes.require_outside(self.heart)
        if self.torso is not None:
            require_on(self.torso, self.electrodes)

    @cached_property
    def points_mm(self) -> np.ndarray:
        """The model's tokens, and then all voxels."""
        voxels = self.heart.voxels_mm.astype(np.float32)
        return np.concatenate([voxels[spread_points(voxels, self.model.tokens)], voxels])

    def activation(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> Estimate:
        """Draw activation maps of one beat.

        Parameters
        ----------
        bspm_mv : ndarray, shape (electrodes, times)
            Potentials. An electrode with a value that isn't finite counts as lost.
        time_ms : ndarray, shape (times,)
            Increasing times of the samples, 0 when the first tissue activates. They are
            interpolated to the model's; before and after them the potentials are taken as 0.

        Raises
        ------
        ValueError
            Where the shapes don't fit, times don't increase, or no electrode is left.
        """
        bspm_mv, time_ms = np.asarray(bspm_mv, float), np.asarray(time_ms, float)
        if bspm_mv.shape != (len(self.electrodes), time_ms.size) or time_ms.ndim != 1:
            raise ValueError(
                f"bspm_mv has shape {bspm_mv.shape} and time_ms {time_ms.shape}, expected "
                f"({len(self.electrodes)}, times) and (times,)"
            )
        if not np.all(np.diff(time_ms) > 0):
            raise ValueError("time_ms doesn't increase; give the times of the samples, in ms")
        heard = np.isfinite(bspm_mv).all(axis=1)
        if not heard.any():
            raise ValueError("no electrode has a signal: each holds a value that isn't finite")
        if self.torso is not None:
            bspm_mv = without_boundary(self.torso, bspm_mv)
        own = np.arange(self.model.samples) * (1000.0 / self.model.sampling_hz)
        signals = np.full((len(bspm_mv), len(own)), np.nan, np.float32)
        for row in np.flatnonzero(heard):
            signals[row] = np.interp(own, time_ms, bspm_mv[row], left=0.0, right=0.0)
        condition = {
            "points_mm": self.points_mm[None],
            "electrodes_mm": self.electrodes.positions_mm[None].astype(np.float32),
            "bspm_mv": signals[None],
        }
        drawn = self.model.sample(condition, self.draws, self.seed)[:, 0, self.model.tokens :]
        return Estimate(drawn.mean(axis=0), drawn)
