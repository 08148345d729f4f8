"""Points that stand for a heart."""

from __future__ import annotations

import numba
import numpy as np


def spread_points(positions_mm: np.ndarray, count: int) -> np.ndarray:
    """Choose points spread evenly: each the farthest from those before it.

    Any prefix of the result is spread evenly as well. The first is the one farthest from the
    centroid, so the choice depends on the positions alone.

    Parameters
    ----------
    positions_mm : ndarray, shape (n, ndim)
        Candidates, for example `Heart.voxels_mm`.
    count : int
        How many to choose.

    Returns
    -------
    ndarray of int, shape (count,)
        Indices of the chosen.

    Raises
    ------
    ValueError
        Where there are fewer candidates than are wanted.

    References
    ----------
    Gonzalez 1985, Clustering to minimize the maximum intercluster distance,
    doi 10.1016/0304-3975(85)90224-5.
    """
    positions = np.ascontiguousarray(positions_mm, float)
    if not 1 <= count <= len(positions):
        raise ValueError(f"count is {count}, expected 1 to {len(positions)}, the number of points")
    return _farthest_first(positions, count)


@numba.njit(cache=True)
def _farthest_first(positions, count):
    n, ndim = positions.shape
    centroid = np.zeros(ndim)
    for i in range(n):
        centroid += positions[i] / n
    chosen = np.empty(count, np.int64)
    squared = np.empty(n)
    for i in range(n):
        squared[i] = np.sum((positions[i] - centroid) ** 2)
    current = int(np.argmax(squared))
    squared[:] = np.inf
    for k in range(count):
        chosen[k] = current
        best, farthest = -1.0, 0
        for i in range(n):
            away = 0.0
            for a in range(ndim):
                away += (positions[i, a] - positions[current, a]) ** 2
            squared[i] = min(squared[i], away)
            if squared[i] > best:
                best, farthest = squared[i], i
        current = farthest
    return chosen
