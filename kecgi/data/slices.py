"""Two-dimensional slices of three-dimensional cases, and coarser maps."""

from __future__ import annotations

import numpy as np


def slice_index(
    mask: np.ndarray,
    anatomy: np.ndarray,
    cases: np.ndarray | None = None,
    *,
    axis: int = 2,
    least_voxels: int = 100,
) -> np.ndarray:
    """List the slices that hold enough tissue.

    The FIMH 2019 study trained on 2-D slices of its 3-D simulations.

    Parameters
    ----------
    mask : ndarray of bool, shape (anatomies, x, y, z)
        Masks of the cohort.
    anatomy : ndarray of int, shape (cases,)
        Anatomy of each case.
    cases : ndarray of int, optional
        The cases to slice, such as one part of a split; all by default.
    axis : {0, 1, 2}
        Axis across the slices: 2 gives axial ones.
    least_voxels : int
        Tissue voxels a slice must have.

    Returns
    -------
    ndarray of int, shape (slices, 2)
        Case and position along `axis`, sorted.

    Raises
    ------
    ValueError
        Where no slice has that much tissue.
    """
    across = tuple(a + 1 for a in range(3) if a != axis)
    enough = np.count_nonzero(mask, axis=across) >= least_voxels
    cases = np.arange(len(anatomy)) if cases is None else np.sort(cases)
    row, position = np.nonzero(enough[np.asarray(anatomy)[cases]])
    if not len(row):
        raise ValueError(f"no slice across axis {axis} has least_voxels={least_voxels} of tissue")
    return np.stack([cases[row], position], axis=1)


def coarsen(activation_ms: np.ndarray, factor: int) -> np.ndarray:
    """Average a map over cubes of `factor` voxels, tissue only.

    A coarse voxel is tissue where any of its voxels is, so that thin walls stay in one piece and
    each fine tissue voxel has a coarse one to read its time from.

    Parameters
    ----------
    activation_ms : ndarray, shape (x, y, z) or (x, y)
        Times, NaN outside the tissue.
    factor : int
        Voxels per coarse voxel along each axis; 1 returns the map itself.

    Raises
    ------
    ValueError
        Where an axis is not a multiple of the factor.
    """
    if factor == 1:
        return activation_ms
    if factor < 1 or any(n % factor for n in activation_ms.shape):
        raise ValueError(
            f"factor is {factor}, expected a divisor of the map's shape {activation_ms.shape}"
        )
    shape = tuple(n // factor for n in activation_ms.shape)
    tissue = np.nonzero(np.isfinite(activation_ms))
    cell = np.ravel_multi_index([i // factor for i in tissue], shape)
    count = np.bincount(cell, minlength=np.prod(shape))
    total = np.bincount(cell, weights=activation_ms[tissue], minlength=np.prod(shape))
    mean = np.full(count.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.reshape(shape).astype(activation_ms.dtype)
