"""Stores that are built block by block: resumable, on any number of cores, checked.

A block of rows is recorded in the store's group ``build``, with the size and the SHA-256 of each
array, only after its data is on disk. So an interruption at any time costs at most the blocks under
way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import joblib
import numpy as np
import zarr

import kecgi
from kecgi.data.store import Layout, Variable, content_digest
from kecgi.data.zarr_files import COMPRESSORS, progress_bar, write_attributes

EMPTY = {"float32": np.nan, "int32": -1, "bool": False}
"""Fill values. Zarr doesn't write a chunk of nothing else; no block of any array is that."""


def create_store(
    path: Path,
    layout: Layout,
    sizes: Mapping[str, int],
    coordinates: Mapping[str, tuple[Variable, np.ndarray]],
    attributes: Mapping,
) -> None:
    """Make a store without blocks. It appears at its path as a whole or not at all.

    Parameters
    ----------
    path : Path
        Folder of the store; absent or empty.
    layout : Layout
        Its blocks and arrays.
    sizes : mapping of str to int
        Length of each dimension.
    coordinates : mapping of str to (Variable, ndarray)
        Arrays that describe the dimensions, with their values.
    attributes : mapping
        The root's attributes, beside ``kecgi_version``, ``complete`` and ``digest``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        group = zarr.create_group(
            temporary,
            attributes={
                **attributes,
                "kecgi_version": kecgi.__version__,
                "complete": False,
                "digest": None,
                "coordinates": " ".join(n for n in coordinates if n not in sizes),
            },
        )
        for name, variable in layout.variables.items():
            shape = tuple(sizes[d] for d in variable.dims)
            group.create_array(
                name,
                shape=shape,
                chunks=(layout.chunk_rows(name), *shape[1:]),
                dtype=variable.dtype,
                fill_value=EMPTY[variable.dtype],
                compressors=COMPRESSORS,
                dimension_names=variable.dims,
                attributes={"units": variable.units, "description": variable.description},
            )
        for name, (variable, values) in coordinates.items():
            group.create_array(
                name,
                data=values,
                dimension_names=variable.dims,
                attributes={"units": variable.units, "description": variable.description},
            )
        record = group.create_group("build", attributes={"arrays": list(layout.variables)})
        for name, dtype, extra in (("nbytes", "int64", ()), ("sha256", "uint8", (32,))):
            record.create_array(
                name,
                shape=(layout.blocks, len(layout.variables), *extra),
                chunks=(1, len(layout.variables), *extra),
                dtype=dtype,
                fill_value=0,
                dimension_names=("block", "array", "byte")[: 2 + len(extra)],
            )
        write_attributes(temporary, {})
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_block(path: Path, layout: Layout, block: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a block and, once it is on disk, record it; arrays without rows in it are empty."""
    group = zarr.open_group(path, mode="r+")
    sizes = np.zeros(len(layout.variables), np.int64)
    digests = np.zeros((len(layout.variables), 32), np.uint8)
    for column, name in enumerate(layout.variables):
        if not len(arrays[name]):
            continue
        group[name][layout.rows(block, name)] = arrays[name]
        digests[column] = np.frombuffer(content_digest(arrays[name]), np.uint8)
        sizes[column] = _flush(path / layout.chunk_file(block, name))
    group["build/sha256"][block] = digests
    group["build/nbytes"][block] = sizes  # last: this is what makes the block count as built


def pending_blocks(group: zarr.Group, path: Path, layout: Layout) -> list[int]:
    """Blocks that are not built, or whose files have been lost."""
    sizes = group["build/nbytes"][:]
    return [b for b in range(layout.blocks) if not sizes[b, 0] or layout.damaged(path, b, sizes[b])]


def build_blocks(
    path: Path,
    layout: Layout,
    build_block: Callable[[int], object],
    *,
    workers: int = 1,
    progress: bool = True,
    unit: str = "cases",
) -> None:
    """Build what a store lacks and mark it as complete.

    Parameters
    ----------
    path : Path
        The store.
    layout : Layout
        Its blocks.
    build_block : callable
        Makes the block of a number and hands it to `write_block`.
    workers : int
        Processes, as in joblib.
    progress : bool
        Show a bar on standard error.
    unit : str
        What the bar counts.

    Raises
    ------
    ValueError
        Where rebuilt blocks differ from those that a complete store had.
    """
    group = zarr.open_group(path, mode="r+")
    pending = pending_blocks(group, path, layout)
    with progress_bar(progress, path, layout.cases, unit) as advance:
        advance(layout.cases - sum(map(layout.count, pending)))
        jobs = (joblib.delayed(_and_number)(build_block, b) for b in pending)
        for block in joblib.Parallel(workers, return_as="generator_unordered")(jobs):
            advance(layout.count(block))
    digest = hashlib.sha256(group["build/sha256"][:].tobytes()).hexdigest()
    if group.attrs["complete"] and group.attrs["digest"] != digest:
        raise ValueError(
            f"{path}: the rebuilt blocks differ from the ones that were lost, so the simulator has "
            "changed; delete the folder and build it again"
        )
    write_attributes(path, {"complete": True, "digest": digest})


def require_same_version(attributes: Mapping, path: Path) -> None:
    """Refuse to mix blocks of two versions of kecgi."""
    if attributes["kecgi_version"] != kecgi.__version__:
        raise ValueError(
            f"{path} was begun by kecgi {attributes['kecgi_version']}, this is "
            f"{kecgi.__version__}; delete the folder, or build at another path"
        )


def require_same_config(there: Mapping, wanted: Mapping, path: Path) -> None:
    """Refuse a store that was made from another config, naming the differences."""
    differing = [
        f"{k} {there[k]!r} there, {wanted[k]!r} here" for k in wanted if there[k] != wanted[k]
    ]
    if differing:
        raise ValueError(
            f"{path} holds another cohort: {'; '.join(differing)}; "
            "give the config of that cohort or another path"
        )


def _and_number(build_block: Callable[[int], object], block: int) -> int:
    build_block(block)
    return block


def _flush(file: Path) -> int:
    """Wait until a file is on disk and return its size."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
        return os.fstat(handle.fileno()).st_size
