"""Dipole forward problem: from the activation of a heart to potentials at electrodes.

In an unbounded homogeneous torso [1]_

    phi(x_e, t) = 1 / (4 pi sigma_b) * Int_heart -sigma_i grad Vm(x, t) . (x_e - x) / |x_e - x|³ dV

is linear in Vm, so it is one matrix per heart and set of electrodes, the lead field. With an
eikonal front ``Vm(x, t) = AP(t - T(x))``, and the time course at an electrode is the action
potential convolved with the histogram of the lead field over activation times.

References
----------
.. [1] Giffard-Roisin et al. 2017, doi 10.1109/TBME.2016.2629849; used in the FIMH 2019 paper,
   doi 10.1007/978-3-030-21949-9_3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from kecgi.geometry.electrodes import Electrodes
from kecgi.geometry.heart import Heart
from kecgi.simulate.action_potential import ActionPotential
from kecgi.simulate.eikonal import TissueGraph

VM_RANGE_MV = 100.0
"""Transmembrane voltage in mV per unit of v: Vm = -85 + 100 v."""

LONGEST_BIN_MS = 0.25
"""Widest bin of the activation-time histogram."""


def lead_field(
    heart: Heart,
    electrodes: Electrodes,
    *,
    sigma_i: float = 0.07,
    sigma_b: float = 0.22,
    graph: TissueGraph | None = None,
) -> np.ndarray:
    """Lead field of a heart at electrodes.

    The gradient of Vm is the mean of the one-sided differences that stay in the tissue. Each voxel
    counts with its tissue fraction, and what the fraction leaves in voxels beside the mask is
    added to their neighbours in it, so that the integral runs over the true volume.

    Parameters
    ----------
    heart : Heart
        A 3-D heart.
    electrodes : Electrodes
        Outside the heart.
    sigma_i, sigma_b : float
        Intracellular (mean of the fibre's directions) and bulk conductivity, S/m.
    graph : TissueGraph, optional
        The heart's voxel list, where it is at hand.

    Returns
    -------
    ndarray of float32, shape (n_voxels, n_electrodes)
        mV per unit of v, so that ``phi = v.T @ lead_field`` for v of shape (n_voxels, time).

    Raises
    ------
    ValueError
        Where the heart is not 3-D, an electrode lies in it, or a conductivity is not positive.
    """
    if heart.ndim != 3:
        raise ValueError(f"{heart.name} is {heart.ndim}-D; the forward problem needs a 3-D heart")
    for name, value in (("sigma_i", sigma_i), ("sigma_b", sigma_b)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value} S/m, expected a positive number")
    electrodes.require_outside(heart)
    graph = graph or TissueGraph.from_heart(heart)
    scale = VM_RANGE_MV * sigma_i / (4 * np.pi * sigma_b) * np.prod(heart.spacing_mm)
    return dipole_matrix(
        graph.positions_mm.astype(np.float32),
        graph.neighbours,
        graph.spacing_mm.astype(np.float32),
        (-scale * tissue_share(heart)).astype(np.float32),
        np.ascontiguousarray(electrodes.positions_mm.T, np.float32),
        np.float32(0),
    )


def tissue_share(heart: Heart) -> np.ndarray:
    """Tissue that each mask voxel stands for, in voxels; what lies beside the mask is added."""
    if heart.fraction is None:
        return np.ones(int(np.count_nonzero(heart.mask)))
    mask, fraction = np.pad(heart.mask, 1), np.pad(heart.fraction, 1).ravel()
    n = int(np.count_nonzero(mask))
    index = np.full(mask.size, n)
    index[mask.ravel()] = np.arange(n)
    beside = np.flatnonzero((fraction > 0) & (index == n))
    strides = np.array(mask.strides) // mask.itemsize
    owners = index[beside[:, None] + np.outer(strides, (-1, 1)).ravel()]
    count = np.count_nonzero(owners < n, axis=1)
    parts = np.repeat(fraction[beside] / np.maximum(count, 1), owners.shape[1])
    return fraction[index < n] + np.bincount(owners.ravel(), parts, n + 1)[:n]


def body_surface_potentials(
    lead_field: np.ndarray,
    activation_ms: np.ndarray,
    time_ms: np.ndarray,
    action_potential: ActionPotential | Sequence[ActionPotential],
    classes: np.ndarray | None = None,
) -> np.ndarray:
    """Potentials at the electrodes in the histogram form.

    Parameters
    ----------
    lead_field : ndarray, shape (n_voxels, n_electrodes)
        From `lead_field`.
    activation_ms : ndarray, shape (n_voxels,)
        Activation times, from `kecgi.simulate.eikonal.solve`.
    time_ms : ndarray, shape (n_times,)
        Evenly spaced sampling times.
    action_potential : ActionPotential or sequence of them
        One for all voxels, or one per class. Pass ``action_potential.averaged(h / speed)`` to
        account for the time that a front needs to cross a voxel of size h.
    classes : ndarray of int, shape (n_voxels,), optional
        Which action potential each voxel has.

    Returns
    -------
    ndarray of float32, shape (n_electrodes, n_times)
        Body-surface potentials in mV.

    Raises
    ------
    ValueError
        Where times are uneven, activation times don't match the lead field or aren't finite, or
        the classes don't match the action potentials.
    """
    time_ms = np.asarray(time_ms, float)
    steps = np.diff(time_ms)
    if time_ms.ndim != 1 or time_ms.size < 2 or not np.allclose(steps, steps[0]) or steps[0] <= 0:
        raise ValueError("time_ms must be increasing and evenly spaced, with 2 times or more")
    if activation_ms.shape != lead_field.shape[:1]:
        raise ValueError(
            f"activation_ms has shape {activation_ms.shape}, expected ({len(lead_field)},) as the "
            "lead field has"
        )
    if not np.all(np.isfinite(activation_ms)):
        raise ValueError("activation_ms has values that are not finite: unreached tissue")
    single = isinstance(action_potential, ActionPotential)
    templates = [action_potential] if single else list(action_potential)
    if classes is None:
        if not single:
            raise ValueError(f"{len(templates)} action potentials need classes, one per voxel")
        members = [slice(None)]
    else:
        classes = np.asarray(classes)
        if classes.shape != activation_ms.shape:
            raise ValueError(f"classes have shape {classes.shape}, expected {activation_ms.shape}")
        if classes.min() < 0 or classes.max() >= len(templates):
            raise ValueError(
                f"classes lie in [{classes.min()}, {classes.max()}], expected 0 … "
                f"{len(templates) - 1}"
            )
        members = [np.flatnonzero(classes == c) for c in range(len(templates))]
    step = float(steps[0])
    per_sample = int(np.ceil(step / LONGEST_BIN_MS))
    width = step / per_sample
    first = float(activation_ms.min())
    bins = int((activation_ms.max() - first) / width) + 2
    phi = np.zeros((lead_field.shape[1], time_ms.size), np.float32)
    # time k against bin b needs the action potential at t_0 - first + (k per_sample - b) width
    at = time_ms[0] - first + width * np.arange(-(bins - 1), (time_ms.size - 1) * per_sample + 1)
    for template, member in zip(templates, members, strict=True):
        histogram = _histogram(lead_field[member], activation_ms[member], first, width, bins)
        values = template(at).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(values, bins)[::per_sample, ::-1]
        phi += (np.ascontiguousarray(windows) @ histogram).T
    return phi


@numba.njit(cache=True, fastmath=True)
def dipole_matrix(positions, neighbours, spacing, weight, electrodes, squared_height):
    """Sum the dipoles of all voxels; electrodes may stand at a height above the sources."""
    n, count = len(positions), electrodes.shape[1]
    matrix = np.zeros((n, count), np.float32)
    kernel = np.empty((3, count), np.float32)
    for i in range(n):
        for e in range(count):
            x = electrodes[0, e] - positions[i, 0]
            y = electrodes[1, e] - positions[i, 1]
            z = electrodes[2, e] - positions[i, 2]
            squared = x * x + y * y + z * z + squared_height
            inverse = weight[i] / (squared * np.sqrt(squared))
            kernel[0, e] = x * inverse
            kernel[1, e] = y * inverse
            kernel[2, e] = z * inverse
        for axis in range(3):
            before, after = neighbours[i, 2 * axis], neighbours[i, 2 * axis + 1]
            steps = np.float32(before < n) + np.float32(after < n)
            if steps == 0:
                continue
            low = before if before < n else i
            high = after if after < n else i
            factor = np.float32(1) / (steps * spacing[axis])
            for e in range(count):
                matrix[high, e] += factor * kernel[axis, e]
                matrix[low, e] -= factor * kernel[axis, e]
    return matrix


@numba.njit(cache=True, fastmath=True)
def _histogram(lead_field, activation, first, width, bins):
    """Lead field summed over activation times, each voxel shared between its two nearest bins."""
    count = lead_field.shape[1]
    histogram = np.zeros((bins, count), np.float32)
    for i in range(len(activation)):
        place = (activation[i] - first) / width
        b = int(place)
        upper = np.float32(place - b)
        lower = np.float32(1) - upper
        for e in range(count):
            histogram[b, e] += lower * lead_field[i, e]
            histogram[b + 1, e] += upper * lead_field[i, e]
    return histogram
