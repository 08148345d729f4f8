"""ECGs on disk, simulated or recorded: one format, read as arrays with labels.

A store is a Zarr (format 3) group that `xarray.open_zarr` reads, with dimensions, units and a
description on each array. It is written as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import zarr

import kecgi
from kecgi.data.ecg.config import ECGCohortConfig, ECGFolderConfig, config_from_json
from kecgi.data.ecg.labels import LabelSchema
from kecgi.data.ecg.leads import lead_indices
from kecgi.data.splits import Split, by_anatomy
from kecgi.data.store import Variable
from kecgi.data.zarr_files import COMPRESSORS, write_attributes
from kecgi.geometry.electrodes import LEADS_12

FORMAT = "kecgi-ecg"
FORMAT_VERSION = 1

CHUNK_RECORDS = 32
"""Records in a chunk."""

VARIABLES = {
    "ecg_mv": Variable(("record", "lead", "time"), "float32", "mV", "12-lead ECG"),
    "labels": Variable(("record", "label"), "uint8", "1", "1 where the class applies"),
    "flat": Variable(("record", "lead"), "bool", "1", "leads that carry no signal"),
    "group": Variable(
        ("record",), "int32", "1", "heart, patient or record: what splits keep together"
    ),
    "rate_bpm": Variable(("record",), "float32", "1/min", "true heart rate; NaN where unknown"),
    "pr_ms": Variable(("record",), "float32", "ms", "true PR interval; NaN where none or unknown"),
}
"""Arrays with one row per record."""


@dataclass(frozen=True, eq=False)
class ECGStore:
    """A store of ECGs, read from disk as needed. Made by `open_ecg`; may be pickled.

    Parameters
    ----------
    path : Path
        The store's folder.
    config : ECGCohortConfig or ECGFolderConfig
        Where the data come from.
    attributes : dict
        The root's attributes.
    """

    path: Path
    config: ECGCohortConfig | ECGFolderConfig
    attributes: dict

    def __len__(self) -> int:
        return len(self.names)

    @property
    def schema(self) -> LabelSchema:
        """Classes of the labels."""
        return self.config.schema

    @property
    def simulated(self) -> bool:
        """Whether the data are simulated; says so in reports."""
        return isinstance(self.config, ECGCohortConfig)

    @property
    def digest(self) -> str:
        """SHA-256 over all data."""
        return self.attributes["digest"]

    @property
    def rejected(self) -> dict[str, str]:
        """Records of the folder that were left out, with the reason."""
        return self.attributes["rejected"]

    @cached_property
    def arrays(self) -> dict[str, zarr.Array]:
        """The Zarr arrays by name."""
        group = zarr.open_group(self.path, mode="r")
        return {name: group[name] for name in (*VARIABLES, "record_name", "time_ms")}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the records."""
        return tuple(map(str, self.arrays["record_name"][:]))

    @cached_property
    def labels(self) -> np.ndarray:
        """Multi-hot labels of all records, float32, shape (n, classes)."""
        return self.arrays["labels"][:].astype(np.float32)

    @cached_property
    def group(self) -> np.ndarray:
        """Heart, patient or record of each record."""
        return self.arrays["group"][:]

    @cached_property
    def flat(self) -> np.ndarray:
        """Leads without signal, bool, shape (n, 12)."""
        return self.arrays["flat"][:]

    @cached_property
    def time_ms(self) -> np.ndarray:
        """Sampling times."""
        return self.arrays["time_ms"][:]

    @cached_property
    def layout(self) -> SimpleNamespace:
        """Chunking, for `kecgi.data.batches.CaseBatches`."""
        return SimpleNamespace(block_cases=CHUNK_RECORDS)

    def blocks(
        self, rows: np.ndarray | slice | None = None, leads: Sequence[str] = LEADS_12
    ) -> Iterator[np.ndarray]:
        """Read records chunk by chunk, where they are too many for the memory.

        Parameters
        ----------
        rows : ndarray of int or slice, optional
            Records in rising order; all of them by default.
        leads : sequence of str
            Leads in the wanted order.

        Yields
        ------
        ndarray of float32, shape (n, time, leads)
            The records of one chunk, mV.

        Raises
        ------
        IndexError
            Where a record doesn't exist.
        ValueError
            Where a lead is unknown, or the rows don't rise.
        """
        at = lead_indices(leads)
        rows = np.arange(len(self))[slice(None) if rows is None else rows]
        if np.any(np.diff(rows) <= 0):
            raise ValueError("rows must rise without repeats; sort them")
        chunk = rows // CHUNK_RECORDS
        for part in np.split(rows, np.flatnonzero(np.diff(chunk)) + 1):
            if part.size:
                first, last = int(part[0]), int(part[-1])
                values = self.arrays["ecg_mv"][first : last + 1]
                yield values[part - first][:, at].transpose(0, 2, 1)

    def load(
        self, rows: np.ndarray | slice | None = None, leads: Sequence[str] = LEADS_12
    ) -> dict[str, np.ndarray]:
        """Read records into memory, for models.

        Parameters
        ----------
        rows : ndarray of int or slice, optional
            Records, in any order; all of them by default.
        leads : sequence of str
            Leads in the wanted order.

        Returns
        -------
        dict of ndarray
            ``ecg_mv`` float32 (n, time, leads), ``labels`` float32 (n, classes), ``group`` int
            (n,), ``rate_bpm`` and ``pr_ms`` float32 (n,), NaN where unknown.

        Raises
        ------
        IndexError
            Where a record doesn't exist.
        ValueError
            Where a lead is unknown.
        """
        rows = np.arange(len(self))[slice(None) if rows is None else rows]
        ecg_mv = np.empty((len(rows), self.config.samples, len(leads)), np.float32)
        rising, place = np.unique(rows, return_inverse=True)
        at = 0
        for block in self.blocks(rising, leads):
            wanted = np.flatnonzero((place >= at) & (place < at + len(block)))
            ecg_mv[wanted] = block[place[wanted] - at]
            at += len(block)
        others = {name: self.arrays[name][:][rows] for name in ("group", "rate_bpm", "pr_ms")}
        return {"ecg_mv": ecg_mv, "labels": self.labels[rows], **others}

    def split(
        self, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
    ) -> Split:
        """Split records so that no heart or patient is in two parts.

        Records with flat leads are in no part (`flat` says which they are). Where patients aren't
        known the split is by record; its ``kind`` says which it is.

        Parameters
        ----------
        fractions : tuple of 3 floats
            Shares of the hearts, patients or records.
        seed : int
            Seed of the draw.
        """
        whole = np.flatnonzero(~self.flat.any(axis=1))
        split = by_anatomy(self.group[whole], fractions, seed)
        parts = {name: whole[getattr(split, name)] for name in ("train", "validation", "test")}
        return replace(split, kind=self.config.grouping, **parts)


def open_ecg(path: str | Path) -> ECGStore:
    """Open a store of ECGs.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder.
    ValueError
        Where it is not a store of this format.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no ECGs at {path}; make them with kecgi.data.ecg.build.build_ecg")
    try:
        attributes = dict(zarr.open_group(path, mode="r", zarr_format=3).attrs)
        kind, version = attributes.get("format"), attributes.get("format_version")
    except Exception as error:  # no group, or metadata that can't be parsed
        raise ValueError(f"{path} is not a store of ECGs: {error}") from error
    if (kind, version) != (FORMAT, FORMAT_VERSION):
        raise ValueError(
            f"{path} is not a store of ECGs that this kecgi reads: its format is {kind!r}, version "
            f"{version!r}, expected {FORMAT!r}, {FORMAT_VERSION}"
        )
    return ECGStore(path, config_from_json(attributes["config"]), attributes)


def write_store(
    path: Path,
    config: ECGCohortConfig | ECGFolderConfig,
    rows: Iterable[dict],
    rejected: dict[str, str],
) -> None:
    """Write a store.

    Parameters
    ----------
    path : Path
        Folder that doesn't exist yet.
    config : ECGCohortConfig or ECGFolderConfig
        Where the data come from.
    rows : iterable of dict
        Records: a value for each name in `VARIABLES` and ``record_name``.
    rejected : dict of str to str
        Records left out, with the reason; may be filled while `rows` is read.

    Raises
    ------
    ValueError
        Where there is not a single record.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    sizes = {"record": 0, "lead": 12, "time": config.samples, "label": len(config.schema)}
    names, digest = [], hashlib.sha256()
    try:
        group = zarr.create_group(temporary)
        for name, variable in VARIABLES.items():
            shape = tuple(sizes[d] for d in variable.dims)
            _create(group, name, variable, shape=shape, chunks=(CHUNK_RECORDS, *shape[1:]),
                    dtype=variable.dtype)  # fmt: skip
        for block in _blocks(rows):
            names += [row["record_name"] for row in block]
            for name, variable in VARIABLES.items():
                values = np.stack([np.asarray(row[name], variable.dtype) for row in block])
                digest.update(np.ascontiguousarray(values))
                group[name].append(values)
        if not names:
            reasons = "; ".join(f"{n}: {r}" for n, r in list(rejected.items())[:5])
            raise ValueError(f"no record can be used; {len(rejected)} are left out: {reasons}")
        for name, variable, values in (
            ("record_name", Variable(("record",), "string", "1", "names of records"), names),
            ("lead_name", Variable(("lead",), "string", "1", "names of leads"), LEADS_12),
            ("label_name", Variable(("label",), "string", "1", "classes"), config.schema.names),
            ("label_code", Variable(("label",), "string", "1", "SNOMED-CT"), config.schema.codes),
        ):
            _create(group, name, variable, data=np.array(values, np.dtypes.StringDType()))
        time_ms = np.arange(config.samples) * (1000 / config.sampling_hz)
        _create(group, "time_ms", Variable(("time",), "float64", "ms", "time"), data=time_ms)
        write_attributes(
            temporary,
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "title": "12-lead ECGs, "
                + ("simulated" if isinstance(config, ECGCohortConfig) else "recorded"),
                "config": config.to_json(),
                "sampling_hz": config.sampling_hz,
                "schema": json.loads(config.schema.to_json()),
                "grouping": config.grouping,
                "rejected": rejected,
                "kecgi_version": kecgi.__version__,
                "digest": digest.hexdigest(),
                "coordinates": "record_name lead_name label_name label_code time_ms",
            },
        )
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _create(group: zarr.Group, name: str, variable: Variable, **kwargs) -> None:
    if variable.dtype != "string":
        kwargs["compressors"] = COMPRESSORS
    group.create_array(
        name,
        dimension_names=variable.dims,
        attributes={"units": variable.units, "description": variable.description},
        **kwargs,
    )


def _blocks(rows: Iterable[dict]) -> Iterable[list[dict]]:
    """Group rows into chunks."""
    block = []
    for row in rows:
        block.append(row)
        if len(block) == CHUNK_RECORDS:
            yield block
            block = []
    if block:
        yield block
