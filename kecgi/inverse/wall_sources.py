"""Electrograms and body-surface potentials of one wall: from either to the other.

Both are linear in the voltages v of the wall's voxels, ``egm = Nᵀ v`` and ``bspm = Lᵀ v``, so what
links them is a guess of v. Of all voltages that explain what was measured, the method takes those
with the least penalty:

* "zero": the sum of squares, Tikhonov's method of order zero;
* "smooth": the bending energy. Lead fields don't see a constant, so this is kriging with the
  generalised covariance ``-|x - y|`` [1]_, and no length has to be chosen.

All that is needed are the products ``Nᵀ C N``, ``Lᵀ C N`` and ``Lᵀ C L``, C being the covariance
that the penalty stands for: small matrices, whatever the number of voxels.

References
----------
.. [1] Matheron 1973, The intrinsic random functions and their applications,
   doi 10.2307/1425829; in 3-D it is the biharmonic spline of Duchon 1977, doi 10.1007/BFb0086566.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg, spatial

from kecgi.inverse.regularise import StandardForm

PENALTIES = ("zero", "smooth")

ROWS = 512
"""Rows of the covariance that are held at a time."""

LEAST = 1e-12
"""Share of the largest eigenvalue below which one is rounding."""


@dataclass(frozen=True, eq=False)
class WallSources:
    """What is known of a wall's sources from its electrodes.

    Parameters
    ----------
    wall : ndarray, shape (nodes, nodes)
        ``Nᵀ C N``.
    across : ndarray, shape (leads, nodes)
        ``Lᵀ C N``.
    body : ndarray, shape (leads, leads)
        ``Lᵀ C L``.
    """

    wall: np.ndarray
    across: np.ndarray
    body: np.ndarray

    @classmethod
    def of(
        cls,
        positions_mm: np.ndarray,
        near_field: np.ndarray,
        lead_field: np.ndarray,
        penalty: str = "zero",
    ) -> WallSources:
        """Combine the lead fields of a wall.

        Parameters
        ----------
        positions_mm : ndarray, shape (voxels, 3)
            Voxel centres.
        near_field : ndarray, shape (voxels, nodes)
            N, from `kecgi.simulate.near_field`.
        lead_field : ndarray, shape (voxels, leads)
            L, from `kecgi.simulate.lead_field`.
        penalty : {"zero", "smooth"}
            What is kept small.

        Raises
        ------
        ValueError
            Where shapes don't match, or the penalty is unknown.
        """
        if penalty not in PENALTIES:
            raise ValueError(f"penalty is {penalty!r}, expected one of {PENALTIES}")
        if not len(positions_mm) == len(near_field) == len(lead_field):
            raise ValueError(
                f"{len(positions_mm)} voxels, but lead fields of {len(near_field)} and "
                f"{len(lead_field)}"
            )
        fields = np.concatenate([near_field, lead_field], axis=1).astype(float)
        spread = fields if penalty == "zero" else _kriged(positions_mm, fields)
        product = fields.T @ spread
        product, nodes = 0.5 * (product + product.T), np.shape(near_field)[1]
        return cls(product[:nodes, :nodes], product[nodes:, :nodes], product[nodes:, nodes:])

    def of_leads(self, leads: slice) -> WallSources:
        """Return what the same sources are to some of the leads."""
        return WallSources(self.wall, self.across[leads], self.body[leads, leads])

    def projection(self, noise: float = 0.1) -> np.ndarray:
        """Return the matrix from electrograms to potentials, (leads, nodes).

        Parameters
        ----------
        noise : float
            Variance of what the electrograms have beside these sources, as a share of the mean
            variance of an electrogram.
        """
        if not noise > 0:
            raise ValueError(f"noise is {noise}, expected a positive number")
        nodes = len(self.wall)
        noisy = self.wall + noise * np.trace(self.wall) / nodes * np.eye(nodes)
        return linalg.solve(noisy, self.across.T, assume_a="pos").T

    @cached_property
    def form(self) -> StandardForm:
        """The inverse problem of the leads, in coordinates in which the penalty is the identity."""
        return StandardForm.of(self._axes[0] * np.sqrt(self._axes[1]))

    def electrograms(self, bspm_mv: np.ndarray, rule: str = "gcv") -> np.ndarray:
        """Reconstruct electrograms from potentials, (nodes, times).

        Parameters
        ----------
        bspm_mv : ndarray, shape (leads, times)
            Potentials in mV.
        rule : {"l-curve", "gcv"}
            Choice of lambda, one for the whole recording.
        """
        bspm = np.asarray(bspm_mv, float)
        if bspm.ndim != 2 or len(bspm) != len(self.body):
            raise ValueError(f"bspm_mv has shape {bspm.shape}, expected ({len(self.body)}, times)")
        sources = self.form.solve(bspm, self.form.choose(bspm, rule))
        vectors, values = self._axes
        return (self.across.T @ (vectors / np.sqrt(values))) @ sources

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = linalg.eigh(self.body)
        seen = values > LEAST * values[-1]
        return vectors[:, seen], values[seen]


def _kriged(positions_mm: np.ndarray, fields: np.ndarray) -> np.ndarray:
    at = np.asarray(positions_mm, float)
    parts = (spatial.distance.cdist(at[i : i + ROWS], at) for i in range(0, len(at), ROWS))
    # what rounding has left of constants would weigh as much as the signal
    fields = fields - fields.mean(axis=0)
    return np.concatenate([-(part @ fields) for part in parts])
