"""From a config to ECGs on disk: simulate them, or read them from a folder of WFDB records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np

from kecgi.data.ecg.cohort import simulate_heart
from kecgi.data.ecg.config import ECGCohortConfig, ECGFolderConfig
from kecgi.data.ecg.records import RecordError, find_records, read_patients, read_record
from kecgi.data.ecg.store import open_ecg, write_store
from kecgi.data.zarr_files import progress_bar
from kecgi.geometry.electrodes import LEADS_12

SHOWN = 20
"""Records left out that are named on standard error; the store names all."""


def build_ecg(
    config: ECGCohortConfig | ECGFolderConfig,
    path: str | Path,
    *,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Make a store of ECGs, or find that it is there.

    Parameters
    ----------
    config : ECGCohortConfig or ECGFolderConfig
        Where the ECGs come from. Simulated data don't depend on the number of workers.
    path : str or Path
        Folder of the store. It appears as a whole or not at all; name it by ``config.identity``.
    workers : int
        Processes; as in joblib, -1 takes all cores.
    progress : bool
        Show a bar, and the records that are left out, on standard error.

    Returns
    -------
    Path
        The store, for `kecgi.data.ecg.store.open_ecg`.

    Raises
    ------
    FileNotFoundError
        Where there is no folder of records.
    ValueError
        Where no record can be used, or the path holds something else.
    """
    path = Path(path)
    if path.exists():
        there = open_ecg(path)
        if there.config != config:
            raise ValueError(f"{path} holds other ECGs: {there.config}; choose another path")
        return path
    rejected: dict[str, str] = {}
    if isinstance(config, ECGCohortConfig):
        rows = _simulated(config, path, workers, progress)
    else:
        rows = _recorded(config, path, rejected, workers, progress)
    write_store(path, config, rows, rejected)
    if progress and rejected:
        for name, reason in list(rejected.items())[:SHOWN]:
            print(f"left out {name}: {reason}", file=sys.stderr)
        if len(rejected) > SHOWN:
            print(f"left out {len(rejected) - SHOWN} more; see `rejected`", file=sys.stderr)
    return path


def _simulated(config: ECGCohortConfig, path: Path, workers: int, progress: bool) -> Iterator[dict]:
    jobs = (joblib.delayed(simulate_heart)(config, heart) for heart in range(config.hearts))
    with progress_bar(progress, path, config.records, "records") as advance:
        for records in joblib.Parallel(workers, return_as="generator")(jobs):
            yield from records
            advance(len(records))


def _recorded(
    config: ECGFolderConfig, path: Path, rejected: dict[str, str], workers: int, progress: bool
) -> Iterator[dict]:
    folder = Path(config.folder)
    headers = find_records(folder)
    patients = {} if config.patients is None else read_patients(config.patients)
    groups: dict[str, int] = {}
    jobs = (joblib.delayed(_try_record)(config, header) for header in headers)
    with progress_bar(progress, path, len(headers), "records") as advance:
        for header, record in zip(
            headers, joblib.Parallel(workers, return_as="generator")(jobs), strict=True
        ):
            advance(1)
            name = header.relative_to(folder).with_suffix("").as_posix()
            if isinstance(record, str):
                rejected[name] = record
                continue
            # a record of an unknown patient is a group of its own
            whose = patients.get(header.stem, f"record {name}")
            yield {
                "record_name": name,
                "ecg_mv": record.ecg_mv,
                "labels": config.schema.encode_codes(record.codes),
                "flat": np.isin(LEADS_12, record.flat),
                "group": groups.setdefault(whose, len(groups)),
                "rate_bpm": np.nan,
                "pr_ms": np.nan,
            }


def _try_record(config: ECGFolderConfig, header: Path):
    """Return the record, or why it can't be used."""
    try:
        return read_record(
            header,
            sampling_hz=config.sampling_hz,
            seconds=config.seconds,
            flat_leads=config.flat_leads,
        )
    except RecordError as error:
        return str(error)
