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
    mask : ndarray of bool, 2-D or 3-D
        Voxels of excitable tissue; exactly one face-connected component.
    spacing_mm : float or sequence of float
        Grid step per axis in mm.
    origin_mm : sequence of float, optional
        Position of the centre of voxel (0, 0, 0); the grid's centre lies at 0 by default.
        Patient coordinates are LPS: x to the left, y to the back, z to the head.
    fraction : ndarray of float, optional
        Share of each voxel's volume that is tissue, 0 to 1; the mask itself where absent.
    labels : ndarray of int, optional
        Region of each voxel, 0 outside the mask.
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
        mask = np.ascontiguousarray(self.mask, bool)
        if mask.ndim not in (2, 3):
            raise ValueError(f"{self.name}: the mask has {mask.ndim} dimensions, expected 2 or 3")
        spacing = _per_axis(self.spacing_mm, mask.ndim, f"{self.name}: spacing_mm")
        if not np.all(np.isfinite(spacing)) or min(spacing) <= 0:
            raise ValueError(
                f"{self.name}: spacing_mm is {spacing}, expected positive numbers in mm"
            )
        if self.origin_mm is None:
            origin = tuple(-0.5 * (n - 1) * h for n, h in zip(mask.shape, spacing, strict=True))
        else:
            origin = _per_axis(self.origin_mm, mask.ndim, f"{self.name}: origin_mm")
        if not np.all(np.isfinite(origin)):
            raise ValueError(f"{self.name}: origin_mm is {origin}, expected finite numbers in mm")
        _require_one_component(mask, self.name)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "spacing_mm", spacing)
        object.__setattr__(self, "origin_mm", origin)
        for field, shape in (
            ("fraction", mask.shape),
            ("labels", mask.shape),
            ("fibres", (*mask.shape, mask.ndim)),
        ):
            values = getattr(self, field)
            if values is not None and np.shape(values) != shape:
                raise ValueError(
                    f"{self.name}: {field} has shape {np.shape(values)}, expected {shape}"
                )
        if self.fraction is not None:
            low, high = float(np.min(self.fraction)), float(np.max(self.fraction))
            if not (low >= 0 and high <= 1):
                raise ValueError(f"{self.name}: fraction lies in [{low}, {high}], expected [0, 1]")
        if self.labels is not None:
            if not np.issubdtype(np.asarray(self.labels).dtype, np.integer):
                raise ValueError(f"{self.name}: labels must be integers, got {self.labels.dtype}")
            unlabelled = int(np.count_nonzero(mask & (np.asarray(self.labels) == 0)))
            if unlabelled:
                raise ValueError(
                    f"{self.name}: {unlabelled} tissue voxels have label 0, "
                    "which is kept for what lies outside the mask"
                )

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return self.mask.ndim

    @property
    def voxels_mm(self) -> np.ndarray:
        """Positions of the tissue voxels, shape (n, ndim), in C order of the mask."""
        return np.argwhere(self.mask) * np.array(self.spacing_mm) + np.array(self.origin_mm)

    @property
    def centroid_mm(self) -> np.ndarray:
        """Mean position of the tissue voxels."""
        return self.voxels_mm.mean(axis=0)

    @property
    def volume_ml(self) -> float:
        """Tissue volume in ml (of a slice one mm thick in 2-D)."""
        share = self.mask if self.fraction is None else self.fraction
        return float(np.sum(share, dtype=float) * np.prod(self.spacing_mm) / 1000)

    def coordinates_mm(self) -> tuple[np.ndarray, ...]:
        """Coordinates of the grid along each axis."""
        return tuple(
            o + h * np.arange(n)
            for o, h, n in zip(self.origin_mm, self.spacing_mm, self.mask.shape, strict=True)
        )

    def centred(self, at_mm: Sequence[float] | float = 0.0) -> Heart:
        """Return the heart moved so that its centroid is at `at_mm`."""
        target = np.broadcast_to(np.asarray(at_mm, float), (self.ndim,))
        return replace(self, origin_mm=tuple(np.array(self.origin_mm) + target - self.centroid_mm))

    def resampled(
        self,
        shape: Sequence[int],
        spacing_mm: float | Sequence[float],
        origin_mm: Sequence[float] | None = None,
    ) -> Heart:
        """Return the heart on another grid, in place.

        The tissue fraction is averaged over the new voxels (supersampled trilinear interpolation)
        and the mask is where it reaches one half; labels and fibres follow the nearest voxel.

        Raises
        ------
        ValueError
            Where the new grid cuts tissue off, or is too coarse to keep the wall in one piece.
        """
        target = _empty_grid(shape, spacing_mm, origin_mm, self.ndim)
        low, high = self._tissue_box()
        first = np.array([c[0] for c in target]) - _half_steps(target)
        last = np.array([c[-1] for c in target]) + _half_steps(target)
        if np.any(low < first - 1e-6) or np.any(high > last + 1e-6):
            raise ValueError(
                f"{self.name}: tissue spans {_span(low, high)} mm but the grid only "
                f"{_span(first, last)} mm; centre the heart with centred(), or give the grid "
                "more voxels or a larger step"
            )
        fraction = _average_onto(self._share(), self.coordinates_mm(), target)
        mask = fraction >= 0.5
        inside = ndimage.label(mask)[0]
        if inside.max() > 1:  # crumbs that the coarser grid breaks off
            sizes = np.bincount(inside.ravel())[1:]
            if sizes.max() < 0.98 * sizes.sum():
                raise ValueError(
                    f"{self.name}: at a step of {tuple(np.round(_steps(target), 3))} mm the wall "
                    f"breaks into {inside.max()} components of {np.sort(sizes)[::-1][:5].tolist()} "
                    "voxels; choose a finer step"
                )
            mask = keep_largest(mask)
        nearest = np.ix_(
            *(
                np.clip(np.rint((c - o) / h).astype(int), 0, n - 1)
                for c, o, h, n in zip(
                    target, self.origin_mm, self.spacing_mm, self.mask.shape, strict=True
                )
            )
        )
        labels, fibres = self.labels, self.fibres
        if labels is not None or fibres is not None:
            # borders of the new mask may fall just outside the old one: take the closest tissue
            index = ndimage.distance_transform_edt(
                ~self.mask, self.spacing_mm, return_distances=False, return_indices=True
            )
            source = tuple(i[nearest] for i in index)
            labels = None if labels is None else np.where(mask, labels[source], 0)
            fibres = None if fibres is None else np.where(mask[..., None], fibres[source], 0)
        return Heart(
            mask,
            tuple(_steps(target)),
            tuple(float(c[0]) for c in target),
            fraction.astype(np.float32),
            labels,
            fibres,
            self.name,
        )

    def _share(self) -> np.ndarray:
        share = self.mask if self.fraction is None else self.fraction
        return np.asarray(share, np.float32)

    def _tissue_box(self) -> tuple[np.ndarray, np.ndarray]:
        voxels, half = np.argwhere(self.mask), 0.5
        spacing, origin = np.array(self.spacing_mm), np.array(self.origin_mm)
        return (
            (voxels.min(0) - half) * spacing + origin,
            (voxels.max(0) + half) * spacing + origin,
        )


def keep_largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest face-connected component of a mask."""
    components, count = ndimage.label(mask)
    if count <= 1:
        return np.asarray(mask, bool)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return components == sizes.argmax()


def _per_axis(values: float | Sequence[float], ndim: int, what: str) -> tuple[float, ...]:
    if values is None:
        raise ValueError(f"{what} is missing; give the grid step in mm")
    values = np.atleast_1d(np.asarray(values, float)).ravel()
    if values.size not in (1, ndim):
        raise ValueError(f"{what} has {values.size} values, expected 1 or {ndim}")
    return tuple(float(v) for v in np.broadcast_to(values, (ndim,)))


def _require_one_component(mask: np.ndarray, name: str) -> None:
    if not mask.any():
        raise ValueError(f"{name}: the mask of shape {mask.shape} is empty, there is no tissue")
    components, count = ndimage.label(mask)
    if count > 1:
        sizes = np.sort(np.bincount(components.ravel())[1:])[::-1]
        raise ValueError(
            f"{name}: the mask has {count} separate components of {sizes[:5].tolist()}"
            f"{' …' if count > 5 else ''} voxels, expected 1; pass keep_largest=True to the reader, "
            "or mask=keep_largest(mask), to keep the largest alone"
        )


def _empty_grid(shape, spacing_mm, origin_mm, ndim) -> tuple[np.ndarray, ...]:
    spacing = _per_axis(spacing_mm, ndim, "spacing_mm")
    if len(shape) != ndim:
        raise ValueError(f"the grid's shape is {tuple(shape)}, expected {ndim} axes")
    if origin_mm is None:
        origin_mm = [-0.5 * (n - 1) * h for n, h in zip(shape, spacing, strict=True)]
    origin = _per_axis(origin_mm, ndim, "origin_mm")
    return tuple(o + h * np.arange(n) for o, h, n in zip(origin, spacing, shape, strict=True))


def _steps(coordinates: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([float(c[1] - c[0]) for c in coordinates])


def _half_steps(coordinates: Sequence[np.ndarray]) -> np.ndarray:
    return _steps(coordinates) / 2


def _span(low: np.ndarray, high: np.ndarray) -> str:
    return " × ".join(f"{a:.0f}…{b:.0f}" for a, b in zip(low, high, strict=True))


def _average_onto(
    values: np.ndarray, source: Sequence[np.ndarray], target: Sequence[np.ndarray]
) -> np.ndarray:
    """Average of a linearly interpolated field over each target voxel, separable by axis."""
    for axis, (old, new) in enumerate(zip(source, target, strict=True)):
        step = float(new[1] - new[0])
        points = 4
        offsets = (np.arange(points) + 0.5) / points - 0.5
        weights = np.zeros((new.size, old.size), np.float32)
        for offset in offsets:
            position = (new + offset * step - old[0]) / (old[1] - old[0])
            below = np.floor(position).astype(int)
            part = (position - below).astype(np.float32)
            for index, share in ((below, 1 - part), (below + 1, part)):
                inside = (index >= 0) & (index < old.size)
                np.add.at(weights, (np.flatnonzero(inside), index[inside]), share[inside] / points)
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return values
