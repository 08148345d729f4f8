"""The heart as a masked grid: where there is tissue, of what kind, and at which place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage


@dataclass(frozen=True, eq=False)
class Heart:
    """Myocardium on a Cartesian grid.

    Parameters
    ----------
    mask : ndarray of bool (or of 0 and 1), 2-D or 3-D
        Voxels of excitable tissue; exactly one face-connected component.
    spacing_mm : float or sequence of float
        Grid step per axis in mm.
    origin_mm : sequence of float, optional
        Position of the centre of voxel (0, 0, 0); the grid's centre lies at 0 by default.
        Patient coordinates are LPS: x to the left, y to the back, z to the head.
    fraction : ndarray of float, optional
        Share of each voxel's volume that is tissue, 0 to 1; the mask itself where absent.
    labels : ndarray of int, optional
        Region of each voxel, 1 or more on the mask and 0 outside.
    fibres : ndarray of float, shape (*mask.shape, mask.ndim), optional
        Unit fibre vectors on the mask.
    name : str
        Used in messages, figures and run names.

    Raises
    ------
    ValueError
        Where a shape, a spacing or the mask itself can't describe a heart.
    """

    mask: np.ndarray
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...] | None = None
    fraction: np.ndarray | None = None
    labels: np.ndarray | None = None
    fibres: np.ndarray | None = None
    name: str = "heart"

    def __post_init__(self) -> None:
        """Check the fields and bring them into their types."""
        mask = _checked_mask(self.mask, self.name)
        spacing = _checked_spacing(self.spacing_mm, mask.ndim, f"{self.name}: spacing_mm")
        if self.origin_mm is None:
            origin = _centred_origin(mask.shape, spacing)
        else:
            origin = _per_axis(self.origin_mm, mask.ndim, f"{self.name}: origin_mm")
        _require_one_component(mask, self.name)
        values = {"mask": mask, "spacing_mm": spacing, "origin_mm": origin}
        for field, shape in (
            ("fraction", mask.shape),
            ("labels", mask.shape),
            ("fibres", (*mask.shape, mask.ndim)),
        ):
            if getattr(self, field) is None:
                continue
            values[field] = np.asarray(getattr(self, field))
            if values[field].shape != shape:
                raise ValueError(
                    f"{self.name}: {field} has shape {values[field].shape}, expected {shape}"
                )
        if "fraction" in values:
            low, high = float(values["fraction"].min()), float(values["fraction"].max())
            if not (low >= 0 and high <= 1):
                raise ValueError(f"{self.name}: fraction lies in [{low}, {high}], expected [0, 1]")
        if "labels" in values:
            _check_labels(values["labels"], mask, self.name)
        for field, value in values.items():
            object.__setattr__(self, field, value)

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return self.mask.ndim

    @property
    def voxels_mm(self) -> np.ndarray:
        """Positions of the tissue voxels, shape (n, ndim), in C order of the mask."""
        voxels = np.ascontiguousarray(np.argwhere(self.mask))
        return voxels * np.array(self.spacing_mm) + np.array(self.origin_mm)

    @property
    def centroid_mm(self) -> np.ndarray:
        """Mean position of the tissue voxels."""
        return self.voxels_mm.mean(axis=0)

    @property
    def box_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest coordinates of the tissue, at the edges of its voxels."""
        box = ndimage.find_objects(self.mask.view(np.uint8))[0]
        spacing, origin = np.array(self.spacing_mm), np.array(self.origin_mm)
        low, high = np.array([(s.start, s.stop) for s in box]).T
        return origin + (low - 0.5) * spacing, origin + (high - 0.5) * spacing

    @property
    def volume_ml(self) -> float:
        """Tissue volume in ml (of a slice one mm thick in 2-D)."""
        return float(self._share().sum(dtype=float) * np.prod(self.spacing_mm) / 1000)

    def coordinates_mm(self) -> tuple[np.ndarray, ...]:
        """Coordinates of the grid along each axis."""
        return _axes(self.mask.shape, self.spacing_mm, self.origin_mm)

    def centred(self, at_mm: Sequence[float] | float = 0.0) -> Heart:
        """Return the heart moved so that its centroid is at `at_mm`."""
        shift = np.asarray(at_mm, float) - self.centroid_mm
        return replace(self, origin_mm=tuple(self.origin_mm + shift))

    def resampled(
        self,
        shape: Sequence[int],
        spacing_mm: float | Sequence[float],
        origin_mm: float | Sequence[float] | None = None,
    ) -> Heart:
        """Return the heart on another grid, in place.

        Each new voxel gets the tissue that lies in it, so the volume is kept; the mask is where the
        tissue fraction reaches one half. Labels and fibres follow the nearest voxel.

        Parameters
        ----------
        shape : sequence of int
            Voxels per axis.
        spacing_mm : float or sequence of float
            Grid step.
        origin_mm : sequence of float, optional
            Position of the first voxel's centre; the grid's centre lies at 0 by default.

        Raises
        ------
        ValueError
            Where the new grid cuts tissue off, or is too coarse to keep the wall in one piece.
        """
        if len(shape) != self.ndim:
            raise ValueError(f"the grid's shape is {tuple(shape)}, expected {self.ndim} axes")
        spacing = _checked_spacing(spacing_mm, self.ndim, "spacing_mm")
        if origin_mm is None:
            origin = _centred_origin(shape, spacing)
        else:
            origin = _per_axis(origin_mm, self.ndim, "origin_mm")
        target = _axes(shape, spacing, origin)
        self._require_room(target, spacing)
        fraction = self._share()
        for axis, new in enumerate(target):
            old, step = self.coordinates_mm()[axis], self.spacing_mm[axis]
            share = _overlap(old, step, new, spacing[axis])
            fraction = np.moveaxis(np.tensordot(share, fraction, (1, axis)), 0, axis)
        fraction = np.ascontiguousarray(fraction.clip(0, 1))
        mask = self._without_crumbs(fraction >= 0.5 - 1e-6, spacing)
        labels, fibres = self.labels, self.fibres
        if labels is not None or fibres is not None:
            # borders of the new mask may fall just outside the old one: take the closest tissue
            closest = ndimage.distance_transform_edt(
                ~self.mask, self.spacing_mm, return_distances=False, return_indices=True
            )
            steps = zip(target, self.origin_mm, self.spacing_mm, self.mask.shape, strict=True)
            nearest = np.ix_(
                *(np.rint((new - o) / h).astype(int).clip(0, n - 1) for new, o, h, n in steps)
            )
            source = tuple(index[nearest] for index in closest)
            labels = None if labels is None else np.where(mask, labels[source], 0)
            fibres = None if fibres is None else np.where(mask[..., None], fibres[source], 0)
        return Heart(mask, spacing, origin, fraction, labels, fibres, self.name)

    def _share(self) -> np.ndarray:
        return np.asarray(self.mask if self.fraction is None else self.fraction, np.float32)

    def _require_room(self, grid: Sequence[np.ndarray], spacing: Sequence[float]) -> None:
        """Check that no tissue lies beyond a grid."""
        low, high = self.box_mm
        first = np.array([c[0] for c in grid]) - np.array(spacing) / 2
        last = np.array([c[-1] for c in grid]) + np.array(spacing) / 2
        if np.any(low < first - 1e-6) or np.any(high > last + 1e-6):
            raise ValueError(
                f"{self.name}: tissue spans {_span(low, high)} mm but the grid only "
                f"{_span(first, last)} mm; centre the heart with centred(), or give the grid "
                "more voxels or a larger step"
            )

    def _without_crumbs(self, mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
        """Drop what a coarse grid breaks off the wall; refuse where that is much."""
        sizes = _components(mask)[2]
        if not sizes.size or sizes.max() < 0.98 * sizes.sum():
            raise ValueError(
                f"{self.name}: on a grid of {spacing} mm the wall falls into "
                f"{_counted(sizes)}; choose a finer step"
            )
        return keep_largest(mask)


def keep_largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest face-connected component of a mask."""
    mask = np.ascontiguousarray(mask, bool)
    box, components, sizes = _components(mask)
    if len(sizes) <= 1:
        return mask
    largest = np.zeros_like(mask)
    largest[box] = components == 1 + sizes.argmax()
    return largest


def _components(mask: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray, np.ndarray]:
    """Box around the tissue, its face-connected components numbered from 1, their sizes."""
    boxes = ndimage.find_objects(mask.view(np.uint8))
    if not boxes:
        return (), mask, np.zeros(0, int)
    components, _ = ndimage.label(mask[boxes[0]])
    return boxes[0], components, np.bincount(components.ravel())[1:]


def _checked_mask(mask: np.ndarray, name: str) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim not in (2, 3):
        raise ValueError(f"{name}: the mask has {mask.ndim} dimensions, expected 2 or 3")
    if mask.dtype != bool and not np.all((mask == 0) | (mask == 1)):
        raise ValueError(
            f"{name}: the mask has values other than 0 and 1, from {mask.min()} to {mask.max()}; "
            "pass a comparison such as `image == label` or `fraction >= 0.5`"
        )
    return np.ascontiguousarray(mask, bool)


def _check_labels(labels: np.ndarray, mask: np.ndarray, name: str) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name}: labels must be integers, got {labels.dtype}")
    wrong = int(np.count_nonzero(mask & (labels <= 0)))
    if wrong:
        raise ValueError(f"{name}: {wrong} tissue voxels have a label below 1")
    wrong = int(np.count_nonzero(labels[~mask]))
    if wrong:
        raise ValueError(f"{name}: {wrong} voxels outside the mask have a label, expected 0 there")


def _per_axis(values: float | Sequence[float], ndim: int, what: str) -> tuple[float, ...]:
    if values is None:
        raise ValueError(f"{what} is missing; give {ndim} numbers in mm")
    values = np.atleast_1d(np.asarray(values, float)).ravel()
    if values.size not in (1, ndim):
        raise ValueError(f"{what} has {values.size} values, expected 1 or {ndim}")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{what} is {values.tolist()}, expected finite numbers in mm")
    return tuple(float(v) for v in np.broadcast_to(values, (ndim,)))


def _checked_spacing(values: float | Sequence[float], ndim: int, what: str) -> tuple[float, ...]:
    spacing = _per_axis(values, ndim, what)
    if min(spacing) <= 0:
        raise ValueError(f"{what} is {spacing}, expected positive numbers in mm")
    return spacing


def _require_one_component(mask: np.ndarray, name: str) -> None:
    sizes = _components(mask)[2]
    if not sizes.size:
        raise ValueError(f"{name}: the mask of shape {mask.shape} is empty, there is no tissue")
    if sizes.size > 1:
        raise ValueError(
            f"{name}: the mask has {_counted(sizes)}, expected 1; pass keep_largest=True to the "
            "reader, or mask=keep_largest(mask), to keep the largest alone"
        )


def _counted(sizes: np.ndarray) -> str:
    largest = ", ".join(str(n) for n in np.sort(sizes)[:-6:-1])
    more = ", …" if sizes.size > 5 else ""
    return f"{sizes.size} separate components of {largest}{more} voxels"


def _centred_origin(shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, ...]:
    return tuple(-0.5 * (n - 1) * h for n, h in zip(shape, spacing, strict=True))


def _axes(
    shape: Sequence[int], spacing: Sequence[float], origin: Sequence[float]
) -> tuple[np.ndarray, ...]:
    return tuple(o + h * np.arange(n) for n, h, o in zip(shape, spacing, origin, strict=True))


def _span(low: np.ndarray, high: np.ndarray) -> str:
    return " × ".join(f"{a:.0f}…{b:.0f}" for a, b in zip(low, high, strict=True))


def _overlap(old: np.ndarray, old_step: float, new: np.ndarray, new_step: float) -> np.ndarray:
    """Share of each new cell (rows) that lies in each old one."""
    high = np.minimum(new[:, None] + new_step / 2, old + old_step / 2)
    low = np.maximum(new[:, None] - new_step / 2, old - old_step / 2)
    return ((high - low).clip(0) / new_step).astype(np.float32)
