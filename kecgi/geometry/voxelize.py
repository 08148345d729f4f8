"""From closed surfaces and tetrahedra to the share of each voxel that lies inside.

Both work on a grid of sample points, `SAMPLES` along each edge of a voxel, in units of the sample
step, so that sample (i, j, k) is at the point (i, j, k).
"""

from __future__ import annotations

import numba
import numpy as np

SAMPLES = 3
"""Sample points along each edge of a voxel; odd, so that one of them is the voxel's centre."""

MARGIN = 3
"""Empty voxels left around the tissue."""

MOST_VOXELS = 20_000_000


def grid_around(
    low: np.ndarray, high: np.ndarray, step_mm: np.ndarray
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Origin (mm) and shape of the grid that holds a box with `MARGIN` voxels on each side.

    Raises
    ------
    ValueError
        Where the step is so small that the grid would not fit in memory.
    """
    shape = np.ceil((high - low) / step_mm + 2 * MARGIN).astype(int)
    if np.prod(shape.astype(float)) > MOST_VOXELS:
        raise ValueError(
            f"a step of {step_mm.tolist()} mm makes a grid of {shape.tolist()} voxels, at most "
            f"{MOST_VOXELS:,} are filled; choose a larger spacing_mm"
        )
    return low - MARGIN * step_mm, tuple(int(n) for n in shape)


def fill_surface(
    points_mm: np.ndarray,
    triangles: np.ndarray,
    origin_mm: np.ndarray,
    step_mm: np.ndarray,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Share of each voxel inside a closed surface, by the parity of crossings along x.

    Nested sheets are subtracted: between an epicardium and an endocardium lies the wall.
    Crossings follow a half-open rule on shared edges, so no ray leaks through an edge or a vertex.

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
    triangles : ndarray of int, shape (m, 3)
        Every edge belongs to an even number of triangles; their orientation does not matter.
    origin_mm, step_mm, shape
        The grid; `origin_mm` is the centre of voxel (0, 0, 0).

    Returns
    -------
    ndarray of float32
    """
    flips = np.zeros([SAMPLES * n for n in shape], bool)
    _mark_crossings(_in_samples(points_mm, origin_mm, step_mm), triangles.astype(np.int64), flips)
    return _share(np.logical_xor.accumulate(flips, axis=0, out=flips))


def fill_tetrahedra(
    points_mm: np.ndarray,
    tetrahedra: np.ndarray,
    origin_mm: np.ndarray,
    step_mm: np.ndarray,
    shape: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Share of each voxel inside tetrahedra, and the one that holds the voxel's centre.

    Returns
    -------
    share : ndarray of float32
    owner : ndarray of int32
        Index of the tetrahedron at the voxel's centre, -1 where there is none.
    """
    inside = np.zeros([SAMPLES * n for n in shape], bool)
    owner = np.full(shape, -1, np.int32)
    # a nudge puts faces that lie on samples on one side of them: the low face in, the high out
    points = _in_samples(points_mm, origin_mm, step_mm) - 1e-5
    _mark_tetrahedra(points, tetrahedra.astype(np.int64), inside, owner)
    return _share(inside), owner


def _in_samples(points_mm: np.ndarray, origin_mm: np.ndarray, step_mm: np.ndarray) -> np.ndarray:
    return (points_mm - origin_mm) / step_mm * SAMPLES + (SAMPLES - 1) / 2


def _share(inside: np.ndarray) -> np.ndarray:
    nx, ny, nz = (n // SAMPLES for n in inside.shape)
    blocks = inside.reshape(nx, SAMPLES, ny, SAMPLES, nz, SAMPLES)
    return blocks.sum(axis=(1, 3, 5), dtype=np.uint8) / np.float32(SAMPLES**3)


@numba.njit(cache=True)
def _edge_at(p, q, z):
    """X and y where an edge meets a plane of constant z, the same number from either side."""
    if p[2] > q[2]:
        p, q = q, p
    part = (z - p[2]) / (q[2] - p[2])
    return p[0] + part * (q[0] - p[0]), p[1] + part * (q[1] - p[1])


@numba.njit(cache=True)
def _mark_crossings(points, triangles, flips):
    """Flip, in each column along x, the first sample behind each triangle."""
    nx, ny, nz = flips.shape
    for t in range(len(triangles)):
        corners = points[triangles[t]]
        first = max(int(np.ceil(corners[:, 2].min())), 0)
        last = min(int(np.floor(corners[:, 2].max())), nz - 1)
        for k in range(first, last + 1):
            # half-open in z: none or exactly two edges cross the plane
            crossed = 0
            xa = ya = xb = yb = 0.0
            for e in range(3):
                p, q = corners[e], corners[(e + 1) % 3]
                if (p[2] <= k) != (q[2] <= k):
                    x, y = _edge_at(p, q, float(k))
                    if crossed == 0:
                        xa, ya = x, y
                    else:
                        xb, yb = x, y
                    crossed += 1
            if crossed != 2:
                continue
            if ya > yb:
                xa, ya, xb, yb = xb, yb, xa, ya
            j = max(int(np.ceil(ya)), 0)
            while j < yb and j < ny:  # half-open in y
                x = xa + (xb - xa) * (j - ya) / (yb - ya)
                i = max(int(np.ceil(x)), 0)
                if i < nx:
                    flips[i, j, k] = not flips[i, j, k]
                j += 1


@numba.njit(cache=True)
def _mark_tetrahedra(points, tetrahedra, inside, owner):
    """Mark the samples whose four barycentric coordinates are not negative."""
    half = SAMPLES // 2
    for t in range(len(tetrahedra)):
        corners = points[tetrahedra[t]]
        d = corners[3]
        u, v, w = corners[0] - d, corners[1] - d, corners[2] - d
        vw, wu, uv = np.cross(v, w), np.cross(w, u), np.cross(u, v)
        volume = np.dot(u, vw)
        if volume == 0.0:
            continue
        low = np.empty(3, np.int64)
        high = np.empty(3, np.int64)
        for a in range(3):
            low[a] = max(int(np.ceil(corners[:, a].min() - 1e-6)), 0)
            high[a] = min(int(np.floor(corners[:, a].max() + 1e-6)), inside.shape[a] - 1)
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for k in range(low[2], high[2] + 1):
                    x, y, z = i - d[0], j - d[1], k - d[2]
                    a = (x * vw[0] + y * vw[1] + z * vw[2]) / volume
                    b = (x * wu[0] + y * wu[1] + z * wu[2]) / volume
                    c = (x * uv[0] + y * uv[1] + z * uv[2]) / volume
                    # a hair of overlap, so that no sample on a shared face is lost
                    if min(a, b, c, 1.0 - a - b - c) >= -1e-9:
                        inside[i, j, k] = True
                        if i % SAMPLES == half and j % SAMPLES == half and k % SAMPLES == half:
                            owner[i // SAMPLES, j // SAMPLES, k // SAMPLES] = t
