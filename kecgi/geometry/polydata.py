"""Surfaces in VTK's legacy PolyData format, which meshio does not read.

Format: VTK file formats, "Simple legacy formats", versions 1.0 to 5.1, ASCII and binary.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

_TYPES = {
    "float": ">f4",
    "double": ">f8",
    "int": ">i4",
    "long": ">i8",
    "vtkidtype": ">i4",
    "vtktypeint64": ">i8",
}


def is_polydata(path: Path) -> bool:
    """Whether a file's head says that it's a legacy VTK file of type POLYDATA."""
    with open(path, "rb") as file:
        head = [file.readline(300) for _ in range(4)]
    return head[0].startswith(b"# vtk DataFile") and head[3].split()[:2] == [
        b"DATASET",
        b"POLYDATA",
    ]


def read_polydata(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Points, shape (n, 3), and polygons, each a row of point numbers.

    Raises
    ------
    ValueError
        Where the file ends early, or holds triangle strips instead of polygons.
    """
    with open(path, "rb") as file:
        file.readline(), file.readline()
        binary = file.readline().strip().upper() == b"BINARY"
        points = None
        for line in file:
            words = line.decode("latin-1").split()
            keyword = words[0].upper() if words else ""
            if keyword == "POINTS":
                points = _values(file, 3 * int(words[1]), words[2], binary).reshape(-1, 3)
            elif keyword == "TRIANGLE_STRIPS":
                raise ValueError("it holds triangle strips; save it as plain triangles")
            elif keyword == "POLYGONS" and points is not None:
                return points.astype(float), _polygons(file, int(words[1]), int(words[2]), binary)
    raise ValueError("it has no POINTS and POLYGONS")


def _polygons(file: BinaryIO, count: int, size: int, binary: bool) -> list[np.ndarray]:
    start = file.tell()
    words = file.readline().decode("latin-1").split()
    if words[:1] == ["OFFSETS"]:  # version 5
        offsets = _values(file, count, words[1], binary)
        words = _next_words(file)
        corners = _values(file, size, words[1], binary)
        return np.split(corners, offsets[1:-1])
    file.seek(start)
    numbers = _values(file, size, "int", binary)
    polygons, at = [], 0
    for _ in range(count):
        polygons.append(numbers[at + 1 : at + 1 + numbers[at]])
        at += 1 + numbers[at]
    return polygons


def _next_words(file: BinaryIO) -> list[str]:
    for line in file:
        if line.strip():
            return line.decode("latin-1").split()
    raise ValueError("it ends before the polygons")


def _values(file: BinaryIO, count: int, type_name: str, binary: bool) -> np.ndarray:
    dtype = np.dtype(_TYPES[type_name.lower()])
    if binary:
        data = file.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise ValueError(f"it ends early: {count} values of type {type_name} expected")
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    words: list[bytes] = []
    while len(words) < count:
        line = file.readline()
        if not line:
            raise ValueError(f"it ends early: {count} values expected, {len(words)} found")
        words += line.split()
    return np.array(words[:count]).astype(dtype.newbyteorder("="))
