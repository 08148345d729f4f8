"""Electrograms at electrodes on the wall: unipolar, and bipolar pairs.

The dipole formulation of `kecgi.simulate.forward`, seen from close by: an electrode of some size
doesn't touch the sources, so the distance r is replaced by sqrt(r² + d²), with d the electrode's
height above the wall. A straight front then gives ``x / (x² + d²)``, x being its distance.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import signal, spatial

from kecgi.geometry.heart import Heart
from kecgi.simulate.eikonal import TissueGraph
from kecgi.simulate.forward import VM_RANGE_MV, dipole_matrix, tissue_share

HEIGHT_MM = 1.5
"""Height of electrodes above the wall."""


def near_field(
    heart: Heart,
    positions_mm: np.ndarray,
    *,
    height_mm: float = HEIGHT_MM,
    sigma_i: float = 0.07,
    sigma_b: float = 0.22,
    graph: TissueGraph | None = None,
) -> np.ndarray:
    """Lead field at electrodes on the wall.

    Parameters
    ----------
    heart : Heart
        A 3-D wall.
    positions_mm : ndarray, shape (electrodes, 3)
        Where the electrodes stand on it, as voxel centres.
    height_mm : float
        Height above the wall; at least about one grid step, or single voxels show.
    sigma_i, sigma_b, graph
        As in `kecgi.simulate.lead_field`.

    Returns
    -------
    ndarray of float32, shape (n_voxels, electrodes)
        mV per unit of v, so that ``egm = frames @ near_field``.

    Raises
    ------
    ValueError
        Where the heart is not 3-D or the height is not positive.
    """
    if heart.ndim != 3:
        raise ValueError(f"{heart.name} is {heart.ndim}-D; electrograms need a 3-D wall")
    if not 0 < height_mm < np.inf:
        raise ValueError(f"height_mm is {height_mm}, expected a positive number")
    graph = graph or TissueGraph.from_heart(heart)
    scale = VM_RANGE_MV * sigma_i / (4 * np.pi * sigma_b) * np.prod(heart.spacing_mm)
    return dipole_matrix(
        graph.positions_mm.astype(np.float32),
        graph.neighbours,
        graph.spacing_mm.astype(np.float32),
        (-scale * tissue_share(heart)).astype(np.float32),
        np.ascontiguousarray(np.asarray(positions_mm).T, np.float32),
        np.float32(height_mm**2),
    )


def bipolar_pairs(positions_mm: np.ndarray, first: np.ndarray, distance_mm: float) -> np.ndarray:
    """Give each of some electrodes a partner on the wall at about a distance.

    Parameters
    ----------
    positions_mm : ndarray, shape (n, 3)
        Places on the wall, such as its voxels.
    first : ndarray of int, shape (pairs,)
        Places of the first electrodes.
    distance_mm : float
        Distance within a pair.

    Returns
    -------
    ndarray of int, shape (pairs, 2)
        Places of both; the signal is the first's less the second's.
    """
    apart = spatial.distance.cdist(positions_mm[first], positions_mm)
    return np.stack([first, np.abs(apart - distance_mm).argmin(axis=1)], axis=1)


def resample(signals: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Change the sampling rate of signals along the first axis, through a low-pass filter.

    Raises
    ------
    ValueError
        Where the rates have no ratio of small numbers.
    """
    ratio = Fraction(to_hz / from_hz).limit_denominator(1000)
    if not ratio or abs(float(ratio) * from_hz / to_hz - 1) > 1e-9:
        raise ValueError(f"can't resample from {from_hz} Hz to {to_hz} Hz: no ratio of integers")
    if ratio == 1:
        return signals
    return signal.resample_poly(
        signals, ratio.numerator, ratio.denominator, axis=0, padtype="line"
    ).astype(signals.dtype)
