"""Activation times from electrograms, coherent in space.

The steepest descent of a single reconstructed electrogram is ambiguous: a smooth signal has several
of like depth, and the deepest jumps from one to another between neighbours. The delay between two
neighbours' signals is not: their cross-correlation is smooth in both. Least squares of both kinds
of estimates gives one map.

References
----------
Duchateau et al. 2017, doi 10.1109/TBME.2016.2593003.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

SMOOTHING_MS = 1.0
"""Standard deviation of the Gaussian whose derivative gives dV/dt."""

SLOWEST_MM_PER_MS = 0.2
"""Slowest front between neighbours; it bounds the delay that is looked for."""


def steepest_descent(
    potentials_mv: np.ndarray,
    time_ms: np.ndarray,
    window_ms: tuple[float, float] | None = None,
) -> np.ndarray:
    """Time of the steepest descent of each electrogram, between samples.

    Parameters
    ----------
    potentials_mv : ndarray, shape (nodes, times)
        Unipolar electrograms.
    time_ms : ndarray, shape (times,)
        Evenly spaced sampling times.
    window_ms : (float, float), optional
        First and last time that count, e.g. those of the QRS complex.

    Returns
    -------
    ndarray, shape (nodes,)
        Activation times in ms.

    Raises
    ------
    ValueError
        Where shapes don't match, times are uneven, or the window holds fewer than 3 samples.
    """
    slope, times, step = _slopes(potentials_mv, time_ms, window_ms)
    return times[0] + step * _peak(-slope)


def coherent_activation(
    potentials_mv: np.ndarray,
    time_ms: np.ndarray,
    edges: np.ndarray,
    lengths_mm: np.ndarray,
    window_ms: tuple[float, float] | None = None,
    *,
    own_weight: float = 0.5,
) -> np.ndarray:
    """Activation times from local descents and delays between neighbours, by least squares.

    Minimises ``sum_ij w_ij (T_i - T_j - d_ij)² + own_weight sum_i w_i (T_i - t_i)²``: t is the time
    of the steepest descent, its weight w the square of that slope over the mean square; d is the
    delay at which the descents (dV/dt where it is negative) of two neighbours are most alike, its
    weight the square of their correlation there.

    Parameters
    ----------
    potentials_mv, time_ms, window_ms
        As for `steepest_descent`.
    edges : ndarray of int, shape (k, 2)
        Pairs of neighbouring nodes.
    lengths_mm : ndarray, shape (k,)
        Their distances.
    own_weight : float
        Weight of the local times against the delays. The default is the best of 0.02 … 2 for
        reconstructions of one canine beat (`recipes/classical_inverse.py`), by little.

    Returns
    -------
    ndarray, shape (nodes,)
        Activation times in ms.

    Raises
    ------
    ValueError
        As `steepest_descent`; also where edges and lengths don't match or the weight is not
        positive.
    """
    if not 0 < own_weight < np.inf:
        raise ValueError(f"own_weight is {own_weight}, expected a positive number")
    if np.shape(edges) != (len(lengths_mm), 2):
        raise ValueError(f"{len(lengths_mm)} lengths for edges of shape {np.shape(edges)}")
    slope, times, step = _slopes(potentials_mv, time_ms, window_ms)
    n = len(slope)
    if np.size(edges) and not 0 <= np.min(edges) <= np.max(edges) < n:
        raise ValueError(f"edges refer to nodes {np.min(edges)} … {np.max(edges)} of {n}")
    local = times[0] + step * _peak(-slope)
    trust = np.square(slope.min(axis=1))
    trust = trust / trust.mean() if trust.any() else np.ones(n)
    # only descents: the rest of a signal is mostly that of the whole heart, the same everywhere
    delay, likeness = _delays(slope.clip(max=0), np.asarray(edges), np.asarray(lengths_mm) / step)
    rows = np.repeat(np.arange(len(edges)), 2)
    difference = sparse.csr_matrix(
        (np.tile([1.0, -1.0], len(edges)), (rows, np.ravel(edges))), shape=(len(edges), n)
    )
    weighted = difference.T @ sparse.diags(np.square(likeness))
    own = sparse.diags(own_weight * trust.clip(1e-6))
    return spsolve((weighted @ difference + own).tocsc(), weighted @ (step * delay) + own @ local)


def _slopes(
    potentials_mv: np.ndarray, time_ms: np.ndarray, window_ms: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """dV/dt in the window, the window's times and the sampling step."""
    potentials, times = np.asarray(potentials_mv, float), np.asarray(time_ms, float)
    if potentials.ndim != 2 or times.shape != potentials.shape[1:]:
        raise ValueError(
            f"potentials_mv has shape {potentials.shape} and time_ms {times.shape}, expected "
            "(nodes, times) and (times,)"
        )
    if not np.all(np.isfinite(potentials)):
        raise ValueError("potentials_mv has values that are not finite")
    steps = np.diff(times)
    if times.size < 3 or not np.allclose(steps, steps[0]) or steps[0] <= 0:
        raise ValueError("time_ms must be increasing and evenly spaced, with 3 times or more")
    step = float(steps[0])
    slope = ndimage.gaussian_filter1d(potentials, SMOOTHING_MS / step, order=1, mode="nearest")
    first, last = window_ms or (times[0], times[-1])
    inside = (times >= first) & (times <= last)
    if np.count_nonzero(inside) < 3:
        raise ValueError(
            f"the window {window_ms} ms holds {np.count_nonzero(inside)} samples of "
            f"{times[0]:g} … {times[-1]:g} ms, expected 3 or more"
        )
    return slope[:, inside] / step, times[inside], step


def _peak(values: np.ndarray) -> np.ndarray:
    """Place of the largest value of each row, between samples by a parabola."""
    top = values.argmax(axis=1)
    inner = top.clip(1, values.shape[1] - 2)
    before, at, after = (
        np.take_along_axis(values, (inner + k)[:, None], 1)[:, 0] for k in (-1, 0, 1)
    )
    bend = before - 2 * at + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(at), where=bend < 0)
    return np.where(top == inner, inner + shift.clip(-0.5, 0.5), top)


def _delays(
    slope: np.ndarray, edges: np.ndarray, samples_per_speed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Delay in samples of the first node of each edge behind the second, and their correlation."""
    n, count = slope.shape
    norms = np.linalg.norm(slope, axis=1)
    unit = slope / np.where(norms > 0, norms, 1)[:, None]
    spectrum = np.fft.rfft(unit, 2 * count)
    a, b = edges.T
    product = np.fft.irfft(spectrum[a] * spectrum[b].conj(), 2 * count)
    lags = np.arange(-(count - 1), count)
    correlation = product[:, lags]
    longest = np.maximum(samples_per_speed / SLOWEST_MM_PER_MS, 1)
    correlation = np.where(np.abs(lags) <= longest[:, None], correlation, -1.0)
    likeness = correlation.max(axis=1).clip(0)
    return _peak(correlation) - (count - 1), likeness
