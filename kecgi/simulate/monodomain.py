"""Monodomain Mitchell–Schaeffer tissue on a masked grid: for re-entry, where no eikonal front can.

``dv/dt = div(D grad v) + h v² (1 - v) / tau_in - v / tau_out`` with the gate of
`kecgi.simulate.action_potential`, no flux through the wall's surface, by finite volumes and forward
Euler. An atrial wall is two or three voxels thick, and a staircase of so few slows a front that
runs obliquely to the axes: by 15 % at 1 mm, by a third at 2 mm. So the border is a phase field
[1]_: the mask, blurred over less than a voxel, weighs volumes and faces; then the directions of a
2.5 mm wall differ by 3 % at 1 mm. That costs a shell of voxels around the tissue, which are solved
but never reported. Walls closer than three grid steps count as touching.

A front is no wider than 2 mm, so it is slower on a grid than in the continuum:
`kecgi.simulate.calibration` gives the D that has the speed asked for on the grid at hand.

References
----------
.. [1] Fenton, Cherry, Karma and Rappel 2005, Modeling wave propagation in realistic heart
   geometries using the phase-field method, doi 10.1063/1.1840311.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage

from kecgi.geometry.heart import Heart
from kecgi.simulate.action_potential import MitchellSchaeffer
from kecgi.simulate.eikonal import TissueGraph

STEP_MS = 0.1
"""Time step where none is given."""

BLUR = 0.6
"""Standard deviation of the phase field's border, in grid steps."""

LEAST_PHASE = 0.1
"""Voxels with less of the phase field are left out."""

ACTIVE = 0.5
"""Voltage at which a voxel counts as activated."""


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Voxels whose voltage is raised to 1 at one time.

    Parameters
    ----------
    start_ms : float
        When.
    voxels : ndarray of int
        Tissue voxels, in the order of ``heart.voxels_mm``.
    """

    start_ms: float
    voxels: np.ndarray


@dataclass(eq=False)
class State:
    """Voltage and gate of each cell of a `Tissue`, and the time they belong to."""

    v: np.ndarray
    h: np.ndarray
    time_ms: float = 0.0


@dataclass(frozen=True, eq=False)
class Tissue:
    """A heart ready to be solved; its cells are the tissue voxels and the shell around them.

    Parameters
    ----------
    graph : TissueGraph
        The tissue voxels.
    owner : ndarray of int32, shape (cells,)
        The tissue voxel that a cell is, or is nearest to.
    place : ndarray of int32, shape (voxels,)
        The cell of each tissue voxel.
    neighbours : ndarray of uint32, shape (cells, 6)
        Cells beside each cell; itself where there is none.
    exchange : ndarray of float32, shape (cells, 6)
        Share of the voltage difference to each neighbour that one step takes away.
    closing : ndarray of float32, shape (cells,)
        Time step over tau_close.
    cell : MitchellSchaeffer
        The parameters that all cells share.
    step_ms : float
        Time step.
    """

    graph: TissueGraph
    owner: np.ndarray
    place: np.ndarray
    neighbours: np.ndarray
    exchange: np.ndarray
    closing: np.ndarray
    cell: MitchellSchaeffer
    step_ms: float

    @classmethod
    def from_heart(
        cls,
        heart: Heart,
        diffusivity: float | np.ndarray,
        cell: MitchellSchaeffer | None = None,
        *,
        tau_close_ms: np.ndarray | None = None,
        step_ms: float = STEP_MS,
    ) -> Tissue:
        """Prepare a heart.

        Parameters
        ----------
        heart : Heart
            A 2-D or 3-D heart.
        diffusivity : float or ndarray, shape (n_voxels,)
            D in mm²/ms, of all tissue or of each voxel; 0 where nothing conducts (a scar).
        cell : MitchellSchaeffer, optional
            Parameters of the cells.
        tau_close_ms : ndarray, shape (n_voxels,), optional
            tau_close of each voxel, in place of the cell's.
        step_ms : float
            Time step of the forward Euler method.

        Raises
        ------
        ValueError
            Where an array doesn't match the tissue, a value is out of its range, or the time step
            is too long for D, the spacing or the cell.
        """
        cell, graph = cell or MitchellSchaeffer(), TissueGraph.from_heart(heart)
        n = len(graph)
        diffusivity = _per_voxel("diffusivity", diffusivity, n, zero=True)
        tau_close = cell.tau_close if tau_close_ms is None else tau_close_ms
        tau_close = _per_voxel("tau_close_ms", tau_close, n)
        if not 0 < step_ms < np.inf:
            raise ValueError(f"step_ms is {step_ms}, expected a positive number")

        padded = np.pad(heart.mask, 2)
        phase = ndimage.gaussian_filter(padded.astype(np.float32), BLUR, truncate=2 / BLUR)
        shell = (phase >= LEAST_PHASE) | padded
        nearest = ndimage.distance_transform_edt(
            ~padded, (*heart.spacing_mm,), return_distances=False, return_indices=True
        )
        voxel = np.zeros(padded.shape, np.int32)
        voxel[padded] = np.arange(n)
        cells, m = np.flatnonzero(shell), int(np.count_nonzero(shell))
        owner = voxel[tuple(nearest)].ravel()[cells]
        index = np.full(padded.size, -1, np.int32)
        index[cells] = np.arange(m)
        strides = np.array(voxel.strides) // voxel.itemsize
        neighbours = index[cells[:, None] + np.outer(strides, (-1, 1)).ravel()]
        absent = neighbours < 0
        neighbours = np.where(absent, np.arange(m, dtype=np.int32)[:, None], neighbours)

        share, own = phase.ravel()[cells], diffusivity[owner]
        other = own[neighbours]
        total = own[:, None] + other
        through = np.divide(
            2 * own[:, None] * other, total, out=np.zeros_like(total), where=total > 0
        )
        faces = 0.5 * (share[:, None] + share[neighbours]) / share[:, None]
        per_axis = np.repeat(step_ms / np.square(heart.spacing_mm), 2)
        exchange = np.where(absent, 0.0, faces * through * per_axis)
        require_stable(exchange, cell, step_ms)
        if heart.ndim == 2:  # no exchange along the third axis
            neighbours = np.hstack([neighbours, np.zeros((m, 2), np.int32)])
            exchange = np.hstack([exchange, np.zeros((m, 2))])
        return cls(
            graph,
            owner,
            index[np.flatnonzero(padded)],
            neighbours.astype(np.uint32),  # unsigned: numba need not look for negative indices
            exchange.astype(np.float32),
            (step_ms / tau_close[owner]).astype(np.float32),
            cell,
            step_ms,
        )

    def state(self, v: float | np.ndarray = 0.0, h: float | np.ndarray = 1.0) -> State:
        """Return a state from values for all tissue or for each voxel; at rest by default."""
        n = len(self.graph)
        v, h = (np.broadcast_to(np.asarray(x, np.float32), n)[self.owner] for x in (v, h))
        return State(v, h)


def simulate(
    tissue: Tissue,
    state: State,
    duration_ms: float,
    stimuli: Sequence[Stimulus] = (),
    frame_ms: float = 1.0,
) -> np.ndarray:
    """Advance a state, which is changed in place, and return what is seen on the way.

    Parameters
    ----------
    tissue : Tissue
        From `Tissue.from_heart`.
    state : State
        From `Tissue.state`, or where another simulation has left it.
    duration_ms : float
        How long.
    stimuli : sequence of Stimulus
        In any order; those outside the simulated time are left out.
    frame_ms : float
        Time between frames, a multiple of the time step.

    Returns
    -------
    ndarray of float32, shape (frames, n_voxels)
        Voltage; the first frame is one `frame_ms` after the start.

    Raises
    ------
    ValueError
        Where `frame_ms` is no multiple of the time step, or the solution is lost.
    """
    per_frame = round(frame_ms / tissue.step_ms)
    if per_frame < 1 or abs(per_frame * tissue.step_ms - frame_ms) > 1e-6:
        raise ValueError(
            f"frame_ms is {frame_ms}, expected a multiple of the time step, {tissue.step_ms} ms"
        )
    count = round(duration_ms / frame_ms)
    frames = np.empty((count, len(tissue.graph)), np.float32)
    due = sorted(
        ((round((s.start_ms - state.time_ms) / tissue.step_ms), s.voxels) for s in stimuli),
        key=lambda item: item[0],
    )
    due = [(step, voxels) for step, voxels in due if 0 <= step < count * per_frame]
    spare, step = np.empty_like(state.v), 0
    cell, dt = tissue.cell, tissue.step_ms
    rates = (dt / cell.tau_in, dt / cell.tau_out, dt / cell.tau_open, cell.v_gate)
    rates = [np.float32(rate) for rate in rates]
    for k in range(count):
        end = (k + 1) * per_frame
        while step < end:
            while due and due[0][0] == step:
                state.v[np.isin(tissue.owner, due.pop(0)[1])] = 1
            until = min(end, due[0][0]) if due else end
            _advance(
                until - step, state.v, state.h, spare, tissue.neighbours, tissue.exchange,
                tissue.closing, *rates,
            )  # fmt: skip
            if (until - step) % 2:
                state.v, spare = spare, state.v
            step = until
        np.take(state.v, tissue.place, out=frames[k])
    state.time_ms += count * frame_ms
    if not np.all(np.isfinite(frames[-1:])):
        raise ValueError(f"the solution is lost; shorten the time step, which is {dt} ms")
    return frames


def activations(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the upstrokes in voltages.

    Parameters
    ----------
    frames : ndarray, shape (frames, n_voxels)
        From `simulate`.

    Returns
    -------
    frame, voxel : ndarray of int
        The frame before each upstroke and its voxel, by voxel and then by time.
    """
    above = frames >= ACTIVE
    voxel, frame = np.nonzero((above[1:] & ~above[:-1]).T)
    return frame, voxel


def _per_voxel(name: str, values: float | np.ndarray, n: int, zero: bool = False) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim and values.shape != (n,):
        raise ValueError(f"{name} has shape {values.shape}, expected a number or ({n},)")
    if not np.all(np.isfinite(values)) or values.min() < 0 or (values.min() == 0 and not zero):
        raise ValueError(
            f"{name} lies in [{values.min()}, {values.max()}], expected finite numbers "
            f"{'of at least' if zero else 'above'} 0"
        )
    return np.broadcast_to(values, n)


def require_stable(exchange: np.ndarray, cell: MitchellSchaeffer, step_ms: float) -> None:
    """Refuse a step with which a voltage could swing over the mean of its neighbours."""
    # steepest return of the reaction: -1 / tau_in - 1 / tau_out at v = 1 with an open gate
    swing = float(exchange.sum(axis=1).max()) + step_ms * (1 / cell.tau_in + 1 / cell.tau_out)
    if swing > 1:
        raise ValueError(
            f"step_ms is {step_ms}, too long for forward Euler with this diffusivity and spacing; "
            f"expected at most {step_ms / swing:.3g}: shorten the step or choose a wider spacing"
        )


@numba.njit(cache=True, fastmath=True)
def _advance(
    steps, v, h, spare, neighbours, exchange, closing, inward, outward, opening, gate
):  # pragma: no cover
    """Forward Euler; after an odd number of steps the voltage is in `spare`."""
    one = np.float32(1)
    tiny = np.float32(1e-20)  # keeps voltages at rest out of the slow, denormal numbers
    for _ in range(steps):
        for i in range(v.size):
            x, open_share = v[i], h[i]
            flow = (
                exchange[i, 0] * (v[neighbours[i, 0]] - x)
                + exchange[i, 1] * (v[neighbours[i, 1]] - x)
                + exchange[i, 2] * (v[neighbours[i, 2]] - x)
                + exchange[i, 3] * (v[neighbours[i, 3]] - x)
                + exchange[i, 4] * (v[neighbours[i, 4]] - x)
                + exchange[i, 5] * (v[neighbours[i, 5]] - x)
            )
            spare[i] = x + flow + inward * open_share * x * x * (one - x) - outward * x + tiny
            change = opening * (one - open_share) if x < gate else -closing[i] * open_share
            h[i] = open_share + change
        v, spare = spare, v
