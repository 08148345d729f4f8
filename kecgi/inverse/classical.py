"""Epicardial potentials by classical regularisation, and activation times from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kecgi.geometry.surfaces import TriangleSurface
from kecgi.inverse.coherent import coherent_activation
from kecgi.inverse.interface import Estimate
from kecgi.inverse.regularise import StandardForm

PENALTIES = ("zero", "first", "second", "tsvd")
"""Orders of Tikhonov's method, and truncated SVD."""


@dataclass(frozen=True, eq=False)
class ClassicalInverse:
    """Inverse of a transfer matrix: Tikhonov's method or truncated SVD; an `InverseMethod`.

    Parameters
    ----------
    transfer : ndarray, shape (electrodes, nodes)
        From potentials at the heart's nodes to the electrodes, e.g. rows of
        `kecgi.inverse.transfer_matrix`.
    heart : TriangleSurface
        The heart's surface.
    penalty : {"zero", "first", "second", "tsvd"}
        What is kept small: potentials, their surface gradient or their surface Laplacian, each
        integrated over the surface; or the number of singular values.
    rule : {"l-curve", "gcv"}
        Choice of the parameter, one for the whole recording.
    window_ms : (float, float), optional
        Times in which activation is looked for, and from which the parameter is chosen; all by
        default.

    Raises
    ------
    ValueError
        Where the matrix doesn't fit the surface, or penalty or rule is unknown.
    """

    transfer: np.ndarray
    heart: TriangleSurface
    penalty: str = "zero"
    rule: str = "l-curve"
    window_ms: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        if np.ndim(self.transfer) != 2 or np.shape(self.transfer)[1] != len(self.heart):
            raise ValueError(
                f"transfer has shape {np.shape(self.transfer)}, expected (electrodes, "
                f"{len(self.heart)}) for {self.heart.name}"
            )
        if self.penalty not in PENALTIES:
            raise ValueError(f"penalty is {self.penalty!r}, expected one of {PENALTIES}")
        if self.rule not in ("l-curve", "gcv"):
            raise ValueError(f"rule is {self.rule!r}, expected 'l-curve' or 'gcv'")

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        method = "tsvd" if self.penalty == "tsvd" else f"tikhonov-{self.penalty}"
        return f"{method} {self.rule}"

    @property
    def kind(self) -> str:
        """Filter of the singular values."""
        return "tsvd" if self.penalty == "tsvd" else "tikhonov"

    @cached_property
    def form(self) -> StandardForm:
        """The decomposition, made when it is first needed."""
        if self.penalty == "first":
            gradient = self.heart.gradient()
            return StandardForm.of(self.transfer, (gradient.T @ gradient).toarray())
        if self.penalty == "second":
            laplacian = self.heart.laplacian().toarray()
            weighted = laplacian * self.heart.node_areas_mm2[:, None]
            return StandardForm.of(self.transfer, laplacian.T @ weighted)
        return StandardForm.of(self.transfer)

    def strength(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> float:
        """Parameter that the rule chooses for a recording."""
        return self.form.choose(self._windowed(bspm_mv, time_ms), self.rule, self.kind)

    def potentials(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> np.ndarray:
        """Electrograms at the heart's nodes, shape (nodes, times), in mV."""
        return self.form.solve(np.asarray(bspm_mv), self.strength(bspm_mv, time_ms), self.kind)

    def activation(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> Estimate:
        """Electrograms and coherent activation times at the heart's nodes.

        Parameters
        ----------
        bspm_mv : ndarray, shape (electrodes, times)
            Potentials in mV.
        time_ms : ndarray, shape (times,)
            Evenly spaced sampling times.

        Raises
        ------
        ValueError
            Where shapes don't match or times are uneven.
        """
        potentials = self.potentials(bspm_mv, time_ms)
        times = coherent_activation(
            potentials, time_ms, self.heart.edges, self.heart.edge_lengths_mm, self.window_ms
        )
        return Estimate(times, potentials_mv=potentials)

    def _windowed(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> np.ndarray:
        bspm, times = np.asarray(bspm_mv, float), np.asarray(time_ms, float)
        if bspm.shape != (len(self.transfer), times.size):
            raise ValueError(
                f"bspm_mv has shape {bspm.shape}, expected ({len(self.transfer)}, {times.size}), "
                "electrodes by times"
            )
        if self.window_ms is None:
            return bspm
        return bspm[:, (times >= self.window_ms[0]) & (times <= self.window_ms[1])]
