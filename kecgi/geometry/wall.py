"""Where a voxel lies in the walls of two ventricles: depth, height and angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, spatial

from kecgi.geometry.heart import Heart
from kecgi.geometry.parametric import LEFT, RIGHT


@dataclass(frozen=True, eq=False)
class WallPosition:
    """Positions of tissue voxels in the walls; arrays of shape (n,), as ``heart.voxels_mm``.

    Attributes
    ----------
    depth : ndarray
        0 at the endocardium, 1 at the epicardium. Both sides of the septum are endocardium, its
        middle has 0.5.
    height : ndarray
        0 at the apex, 1 at the base.
    angle_deg : ndarray
        Around the left ventricle's long axis: 0 towards the right ventricle, 90 along the third
        axis, which points down and back in the normal pose (so -90 is the anterior wall).
    endocardium_mm : ndarray
        Distance to the nearer cavity.
    left : ndarray of bool
        Voxels of the left ventricle, septum included.
    faces_left : ndarray of bool
        Voxels that are nearer to the left cavity than to the right one.
    """

    depth: np.ndarray
    height: np.ndarray
    angle_deg: np.ndarray
    endocardium_mm: np.ndarray
    left: np.ndarray
    faces_left: np.ndarray


def wall_position(heart: Heart, axes: np.ndarray) -> WallPosition:
    """Find where the voxels of a biventricular heart lie in its walls.

    Parameters
    ----------
    heart : Heart
        With labels `LEFT` and `RIGHT`; open at the base.
    axes : ndarray, shape (3, 3)
        Unit vectors as rows: towards the right ventricle, third, base to apex
        (`BiventricularShape.axes`).

    Raises
    ------
    ValueError
        Where the heart has no labels of two ventricles, or no two cavities are found.
    """
    labels = None if heart.labels is None else heart.labels[heart.mask]
    if labels is None or not {LEFT, RIGHT} <= set(np.unique(labels)):
        raise ValueError(f"{heart.name} needs labels of the left ({LEFT}) and right ({RIGHT}) wall")
    box = tuple(slice(a - 1, b + 2) for a, b in _extent(np.pad(heart.mask, 1)))
    tissue = np.pad(heart.mask, 1)[box]
    spaces = _cavities(tissue, heart.name)
    half = 0.5 * min(heart.spacing_mm)  # from a voxel's centre to the surface beside it
    to_first, to_second, to_outside = (
        ndimage.distance_transform_edt(~space, heart.spacing_mm)[tissue] - half
        for space in (*spaces, ~(tissue | spaces[0] | spaces[1]))
    )
    inner = np.minimum(to_first, to_second)
    # across the wall lies the outside, or in the septum the other cavity
    outer = np.minimum(to_outside, np.maximum(to_first, to_second))
    left = labels == LEFT
    # the right cavity is lined by both ventricles, since the septum belongs to the left one
    nearer = to_first < to_second
    faces_left = nearer if left[nearer].mean() > left[~nearer].mean() else ~nearer
    at = heart.voxels_mm @ np.asarray(axes).T
    centre = at[left].mean(axis=0)
    apex, base = at[:, 2].max(), at[:, 2].min()
    return WallPosition(
        depth=inner / (inner + outer),
        height=(apex - at[:, 2]) / (apex - base),
        angle_deg=np.degrees(np.arctan2(at[:, 1] - centre[1], at[:, 0] - centre[0])),
        endocardium_mm=inner,
        left=left,
        faces_left=faces_left,
    )


def _extent(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of what a mask holds along each axis."""
    return [(s.start, s.stop - 1) for s in ndimage.find_objects(mask.astype(np.uint8))[0]]


def _cavities(tissue: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the two largest spaces within the convex hull of the tissue."""
    corners = np.argwhere(tissue & ~ndimage.binary_erosion(tissue))
    # a facet of many voxels comes as several triangles of one plane
    hull = np.unique(spatial.ConvexHull(corners).equations.round(6), axis=0).astype(np.float32)
    empty = np.argwhere(~tissue)
    within = np.all(empty.astype(np.float32) @ hull[:, :3].T <= 1e-4 - hull[:, 3], axis=1)
    space = np.zeros_like(tissue)
    space[tuple(empty[within].T)] = True
    # the opening cuts the thin rims that join a cavity to the grooves between the ventricles
    parts, count = ndimage.label(ndimage.binary_opening(space))
    if count < 2:
        raise ValueError(f"{name} has {count} cavities within its hull, expected 2")
    largest = np.argsort(np.bincount(parts.ravel())[1:])[::-1][:2] + 1
    first, second = (ndimage.binary_dilation(parts == part) & space for part in largest)
    return first, second
