"""Maps and draws as VTK files for ParaView, units in the names of their arrays."""

from __future__ import annotations

import base64
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kecgi.geometry.heart import Heart
from kecgi.geometry.surfaces import TriangleSurface

UNITS = ("ms", "mV", "mv", "mm", "mm_per_ms", "deg", "percent", "1")
"""Endings that an array's name may have, after an underscore; "1" for what has no unit."""

_TYPES = {"f4": "Float32", "f8": "Float64", "i4": "Int32", "i8": "Int64", "u1": "UInt8"}


def save_image(
    path: str | os.PathLike,
    heart: Heart,
    maps: Mapping[str, np.ndarray],
    draws: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Save maps on a heart's grid as a VTK image (``.vti``), a value per voxel.

    The file holds cells, one a voxel, at their places in mm; `tissue_1` is 1 in the heart and 0
    elsewhere (in ParaView: Threshold). Outside the tissue values are NaN.

    Parameters
    ----------
    path : path
        Ends in ``.vti``.
    heart : Heart
        A 3-D heart; its fibres, where it has some, are saved as `fibres_1`.
    maps : mapping of str to ndarray
        Named with their unit at the end, such as ``mean_ms``: of the grid's shape, or of one value
        per tissue voxel.
    draws : mapping of str to ndarray, optional
        The same with the draws along the first axis; the draws of ``activation_ms`` become
        ``activation_draw00_ms`` and so on.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        Where the ending, a name or a shape is wrong, or the heart isn't 3-D.
    """
    if heart.ndim != 3:
        raise ValueError(f"{heart.name} is {heart.ndim}-D, expected a 3-D heart")
    path = _checked_path(path, ".vti")
    arrays = {"tissue_1": heart.mask.astype(np.uint8)}
    if heart.fibres is not None:
        arrays["fibres_1"] = np.asarray(heart.fibres, np.float32)
    for name, values in _with_draws(maps, draws).items():
        arrays[name] = _on_grid(values, heart, name)
    spacing, low = np.array(heart.spacing_mm), np.array(heart.origin_mm)
    extent = " ".join(f"0 {n}" for n in heart.mask.shape)
    root = ET.Element("VTKFile", type="ImageData", version="1.0", byte_order="LittleEndian")
    root.set("header_type", "UInt64")
    image = ET.SubElement(
        root,
        "ImageData",
        WholeExtent=extent,
        Origin=_numbers(low - spacing / 2),
        Spacing=_numbers(spacing),
    )
    piece = ET.SubElement(image, "Piece", Extent=extent)
    cells = ET.SubElement(piece, "CellData", Scalars=next(iter(maps), "tissue_1"))
    for name, values in arrays.items():
        vector = values.ndim == 4
        # VTK runs through x first
        flat = values.transpose(2, 1, 0, 3) if vector else values.transpose(2, 1, 0)
        data = np.ascontiguousarray(flat)
        data = data.astype(data.dtype.newbyteorder("<"))
        element = ET.SubElement(
            cells, "DataArray", type=_TYPES[data.dtype.str[1:]], Name=name, format="binary"
        )
        element.set("NumberOfComponents", "3" if vector else "1")
        raw = data.tobytes()
        element.text = base64.b64encode(len(raw).to_bytes(8, "little") + raw).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, xml_declaration=True, encoding="utf-8")
    return path


def read_image(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Read what `save_image` wrote.

    Returns
    -------
    arrays : dict of str to ndarray
        Of the grid's shape, vectors with a last axis of 3.
    spacing_mm, origin_mm : ndarray, shape (3,)
        Grid step, and centre of voxel (0, 0, 0).

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it isn't a VTK image of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path.absolute()}")
    image = ET.parse(path).getroot().find("ImageData")
    if image is None:
        raise ValueError(f"{path} is no VTK image (.vti)")
    ends = np.array(image.get("WholeExtent").split(), int).reshape(3, 2)
    shape = tuple(ends[:, 1] - ends[:, 0])
    spacing = np.array(image.get("Spacing").split(), float)
    names = {vtk: numpy for numpy, vtk in _TYPES.items()}
    arrays = {}
    for element in image.iterfind("Piece/CellData/DataArray"):
        if element.get("format") != "binary" or element.get("type") not in names:
            raise ValueError(f"{path}: array {element.get('Name')!r} is of a kind not written here")
        raw = base64.b64decode(element.text)
        data = np.frombuffer(raw[8:], "<" + names[element.get("type")])
        count = int(element.get("NumberOfComponents"))
        data = data.reshape(*shape[::-1], count).transpose(2, 1, 0, 3)
        arrays[element.get("Name")] = data[..., 0] if count == 1 else data
    return arrays, spacing, np.array(image.get("Origin").split(), float) + spacing / 2


def save_surface(
    path: str | os.PathLike,
    surface: TriangleSurface,
    maps: Mapping[str, np.ndarray],
    draws: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Save maps at a surface's nodes as a VTK mesh (``.vtu``), which meshio reads as well.

    Parameters
    ----------
    path : path
        Ends in ``.vtu``.
    surface : TriangleSurface
        The surface, in mm.
    maps, draws : mapping of str to ndarray
        As for `save_image`, shape (n,), draws of shape (draws, n).

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        Where the ending, a name or a shape is wrong.
    """
    import meshio

    path = _checked_path(path, ".vtu")
    arrays = {}
    for name, values in _with_draws(maps, draws).items():
        if values.shape != (len(surface),):
            raise ValueError(f"{name} has shape {values.shape}, expected ({len(surface)},)")
        arrays[name] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    meshio.Mesh(surface.points_mm, [("triangle", surface.triangles)], point_data=arrays).write(path)
    return path


def _with_draws(
    maps: Mapping[str, np.ndarray], draws: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """All maps by name, each draw one of its own."""
    arrays = {name: np.asarray(values) for name, values in maps.items()}
    for name, several in (draws or {}).items():
        stem, unit = _split(name)
        digits = max(2, len(str(len(several) - 1)))
        for i, values in enumerate(several):
            arrays[f"{stem}_draw{i:0{digits}d}_{unit}"] = np.asarray(values)
    for name in arrays:
        _split(name)
    return arrays


def _split(name: str) -> tuple[str, str]:
    found = re.fullmatch(rf"(\w+)_({'|'.join(UNITS)})", name, re.ASCII)
    if not found:
        raise ValueError(
            f"array name {name!r} has no unit at its end; expected letters, digits and one of "
            f"{', '.join('_' + unit for unit in UNITS)}"
        )
    return found[1], found[2]


def _on_grid(values: np.ndarray, heart: Heart, name: str) -> np.ndarray:
    if values.shape == heart.mask.shape:
        return np.where(heart.mask, values, np.nan).astype(np.float32)
    if values.shape != (np.count_nonzero(heart.mask),):
        raise ValueError(
            f"{name} has shape {values.shape}, expected the grid's {heart.mask.shape} or one value "
            f"for each of {np.count_nonzero(heart.mask)} tissue voxels"
        )
    grid = np.full(heart.mask.shape, np.nan, np.float32)
    grid[heart.mask] = values
    return grid


def _checked_path(path: str | os.PathLike, ending: str) -> Path:
    path = Path(path)
    if path.suffix != ending:
        raise ValueError(f"{path} ends in {path.suffix!r}, expected {ending}")
    return path


def _numbers(values: np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in values)
