"""How a map of one heart is read on another: the one rule of all baselines.

All hearts lie on one grid of the torso frame. A map is known at its own tissue only; at any other
place of the grid it takes the value of its nearest tissue voxel. So every map of a cohort has a
value at the same set of *sites*, and sites can be averaged or regressed. A heart that asks for its
map interpolates between the sites nearest to each of its voxels.

With one anatomy the sites are its voxels, and all of this is the identity. With several they are
the points of a coarser lattice inside the union of the hearts, few enough to be fast.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse, spatial

MOST_SITES = 8192
CASES_AT_ONCE = 64  # a stored array is read in blocks of this many cases


@dataclass(frozen=True, eq=False)
class Sites:
    """Places of the common grid at which the maps of all hearts are compared.

    Attributes
    ----------
    shape : tuple of int
        Shape of the grid.
    spacing_mm : tuple of float
        Voxel size.
    points : (sites, ndim) int array
        Voxel indices of the sites.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    points: np.ndarray

    def spread(self, values: ArrayLike, mask: ArrayLike) -> np.ndarray:
        """Return maps, given the values at the sites.

        Parameters
        ----------
        values : (cases, sites) array
        mask : (cases, *space) or (*space) bool array
            Tissue of the hearts that ask.

        Returns
        -------
        (cases, *space) float32 array, NaN outside the tissue
        """
        values = np.asarray(values)
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise ValueError(f"the mask must be boolean, got {mask.dtype}")
        if mask.shape not in (self.shape, (len(values), *self.shape)):
            raise ValueError(
                f"mask {mask.shape} does not lie on the training maps' grid: expected "
                f"{self.shape} or {(len(values), *self.shape)}"
            )
        masks = np.broadcast_to(mask, (len(values), *self.shape))
        maps = np.full(masks.shape, np.nan, dtype=np.float32)
        anatomy, kinds = _anatomies([masks])
        tree = spatial.KDTree(self.points * np.asarray(self.spacing_mm))
        for i, kind in enumerate(kinds):
            cases = np.flatnonzero(anatomy == i)
            interpolated = self._interpolation(tree, kind) @ values[cases].T
            maps.reshape(len(maps), -1)[np.ix_(cases, np.flatnonzero(kind))] = interpolated.T
        return maps

    def _interpolation(self, tree: spatial.KDTree, mask: np.ndarray) -> sparse.csr_array:
        """Inverse-square-distance weights, (voxels of the mask, sites)."""
        voxels = np.argwhere(mask) * np.asarray(self.spacing_mm)
        count = min(len(self.shape) + 1, len(self.points))
        distance, site = (
            x.reshape(len(voxels), count) for x in tree.query(voxels, k=range(1, count + 1))
        )
        weight = np.maximum(distance, 1e-6 * min(self.spacing_mm)) ** -2.0
        weight /= weight.sum(axis=1, keepdims=True)
        row = np.repeat(np.arange(len(voxels)), count)
        return sparse.csr_array(
            (weight.ravel(), (row, site.ravel())), shape=(len(voxels), len(self.points))
        )


def collect(maps: ArrayLike, spacing_mm: Sequence[float]) -> tuple[Sites, np.ndarray]:
    """Choose the sites for a set of maps and read all maps there.

    Parameters
    ----------
    maps : (cases, *space) array, or anything that gives one when its first axis is sliced
        Activation maps in ms, NaN outside the tissue.
    spacing_mm : (ndim,) sequence
        Voxel size of the common grid.

    Returns
    -------
    sites : Sites
    values : (cases, sites) float32 array
    """
    shape = tuple(int(n) for n in maps.shape[1:])
    spacing = tuple(float(s) for s in spacing_mm)
    if len(spacing) != len(shape) or min(spacing) <= 0:
        raise ValueError(
            f"spacing_mm must be {len(shape)} positive numbers for maps of shape {shape}, "
            f"got {spacing_mm}"
        )
    if len(maps) == 0:
        raise ValueError("there are no training maps")
    anatomy, kinds = _anatomies(np.isfinite(block) for block in _blocks(maps))
    points = np.argwhere(_lattice(np.any(kinds, axis=0), single=len(kinds) == 1))
    sites = Sites(shape, spacing, points)
    nearest = [_nearest_tissue(kind, points, spacing) for kind in kinds]
    values = np.empty((len(maps), len(points)), dtype=np.float32)
    case = 0
    for block in _blocks(maps):
        for one in block:
            values[case] = one.ravel()[nearest[anatomy[case]]]
            case += 1
    return sites, values


def _blocks(maps: ArrayLike) -> Iterator[np.ndarray]:
    for start in range(0, len(maps), CASES_AT_ONCE):
        yield np.asarray(maps[start : start + CASES_AT_ONCE])


def _anatomies(blocks: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which of the distinct masks each case has, (cases,), and these masks."""
    index: dict[bytes, int] = {}
    kinds, anatomy = [], []
    for block in blocks:
        for mask in block:
            key = np.packbits(mask).tobytes()
            if key not in index:
                if not mask.any():
                    raise ValueError(f"case {len(anatomy)} has no tissue")
                index[key] = len(kinds)
                kinds.append(mask.copy())
            anatomy.append(index[key])
    return np.array(anatomy), kinds


def _lattice(union: np.ndarray, single: bool) -> np.ndarray:
    """Every n-th voxel of the union along each axis, with the smallest n that leaves few."""
    chosen = union
    step = 1
    while not single and chosen.sum() > MOST_SITES:
        step += 1
        every = np.zeros_like(union)
        every[(slice(step // 2, None, step),) * union.ndim] = True
        chosen = union & every
    return chosen


def _nearest_tissue(
    mask: np.ndarray, points: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Flat index of the tissue voxel nearest to each point, (points,)."""
    tree = spatial.KDTree(np.argwhere(mask) * np.asarray(spacing_mm))
    return np.flatnonzero(mask)[tree.query(points * np.asarray(spacing_mm))[1]]
