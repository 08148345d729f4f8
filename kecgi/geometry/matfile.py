"""MATLAB files of geometries and recordings, those that SCIRun writes included.

SCIRun tags the names of arrays and fields as miUINT8; the format, and `scipy.io.loadmat`, want
miINT8 there. The tags are set right in memory, the file stays as it is.

Format: MathWorks, MAT-File Format, level 5.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kecgi.geometry.surfaces import TriangleSurface

_INT8, _UINT8, _MATRIX, _COMPRESSED = 1, 2, 14, 15
_CELL, _STRUCT = 1, 2

POINT_NAMES = ("node", "pts", "points", "vertices")
TRIANGLE_NAMES = ("face", "fac", "faces", "triangles")


def read_mat(path: str | os.PathLike) -> dict[str, Any]:
    """Read a MATLAB file (level 5) into plain dicts, lists and arrays.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it isn't a MATLAB file of level 5, or damaged.
    """
    from scipy import io as scipy_io

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path.absolute()}")
    data = path.read_bytes()
    if not data.startswith(b"MATLAB 5.0"):
        raise ValueError(f"{path} is no MATLAB file of level 5; save it with -v6 or -v7")
    try:
        content = scipy_io.loadmat(io.BytesIO(with_signed_names(data)), simplify_cells=True)
    except Exception as error:  # scipy raises whatever a damaged file leads to
        raise ValueError(
            f"{path} can't be read, it is damaged or of another format: {error}"
        ) from (error)
    return {name: value for name, value in content.items() if not name.startswith("__")}


def with_signed_names(data: bytes) -> bytes:
    """Contents of a file in which all names of arrays and fields are tagged miINT8."""
    order = "<" if data[126:128] == b"IM" else ">"
    patched = bytearray(data)
    at = 128
    while at + 8 <= len(patched):
        kind, size = struct.unpack_from(f"{order}2I", patched, at)
        if kind == _COMPRESSED:
            inner = bytearray(zlib.decompress(patched[at + 8 : at + 8 + size]))
            before = bytes(inner)
            _sign_names(inner, 8, len(inner), order)
            if inner != before:
                packed = zlib.compress(bytes(inner))
                head = struct.pack(f"{order}2I", _COMPRESSED, len(packed))
                patched[at : at + 8 + size] = head + packed
                size = len(packed)
            at += 8 + size
        else:
            _sign_names(patched, at + 8, at + 8 + size, order)
            at += 8 + size + (-size) % 8
    return bytes(patched)


def _sign_names(data: bytearray, at: int, end: int, order: str) -> None:
    """Walk through one matrix element: flags, dimensions, name, then what it holds."""
    if at >= end:
        return
    _, flags, at = _element(data, at, order)
    array_class = data[flags] if order == "<" else data[flags + 3]
    _, _, at = _element(data, at, order)
    at = _sign(data, at, order)
    if array_class == _STRUCT:
        _, _, at = _element(data, at, order)
        at = _sign(data, at, order)
    if array_class in (_CELL, _STRUCT):
        while at < end:
            kind, start, after = _element(data, at, order)
            if kind != _MATRIX:
                return
            _sign_names(data, start, after, order)
            at = after


def _element(data: bytearray, at: int, order: str) -> tuple[int, int, int]:
    """Type of the element at a place, where its data start, and where the next element does."""
    (tag,) = struct.unpack_from(f"{order}I", data, at)
    if tag >> 16:  # small: type, size and data in 8 bytes
        return tag & 0xFFFF, at + 4, at + 8
    (size,) = struct.unpack_from(f"{order}I", data, at + 4)
    return tag, at + 8, at + 8 + size + (-size) % 8


def _sign(data: bytearray, at: int, order: str) -> int:
    """Set the type of the element at a place from miUINT8 to miINT8; return the next place."""
    (tag,) = struct.unpack_from(f"{order}I", data, at)
    if tag & 0xFFFF == _UINT8:
        struct.pack_into(f"{order}I", data, at, tag - _UINT8 + _INT8)
    return _element(data, at, order)[2]


def read_surface(path: str | os.PathLike) -> TriangleSurface:
    """Read a closed triangle surface from a MATLAB file: `node` and `face`, or `pts` and `fac`.

    Nodes are counted from 1 in such files. Arrays may be (3, n) or (n, 3).

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it holds no surface, or one that `TriangleSurface` refuses.
    """
    content = read_mat(path)
    for fields in (content, *(v for v in content.values() if isinstance(v, Mapping))):
        points = next((fields[n] for n in POINT_NAMES if n in fields), None)
        triangles = next((fields[n] for n in TRIANGLE_NAMES if n in fields), None)
        if points is not None and triangles is not None:
            points, triangles = _rows_of_three(points), _rows_of_three(triangles).astype(np.int64)
            return TriangleSurface(points, triangles - 1, Path(path).stem)
    raise ValueError(
        f"{path} holds no surface: expected points ({', '.join(POINT_NAMES)}) and triangles "
        f"({', '.join(TRIANGLE_NAMES)}), found {list(content)}"
    )


def _rows_of_three(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values.T if values.ndim == 2 and values.shape[0] == 3 != values.shape[1] else values
