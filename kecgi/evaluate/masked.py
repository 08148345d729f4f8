"""Which voxels count: the mask that every map metric shares."""

import numpy as np
from numpy.typing import ArrayLike


def tissue(true: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Mask of the voxels that count, one mask a case.

    Parameters
    ----------
    true : (cases, *space) array
        Maps; NaN outside the tissue is allowed.
    mask : (cases, *space) or (*space) bool array, optional
        Tissue. Without it, the finite voxels of `true` count.

    Returns
    -------
    (cases, *space) bool array

    Raises
    ------
    ValueError
        When shapes disagree, a case has no tissue, or `true` is not finite inside the mask.
    """
    true = np.asarray(true)
    if true.ndim < 2:
        raise ValueError(
            f"maps must be shaped (cases, *space), got {true.shape}; "
            "add a case axis in front of a single map: map[None]"
        )
    finite = np.isfinite(true)
    if mask is None:
        on = finite
    else:
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise ValueError(f"the mask must be boolean, got {mask.dtype}; pass e.g. `mask > 0.5`")
        if mask.shape not in (true.shape, true.shape[1:]):
            raise ValueError(
                f"mask {mask.shape} fits neither the maps {true.shape} nor one map {true.shape[1:]}"
            )
        on = np.broadcast_to(mask, true.shape)
        _require_finite(finite, on, "the true maps")
    empty = np.flatnonzero(~on.reshape(len(on), -1).any(axis=1))
    if empty.size:
        raise ValueError(f"no tissue in case(s) {_few(empty)}: nothing to evaluate there")
    return on


def require_like(values: ArrayLike, on: np.ndarray, name: str) -> np.ndarray:
    """Return `values` as an array, checked to have the mask's shape and to be finite inside it."""
    values = np.asarray(values)
    if values.shape != on.shape:
        raise ValueError(
            f"{name} has shape {values.shape}, expected that of the true maps, {on.shape}"
        )
    _require_finite(np.isfinite(values), on, name)
    return values


def _require_finite(finite: np.ndarray, on: np.ndarray, name: str) -> None:
    bad = (on & ~finite).reshape(len(on), -1).sum(axis=1)
    if bad.any():
        cases = np.flatnonzero(bad)
        raise ValueError(
            f"{name}: {int(bad.sum())} voxel(s) inside the mask are not finite, "
            f"in case(s) {_few(cases)}"
        )


def _few(indices: np.ndarray) -> str:
    shown = ", ".join(str(i) for i in indices[:5])
    return shown if len(indices) <= 5 else f"{shown}, … ({len(indices)} in all)"
