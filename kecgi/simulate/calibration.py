"""Diffusivity from conduction speed, on the grid and in the wall at hand.

A Mitchell–Schaeffer front in rested tissue runs at ``c = sqrt(D / (2 tau_in)) (v+ - 2 v-)`` in the
continuum. On a grid it is slower, by 5 to 8 % at 1 mm and 9 to 15 % at 2 mm, the more along the
axes; so D is found from fronts that are measured on the very grid. In a wall of two or three voxels
it loses another 3 to 6 %, which a beat in the wall itself tells.

References
----------
Mitchell and Schaeffer 2003, doi 10.1016/S0092-8240(03)00041-7. Bayly et al. 1998, Estimation of
conduction velocity vector fields from epicardial mapping data, doi 10.1109/10.668746 (local fits).
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np
from scipy import spatial

from kecgi.geometry.heart import Heart
from kecgi.simulate.action_potential import MitchellSchaeffer
from kecgi.simulate.eikonal import solve
from kecgi.simulate.monodomain import (
    ACTIVE,
    STEP_MS,
    Stimulus,
    Tissue,
    activations,
    require_stable,
    simulate,
)

FIT_MM = 4.0
"""Radius about a voxel in which its local speed is fitted; at least two grid steps."""

FITS = 400
"""Voxels at which a wall's speed is looked at."""


@lru_cache(maxsize=256)
def diffusivity(
    speed_mm_per_ms: float,
    spacing_mm: float,
    cell: MitchellSchaeffer | None = None,
    step_ms: float = STEP_MS,
) -> float:
    """Return the D at which fronts in rested tissue have a speed on a grid.

    Parameters
    ----------
    speed_mm_per_ms : float
        The speed asked for: the mean over the grid's directions, see `front_speeds`.
    spacing_mm : float
        Grid step; 0 gives the closed form of the continuum,
        ``c = sqrt(D / (2 tau_in)) (v+ - 2 v-)``
        with v- and v+ the roots of ``v (1 - v) = tau_in / tau_out``.
    cell : MitchellSchaeffer, optional
        Parameters of the cells.
    step_ms : float
        Time step.

    Returns
    -------
    float
        D in mm²/ms.

    Raises
    ------
    ValueError
        Where the speed or the spacing is out of range, the time step is too long for that speed, or
        the grid too coarse: fronts that are slow for their grid get stuck between two voxels.
    """
    cell = cell or MitchellSchaeffer()
    if not 0 < speed_mm_per_ms < np.inf or not 0 <= spacing_mm < np.inf:
        raise ValueError(
            f"speed_mm_per_ms is {speed_mm_per_ms} and spacing_mm {spacing_mm}, expected a "
            "positive speed and a spacing of at least 0"
        )
    root = np.sqrt(1 - cell.h_min)
    shape = (0.5 * (1 + root) - (1 - root)) / np.sqrt(2 * cell.tau_in)
    continuum = (speed_mm_per_ms / shape) ** 2
    if spacing_mm == 0:
        return float(continuum)

    value = continuum
    for _ in range(30):
        speed = float(np.mean(front_speeds(value, spacing_mm, cell, step_ms)))
        if speed == 0:
            break
        # the speed goes at least with the root of D
        value *= (speed_mm_per_ms / speed) ** 2
        if abs(speed / speed_mm_per_ms - 1) < 2e-4:
            return float(value)
    raise ValueError(
        f"no front of {speed_mm_per_ms} mm/ms runs on a grid of {spacing_mm} mm, which is too "
        "coarse for so slow a one; choose a finer grid or a higher speed"
    )


def front_speeds(
    diffusivity: float, spacing_mm: float, cell: MitchellSchaeffer, step_ms: float = STEP_MS
) -> np.ndarray:
    """Measure plane fronts in rested tissue on a cubic grid, mm/ms.

    A front along an axis, a face's diagonal or the cube's meets a chain of planes that lie 1,
    1/√2 or 1/√3 of the spacing apart, with the same D: three cables.

    Returns
    -------
    ndarray, shape (3,)
        Speeds along (1, 0, 0), (1, 1, 0) and (1, 1, 1); 0 where the front stops.

    Raises
    ------
    ValueError
        Where the time step is too long.
    """
    per_step = 6 * diffusivity * step_ms / spacing_mm**2
    require_stable(np.full((1, 1), per_step), cell, step_ms)
    speeds = [
        _cable_speed(diffusivity, spacing_mm / np.sqrt(k), step_ms, cell.tau_in, cell.tau_out)
        for k in (1, 2, 3)
    ]
    return np.array(speeds)


def wall_diffusivity(
    heart: Heart,
    speed_mm_per_ms: float,
    cell: MitchellSchaeffer | None = None,
    step_ms: float = STEP_MS,
) -> float:
    """Return the D at which fronts have a speed in a given wall.

    A beat is simulated with `diffusivity`, its speed is measured by `wall_speed`, and D is
    corrected by the square of the ratio.

    Parameters
    ----------
    heart : Heart
        The wall.
    speed_mm_per_ms, cell, step_ms
        As in `diffusivity`.

    Raises
    ------
    ValueError
        As in `diffusivity`, and where the front doesn't reach the whole wall.
    """
    cell = cell or MitchellSchaeffer()
    first = diffusivity(speed_mm_per_ms, float(np.mean(heart.spacing_mm)), cell, step_ms)
    measured = wall_speed(heart, first, speed_mm_per_ms, cell, step_ms)
    return first * (speed_mm_per_ms / measured) ** 2


def wall_speed(
    heart: Heart,
    diffusivity: float,
    near_mm_per_ms: float,
    cell: MitchellSchaeffer | None = None,
    step_ms: float = STEP_MS,
) -> float:
    """Measure the median local speed of a front that runs from a rested wall's end.

    Parameters
    ----------
    heart : Heart
        The wall.
    diffusivity : float
        D in mm²/ms.
    near_mm_per_ms : float
        About that speed is expected.
    cell, step_ms
        As in `diffusivity`.

    Raises
    ------
    ValueError
        Where the front doesn't reach the whole wall.
    """
    tissue = Tissue.from_heart(heart, diffusivity, cell, step_ms=step_ms)
    at, step = tissue.graph.positions_mm, max(heart.spacing_mm)
    start = at[np.argmax(np.linalg.norm(at - at.mean(axis=0), axis=1))]
    distance = solve(tissue.graph, start, 1.0, unreached="inf")
    end = distance[np.isfinite(distance)].max()
    onset = Stimulus(0.0, np.flatnonzero(distance < 4 * step))
    duration = np.ceil(1.5 * end / near_mm_per_ms) + 10
    times = first_activation(simulate(tissue, tissue.state(), duration, [onset]))
    away = np.flatnonzero(distance > 0.2 * end)
    missed = int(np.count_nonzero(np.isnan(times[away])))
    if missed:
        raise ValueError(
            f"{heart.name}: a front with D = {diffusivity:.3g} mm²/ms misses {missed} of {len(at)} "
            f"voxels within {duration:g} ms; the grid may be too coarse for so slow a front"
        )
    chosen = away[:: max(1, len(away) // FITS)]
    return float(np.median(local_speeds(at, times, chosen, max(FIT_MM, 2 * step))))


def local_speeds(
    positions_mm: np.ndarray, times_ms: np.ndarray, chosen: np.ndarray, radius_mm: float
) -> np.ndarray:
    """Fit a plane front to the activation times about each of some places.

    Parameters
    ----------
    positions_mm : ndarray, shape (n, ndim)
        Places.
    times_ms : ndarray, shape (n,)
        Activation times; places with NaN are left out.
    chosen : ndarray of int
        Where the speed is wanted.
    radius_mm : float
        Places within this distance take part.

    Returns
    -------
    ndarray, shape (len(chosen),)
        mm/ms.
    """
    known = np.flatnonzero(np.isfinite(times_ms))
    tree = spatial.KDTree(positions_mm[known])
    speeds = []
    for near in tree.query_ball_point(positions_mm[chosen], radius_mm):
        own = known[near]
        x, t = positions_mm[own], times_ms[own]
        # a direction in which the wall is thin says little
        slowness = np.linalg.lstsq(x - x.mean(axis=0), t - t.mean(), rcond=0.15)[0]
        speeds.append(1 / np.linalg.norm(slowness))
    return np.array(speeds)


def first_activation(frames: np.ndarray) -> np.ndarray:
    """First upstroke of each voxel in frames every ms: its time after the first frame, or NaN."""
    frame, voxel = activations(frames)
    times = np.full(frames.shape[1], np.nan)
    low, high = frames[frame, voxel], frames[frame + 1, voxel]
    exact = frame + (ACTIVE - low) / (high - low)
    times[voxel[::-1]] = exact[::-1]  # the first of a voxel is written last
    return times


@numba.njit(cache=True)
def _cable_speed(diffusivity, spacing, step, tau_in, tau_out):
    """Speed between 40 % and 85 % of a rested cable of 120 steps or 60 mm with open gates."""
    n = max(120, int(60 / spacing))
    v, new = np.zeros(n), np.zeros(n)
    reach = max(6, int(4 / spacing))
    v[:reach] = 1
    first, last = int(0.4 * n), int(0.85 * n)
    share = diffusivity * step / spacing**2
    began = 0.0
    # the slowest front that is worth waiting for
    for s in range(int(n * spacing / 0.02 / step)):
        front = min(n - 1, reach + 40)
        for i in range(front + 1):
            left = v[i - 1] if i > 0 else v[i]
            right = v[i + 1] if i < n - 1 else v[i]
            x = v[i]
            rate = x * x * (1 - x) / tau_in - x / tau_out
            new[i] = x + share * (left + right - 2 * x) + step * rate
            if x < 0.5 and new[i] >= 0.5:
                reach = max(reach, i)
                crossing = (s + (0.5 - x) / (new[i] - x)) * step
                if i == first:
                    began = crossing
                elif i == last:
                    return (last - first) * spacing / (crossing - began)
        v, new = new, v
    return 0.0
