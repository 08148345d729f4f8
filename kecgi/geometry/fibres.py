"""Rule-based fibres of ventricles: helix angles along Laplace–Dirichlet coordinates.

Laplace's equation is solved in the tissue for the depth in the wall (0 at the endocardium, 1 at the
epicardium) and for the way from apex to base. Their gradients give each place its own axes; the
fibre lies in the plane of the wall and turns with depth from a right-handed helix inside to a
left-handed one outside [1]_ [2]_. The septum belongs to the left ventricle, its right side is
treated like an epicardium, as in [2]_.

References
----------
.. [1] Streeter et al. 1969, doi 10.1161/01.RES.24.3.339.
.. [2] Bayer et al. 2012, A novel rule-based algorithm for assigning myocardial fiber orientation to
   computational heart models, doi 10.1007/s10439-012-0593-5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

from kecgi.geometry.chambers import BASE, OUTSIDE, Chambers, find_chambers
from kecgi.geometry.heart import Heart
from kecgi.geometry.parametric import LEFT, RIGHT

APEX_MM = 5.0
"""Height of the region around the apex from which the way to the base counts."""


@dataclass(frozen=True, eq=False)
class WallAxes:
    """Coordinates and axes at each tissue voxel, in the order of ``heart.voxels_mm``.

    Attributes
    ----------
    depth : ndarray, shape (n,)
        0 at the endocardium, 1 at the epicardium (for the septum, at its right side).
    height : ndarray, shape (n,)
        0 at the apex, 1 at the base; a potential, not a distance.
    ventricle : ndarray of int8, shape (n,)
        `LEFT` (with the septum) or `RIGHT`.
    outward, around, upward : ndarray, shape (n, 3)
        Unit vectors through the wall, around the ventricle and towards the base, orthogonal.
    from_cavity_mm : ndarray, shape (n,)
        Distance from the nearest cavity.
    """

    depth: np.ndarray
    height: np.ndarray
    ventricle: np.ndarray
    outward: np.ndarray
    around: np.ndarray
    upward: np.ndarray
    from_cavity_mm: np.ndarray

    def fibres(self, endocardium_deg: float = 60.0, epicardium_deg: float = -60.0) -> np.ndarray:
        """Fibre directions, unit vectors of shape (n, 3).

        Parameters
        ----------
        endocardium_deg, epicardium_deg : float
            Helix angle at both sides of the wall, linear in depth between; 0 is around the
            ventricle, positive climbs to the base anticlockwise as seen from the base.
        """
        for name, value in (
            ("endocardium_deg", endocardium_deg),
            ("epicardium_deg", epicardium_deg),
        ):
            if not -90 <= value <= 90:
                raise ValueError(f"{name} is {value}, expected an angle from -90 to 90 degrees")
        angle = np.radians(endocardium_deg + (epicardium_deg - endocardium_deg) * self.depth)
        return np.cos(angle)[:, None] * self.around + np.sin(angle)[:, None] * self.upward


def rule_based(heart: Heart, endocardium_deg: float = 60.0, epicardium_deg: float = -60.0) -> Heart:
    """Return a heart with rule-based fibres.

    Parameters
    ----------
    heart : Heart
        One or two ventricles, open at the base.
    endocardium_deg, epicardium_deg : float
        Helix angles, see `WallAxes.fibres`.

    Raises
    ------
    ValueError
        Where no ventricles are found (`find_chambers`), or an angle is out of range.
    """
    fibres = np.zeros((*heart.mask.shape, 3), np.float32)
    fibres[heart.mask] = wall_axes(heart).fibres(endocardium_deg, epicardium_deg)
    return replace(heart, fibres=fibres)


def wall_axes(heart: Heart, chambers: Chambers | None = None) -> WallAxes:
    """Depth, height and axes in the wall of ventricles.

    Parameters
    ----------
    heart : Heart
        One or two ventricles, open at the base.
    chambers : Chambers, optional
        Where they are at hand; found otherwise.

    Raises
    ------
    ValueError
        Where no ventricles are found.
    """
    chambers = chambers or find_chambers(heart)
    beside, mask = chambers.beside, heart.mask
    away = {
        kind: ndimage.distance_transform_edt(beside != kind, heart.spacing_mm)[mask]
        if np.any(beside == kind)
        else np.full(np.count_nonzero(mask), np.inf)
        for kind in (LEFT, RIGHT, OUTSIDE)
    }
    # a wall lies between the two nearest of the three surfaces
    right = (away[LEFT] > away[RIGHT]) & (away[LEFT] > away[OUTSIDE])
    wall = _Wall.of(heart, beside)
    left_depth = wall.solve({LEFT: 0.0, RIGHT: 1.0, OUTSIDE: 1.0})
    depth, outward = left_depth, wall.gradient(left_depth, {LEFT: 0.0, RIGHT: 1.0, OUTSIDE: 1.0})
    if right.any():
        values = {RIGHT: 0.0, LEFT: 1.0, OUTSIDE: 1.0}
        right_depth = wall.solve(values)
        depth = np.where(right, right_depth, depth)
        outward = np.where(right[:, None], wall.gradient(right_depth, values), outward)
    height = _height(heart, chambers, wall)
    upward = wall.gradient(height, {BASE: 1.0})
    outward, upward = _smooth(outward, mask), _smooth(upward, mask)
    outward = _unit(outward, chambers.to_base)
    upward = _unit(upward, chambers.to_base)
    around = _unit(np.cross(upward, outward), np.cross(chambers.to_base, [0.3, 0.5, 0.8]))
    return WallAxes(
        depth.clip(0, 1),
        height,
        np.where(right, RIGHT, LEFT).astype(np.int8),
        outward,
        around,
        np.cross(outward, around),
        np.minimum(away[LEFT], away[RIGHT]),
    )


def _height(heart: Heart, chambers: Chambers, wall: _Wall) -> np.ndarray:
    """Solution of Laplace's equation from 0 in the region of the apex to 1 at the base."""
    along = heart.voxels_mm @ chambers.to_base
    return wall.solve({BASE: 1.0}, fixed=along < along.min() + APEX_MM)


def _unit(vectors: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    fallback = otherwise / np.linalg.norm(otherwise)
    return np.where(length > 1e-12, vectors / np.maximum(length, 1e-12), fallback)


def _smooth(vectors: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of unit vectors over neighbours in the tissue: the mask's staircase makes them rough."""
    grid = np.zeros((*mask.shape, 3))
    grid[mask] = _unit(vectors, np.ones(3))
    return np.stack([ndimage.gaussian_filter(g, 1.0)[mask] for g in np.moveaxis(grid, -1, 0)], 1)


@dataclass(frozen=True, eq=False)
class _Wall:
    """Finite volumes of the tissue voxels: neighbours, and what each side faces elsewhere."""

    neighbour: np.ndarray  # (n, 3, 2): index, n where there is no tissue
    facing: np.ndarray  # (n, 3, 2): kind of what lies there, -1 tissue
    spacing: np.ndarray

    @classmethod
    def of(cls, heart: Heart, beside: np.ndarray) -> _Wall:
        mask = np.pad(heart.mask, 1)
        kinds = np.pad(beside, 1, constant_values=OUTSIDE)
        n = int(np.count_nonzero(mask))
        index = np.full(mask.shape, n)
        index[mask] = np.arange(n)
        cells = np.argwhere(mask)
        neighbour, facing = np.empty((n, 3, 2), int), np.empty((n, 3, 2), int)
        for axis in range(3):
            for side, step in enumerate((-1, 1)):
                at = cells.copy()
                at[:, axis] += step
                neighbour[:, axis, side] = index[tuple(at.T)]
                facing[:, axis, side] = kinds[tuple(at.T)]
        return cls(neighbour, facing, np.array(heart.spacing_mm))

    def solve(self, values: dict[int, float], fixed: np.ndarray | None = None) -> np.ndarray:
        """Solve Laplace's equation with values at sides of some kinds and no flux through others.

        Voxels in `fixed` have the value 0.
        """
        n = len(self.neighbour)
        weight = np.broadcast_to(1 / self.spacing[:, None] ** 2, self.neighbour.shape)
        tissue = self.neighbour < n
        rows = np.broadcast_to(np.arange(n)[:, None, None], tissue.shape)[tissue]
        diagonal = np.where(tissue, weight, 0).sum(axis=(1, 2))
        given = np.zeros(n)
        for kind, value in values.items():
            at = self.facing == kind
            diagonal += np.where(at, 2 * weight, 0).sum(axis=(1, 2))  # half a step away
            given += np.where(at, 2 * weight * value, 0).sum(axis=(1, 2))
        if fixed is not None:
            diagonal += np.where(fixed, 1e6 * weight[:, 0, 0], 0)
        entries = (weight[tissue], (rows, self.neighbour[tissue]))
        matrix = sparse.diags(diagonal) - sparse.csr_matrix(entries, shape=(n, n))
        scale = sparse.diags(1 / diagonal)
        solution, failed = linalg.cg(matrix.tocsr(), given, rtol=1e-8, maxiter=20 * n, M=scale)
        if failed:
            raise ValueError("Laplace's equation in the wall has no solution; is the mask sound?")
        return solution

    def gradient(self, solution: np.ndarray, values: dict[int, float]) -> np.ndarray:
        """Gradient at the voxels, shape (n, 3): the mean of those at both sides."""
        padded = np.append(solution, 0.0)
        other, distance = padded[self.neighbour], np.ones(self.neighbour.shape)
        here = np.broadcast_to(solution[:, None, None], other.shape)
        other = np.where(self.facing >= 0, here, other)
        for kind, value in values.items():
            at = self.facing == kind
            other, distance = np.where(at, value, other), np.where(at, 0.5, distance)
        slope = (other - here) / distance * np.array([-1, 1])
        return slope.mean(axis=2) / self.spacing
