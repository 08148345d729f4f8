"""Walls from surfaces that have no thickness, such as the open meshes of atrial mapping systems."""

from __future__ import annotations

import numpy as np
from scipy import spatial

from kecgi.geometry.heart import Heart, keep_largest

PER_STEP = 4
"""Sample points on the surface in one grid step, along each edge of a triangle."""

MARGIN = 3
"""Empty voxels left around the wall."""


def surface_wall(
    points_mm: np.ndarray, triangles: np.ndarray, wall_mm: float, spacing_mm: float
) -> Heart:
    """Thicken a surface to a wall on a grid: all that is within half the thickness.

    The surface may be open: veins and valves stay holes, with rounded rims. Closed surfaces of a
    wall's both sides are read by `kecgi.geometry.load_heart` instead. To simulate in the wall with
    the recipes, save it: ``np.savez(path, mask=wall.mask, spacing=wall.spacing_mm)`` and pass the
    path as ``--geometry``.

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
        Vertices, in the middle of the wall.
    triangles : ndarray of int, shape (m, 3)
        Triangles.
    wall_mm : float
        Thickness of the wall.
    spacing_mm : float
        Grid step, at most the thickness.

    Returns
    -------
    Heart
        With the tissue fraction of each voxel; pieces beside the largest are dropped.

    Raises
    ------
    ValueError
        Where there is no triangle, one refers to an absent vertex, or the grid is too coarse.
    """
    points, triangles = np.asarray(points_mm, float), np.asarray(triangles)
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles):
        raise ValueError(f"triangles have shape {triangles.shape}, expected (m, 3) with m above 0")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise ValueError(
            f"triangles refer to vertices {triangles.min()} … {triangles.max()}, but there are "
            f"{len(points)}"
        )
    if not 0 < spacing_mm <= wall_mm:
        raise ValueError(
            f"spacing_mm is {spacing_mm}, expected more than 0 and at most the wall's thickness, "
            f"{wall_mm} mm"
        )
    samples = _sampled(points[triangles], spacing_mm / PER_STEP)
    origin = samples.min(axis=0) - wall_mm / 2 - MARGIN * spacing_mm
    shape = np.ceil((samples.max(axis=0) - origin + wall_mm / 2) / spacing_mm).astype(int) + MARGIN
    grid = origin + spacing_mm * np.indices(shape).reshape(3, -1).T
    reach = wall_mm / 2 + spacing_mm
    away, _ = spatial.KDTree(samples).query(grid, distance_upper_bound=reach)
    fraction = (0.5 + (wall_mm / 2 - away) / spacing_mm).clip(0, 1).reshape(shape)
    mask = keep_largest(fraction >= 0.5)
    return Heart(
        mask, spacing_mm, tuple(origin), fraction.astype(np.float32), name="wall of a surface"
    )


def _sampled(corners: np.ndarray, step_mm: float) -> np.ndarray:
    """Points all over triangles, (m, 3, 3), no further apart than a step along their edges."""
    edges = corners - np.roll(corners, 1, axis=1)
    parts = np.ceil(np.linalg.norm(edges, axis=2).max(axis=1) / step_mm).astype(int).clip(1)
    found = []
    for n in np.unique(parts):
        i, j = np.nonzero(np.add.outer(np.arange(n + 1), np.arange(n + 1)) <= n)
        weights = np.stack([i, j, n - i - j], axis=1) / n
        found.append(np.einsum("wc,tcx->twx", weights, corners[parts == n]).reshape(-1, 3))
    return np.concatenate(found)
