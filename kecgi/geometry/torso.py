"""A closed torso through electrodes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from kecgi.geometry.electrodes import Electrodes
from kecgi.geometry.surfaces import TriangleSurface, quartered


def torso_through(electrodes: Electrodes, beyond_mm: float = 80.0) -> TriangleSurface:
    """Return a closed torso whose first nodes are the electrodes.

    Neighbours are joined as they are seen from the electrodes' middle, and each triangle is cut
    into four. Beyond the highest and the lowest electrodes it narrows to two thirds, as to neck and
    waist.

    Parameters
    ----------
    electrodes : Electrodes
        All around the torso, such as `kecgi.geometry.vest`.
    beyond_mm : float
        How far it reaches beyond them.

    Raises
    ------
    ValueError
        Where electrodes lie in one plane, or behind each other as seen from their middle.
    """
    on = electrodes.positions_mm
    middle, low, high = on.mean(axis=0), on[:, 2].min(), on[:, 2].max()
    ends = []
    for height, sign in ((low, -1), (high, 1)):
        end = on[np.isclose(on[:, 2], height)].copy()
        end[:, :2] = middle[:2] + (end[:, :2] - middle[:2]) * 2 / 3
        end[:, 2] += sign * beyond_mm
        ends.append(end)
    points = np.concatenate([on, *ends])
    # neighbours on the torso are neighbours on a sphere around its middle
    extent = np.ptp(points, axis=0)
    if not np.all(extent > 0):
        raise ValueError(f"{len(on)} electrodes lie in a plane; expected some all around the torso")
    seen = (points - middle) / extent
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    triangles = ConvexHull(seen).simplices.astype(np.int64)
    a, b, c = np.moveaxis(seen[triangles], 1, 0)
    inwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    triangles[inwards] = triangles[inwards, ::-1]
    return TriangleSurface(*quartered(points, triangles), "torso")


def require_on(torso: TriangleSurface, electrodes: Electrodes) -> None:
    """Raise a ValueError unless a torso's first nodes are the electrodes."""
    first = torso.points_mm[: len(electrodes)]
    if len(first) < len(electrodes) or not np.allclose(first, electrodes.positions_mm, atol=1e-6):
        raise ValueError("electrodes are not the first nodes of the torso; see torso_through")
