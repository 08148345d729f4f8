"""What all stores share in writing: compression, attributes, a progress bar."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path

import zarr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from zarr.codecs import Crc32cCodec, ZstdCodec

COMPRESSORS = (ZstdCodec(level=1), Crc32cCodec())
"""Level 1 packs the empty background to almost nothing; the checksum finds flipped bits."""


def write_attributes(path: Path, values: dict) -> None:
    """Update the root's attributes and gather all metadata in it, for quick opening."""
    zarr.open_group(path, mode="r+", use_consolidated=False).attrs.update(values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
        zarr.consolidate_metadata(path)


@contextmanager
def progress_bar(shown: bool, path: Path, total: int, unit: str = "cases"):
    """Progress on standard error; yields a function that adds finished cases."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(f"Building {path.name}", total=total)
        yield lambda count: bar.advance(task, count)
