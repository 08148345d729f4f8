"""Eikonal activation on a masked grid: second-order fast marching from exact sources.

Solves ``v(x) |grad T(x)| = 1`` inside the tissue alone; the front can't leave the mask, so paths run
around cavities. A point source is singular for every finite-difference scheme: within a small ball
around it T is set to the straight-line travel time, which is exact there, and the marching starts
from that ball.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from kecgi.geometry.heart import Heart

SOURCE_RADIUS = 3.0
"""Radius of the exact ball around an onset, in grid steps."""


@dataclass(frozen=True, eq=False)
class TissueGraph:
    """Tissue voxels of one heart as a list, with their neighbours. Made once per anatomy.

    Attributes
    ----------
    positions_mm : ndarray, shape (n, ndim)
        Voxel centres, in the order of ``heart.voxels_mm``.
    spacing_mm : ndarray, shape (ndim,)
        Grid steps.
    neighbours : ndarray of int32, shape (n, 2 * ndim)
        Index of the voxel before and after along each axis, -1 where there is no tissue.
    index : ndarray of int32, grid shape
        Voxel index of each grid cell, -1 outside.
    """

    positions_mm: np.ndarray
    spacing_mm: np.ndarray
    neighbours: np.ndarray
    index: np.ndarray
    origin_mm: np.ndarray

    @classmethod
    def from_heart(cls, heart: Heart) -> TissueGraph:
        """List the voxels of a heart and their neighbours."""
        voxels = np.argwhere(heart.mask)
        index = np.full(heart.mask.shape, -1, np.int32)
        index[heart.mask] = np.arange(len(voxels), dtype=np.int32)
        padded = np.pad(index, 1, constant_values=-1)
        neighbours = np.empty((len(voxels), 2 * heart.ndim), np.int32)
        for axis in range(heart.ndim):
            for side, step in enumerate((-1, 1)):
                at = voxels + 1
                at[:, axis] += step
                neighbours[:, 2 * axis + side] = padded[tuple(at.T)]
        spacing, origin = np.array(heart.spacing_mm), np.array(heart.origin_mm)
        return cls(voxels * spacing + origin, spacing, neighbours, index, origin)

    def __len__(self) -> int:
        return len(self.positions_mm)

    def to_grid(self, values: np.ndarray, outside: float = np.nan) -> np.ndarray:
        """Spread values per voxel, shape (n,), over the grid."""
        grid = np.full(self.index.shape, outside, np.asarray(values).dtype)
        grid[self.index >= 0] = values
        return grid


def activation_times(
    heart: Heart,
    onsets_mm: np.ndarray | Sequence[Sequence[float]],
    speed_mm_per_ms: float | np.ndarray,
    start_ms: float | Sequence[float] = 0.0,
    *,
    unreached: str = "raise",
) -> np.ndarray:
    """Activation time of each voxel of a heart.

    Parameters
    ----------
    heart : Heart
        The tissue.
    onsets_mm : array_like, shape (k, ndim) or (ndim,)
        Where activation starts; within one grid step of the tissue.
    speed_mm_per_ms : float or ndarray of the grid's shape
        Conduction velocity, mm/ms (= m/s).
    start_ms : float or sequence of k floats
        When each onset starts.
    unreached : {"raise", "inf"}
        What to do where no front arrives.

    Returns
    -------
    ndarray of the grid's shape
        Activation time in ms, NaN outside the mask.

    Raises
    ------
    ValueError
        Where an onset is not in the tissue, a speed is not positive, or voxels are not reached.
    """
    graph = TissueGraph.from_heart(heart)
    if np.ndim(speed_mm_per_ms):
        speed = np.asarray(speed_mm_per_ms, float)
        if speed.shape != heart.mask.shape:
            raise ValueError(
                f"speed_mm_per_ms has shape {speed.shape}, expected a number or {heart.mask.shape}"
            )
        speed_mm_per_ms = speed[heart.mask]
    return graph.to_grid(solve(graph, onsets_mm, speed_mm_per_ms, start_ms, unreached=unreached))


def solve(
    graph: TissueGraph,
    onsets_mm: np.ndarray | Sequence[Sequence[float]],
    speed_mm_per_ms: float | np.ndarray,
    start_ms: float | Sequence[float] = 0.0,
    *,
    unreached: str = "raise",
) -> np.ndarray:
    """Activation time per tissue voxel, shape (n,); the form for many onsets on one anatomy.

    Parameters and errors as in `activation_times`; a speed array has shape (n,).
    """
    if unreached not in ("raise", "inf"):
        raise ValueError(f"unreached is {unreached!r}, expected 'raise' or 'inf'")
    ndim = graph.spacing_mm.size
    onsets = np.atleast_2d(np.asarray(onsets_mm, float))
    if onsets.shape[1] != ndim or not len(onsets):
        raise ValueError(f"onsets_mm has shape {np.shape(onsets_mm)}, expected (k, {ndim})")
    starts = np.asarray(start_ms, float)
    if starts.ndim > 1 or (starts.ndim and len(starts) != len(onsets)):
        raise ValueError(f"{starts.size} start times for {len(onsets)} onsets")
    starts = np.broadcast_to(starts, len(onsets))
    speed = np.asarray(speed_mm_per_ms, float)
    if speed.ndim and speed.shape != (len(graph),):
        raise ValueError(f"speed has shape {speed.shape}, expected a number or ({len(graph)},)")
    if not (np.all(np.isfinite(speed)) and speed.min() > 0):
        raise ValueError(
            f"speed_mm_per_ms has a minimum of {speed.min()}, expected positive and finite numbers"
        )
    slowness = np.broadcast_to(1 / speed, len(graph))
    if not (np.all(np.isfinite(onsets)) and np.all(np.isfinite(starts))):
        raise ValueError(f"onsets {onsets.tolist()} or starts {starts.tolist()} are not finite")
    times = np.full(len(graph), np.inf)
    for onset, start in zip(onsets, starts, strict=True):
        distance = np.sqrt(((graph.positions_mm - onset) ** 2).sum(axis=1))
        nearest = int(distance.argmin())
        if np.any(np.abs(graph.positions_mm[nearest] - onset) > 1.001 * graph.spacing_mm):
            raise ValueError(
                f"onset at {np.round(onset, 2).tolist()} mm is {distance[nearest]:.1f} mm away "
                "from the tissue; choose a place inside the mask"
            )
        ball = np.flatnonzero(distance <= SOURCE_RADIUS * graph.spacing_mm.max())
        _start_ball(times, ball, nearest, onset, start, graph.positions_mm, graph.index.ravel(),
                    np.array(graph.index.shape), graph.origin_mm, graph.spacing_mm,
                    slowness)  # fmt: skip
    _march(times, graph.neighbours, 1 / graph.spacing_mm**2, slowness)
    if unreached == "raise":
        missed = int(np.count_nonzero(np.isinf(times)))
        if missed:
            raise ValueError(
                f"{missed} of {len(graph)} tissue voxels are not reached from the onsets; "
                "add an onset to each component or pass unreached='inf'"
            )
    return times


@numba.njit(cache=True)
def _start_ball(
    times, ball, nearest, onset, start, positions, index, shape, origin, spacing, slowness
):
    """Straight-line travel times within sight of the onset."""
    ndim = spacing.size
    times[nearest] = min(times[nearest], start + _length(positions[nearest], onset) *
                         slowness[nearest])  # fmt: skip
    for i in ball:
        length = _length(positions[i], onset)
        steps = int(np.ceil(2 * length / spacing.min())) + 1
        total, seen = 0.0, True
        for s in range(steps):
            share = (s + 0.5) / steps
            flat = 0
            for a in range(ndim):
                x = onset[a] + share * (positions[i, a] - onset[a])
                cell = int(np.rint((x - origin[a]) / spacing[a]))
                cell = min(max(cell, 0), shape[a] - 1)
                flat = flat * shape[a] + cell
            voxel = index[flat]
            if voxel < 0:
                seen = False
                break
            total += slowness[voxel]
        if seen:
            times[i] = min(times[i], start + length * total / steps)


@numba.njit(cache=True)
def _length(p, q):
    total = 0.0
    for a in range(p.size):
        total += (p[a] - q[a]) ** 2
    return np.sqrt(total)


@numba.njit(cache=True)
def _march(times, neighbours, inverse_squared, slowness):
    """Fast marching (Sethian 1999) with second-order upwind differences where they are causal."""
    n = times.size
    known = np.zeros(n, np.bool_)
    # values of a ball are exact; only a front that comes clearly earlier (another onset's) lowers
    # them, not the rounding of the difference scheme around a point source
    margin = np.zeros(n)
    quarter_step = 0.25 / np.sqrt(inverse_squared.max())
    heap = np.empty(n, np.int32)
    place = np.full(n, -1, np.int32)
    size = 0
    for i in range(n):
        if times[i] < np.inf:
            margin[i] = quarter_step * slowness[i]
            heap[size] = i
            place[i] = size
            size += 1
            _sift_up(heap, place, times, size - 1)
    while size:
        i = heap[0]
        size -= 1
        if size:
            heap[0] = heap[size]
            place[heap[0]] = 0
            _sift_down(heap, place, times, size)
        known[i] = True
        for side in range(neighbours.shape[1]):
            j = neighbours[i, side]
            if j < 0 or known[j]:
                continue
            value = _upwind(j, times, known, neighbours, inverse_squared, slowness[j])
            if value < times[j] - margin[j]:
                times[j] = value
                margin[j] = 0.0
                if place[j] < 0:
                    heap[size] = j
                    place[j] = size
                    size += 1
                _sift_up(heap, place, times, place[j])


@numba.njit(cache=True, inline="always")
def _upwind(j, times, known, neighbours, inverse_squared, slowness):
    """Solve sum_a weight_a (T - base_a)^2 = slowness^2 over the axes with a known neighbour."""
    ndim = inverse_squared.size
    a_sum, b_sum, c_sum = 0.0, 0.0, -slowness * slowness
    # axes by increasing base: an axis whose base lies above the solution doesn't take part
    weights, bases = (0.0, 0.0, 0.0), (np.inf, np.inf, np.inf)
    w0, w1, w2 = weights
    b0, b1, b2 = bases
    for axis in range(ndim):
        side, value = -1, np.inf
        for s in (2 * axis, 2 * axis + 1):
            k = neighbours[j, s]
            if k >= 0 and known[k] and times[k] < value:
                side, value = s, times[k]
        if side < 0:
            continue
        base, weight = value, inverse_squared[axis]
        beyond = neighbours[neighbours[j, side], side]
        if beyond >= 0 and known[beyond] and times[beyond] <= value:
            base = (4 * value - times[beyond]) / 3
            weight *= 2.25
        if base < b0:
            w2, b2, w1, b1, w0, b0 = w1, b1, w0, b0, weight, base
        elif base < b1:
            w2, b2, w1, b1 = w1, b1, weight, base
        else:
            w2, b2 = weight, base
    result = np.inf
    for axis in range(ndim):
        weight, base = (w0, b0) if axis == 0 else ((w1, b1) if axis == 1 else (w2, b2))
        if base >= result or base == np.inf:
            break
        a_sum += weight
        b_sum += weight * base
        c_sum += weight * base * base
        discriminant = b_sum * b_sum - a_sum * c_sum
        if discriminant < 0:
            break
        result = (b_sum + np.sqrt(discriminant)) / a_sum
    return result


@numba.njit(cache=True)
def _sift_up(heap, place, times, at):
    item = heap[at]
    value = times[item]
    while at > 0:
        parent = (at - 1) >> 1
        other = heap[parent]
        if times[other] <= value:
            break
        heap[at] = other
        place[other] = at
        at = parent
    heap[at] = item
    place[item] = at


@numba.njit(cache=True)
def _sift_down(heap, place, times, size):
    at, item = 0, heap[0]
    value = times[item]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and times[heap[child + 1]] < times[heap[child]]:
            child += 1
        other = heap[child]
        if times[other] >= value:
            break
        heap[at] = other
        place[other] = at
        at = child
    heap[at] = item
    place[item] = at
