"""Hearts from voxel files: NIfTI images and npz arrays."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy import ndimage

MOST_LABELS = 100
"""An image with more distinct values than this is taken for intensities, not for a segmentation."""


def read_npz(path: Path, label: tuple[int, ...] | None) -> dict:
    """Fields of a `Heart` from arrays.

    `mask` and `spacing` (mm) are needed, `origin` (mm), `labels` and `fibres` optional; axes are
    x, y, z in patient coordinates (LPS) and nothing is turned.

    Raises
    ------
    ValueError
        Where the file isn't an npz, needs pickle, or lacks `mask` or `spacing`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = ("mask", "spacing", "origin", "labels", "fibres")
            arrays = {key: archive[key] for key in wanted if key in archive}
            found = sorted(archive)
    except Exception as error:  # NumPy lets the errors of zipfile, zlib and ast through
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path} holds pickled Python objects, which could run code and are never loaded; "
                "save plain numeric arrays"
            ) from error
        raise ValueError(unreadable(path, "npz", error)) from error
    if "mask" not in arrays:
        raise ValueError(f"{path} has no array 'mask' (it holds {found}); save the myocardium so")
    if "spacing" not in arrays:
        raise ValueError(
            f"{path} has no array 'spacing' (it holds {found}); save the grid step in mm, "
            "one number or one per axis"
        )
    mask, labels = arrays["mask"], arrays.get("labels")
    spacing = _numbers(arrays["spacing"], mask.ndim, f"'spacing' in {path}")
    if labels is None:
        mask, labels = segment(mask, label, f"'mask' in {path}")
    else:
        if labels.shape != mask.shape:
            raise ValueError(f"{path}: mask {mask.shape} and labels {labels.shape} differ in shape")
        mask, _ = segment(mask, None, f"'mask' in {path}")
        if label is not None:
            picked, _ = segment(labels, label, f"'labels' in {path}")
            mask = mask & picked
        labels = np.where(mask, labels, 0)
    fields = {"mask": mask, "spacing_mm": spacing, "labels": labels, "fibres": arrays.get("fibres")}
    if "origin" in arrays:
        fields["origin_mm"] = _numbers(arrays["origin"], mask.ndim, f"'origin' in {path}")
    return fields


def read_nifti(path: Path, label: tuple[int, ...] | None) -> dict:
    """Fields of a `Heart` from a NIfTI segmentation, turned from RAS to LPS.

    An image whose axes are oblique to the patient's (as most cardiac MR) is interpolated onto an
    axis-aligned isotropic grid of its smallest step.

    Raises
    ------
    ValueError
        Where the file can't be read, isn't three-dimensional, or has neither sform nor qform,
        and so no trustworthy spacing.
    """
    import nibabel  # as slow to import as the rest of the package; only this format needs it

    try:
        image = nibabel.load(path)
        values = np.asanyarray(image.dataobj)
        header, affine = image.header, np.array(image.affine, float)
        coded = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
        unit = header.get_xyzt_units()[0]
    except Exception as error:  # nibabel raises a dozen kinds, from zlib's to its own
        raise ValueError(unreadable(path, "NIfTI", error)) from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise ValueError(
            f"{path} is {values.ndim}-D with shape {values.shape}, expected one 3-D segmentation; "
            "save a single time frame or channel"
        )
    if not coded:
        raise ValueError(
            f"{path} has no spacing or position: sform and qform are both unset (code 0); "
            "save it with an affine from the scanner's images"
        )
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(np.isfinite(affine)) or steps.min() <= 0:
        raise ValueError(f"{path}: voxel size {steps.tolist()} mm, expected positive numbers")
    if unit in ("meter", "micron"):
        affine[:3] *= 1000 if unit == "meter" else 1e-3

    mask, labels = segment(values, label, str(path))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # RAS to LPS
    turn = nibabel.io_orientation(affine)  # permutes and flips to axes that rise with L, P, S
    affine = affine @ nibabel.orientations.inv_ornt_aff(turn, mask.shape)
    mask = nibabel.apply_orientation(mask, turn)
    labels = None if labels is None else nibabel.apply_orientation(labels, turn)
    steps = np.diag(affine)[:3]
    if np.abs(affine[:3, :3] - np.diag(steps)).max() > 1e-3 * np.abs(steps).min():
        return _upright(mask, labels, affine)
    steps = np.round(steps, 6)  # the format's single precision: 1.2, not 1.2000000477
    return {"mask": mask, "spacing_mm": steps, "origin_mm": affine[:3, 3], "labels": labels}


def segment(
    values: np.ndarray, label: tuple[int, ...] | None, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Myocardium in a stored image, and its regions where several labels were picked.

    Whole numbers are labels (0 = background), fractions between 0 and 1 probabilities, cut at 0.5.

    Raises
    ------
    ValueError
        Where the values aren't a segmentation, where several labels are found and none is
        picked, or where a picked one is absent.
    """
    if values.dtype.kind not in "buif":
        raise ValueError(f"{where} has type {values.dtype}, expected numbers or booleans")
    if values.dtype.kind == "f":
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise ValueError(f"{where} holds {bad} NaN or infinite values, expected labels")
    found = np.unique(values)
    whole = bool(np.all(found == np.rint(found)))
    if not whole and 0 <= found[0] and found[-1] <= 1:
        if label is not None:
            raise ValueError(f"{where} holds probabilities, so label={label} has nothing to pick")
        return values >= 0.5, None
    found = found[found != 0]
    if not whole or found.size > MOST_LABELS or (found.size and found[0] < 0):
        raise ValueError(
            f"{where} holds {found.size} distinct values from {found[0]:g} to {found[-1]:g}: image "
            "intensities, not a segmentation; expected a mask, labels or probabilities"
        )
    found = found.astype(int).tolist()
    if label is None:
        if len(found) > 1:
            raise ValueError(
                f"{where} holds labels {found}; say which of them are myocardium, "
                f"for instance label={found[0]}"
            )
        return values != 0, None
    missing = [number for number in label if number not in found]
    if missing:
        raise ValueError(f"{where} has no label {missing}; it holds {found}")
    mask = np.isin(values, label)
    return mask, np.where(mask, values, 0).astype(np.int32) if len(label) > 1 else None


def unreadable(path: Path, kind: str, error: Exception) -> str:
    """Message for a file that its parser refuses, with what its first bytes look like."""
    with open(path, "rb") as file:
        head = file.read(512)
    magic = {
        b"\x89PNG": "a PNG image",
        b"\xff\xd8\xff": "a JPEG image",
        b"\x1f\x8b": "gzip",
        b"PK": "a zip or npz archive",
        b"%PDF": "a PDF",
        b"\x89HDF": "HDF5",
        b"\x93NUMPY": "a single NumPy array",
        b"# vtk": "legacy VTK",
        b"<?xml": "XML",
        b"<VTK": "VTK XML",
        b"solid": "ASCII STL",
    }
    guess = next((name for start, name in magic.items() if head.startswith(start)), None)
    if not head:
        guess = "an empty file"
    elif head[128:132] == b"DICM":
        guess = "DICOM"
    looks = f"it looks like {guess}; " if guess else ""
    reason = f"{type(error).__name__}: {error}".strip(": ")
    return f"{path} can't be read as {kind}: damaged, cut off, or mislabelled ({looks}{reason})"


def _numbers(values: np.ndarray, ndim: int, what: str) -> np.ndarray:
    if values.dtype.kind not in "iuf" or values.size not in (1, ndim):
        raise ValueError(f"{what} is {values!r}, expected one number or {ndim}, in mm")
    return np.broadcast_to(values.astype(float).ravel(), (ndim,))


def _upright(mask: np.ndarray, labels: np.ndarray | None, affine: np.ndarray) -> dict:
    """Tissue on an isotropic grid along the patient's axes."""
    step = round(float(np.linalg.norm(affine[:3, :3], axis=0).min()), 6)
    voxels = np.argwhere(mask)
    if not len(voxels):
        return {"mask": mask, "spacing_mm": step}  # Heart says that it is empty
    box = np.stack([voxels.min(0) - 1, voxels.max(0) + 1])
    corners = np.stack(np.meshgrid(*box.T, indexing="ij"), -1).reshape(-1, 3)
    corners = corners @ affine[:3, :3].T + affine[:3, 3]
    low = corners.min(0)
    shape = tuple(math.ceil(n) + 1 for n in np.ptp(corners, axis=0) / step)
    to_image = np.linalg.inv(affine)
    onto = {
        "matrix": to_image[:3, :3] * step,
        "offset": to_image[:3, :3] @ low + to_image[:3, 3],
        "output_shape": shape,
    }
    fraction = ndimage.affine_transform(mask.astype(np.float32), order=1, **onto).clip(0, 1)
    upright = fraction >= 0.5
    if labels is not None:
        nearest = ndimage.distance_transform_edt(
            labels == 0, return_distances=False, return_indices=True
        )
        labels = ndimage.affine_transform(labels[tuple(nearest)], order=0, mode="nearest", **onto)
        labels = np.where(upright, labels, 0)
    return {
        "mask": upright,
        "spacing_mm": step,
        "origin_mm": low,
        "fraction": fraction,
        "labels": labels,
    }
