"""Atria for a parametric heart: two thin-walled chambers on the base of the ventricles."""

from __future__ import annotations

import numpy as np

from kecgi.geometry.heart import Heart, keep_largest
from kecgi.geometry.parametric import LEFT, RIGHT

WALL_MM = 1.5
"""Thickness of an atrial wall."""

GAP_MM = 6.0
"""Valve plane and fat between atrial and ventricular tissue; it doesn't conduct."""


def atria(
    ventricles: Heart,
    axes: np.ndarray,
    *,
    left_radius_mm: float = 20.0,
    right_radius_mm: float = 22.0,
    spacing_mm: float = 3.0,
) -> Heart:
    """Build atria on the base of a biventricular heart, with labels `LEFT` and `RIGHT`.

    Each atrium is a spherical shell; where they overlap they share a septum. The shells are one
    voxel thick at least; the tissue fraction makes up for a wall thinner than a voxel.

    Parameters
    ----------
    ventricles : Heart
        The heart below them, with labels `LEFT` and `RIGHT`.
    axes : ndarray, shape (3, 3)
        Unit vectors as rows: towards the right ventricle, third, base to apex
        (`BiventricularShape.axes`).
    left_radius_mm, right_radius_mm : float
        Outer radii.
    spacing_mm : float
        Grid step.

    Returns
    -------
    Heart
        In the torso frame of the ventricles, on a grid of its own.

    Raises
    ------
    ValueError
        Where a radius leaves no cavity.
    """
    for name, radius in (("left", left_radius_mm), ("right", right_radius_mm)):
        if not radius > 2 * spacing_mm:
            raise ValueError(
                f"{name}_radius_mm is {radius}, expected more than two steps of {spacing_mm} mm"
            )
    axes = np.asarray(axes)
    at = ventricles.voxels_mm @ axes.T
    left = ventricles.labels[ventricles.mask] == LEFT
    across, third = at[left, 0].mean(), at[left, 1].mean()
    base = at[:, 2].min() - GAP_MM
    apart = 0.85 * (left_radius_mm + right_radius_mm)
    centres = np.array(
        [
            [across, third, base - left_radius_mm],
            [across + apart, third, base - right_radius_mm],
        ]
    )
    centres = centres @ axes
    radii = np.array([left_radius_mm, right_radius_mm])
    low = np.min(centres - radii[:, None], axis=0) - 2 * spacing_mm
    high = np.max(centres + radii[:, None], axis=0) + 2 * spacing_mm
    counts = np.ceil((high - low) / spacing_mm).astype(int) + 1
    along = [low[a] + spacing_mm * np.arange(counts[a]) for a in range(3)]
    grid = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1)
    # distance below the outer surface of each atrium, negative outside
    depth = radii - np.linalg.norm(grid[..., None, :] - centres, axis=-1)
    # a shell of faces joined: thicker than the diagonal of a voxel's face
    wall = (depth >= 0) & (depth < 1.5 * spacing_mm)
    mask = keep_largest(wall.any(axis=-1))
    labels = np.where(wall[..., 1] & ~(wall[..., 0]), RIGHT, LEFT) * mask
    fraction = np.where(mask, WALL_MM / (1.5 * spacing_mm), 0.0).clip(0, 1)
    return Heart(mask, spacing_mm, tuple(low), fraction, labels, name="atria")
