"""One door for hearts in files: `load_heart`."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from kecgi.geometry import images, meshes
from kecgi.geometry.heart import Heart
from kecgi.geometry.heart import keep_largest as largest_component

IMAGES = (".npz", ".nii", ".nii.gz")
MESHES = (".obj", ".stl", ".vtk", ".vtu")

MESH_SPACING_MM = 1.5
"""Voxel size for meshes, which have none of their own."""

CRUMBS = 0.01
"""Share of the tissue that stray voxels (broken off a thin wall by a grid, or left over from a
segmentation) may make up to be dropped with a warning; more is an error."""

HEART_MM = (10.0, 400.0)
"""Longest side that a heart may have; beyond it, units are wrong."""


def load_heart(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    keep_largest: bool = False,
    spacing_mm: float | Sequence[float] | None = None,
    label: int | Sequence[int] | None = None,
) -> Heart:
    """Read a heart from a file, a folder or several surfaces.

    ============================  ==============================================================
    ``.npz``                      arrays `mask` and `spacing` (mm), optional `origin` (mm),
                                  `labels`, `fibres`; axes x, y, z in patient coordinates (LPS)
    ``.nii``, ``.nii.gz``         mask, labels (see `label`) or probabilities (cut at 0.5);
                                  turned to LPS, oblique images are interpolated
    ``.obj .stl .vtk .vtu``       a closed surface in mm, LPS: all that it encloses
    several of these              an epicardium and the endocardia in it: the wall between them;
                                  they may be open at the valves where their rims coincide
    ``.vtk .vtu``, tetrahedra     their volume, with regions (`labels`) and fibres per cell
    folder                        the one heart in it, or its epicardium and endocardia
    ============================  ==============================================================

    Parameters
    ----------
    path : path or sequence of paths
    keep_largest : bool
        Keep the largest face-connected component where there are several.
    spacing_mm : float or sequence of 3 floats, optional
        Voxel size for meshes, 1.5 mm by default. Images carry their own.
    label : int or sequence of int, optional
        Labels of an image, or regions of a tetrahedral mesh, that are myocardium. Where several
        are given the heart keeps them as `labels`.

    Returns
    -------
    Heart
        From a mesh, with the tissue `fraction` of each voxel; the mask is where it reaches 0.5.
        Stray voxels beside the heart are dropped where they are few (at most 1 % of the tissue);
        a warning counts those of an image.

    Raises
    ------
    FileNotFoundError
        Where there is no such file, or no heart in a folder.
    ValueError
        Where a file is of an unknown kind, damaged or mislabelled, has no spacing or wrong units,
        where a surface is open, where a label is absent or must be picked, or where the tissue
        is empty or in several pieces.

    Notes
    -----
    A filled silhouette of the heart (a segmentation without chambers) is read as it is, solid.
    """
    paths = _resolve(path)
    labels = _checked_label(label)
    if _extension(paths[0]) in IMAGES:
        if spacing_mm is not None:
            raise ValueError(
                f"spacing_mm={spacing_mm} is for meshes, {paths[0]} has a spacing of its own; "
                "change the grid afterwards with Heart.resampled"
            )
        fields = _read_image(paths[0], labels)
    else:
        fields = _read_meshes(paths, _checked_spacing(spacing_mm), labels)
    fields = _largest_alone(fields) if keep_largest else _without_crumbs(fields, paths[0])
    return Heart(**fields, name=_name(path, paths))


def _name(path: str | os.PathLike | Sequence[str | os.PathLike], paths: list[Path]) -> str:
    if isinstance(path, str | os.PathLike) and Path(path).is_dir():
        return Path(path).resolve().name
    return paths[0].name[: -len(_extension(paths[0]))]


def _extension(path: Path) -> str:
    name = path.name.lower()
    return next((e for e in (*IMAGES, *MESHES) if name.endswith(e)), path.suffix.lower())


def _read_image(path: Path, label: tuple[int, ...] | None) -> dict:
    read = images.read_npz if _extension(path) == ".npz" else images.read_nifti
    fields = read(path, label)
    voxels = np.argwhere(fields["mask"])
    spacing = np.asarray(fields["spacing_mm"], float)
    if not np.all(np.isfinite(spacing)) or spacing.min() <= 0:
        raise ValueError(f"{path}: spacing is {spacing.tolist()}, expected positive numbers in mm")
    if len(voxels):
        _require_size((np.ptp(voxels, axis=0) + 1) * spacing, str(path))
    return fields


def _read_meshes(paths: list[Path], step_mm: np.ndarray, label: tuple[int, ...] | None) -> dict:
    parts = [meshes.read_mesh(path) for path in paths]
    low, high = np.array([meshes.box_of(part) for part in parts]).transpose(1, 0, 2)
    _require_size(high.max(0) - low.min(0), ", ".join(map(str, paths)))
    solid = [part for part in parts if len(part.tetrahedra)]
    if not solid:
        if label is not None:
            raise ValueError(f"{paths[0]} is a surface and has no regions to pick label={label}")
        fields = meshes.fill_between(parts, step_mm)
    elif len(parts) > 1:
        raise ValueError(
            f"{solid[0].path} holds tetrahedra; only surfaces are read together, give it alone"
        )
    else:
        fields = meshes.fill_solid(solid[0], step_mm, label)
    if not fields["mask"].any():
        raise ValueError(
            f"{paths[0]}: no voxel of {step_mm.tolist()} mm is half full of tissue: the wall is "
            "too thin for this grid, choose a smaller spacing_mm"
        )
    return fields


def _without_crumbs(fields: dict, path: Path) -> dict:
    """Drop stray voxels beside the heart, where they are few."""
    components, count = ndimage.label(fields["mask"])
    sizes = np.sort(np.bincount(components.ravel())[1:])[::-1]
    stray = int(sizes[1:].sum())
    if stray > CRUMBS * sizes.sum():
        step = np.atleast_1d(fields["spacing_mm"]).tolist()
        raise ValueError(
            f"{path}: {count} separate components of {sizes[:5].tolist()}"
            f"{' …' if count > 5 else ''} voxels at a step of {step} mm, "
            "expected 1; choose a smaller spacing_mm if a mesh's wall is thin, or keep_largest=True"
        )
    if stray and _extension(path) in IMAGES:
        warnings.warn(
            f"{path}: dropped {stray} stray voxels in {count - 1} pieces beside the heart of "
            f"{sizes[0]} voxels",
            stacklevel=3,
        )
    return _largest_alone(fields)


def _largest_alone(fields: dict) -> dict:
    mask = largest_component(fields["mask"])
    if np.array_equal(mask, fields["mask"]):
        return fields
    # each voxel belongs to the nearest piece, so a dropped one takes its partly filled rim along
    nearest = ndimage.distance_transform_edt(
        ~fields["mask"], return_distances=False, return_indices=True
    )
    kept = mask[tuple(nearest)]
    alone = {
        name: np.where(kept if values.ndim == kept.ndim else kept[..., None], values, 0)
        for name in ("fraction", "labels", "fibres")
        if (values := fields.get(name)) is not None
    }
    return fields | alone | {"mask": mask}


def _resolve(path: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Path]:
    """Files to read: one of any kind, or several meshes."""
    if isinstance(path, str | os.PathLike):
        path = Path(path)
        paths = _in_folder(path) if path.is_dir() else [path]
    else:
        paths = [Path(p) for p in path]
        if not paths:
            raise ValueError("the list of files is empty; give at least one")
    for file in paths:
        if not file.exists():
            seen_from = "" if file.is_absolute() else f", seen from {Path.cwd()}"
            raise FileNotFoundError(f"no file {file}{seen_from}")
        if _extension(file) not in (*IMAGES, *MESHES):
            raise ValueError(
                f"{file} has the unknown extension {file.suffix!r}; "
                f"hearts are read from {', '.join((*IMAGES, *MESHES))}"
            )
        if len(paths) > 1 and (file.is_dir() or _extension(file) in IMAGES):
            raise ValueError(f"{file}: only surfaces are read together, give it alone")
    if len(paths) > 1:
        if len({file.resolve() for file in paths}) < len(paths):
            raise ValueError(f"a file is given twice: {', '.join(map(str, paths))}")
        _require_one_frame(paths)
    return paths


def _in_folder(folder: Path) -> list[Path]:
    entries = sorted(f for f in folder.iterdir() if f.is_file())
    files = [f for f in entries if _extension(f) in (*IMAGES, *MESHES)]
    if not files:
        raise FileNotFoundError(
            f"no heart in folder {folder}: expected one of {', '.join((*IMAGES, *MESHES))}, "
            f"found {[f.name for f in entries][:10]}"
        )
    part = re.compile(r"epi|endo|(?<![a-z])[lr]v(?![a-z])", re.IGNORECASE)
    surfaces = [f for f in files if _extension(f) in MESHES and part.search(f.stem)]
    if any("epi" in f.stem.lower() for f in surfaces):
        return surfaces
    if len(files) > 1:
        raise ValueError(
            f"folder {folder} holds {len(files)} files that could each be a heart: "
            f"{', '.join(f.name for f in files)}; name one of them"
        )
    return files


def _require_one_frame(paths: list[Path]) -> None:
    """Surfaces numbered at the end of their names are of one moment of the heart beat."""
    frames: dict[str, list[str]] = {}
    for path in paths:
        number = re.search(r"\d{2,}$", path.stem)
        frames.setdefault(number.group() if number else "none", []).append(path.name)
    if len(frames) > 1:
        listed = "; ".join(f"{frame}: {', '.join(names)}" for frame, names in frames.items())
        raise ValueError(
            f"the surfaces belong to different time frames ({listed}); give a list of the files "
            "of one frame"
        )


def _require_size(extent_mm: np.ndarray, where: str) -> None:
    longest = float(np.max(extent_mm))
    if HEART_MM[0] <= longest <= HEART_MM[1]:
        return
    if 0.03 <= longest <= 0.4:
        hint = "it looks like metres: multiply by 1000"
    elif longest < HEART_MM[0]:
        hint = "this is not a heart, or its unit is not mm (metres, centimetres?)"
    else:
        hint = "this is not a heart alone, or its unit is not mm (micrometres?)"
    raise ValueError(
        f"{where}: the tissue measures {' × '.join(f'{e:.3g}' for e in extent_mm)} mm, expected a "
        f"longest side between {HEART_MM[0]:g} and {HEART_MM[1]:g} mm; {hint}"
    )


def _checked_label(label: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if label is None:
        return None
    numbers = tuple(np.atleast_1d(np.asarray(label)).tolist())
    if not numbers or not all(type(n) is int and n >= 1 for n in numbers):
        raise ValueError(f"label is {label!r}, expected one or several whole numbers above 0")
    return numbers


def _checked_spacing(spacing_mm: float | Sequence[float] | None) -> np.ndarray:
    if spacing_mm is None:
        spacing_mm = MESH_SPACING_MM
    steps = np.asarray(spacing_mm, float)
    if steps.size not in (1, 3) or not np.all(np.isfinite(steps)) or steps.min() <= 0:
        raise ValueError(f"spacing_mm is {spacing_mm!r}, expected one or three positive numbers")
    return np.broadcast_to(steps.ravel(), (3,)).copy()
