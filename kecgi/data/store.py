"""What is in a case, and the on-disk store that cases are read from.

A store is a Zarr (format 3) group that `xarray.open_zarr` reads: every array has named dimensions,
units and a description. Its group ``build`` keeps the size and the SHA-256 of each block of cases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import zarr

from kecgi.data.cohort import CohortConfig

FORMAT = "kecgi-cohort"
FORMAT_VERSION = 1

CHUNK_CASES = 64
"""Cases a chunk of a new store holds at most: small enough to stream, large enough to read fast."""


@dataclass(frozen=True)
class Variable:
    """One array of the store: its dimensions, type, units and meaning."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    description: str


VARIABLES = {
    "activation_ms": Variable(
        ("case", "x", "y", "z"), "float32", "ms", "activation time, NaN outside the tissue"
    ),
    "bspm_mv": Variable(
        ("case", "electrode", "time"), "float32", "mV", "body-surface potentials without noise"
    ),
    "anatomy": Variable(("case",), "int32", "1", "index of the case's heart"),
    "onsets_mm": Variable(
        ("case", "onset", "axis"), "float32", "mm", "where activation starts, NaN beyond the last"
    ),
    "start_ms": Variable(
        ("case", "onset"), "float32", "ms", "start time of each onset, NaN beyond the last"
    ),
    "speed_mm_per_ms": Variable(("case",), "float32", "mm/ms", "conduction speed"),
    "mask": Variable(("anatomy_index", "x", "y", "z"), "bool", "1", "voxels of excitable tissue"),
    "electrodes_mm": Variable(
        ("anatomy_index", "electrode", "axis"), "float32", "mm", "electrode positions"
    ),
}
"""Arrays with one row per case or per anatomy, in the order of the build record."""

COORDINATES = {
    "x": Variable(("x",), "float64", "mm", "voxel centres, to the patient's left"),
    "y": Variable(("y",), "float64", "mm", "voxel centres, to the back"),
    "z": Variable(("z",), "float64", "mm", "voxel centres, to the head"),
    "time_ms": Variable(("time",), "float64", "ms", "time after the first onset's start"),
    "electrode_name": Variable(("electrode",), "string", "1", "electrode names"),
}
"""Arrays that describe the dimensions; the torso frame's origin is the nominal heart centre."""


@dataclass(frozen=True)
class Layout:
    """How a cohort's rows are cut into blocks; a block is one chunk of each case array.

    Parameters
    ----------
    cases, cases_per_anatomy : int
        Size of the cohort.
    block_cases : int
        Cases in a block.
    variables : mapping of str to Variable
        The arrays; the first dimension of each counts cases, or is "anatomy_index".
    """

    cases: int
    cases_per_anatomy: int
    block_cases: int
    variables: Mapping[str, Variable] = field(default_factory=lambda: VARIABLES, repr=False)

    @classmethod
    def new(cls, config: CohortConfig) -> Layout:
        """Cut a cohort, along the borders of anatomies where they are small enough."""
        per = config.cases_per_anatomy
        size = CHUNK_CASES // per * per if per <= CHUNK_CASES else CHUNK_CASES
        return cls(config.cases, per, min(size, config.cases))

    @classmethod
    def of(cls, group: zarr.Group, config: CohortConfig) -> Layout:
        """Return the layout of a store."""
        return cls(config.cases, config.cases_per_anatomy, group["activation_ms"].chunks[0])

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.cases // self.block_cases)

    def counts_cases(self, name: str) -> bool:
        """Whether an array has a row per case; else it has one per anatomy."""
        return self.variables[name].dims[0] != "anatomy_index"

    def count(self, block: int) -> int:
        """Count the cases of a block."""
        return min(self.block_cases, self.cases - block * self.block_cases)

    def chunk_rows(self, name: str) -> int:
        """Rows in a chunk of an array."""
        if self.counts_cases(name):
            return self.block_cases
        return max(1, self.block_cases // self.cases_per_anatomy)

    def rows(self, block: int, name: str) -> slice:
        """Rows of an array that a block holds; of the anatomies, those that begin in it."""
        low, high = block * self.block_cases, min((block + 1) * self.block_cases, self.cases)
        if self.counts_cases(name):
            return slice(low, high)
        return slice(-(-low // self.cases_per_anatomy), -(-high // self.cases_per_anatomy))

    def chunk_file(self, block: int, name: str) -> str:
        """Path of a block's chunk of an array inside the store."""
        chunk = self.rows(block, name).start // self.chunk_rows(name)
        return "/".join([name, "c", str(chunk), *["0"] * (len(self.variables[name].dims) - 1)])

    def damaged(self, path: Path, block: int, sizes: np.ndarray) -> list[str]:
        """Files of a block that are missing or not as long as recorded, with the reason."""
        wrong = []
        for name, size in zip(self.variables, sizes, strict=True):
            if size:
                file = path / self.chunk_file(block, name)
                if not file.is_file():
                    wrong.append(f"{file} is missing")
                elif file.stat().st_size != size:
                    wrong.append(f"{file} has {file.stat().st_size} bytes, expected {size}")
        return wrong


@dataclass(frozen=True, eq=False)
class BlockStore:
    """A complete store that was built in blocks, read from disk as needed; may be pickled.

    Parameters
    ----------
    path : Path
        The store's folder.
    config : object
        What it was built from.
    attributes : dict
        The root's attributes, among them ``digest`` and ``kecgi_version``.
    layout : Layout
        Its blocks.
    """

    path: Path
    config: Any
    attributes: dict
    layout: Layout

    coordinates: ClassVar[Mapping[str, Variable]] = {}

    def __len__(self) -> int:
        return self.layout.cases

    @property
    def digest(self) -> str:
        """SHA-256 over all data: what names the dataset."""
        return self.attributes["digest"]

    @cached_property
    def arrays(self) -> dict[str, zarr.Array]:
        """The Zarr arrays by name."""
        group = zarr.open_group(self.path, mode="r")
        return {name: group[name] for name in (*self.layout.variables, *self.coordinates)}

    def blocks(self, name: str, rows: slice | np.ndarray = slice(None)) -> Iterator[np.ndarray]:
        """Read an array one chunk at a time.

        Parameters
        ----------
        name : str
            Name of an array with a row per case or anatomy.
        rows : slice or ndarray of int
            Cases, or anatomies for the arrays that have them; an array of indices must rise.

        Yields
        ------
        ndarray
            The rows of one chunk.

        Raises
        ------
        IndexError
            Where a row doesn't exist.
        ValueError
            Where the indices don't rise, or a chunk is damaged.
        """
        array = self._array(name)
        count, size = array.shape[0], array.chunks[0]
        if isinstance(rows, slice):
            rows = np.arange(count)[rows]
        rows = np.asarray(rows)
        if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
            raise TypeError("rows must be a slice or a one-dimensional array of integers")
        if np.any(np.diff(rows) <= 0):
            raise ValueError("rows must rise without repeats; sort them, or take them from a read")
        if rows.size and not (rows[0] >= 0 and rows[-1] < count):
            raise IndexError(f"rows {rows[0]} to {rows[-1]} of {name}, which has {count}")
        for part in np.split(rows, np.flatnonzero(np.diff(rows // size)) + 1):
            if part.size:
                first, last = int(part[0]), int(part[-1])
                values = self._decode(name, slice(first, last + 1))
                yield values if last - first + 1 == part.size else values[part - first]

    def read(self, name: str, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Read rows of an array into memory; parameters and errors as in `blocks`."""
        parts = list(self.blocks(name, rows))
        if len(parts) == 1:
            return parts[0]
        array = self._array(name)
        return np.concatenate(parts) if parts else np.empty((0, *array.shape[1:]), array.dtype)

    def verify(self) -> None:
        """Read everything and compare it with the digests of the build.

        Raises
        ------
        ValueError
            Naming each damaged array, block and file, and how to repair it.
        """
        sha256 = zarr.open_group(self.path, mode="r")["build/sha256"][:]
        wrong = []
        for block in range(self.layout.blocks):
            for column, name in enumerate(self.layout.variables):
                rows = self.layout.rows(block, name)
                if rows.start == rows.stop:
                    continue
                try:
                    if content_digest(self._decode(name, rows)) != sha256[block, column].tobytes():
                        wrong.append(self._damage(name, rows, "differs from what was built"))
                except ValueError as error:
                    wrong.append(str(error))
        if wrong:
            raise ValueError("\n".join(wrong))

    def _array(self, name: str) -> zarr.Array:
        if name not in self.layout.variables:
            raise ValueError(
                f"{name!r} is not an array of cases, expected one of {[*self.layout.variables]}"
            )
        return self.arrays[name]

    def _decode(self, name: str, rows: slice) -> np.ndarray:
        try:
            return self._array(name)[rows]
        except Exception as error:  # whatever the codecs say of damaged bytes
            raise ValueError(self._damage(name, rows, f"can't be decoded ({error})")) from error

    def _damage(self, name: str, rows: slice, what: str) -> str:
        per = 1 if self.layout.counts_cases(name) else self.layout.cases_per_anatomy
        block = rows.start * per // self.layout.block_cases
        file = self.path / self.layout.chunk_file(block, name)
        return (
            f"{name}, block {block} of {self.layout.blocks} {what}; "
            f"delete {file} and build again to restore it"
        )


@dataclass(frozen=True, eq=False)
class Cohort(BlockStore):
    """Activation maps and potentials; `config` is a `CohortConfig`. Made by `open_store`."""

    coordinates = COORDINATES

    @cached_property
    def anatomy(self) -> np.ndarray:
        """Anatomy of each case."""
        return self.arrays["anatomy"][:]

    @cached_property
    def electrode_names(self) -> tuple[str, ...]:
        """Names of the electrodes."""
        return tuple(map(str, self.arrays["electrode_name"][:]))

    @cached_property
    def time_ms(self) -> np.ndarray:
        """Sampling times of the body-surface potentials."""
        return self.arrays["time_ms"][:]

    @cached_property
    def coordinates_mm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Voxel centres along x, y and z."""
        return tuple(self.arrays[name][:] for name in "xyz")

    def case(self, index: int) -> dict[str, np.ndarray]:
        """Return everything about one case, its heart and electrodes included."""
        if not 0 <= index < len(self):
            raise IndexError(f"case {index} of a cohort of {len(self)}")
        anatomy = int(self.anatomy[index])
        row = {"case": index, "anatomy_index": anatomy}
        return {
            name: self._array(name)[row[variable.dims[0]]] for name, variable in VARIABLES.items()
        }


def open_store(path: str | Path) -> Cohort:
    """Open a complete store.

    Checks that each chunk is there with its recorded size; `Cohort.verify` reads them all.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder.
    ValueError
        Where it is not a store of this format, is not completely built, or has lost chunks.
    """
    path = Path(path)
    group = open_group(path)
    attributes = dict(group.attrs)
    config = CohortConfig.from_json(attributes["config"])
    layout = Layout.of(group, config)
    require_complete(path, group, layout)
    return Cohort(path, config, attributes, layout)


def require_complete(path: Path, group: zarr.Group, layout: Layout) -> None:
    """Raise as `open_store` does where blocks of a store are missing or damaged."""
    sizes = group["build/nbytes"][:]
    finished = int(np.count_nonzero(sizes[:, 0]))
    if finished < layout.blocks or not group.attrs["complete"]:
        raise ValueError(
            f"{path} is incomplete: {finished} of {layout.blocks} blocks are built; "
            "run build again with the same config to resume"
        )
    wrong = [line for b in range(layout.blocks) for line in layout.damaged(path, b, sizes[b])]
    if wrong:
        raise ValueError(
            f"{path} is damaged: {'; '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}; "
            "run build again with the same config to restore it"
        )


def open_group(
    path: Path, mode: str = "r", expected: str = FORMAT, expected_version: int = FORMAT_VERSION
) -> zarr.Group:
    """Open the Zarr group of a store, complete or not; raises as `open_store` does."""
    if not path.exists():
        raise FileNotFoundError(f"no dataset at {path}; make it with kecgi.data.build")
    try:
        group = zarr.open_group(path, mode=mode, zarr_format=3)
        kind, version = group.attrs.get("format"), group.attrs.get("format_version")
    except Exception as error:  # no group, or metadata that can't be parsed
        raise ValueError(f"{path} is not a kecgi dataset: {error}") from error
    if kind != expected:
        raise ValueError(
            f"{path} is not a kecgi dataset of this kind: its format is {kind!r}, not {expected!r}"
        )
    if version != expected_version:
        raise ValueError(
            f"{path} has format version {version!r}, this kecgi reads {expected_version}; "
            "build the dataset again in a new folder"
        )
    return group


def content_digest(values: np.ndarray) -> bytes:
    """SHA-256 of an array's values, whatever their compression."""
    return hashlib.sha256(np.ascontiguousarray(values)).digest()
