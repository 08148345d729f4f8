"""Anisotropic eikonal activation on a masked grid: fast marching along adapted directions.

Solves ``grad T . M(x) grad T = 1``, ``M = v_f² f fᵀ + v_s² s sᵀ + v_n² n nᵀ``, in one pass in the
order of activation: upwind differences of second order along the few grid offsets of each voxel
into which M is decomposed (`kecgi.simulate.stencils`) make a causal scheme for any anisotropy [1]_.
With equal speeds it is the scheme of `kecgi.simulate.eikonal`. Around an onset T is the travel time
along straight lines, exact where the fibres are straight; and where the mask's staircase takes a
neighbour away, the slope along that offset is taken from the voxel that the front comes from.

References
----------
.. [1] Mirebeau 2019, Riemannian fast-marching on Cartesian grids, using Voronoi's first reduction
   of quadratic forms, doi 10.1137/17M1127466.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from kecgi.geometry.heart import Heart
from kecgi.simulate import stencils
from kecgi.simulate.eikonal import (
    SOURCE_RADIUS,
    STEEPEST,
    TissueGraph,
    checked_onsets,
    lift,
    placed,
    require_reached,
    sink,
    trace,
)

MOST_ANISOTROPIC = 10.0
"""Largest ratio of speeds in a voxel: beyond it, offsets would reach over too many voxels."""


def conduction_tensors(
    fibres: np.ndarray,
    fibre_speed: float | np.ndarray,
    sheet_speed: float | np.ndarray,
    normal_speed: float | np.ndarray | None = None,
    sheets: np.ndarray | None = None,
) -> np.ndarray:
    """Tensors M of squared speeds from directions and speeds.

    Parameters
    ----------
    fibres : ndarray, shape (n, ndim)
        Unit vectors along the fibres.
    fibre_speed, sheet_speed, normal_speed : float or ndarray of shape (n,)
        Speeds along the fibre, across it in the sheet, and along the sheet's normal, mm/ms; 0 in
        all where tissue doesn't conduct. Without `normal_speed` it is the sheet's.
    sheets : ndarray, shape (n, 3), optional
        Unit vectors across the fibres in the sheet; without them both speeds across must be equal.

    Returns
    -------
    ndarray, shape (n, ndim, ndim)
        mm²/ms².

    Raises
    ------
    ValueError
        Where shapes don't match, vectors aren't of unit length or orthogonal, or speeds are
        negative.
    """
    fibres = np.asarray(fibres, float)
    if fibres.ndim != 2 or fibres.shape[1] not in (2, 3):
        raise ValueError(f"fibres have shape {fibres.shape}, expected (n, 2) or (n, 3)")
    n, ndim = fibres.shape
    normal_speed = sheet_speed if normal_speed is None else normal_speed
    squares = []
    for name, speed in (
        ("fibre_speed", fibre_speed),
        ("sheet_speed", sheet_speed),
        ("normal_speed", normal_speed),
    ):
        speed = np.asarray(speed, float)
        if speed.shape not in ((), (n,)):
            raise ValueError(f"{name} has shape {speed.shape}, expected a number or ({n},)")
        if not np.all(np.isfinite(speed)) or speed.min() < 0:
            raise ValueError(f"{name} lies in [{speed.min()}, {speed.max()}] mm/ms, expected >= 0")
        squares.append(np.broadcast_to(speed**2, n)[:, None, None])
    conducting = np.broadcast_to(squares[0][:, 0, 0] > 0, n)
    _require_unit(fibres, conducting, "fibres")
    along = fibres[:, :, None] * fibres[:, None]
    if sheets is None:
        if not np.allclose(squares[1], squares[2]):
            raise ValueError("sheet_speed and normal_speed differ, which needs sheets")
        return squares[1] * np.eye(ndim) + (squares[0] - squares[1]) * along
    sheets = np.asarray(sheets, float)
    if sheets.shape != (n, 3):
        raise ValueError(f"sheets have shape {sheets.shape}, expected ({n}, 3)")
    _require_unit(sheets, conducting, "sheets")
    skew = np.abs(np.einsum("ni,ni->n", fibres, sheets))[conducting]
    if skew.size and skew.max() > 0.01:
        raise ValueError(
            f"sheets aren't orthogonal to fibres, their product reaches {skew.max():.3f}"
        )
    within = sheets[:, :, None] * sheets[:, None]
    across = squares[2] * np.eye(3)
    return across + (squares[0] - squares[2]) * along + (squares[1] - squares[2]) * within


def _require_unit(vectors: np.ndarray, where: np.ndarray, name: str) -> None:
    length = np.linalg.norm(vectors[where], axis=1)
    if length.size and not np.all(np.abs(length - 1) < 1e-3):
        raise ValueError(
            f"{name} have lengths in [{length.min():.3g}, {length.max():.3g}], expected 1"
        )


@dataclass(frozen=True, eq=False)
class AnisotropicTissue:
    """Tissue with its tensors, made ready for many onsets.

    Attributes
    ----------
    graph : TissueGraph
        The voxels.
    metric : ndarray, shape (n, ndim, ndim)
        Inverse of M, ms²/mm²; 0 where tissue doesn't conduct.
    weights : ndarray, shape (n, k)
        Weight of each offset, 1/ms².
    offsets : ndarray of int8, shape (n, k, 3)
        Offsets in voxels.
    near, far : ndarray of int32, shape (n, 2 k)
        Voxel one and two offsets before and after; n where there is none to be reached.
    faces : ndarray of int32, shape (n, 2 ndim)
        Neighbours by faces of those voxels that lack some of `near`; else n. Straight steps from
        them reach what no offset does.
    users, first_user : ndarray of int32
        Voxels that have voxel i among their `near` or `faces`, and where:
        ``users[first_user[i]:first_user[i + 1]]``, see `stencils.users`.
    """

    graph: TissueGraph
    metric: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    near: np.ndarray
    far: np.ndarray
    faces: np.ndarray
    users: np.ndarray
    first_user: np.ndarray

    @classmethod
    def of(cls, graph: TissueGraph, tensors: np.ndarray) -> AnisotropicTissue:
        """Decompose the tensors.

        Parameters
        ----------
        graph : TissueGraph
            The voxels.
        tensors : ndarray, shape (n, ndim, ndim)
            M in mm²/ms², from `conduction_tensors`; 0 where tissue doesn't conduct.

        Raises
        ------
        ValueError
            Where a tensor isn't symmetric and positive, or its anisotropy is above
            `MOST_ANISOTROPIC`.
        """
        n, ndim = graph.positions_mm.shape
        tensors = np.ascontiguousarray(tensors, float)
        if tensors.shape != (n, ndim, ndim):
            raise ValueError(f"tensors have shape {tensors.shape}, expected ({n}, {ndim}, {ndim})")
        metric, ratio = stencils.invert(tensors)
        wrong = int(np.count_nonzero(np.isinf(ratio)))
        if wrong:
            raise ValueError(
                f"{wrong} tensors are not finite, symmetric and positive; expected positive speeds "
                "in all directions, or 0 in all where tissue doesn't conduct"
            )
        if ratio.max() > MOST_ANISOTROPIC:
            raise ValueError(
                f"speeds in a voxel differ by a factor of {ratio.max():.1f}, expected at most "
                f"{MOST_ANISOTROPIC:g}"
            )
        spacing, index = np.ones(3), graph.index
        spacing[:ndim] = graph.spacing_mm
        if ndim == 2:
            index = index[..., None]
        weights, offsets = stencils.decompose(tensors, spacing)
        near, far = stencils.reach(offsets, weights, index)
        faces = stencils.faces_at_gaps(near, weights, graph.neighbours)
        users, first_user = stencils.users(near, faces)
        return cls(graph, metric, weights, offsets, near, far, faces, users, first_user)

    def __len__(self) -> int:
        """Count the voxels."""
        return len(self.graph)


def anisotropic_times(
    heart: Heart,
    onsets_mm: np.ndarray | Sequence[Sequence[float]],
    fibre_speed: float | np.ndarray,
    sheet_speed: float | np.ndarray,
    normal_speed: float | np.ndarray | None = None,
    start_ms: float | Sequence[float] = 0.0,
    *,
    sheets: np.ndarray | None = None,
    unreached: str = "raise",
) -> np.ndarray:
    """Activation time of each voxel of a heart with fibres.

    Parameters
    ----------
    heart : Heart
        The tissue, with `fibres`.
    onsets_mm, start_ms, unreached
        As for `kecgi.simulate.activation_times`.
    fibre_speed, sheet_speed, normal_speed : float or ndarray of the grid's shape
        Speeds in mm/ms along the fibre and across it, see `conduction_tensors`.
    sheets : ndarray, shape (*grid, 3), optional
        Unit vectors across the fibres in the sheet.

    Returns
    -------
    ndarray of the grid's shape
        Activation time in ms, NaN outside the mask.

    Raises
    ------
    ValueError
        Where the heart has no fibres, and as `activation_times` and `conduction_tensors`.
    """
    if heart.fibres is None:
        raise ValueError(
            f"{heart.name} has no fibres; kecgi.geometry.fibres makes some, or use activation_times"
        )

    def on_voxels(speed):
        return speed[heart.mask] if np.shape(speed) == heart.mask.shape else speed

    graph = TissueGraph.from_heart(heart)
    tensors = conduction_tensors(
        heart.fibres[heart.mask],
        on_voxels(fibre_speed),
        on_voxels(sheet_speed),
        on_voxels(normal_speed),
        None if sheets is None else np.asarray(sheets)[heart.mask],
    )
    tissue = AnisotropicTissue.of(graph, tensors)
    return graph.to_grid(solve_anisotropic(tissue, onsets_mm, start_ms, unreached=unreached))


def solve_anisotropic(
    tissue: AnisotropicTissue,
    onsets_mm: np.ndarray | Sequence[Sequence[float]],
    start_ms: float | Sequence[float] = 0.0,
    *,
    unreached: str = "raise",
) -> np.ndarray:
    """Activation time per tissue voxel, shape (n,).

    Parameters and errors as for `kecgi.simulate.activation_times`.
    """
    graph = tissue.graph
    onsets, starts = checked_onsets(graph, onsets_mm, start_ms, unreached)
    conducting = tissue.weights[:, 0] > 0
    times = np.full(len(graph), np.inf)
    strides = np.array(graph.index.strides) // graph.index.itemsize
    orders = np.array(list(itertools.permutations(range(onsets.shape[1]))))
    for onset, start in zip(onsets, starts, strict=True):
        nearest, onset = placed(graph, onset, conducting)
        _fill_ball(
            times, nearest, onset, float(start), graph.positions_mm, graph.spacing_mm,
            graph.origin_mm, graph.index.ravel(), strides, orders, tissue.metric,
        )  # fmt: skip
    straight = np.sqrt(np.diagonal(tissue.metric, axis1=1, axis2=2)) * graph.spacing_mm
    _march(
        times, straight, tissue.near, tissue.far, tissue.faces, tissue.weights, tissue.offsets,
        tissue.users, tissue.first_user, graph.index.reshape(_three(graph.index)),
    )  # fmt: skip
    require_reached(times, unreached)
    return times


def solve_many(
    tissue: AnisotropicTissue,
    onsets_mm: Sequence[np.ndarray],
    start_ms: Sequence[float | Sequence[float]] | None = None,
    *,
    unreached: str = "raise",
    threads: int | None = None,
) -> np.ndarray:
    """Activation times of many cases in one tissue, on several cores.

    Parameters
    ----------
    tissue : AnisotropicTissue
        The tissue.
    onsets_mm : sequence of arrays
        Onsets of each case, of shape (k, ndim) or (ndim,).
    start_ms : sequence, optional
        Start times of each case, 0 by default.
    unreached : {"raise", "inf"}
        What to do where no front arrives.
    threads : int, optional
        How many; as many as there are cores by default.

    Returns
    -------
    ndarray, shape (cases, n)
        Activation times in ms.
    """
    starts = [0.0] * len(onsets_mm) if start_ms is None else start_ms
    if len(starts) != len(onsets_mm):
        raise ValueError(f"start times of {len(starts)} cases for onsets of {len(onsets_mm)}")
    with ThreadPoolExecutor(threads) as pool:
        solved = pool.map(
            lambda onsets, start: solve_anisotropic(tissue, onsets, start, unreached=unreached),
            onsets_mm,
            starts,
        )
        return np.stack(list(solved))


def _three(index: np.ndarray) -> tuple[int, int, int]:
    return (*index.shape, 1)[:3] if index.ndim == 2 else index.shape


@numba.njit(cache=True, nogil=True)
def _fill_ball(
    times, nearest, onset, start, positions, spacing, origin, index, strides, orders, metric
):
    """Travel times along straight lines to the voxels that the onset sees through tissue alone."""
    n, ndim = positions.shape
    radius = (1 + 1e-9) * SOURCE_RADIUS * spacing.max()
    line = np.empty(4 * int(np.ceil(radius / spacing.min()) + 1), np.int64)
    way = np.empty(ndim)
    for i in range(n):
        squared = 0.0
        for a in range(ndim):
            way[a] = positions[i, a] - onset[a]
            squared += way[a] * way[a]
        if squared > radius * radius:
            continue
        samples = trace(line, i, nearest, onset, positions, spacing, origin, index, strides, orders)
        total, conducting = 0.0, metric[i, 0, 0] > 0.0
        for s in range(samples):
            conducting &= metric[line[s], 0, 0] > 0.0
            square = 0.0
            for a in range(ndim):
                for b in range(ndim):
                    square += way[a] * metric[line[s], a, b] * way[b]
            total += np.sqrt(square)
        if samples and conducting:
            times[i] = min(times[i], start + total / samples)


@numba.njit(cache=True, nogil=True)
def _march(times, straight, near, far, faces, weights, offsets, users, first_user, index):
    """Fast marching as in `kecgi.simulate.eikonal`, along each voxel's own offsets.

    The first voxel of a pair that becomes final is the earlier one and settles the pair's base for
    good, so that an update needs what is stored at its own voxel alone. `straight` is the time of a
    step to a neighbour along each axis.
    """
    n, sides = near.shape
    cells = np.empty((n, 3), np.int32)
    for x in range(index.shape[0]):
        for y in range(index.shape[1]):
            for z in range(index.shape[2]):
                if index[x, y, z] < n:
                    cells[index[x, y, z]] = x, y, z
    final = np.full(n + 1, np.inf)
    heap, keys = np.empty(n, np.int32), np.empty(n)
    place = np.full(n, -1, np.int32)
    bases, slopes = np.empty((n, sides // 2)), np.empty((n, sides // 2))
    count, got = np.zeros(n, np.int8), np.zeros(n, np.int8)  # settled pairs: how many, which
    first, taken = np.full(n, -1, np.int32), np.zeros((n, sides // 2))
    gaps = stencils.gaps(near, weights)
    box = np.empty(stencils.BOX, np.bool_)
    margin = np.zeros(n)  # by which a front must come earlier to lower an exact time
    size = 0
    for i in range(n):
        if times[i] < np.inf:
            margin[i] = 0.25 * straight[i].min()
            lift(heap, keys, place, size, i, times[i])
            size += 1
    while size:
        i = heap[0]
        now = times[i]
        final[i] = now
        size -= 1
        if size:
            sink(heap, keys, place, size)
        for u in range(first_user[i], first_user[i + 1]):
            j, slot = users[u] // stencils.SLOTS, users[u] % stencils.SLOTS
            if final[j] < np.inf:
                continue
            if slot >= sides:
                value = now + straight[j, (slot - sides) >> 1]
            else:
                k = slot >> 1
                if got[j] >> k & 1:
                    continue
                got[j] |= 1 << k
                if first[j] < 0:
                    first[j] = i
                    if gaps[j]:
                        _slopes_at_gaps(
                            taken[j], gaps[j], now, final, near[j], weights[j], offsets[j],
                            cells[i], index, box,
                        )  # fmt: skip
                base, weight = now, weights[j, k]
                beyond = final[far[j, slot]]
                if beyond <= now:  # second order
                    base = (4 * now - beyond) / 3
                    weight *= 2.25
                m = count[j]
                while m and bases[j, m - 1] > base:
                    bases[j, m], slopes[j, m] = bases[j, m - 1], slopes[j, m - 1]
                    m -= 1
                bases[j, m], slopes[j, m] = base, weight
                count[j] += 1
                left = 1.0
                open_ = gaps[j] & ~got[j]
                if open_:
                    lost = 0.0
                    for p in range(sides // 2):
                        if open_ >> p & 1:
                            lost += taken[j, p]
                    left -= min(lost, STEEPEST)
                value = _upwind(bases[j], slopes[j], count[j], left)
            if value < times[j] - margin[j]:
                times[j] = value
                margin[j] = 0.0
                if place[j] < 0:
                    place[j] = size
                    size += 1
                lift(heap, keys, place, place[j], j, value)


@numba.njit(cache=True, nogil=True)
def _upwind(bases, slopes, count, left):
    """Solve ``sum_k w_k max(0, T - base_k)² = left`` for increasing bases."""
    a, b, c = slopes[0], 0.0, 0.0  # about the earliest base
    for k in range(1, count):
        base = bases[k] - bases[0]
        if (a * base - 2 * b) * base + c >= left:
            break
        a += slopes[k]
        b += slopes[k] * base
        c += slopes[k] * base * base
    return bases[0] + (b + np.sqrt(max(b * b - a * (c - left), 0.0))) / a


@numba.njit(cache=True, nogil=True)
def _slopes_at_gaps(taken, gaps, now, final, near, weights, offsets, cell, index, box):
    """Share of the squared slowness along offsets without a voxel: the slope where it comes from.

    `cell` is where the front comes from, at the time `now`.
    """
    absent = final.size - 1
    for k in range(len(weights)):
        if not gaps >> k & 1:
            continue
        lower = now
        for side in range(2):
            if near[2 * k + side] == absent:
                sign = 2 * side - 1
                beside = stencils.joined(
                    index, cell[0], cell[1], cell[2], sign * np.int64(offsets[k, 0]),
                    sign * np.int64(offsets[k, 1]), sign * np.int64(offsets[k, 2]), absent, box,
                )  # fmt: skip
                lower = min(lower, final[beside])
        taken[k] = weights[k] * (now - lower) ** 2
