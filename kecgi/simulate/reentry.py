"""Re-entry: starting it where it is wanted, and finding what turns.

A phase that winds once around a closed line in space, spread over one cycle of the action
potential, starts waves that turn around the line. Where the line pierces the wall there is a rotor;
where it leaves through a vein or a valve the wave turns around that. Phase singularities are found
as the squares of four neighbouring voxels around which the phase winds.

References
----------
Gray, Pertsov and Jalife 1998, Spatial and temporal organization during cardiac fibrillation,
doi 10.1038/32164 (phase by time embedding). Iyer and Gray 2001, An experimentalist's approach to
accurate localization of phase singularities during reentry, doi 10.1114/1.1335538.
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np
from scipy import ndimage

from kecgi.simulate.action_potential import MitchellSchaeffer, mitchell_schaeffer
from kecgi.simulate.eikonal import TissueGraph

FAR_MM = 400.0
"""How far from the heart a winding line closes."""

HALF_WAY = 0.5
"""Voltage about which the phase turns."""


def line_through(
    centre_mm: np.ndarray, first: np.ndarray, second: np.ndarray, reach_mm: float = FAR_MM
) -> np.ndarray:
    """Return a closed line that leaves a cavity in one direction and comes back from another.

    Parameters
    ----------
    centre_mm : ndarray, shape (3,)
        The cavity's centre.
    first, second : ndarray, shape (3,)
        Unit vectors from the centre; not the same.
    reach_mm : float
        Distance at which it closes.

    Returns
    -------
    ndarray, shape (4, 3)
        Corners, the centre first.
    """
    between = first + second
    if np.linalg.norm(between) < 0.2:  # opposite: close it around either side
        between = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
    between = between / np.linalg.norm(between)
    return centre_mm + reach_mm * np.stack([np.zeros(3), first, between, second])


def winding_phase(points_mm: np.ndarray, line_mm: np.ndarray) -> np.ndarray:
    """Phase that winds once around a closed line: half of the solid angle that it encloses.

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
        Where it is wanted.
    line_mm : ndarray, shape (corners, 3)
        Corners of the closed line.

    Returns
    -------
    ndarray, shape (n,)
        Radians; continuous but for jumps by 2 pi.

    References
    ----------
    van Oosterom and Strackee 1983, The solid angle of a plane triangle,
    doi 10.1109/TBME.1983.325207.
    """
    total = np.zeros(len(points_mm))
    for k in range(1, len(line_mm) - 1):
        a, b, c = (corner - points_mm for corner in line_mm[[0, k, k + 1]])
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        ab, bc, ca = (np.einsum("ij,ij->i", x, y) for x, y in ((a, b), (b, c), (c, a)))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        total += np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb)
    return total


@lru_cache(maxsize=32)
def paced_cycle(
    cell: MitchellSchaeffer, cycle_ms: float, beats: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Voltage and gate of a paced cell over its last cycle, at steps of 1 ms at the most.

    Raises
    ------
    ValueError
        Where the cell doesn't answer every stimulus.
    """
    samples = int(np.ceil(cycle_ms)) + 1
    time = np.linspace(0, cycle_ms, samples)
    v0, h0 = 0.0, 1.0
    for beat in range(beats):
        v, h = mitchell_schaeffer(time, cell, v0, h0)
        if v.max() < HALF_WAY or v[-1] > HALF_WAY:
            raise ValueError(
                f"{cell} doesn't follow stimuli every {cycle_ms} ms: beat {beat + 1} is blocked; "
                "give a longer cycle or a shorter tau_close"
            )
        v0, h0 = v[-1], h[-1]
    return v[:-1], h[:-1]


def phase_state(
    phase: np.ndarray, cell: MitchellSchaeffer, cycle_ms: float
) -> tuple[np.ndarray, np.ndarray]:
    """Voltage and gate of cells that are at a phase (radians) of the paced cycle."""
    v, h = paced_cycle(cell, cycle_ms)
    at = (np.asarray(phase) / (2 * np.pi) % 1) * len(v)
    at = at.astype(int) % len(v)
    return v[at], h[at]


def voltage_phase(frames: np.ndarray, delay: int = 10, every: int = 1) -> np.ndarray:
    """Phase of each voxel by time embedding: the angle of (v(t), v(t - delay)) about (½, ½).

    Parameters
    ----------
    frames : ndarray, shape (frames, n_voxels)
        Voltages.
    delay : int
        In frames; somewhat longer than an upstroke.
    every : int
        Take one frame of so many.

    Returns
    -------
    ndarray of float32, shape (ceil((frames - delay) / every), n_voxels)
        Radians in [-pi, pi] of frame `delay` and later ones; it rises with time.
    """
    now, before = frames[delay::every], frames[:-delay:every]
    return np.arctan2(before - HALF_WAY, now - HALF_WAY)


def wall_squares(graph: TissueGraph) -> np.ndarray:
    """List the squares of four tissue voxels, in the order in which one walks around them.

    Returns
    -------
    ndarray of int32, shape (squares, 4)
    """
    n, found = len(graph), []
    after = np.concatenate([graph.neighbours[:, 1::2], np.full((1, graph.spacing_mm.size), n)])
    for a in range(graph.spacing_mm.size):
        for b in range(a + 1, graph.spacing_mm.size):
            first = np.arange(n)
            square = np.stack([first, after[:n, a], after[after[:n, a], b], after[:n, b]], axis=1)
            found.append(square[np.all(square < n, axis=1)])
    return np.concatenate(found).astype(np.int32)


def singularities(graph: TissueGraph, phase: np.ndarray, squares: np.ndarray) -> list[np.ndarray]:
    """Find the filaments through a wall: groups of touching squares that the phase winds around.

    Parameters
    ----------
    graph : TissueGraph
        The tissue.
    phase : ndarray, shape (frames, n_voxels)
        From `voltage_phase`.
    squares : ndarray
        From `wall_squares`.

    Returns
    -------
    list of ndarray, shape (filaments, 3)
        Centre of each filament in mm, frame by frame.
    """
    cells = np.rint((graph.positions_mm - graph.origin_mm) / graph.spacing_mm).astype(int)
    found = []
    for values in np.asarray(phase, np.float32):
        voxels = np.unique(squares[_turning(values, squares)])
        if not len(voxels):
            found.append(np.empty((0, cells.shape[1])))
            continue
        at = cells[voxels] - cells[voxels].min(axis=0) + 1
        box = np.zeros(at.max(axis=0) + 2, bool)
        box[tuple(at.T)] = True
        # squares one voxel apart are one filament, seen through a gap of the grid
        parts, count = ndimage.label(ndimage.binary_dilation(box), np.ones((3,) * box.ndim))
        member = parts[tuple(at.T)]
        own = graph.positions_mm[voxels]
        found.append(np.array([own[member == k + 1].mean(axis=0) for k in range(count)]))
    return found


@numba.njit(cache=True)
def _turning(phase, squares):
    """Squares around which the phase winds."""
    found = np.empty(len(squares), np.int32)
    count, pi = 0, np.float32(np.pi)
    for i in range(len(squares)):
        turns = 0
        last = phase[squares[i, 3]]
        for k in range(4):
            value = phase[squares[i, k]]
            step = value - last
            if step > pi:
                turns -= 1
            elif step < -pi:
                turns += 1
            last = value
        if turns != 0:
            found[count] = i
            count += 1
    return found[:count]
