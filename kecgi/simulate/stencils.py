"""Grid offsets that suit a tensor: Selling's decomposition, and what of them lies in the tissue.

A positive tensor M is a sum of at most six squares along whole offsets, ``M = sum w (h e) (h e)ᵀ``
with w >= 0: Selling's formula for an obtuse superbase of the grid, a form of Voronoi's first
reduction of quadratic forms [1]_. The stronger the anisotropy, the farther the offsets reach.

References
----------
.. [1] Mirebeau 2019, doi 10.1137/17M1127466; Selling 1874; Conway and Sloane 1992,
   doi 10.1098/rspa.1992.0004.
"""

from __future__ import annotations

import itertools

import numba
import numpy as np

BOX = (17, 17, 17)
"""Room for the voxels between the ends of the longest offset."""

SLOTS = 32
"""More than a voxel has neighbours."""


@numba.njit(cache=True, nogil=True)
def invert(tensors):
    """Inverses (0 for 0), and ratios of the largest to the smallest speed, inf for no metric.

    Eigenvalues by the trigonometric form of Cardano's; 2-D tensors get a third axis of their own.
    """
    n, ndim, _ = tensors.shape
    inverse, ratio = np.zeros_like(tensors), np.ones(n)
    m = np.zeros((3, 3))
    for i in range(n):
        mean, skew = 0.0, 0.0
        for a in range(ndim):
            mean += tensors[i, a, a] / ndim
            for b in range(ndim):
                m[a, b] = tensors[i, a, b]
                skew += abs(tensors[i, a, b] - tensors[i, b, a])
        if mean == 0.0 and not tensors[i].any():
            continue
        if ndim == 2:
            m[2, 2] = mean
        ratio[i] = np.inf
        if not (0 < mean < np.inf and skew < 1e-9 * mean):
            continue
        c00 = m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]
        c01 = m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2]
        c02 = m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]
        c11 = m[0, 0] * m[2, 2] - m[0, 2] * m[2, 0]
        c12 = m[0, 1] * m[2, 0] - m[0, 0] * m[2, 1]
        c22 = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
        determinant = m[0, 0] * c00 + m[0, 1] * c01 + m[0, 2] * c02
        if not (m[0, 0] > 0 and c22 > 0 and determinant > 0):
            continue
        if ndim == 2:
            inverse[i, 0, 0], inverse[i, 1, 1] = m[1, 1] / c22, m[0, 0] / c22
            inverse[i, 0, 1] = inverse[i, 1, 0] = -m[0, 1] / c22
        else:
            inverse[i, 0, 0] = c00 / determinant
            inverse[i, 1, 1] = c11 / determinant
            inverse[i, 2, 2] = c22 / determinant
            inverse[i, 0, 1] = inverse[i, 1, 0] = c01 / determinant
            inverse[i, 0, 2] = inverse[i, 2, 0] = c02 / determinant
            inverse[i, 1, 2] = inverse[i, 2, 1] = c12 / determinant
        third = (m[0, 0] + m[1, 1] + m[2, 2]) / 3
        spread = 0.0
        for a in range(3):
            m[a, a] -= third
            for b in range(3):
                spread += m[a, b] * m[a, b] / 6
        spread = np.sqrt(spread)
        if spread < 1e-12 * third:
            ratio[i] = 1.0
            continue
        half = m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] ** 2)
        half -= m[0, 1] * (m[0, 1] * m[2, 2] - m[1, 2] * m[0, 2])
        half += m[0, 2] * (m[0, 1] * m[1, 2] - m[1, 1] * m[0, 2])
        angle = np.arccos(min(max(half / (2 * spread**3), -1.0), 1.0)) / 3
        largest = third + 2 * spread * np.cos(angle)
        smallest = third + 2 * spread * np.cos(angle + 2 * np.pi / 3)
        if smallest > 0:
            ratio[i] = np.sqrt(largest / smallest)
    return inverse, ratio


@numba.njit(cache=True, nogil=True)
def decompose(tensors, spacing):
    """Offsets and weights with ``M = sum w (h e) (h e)ᵀ``, largest weights first.

    Selling's algorithm: a superbase of the grid (four vectors that sum to 0) is changed until no
    two of its vectors have an acute angle in the tensor's sense.
    """
    n, ndim, _ = tensors.shape
    weights = np.zeros((n, 6))
    offsets = np.zeros((n, 6, 3), np.int8)
    base = np.empty((4, 3), np.int64)
    d = np.empty((3, 3))
    product = np.empty((4, 4))
    found = np.empty((6, 3), np.int64)
    for i in range(n):
        if tensors[i, 0, 0] == 0.0:
            continue
        d[:] = 0.0
        largest = 0.0
        for a in range(ndim):
            for b in range(ndim):
                d[a, b] = tensors[i, a, b] / (spacing[a] * spacing[b])
            largest = max(largest, d[a, a])
        if ndim == 2:
            d[2, 2] = largest  # decoupled: its offset has no neighbours
        base[:] = 0
        for a in range(3):
            base[a, a] = 1
            base[3, a] = -1
        for _ in range(100):
            acute = False
            for p in range(4):
                for q in range(p + 1, 4):
                    product[p, q] = _form(d, base[p], base[q])
                    if product[p, q] > 1e-10 * largest and not acute:
                        acute = True
                        for r in range(4):
                            if r != p and r != q:
                                for a in range(3):
                                    base[r, a] += base[p, a]
                        for a in range(3):
                            base[p, a] = -base[p, a]
            if not acute:
                break
        count = 0
        for p in range(4):
            for q in range(p + 1, 4):
                weight = -_form(d, base[p], base[q])
                if weight <= 1e-6 * largest:
                    continue
                r = 0
                while r == p or r == q:
                    r += 1
                s = 6 - p - q - r
                place = count
                while place and weights[i, place - 1] < weight:
                    weights[i, place] = weights[i, place - 1]
                    found[place] = found[place - 1]
                    place -= 1
                weights[i, place] = weight
                for a in range(3):
                    b, c = (a + 1) % 3, (a + 2) % 3
                    found[place, a] = base[r, b] * base[s, c] - base[r, c] * base[s, b]
                count += 1
        for k in range(count):
            for a in range(3):
                offsets[i, k, a] = found[k, a]
    return weights, offsets


@numba.njit(cache=True, nogil=True)
def _form(d, u, v):
    total = 0.0
    for a in range(3):
        for b in range(3):
            total += u[a] * d[a, b] * v[b]
    return total


@numba.njit(cache=True, nogil=True)
def reach(offsets, weights, index):
    """Voxels one and two offsets away, where a way by faces leads to them inside the tissue."""
    n, count, _ = offsets.shape
    near = np.full((n, 2 * count), n, np.int32)
    far = np.full((n, 2 * count), n, np.int32)
    box = np.empty(BOX, np.bool_)
    conducting = weights[:, 0] > 0.0
    open_ = _open_ways(index, n)
    for x in range(index.shape[0]):
        for y in range(index.shape[1]):
            for z in range(index.shape[2]):
                i = index[x, y, z]
                if i == n:
                    continue
                for k in range(count):
                    if weights[i, k] == 0.0:
                        break
                    for side in range(2):
                        sign = 2 * side - 1
                        ex, ey, ez = (
                            sign * np.int64(offsets[i, k, 0]),
                            sign * np.int64(offsets[i, k, 1]),
                            sign * np.int64(offsets[i, k, 2]),
                        )
                        beside = max(abs(ex), abs(ey), abs(ez)) == 1
                        way = 9 * ex + 3 * ey + ez + 13
                        if beside:
                            j = index[x + ex, y + ey, z + ez] if open_[i] >> way & 1 else n
                        else:
                            j = joined(index, x, y, z, ex, ey, ez, n, box)
                        if j == n or not conducting[j]:
                            continue
                        near[i, 2 * k + side] = j
                        if beside:
                            further = open_[j] >> way & 1
                            j = index[x + 2 * ex, y + 2 * ey, z + 2 * ez] if further else n
                        else:
                            j = joined(index, x + ex, y + ey, z + ez, ex, ey, ez, n, box)
                        if j < n and conducting[j]:
                            far[i, 2 * k + side] = j
    return near, far


WAYS = tuple((9 * x, 3 * y, z) for x, y, z in itertools.product((-1, 0, 1), repeat=3))
"""Steps to the 26 neighbours and none, as places among them."""


@numba.njit(cache=True, nogil=True)
def _open_ways(index, n):
    """Mark, a bit each, the 26 neighbours to which a way by faces leads, as `joined` has it."""
    marks = np.zeros(n, np.int32)
    there = np.zeros(27, np.bool_)
    for x in range(index.shape[0]):
        for y in range(index.shape[1]):
            for z in range(index.shape[2]):
                i = index[x, y, z]
                if i == n:
                    continue
                for dx in range(-1, 2):
                    for dy in range(-1, 2):
                        for dz in range(-1, 2):
                            tx, ty, tz = x + dx, y + dy, z + dz
                            inside = 0 <= tx < index.shape[0] and 0 <= ty < index.shape[1]
                            inside = inside and 0 <= tz < index.shape[2]
                            way = 9 * dx + 3 * dy + dz + 13
                            there[way] = inside and index[tx, ty, tz] < n
                for way in range(27):
                    if not there[way]:
                        continue
                    ex, ey, ez = WAYS[way]
                    # the voxels after one step, and after two
                    a, b, c = there[13 + ex], there[13 + ey], there[13 + ez]
                    if ex and ey and ez:
                        ab, bc, ca = there[13 + ex + ey], there[13 + ey + ez], there[13 + ez + ex]
                        way_there = (a and (ab or ca)) or (b and (ab or bc)) or (c and (bc or ca))
                    elif (ex != 0) + (ey != 0) + (ez != 0) == 2:
                        way_there = (ex != 0 and a) or (ey != 0 and b) or (ez != 0 and c)
                    else:
                        way_there = True
                    if way_there:
                        marks[i] |= 1 << way
    return marks


@numba.njit(cache=True, nogil=True, inline="always")
def joined(index, x, y, z, ex, ey, ez, n, box):
    """Voxel at an offset, n where no way by faces leads there through the voxels between."""
    tx, ty, tz = x + ex, y + ey, z + ez
    if not (0 <= tx < index.shape[0] and 0 <= ty < index.shape[1] and 0 <= tz < index.shape[2]):
        return n
    target = index[tx, ty, tz]
    steps = abs(ex) + abs(ey) + abs(ez)
    if target == n or steps == 1:
        return target
    if max(abs(ex), abs(ey), abs(ez)) > 1:
        return target if _way_through(index, x, y, z, ex, ey, ez, n, box) else n
    # over an edge or a corner: the voxels after one step, and after two
    a, b, c = index[tx, y, z] < n, index[x, ty, z] < n, index[x, y, tz] < n
    if steps == 2:
        return target if (ex and a) or (ey and b) or (ez and c) else n
    ab, bc, ca = index[tx, ty, z] < n, index[x, ty, tz] < n, index[tx, y, tz] < n
    return target if (a and (ab or ca)) or (b and (ab or bc)) or (c and (bc or ca)) else n


@numba.njit(cache=True, nogil=True)
def _way_through(index, x, y, z, ex, ey, ez, n, box):
    """Whether steps by faces towards the end lead there, through the box between."""
    nx, ny, nz = abs(ex), abs(ey), abs(ez)
    sx, sy, sz = np.sign(ex), np.sign(ey), np.sign(ez)
    for i in range(nx + 1):
        for j in range(ny + 1):
            for k in range(nz + 1):
                way = i + j + k == 0
                way = way or (i > 0 and box[i - 1, j, k])
                way = way or (j > 0 and box[i, j - 1, k])
                way = way or (k > 0 and box[i, j, k - 1])
                box[i, j, k] = way and index[x + sx * i, y + sy * j, z + sz * k] < n
    return box[nx, ny, nz]


@numba.njit(cache=True, nogil=True)
def gaps(near, weights):
    """Mark the offsets (a bit each) that lack a voxel at one end or both."""
    n, sides = near.shape
    marks = np.zeros(n, np.int8)
    for i in range(n):
        for k in range(sides // 2):
            lacks = near[i, 2 * k] == n or near[i, 2 * k + 1] == n
            if lacks and weights[i, k] > 0.0:
                marks[i] |= 1 << k
    return marks


@numba.njit(cache=True, nogil=True)
def faces_at_gaps(near, weights, neighbours):
    """List neighbours by faces of voxels that lack one at an offset; n where `near` has them."""
    n = len(near)
    marks = gaps(near, weights)
    faces = np.full(neighbours.shape, n, np.int32)
    for i in range(n):
        if not marks[i]:
            continue
        for side in range(neighbours.shape[1]):
            j = neighbours[i, side]
            if j == n or weights[j, 0] == 0.0:
                continue
            known = False
            for k in range(near.shape[1]):
                known |= near[i, k] == j
            if not known:
                faces[i, side] = j
    return faces


@numba.njit(cache=True, nogil=True)
def users(near, faces):
    """For each voxel those that have it as a neighbour, ``SLOTS * voxel + slot``, and their bounds.

    The slot is the column in `near`, or in `faces` counted on from there.
    """
    n, sides = near.shape
    first = np.zeros(n + 2, np.int32)
    for i in range(n):
        for k in range(sides):
            first[near[i, k] + 1] += 1
        for k in range(faces.shape[1]):
            first[faces[i, k] + 1] += 1
    for i in range(n + 1):
        first[i + 1] += first[i]
    found, place = np.empty(first[n], np.int32), first.copy()
    for i in range(n):
        for k in range(sides + faces.shape[1]):
            j = near[i, k] if k < sides else faces[i, k - sides]
            if j < n:
                found[place[j]] = SLOTS * i + k
                place[j] += 1
    return found, first[: n + 1]
