"""Twelve-lead ECGs as WFDB records in the PhysioNet/CinC-2021 layout: read, check, write.

A record is a header (`.hea`) beside its samples (`.mat` or `.dat`); SNOMED-CT codes stand in the
header's line ``# Dx: code,code``. PTB-XL, Georgia, Chapman-Shaoxing and Ningbo come so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from kecgi.data.ecg.labels import LabelSchema
from kecgi.data.ecg.leads import lead_indices, lead_law_residuals_uv
from kecgi.geometry.electrodes import LEADS_12

FLAT_MV = 0.005
"""A lead that spans less over the whole record carries no signal."""

MISORDERED_UV = 50.0
"""Typical departure from the lead laws, µV, beyond which leads can't be what their names say."""

ROUNDING_S = 0.02
"""A record this much too short lost samples to rounding; it is extended by its last value."""

RATES_HZ = (50, 20_000)
"""Sampling rates that a recorder can have; anything else is an error in the header."""

MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3}


class RecordError(ValueError):
    """A record that can't be used; the message says why."""


@dataclass(frozen=True, eq=False)
class ECGRecord:
    """One checked 12-lead ECG.

    Parameters
    ----------
    name : str
        Name of the record.
    ecg_mv : ndarray of float32, shape (12, time)
        Leads in the order of `LEADS_12`.
    sampling_hz : float
        Sampling rate.
    codes : tuple of str
        SNOMED-CT codes of its diagnoses.
    flat : tuple of str
        Leads that carry no signal.
    """

    name: str
    ecg_mv: np.ndarray
    sampling_hz: float
    codes: tuple[str, ...]
    flat: tuple[str, ...]


def read_record(
    path: str | Path, *, sampling_hz: float = 500.0, seconds: float = 10.0, flat_leads: int = 3
) -> ECGRecord:
    """Read a record, bring it to one rate, length and lead order, and check it.

    Samples are resampled by the ratio of the rates (polyphase), then cut after `seconds`; leads
    are taken by name.

    Parameters
    ----------
    path : str or Path
        The record without extension, or its header.
    sampling_hz, seconds : float
        Wanted rate and length.
    flat_leads : int
        Leads without signal that a record may have (some of Ningbo's lack V2, V4 and V6).

    Raises
    ------
    RecordError
        Where the record can't be read, lacks a lead or its labels, is too short, has NaN, is flat,
        or its limb leads break the lead laws, as they do where leads are mis-ordered.
    """
    stem = str(path).removesuffix(".hea")
    signal_mv, fs, comments = _read(stem)
    codes = _codes(comments)
    missing = ~np.isfinite(signal_mv)
    if missing.any():
        leads = [n for n, m in zip(LEADS_12, missing.any(axis=1), strict=True) if m]
        raise RecordError(f"{int(missing.sum())} samples are NaN, in {', '.join(leads)}")
    ecg_mv = fit_length(resample(signal_mv, fs, sampling_hz), round(seconds * sampling_hz),
                        slack=round(ROUNDING_S * sampling_hz))  # fmt: skip
    flat = tuple(n for n, x in zip(LEADS_12, ecg_mv, strict=True) if np.ptp(x) < FLAT_MV)
    if len(flat) > flat_leads:
        raise RecordError(f"{len(flat)} leads are flat: {', '.join(flat)}")
    # beside a flat limb lead the laws say nothing of the order
    if not set(flat) & set(LEADS_12[:6]):
        for law, residual in lead_law_residuals_uv(ecg_mv).items():
            typical = float(np.percentile(residual, 90))
            if typical > MISORDERED_UV:
                raise RecordError(
                    f"leads are mis-ordered or no standard leads: {law} law broken by "
                    f"{typical:.0f} µV"
                )
    return ECGRecord(Path(stem).name, ecg_mv.astype(np.float32), sampling_hz, codes, flat)


def resample(signals: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Resample along the last axis by the ratio of the rates.

    Parameters
    ----------
    signals : ndarray, shape (..., time)
        Signals.
    from_hz, to_hz : float
        Present and wanted rate; their ratio is taken to be one of integers up to 10 000.
    """
    from scipy.signal import resample_poly

    for name, value in (("from_hz", from_hz), ("to_hz", to_hz)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}, expected a positive sampling rate")
    ratio = Fraction(to_hz / from_hz).limit_denominator(10_000)
    if ratio == 1:
        return np.asarray(signals)
    # the edges continue the line between the ends, so that an offset makes no step there
    return resample_poly(signals, ratio.numerator, ratio.denominator, axis=-1, padtype="line")


def fit_length(signals: np.ndarray, samples: int, slack: int = 0) -> np.ndarray:
    """Cut signals after `samples`; extend by the last value what lacks at most `slack` of them.

    Raises
    ------
    RecordError
        Where they are shorter.
    """
    there = signals.shape[-1]
    if there < samples - slack:
        raise RecordError(f"too short: {there} samples, expected {samples}")
    missing = max(0, samples - there)
    extended = np.pad(signals, [(0, 0)] * (signals.ndim - 1) + [(0, missing)], mode="edge")
    return extended[..., :samples]


def find_records(folder: str | Path) -> list[Path]:
    """Headers of all records in a folder and its subfolders, sorted by path.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder, or no record in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give one that holds WFDB records")
    headers = sorted(folder.rglob("*.hea"))
    if not headers:
        raise FileNotFoundError(f"no WFDB header (*.hea) in {folder} or its subfolders")
    return headers


def read_patients(path: str | Path) -> dict[str, str]:
    """Patients of records from a CSV file.

    Parameters
    ----------
    path : str or Path
        A table with columns ``record`` and ``patient``, or PTB-XL's own ``ptbxl_database.csv``
        (``ecg_id``, ``patient_id``; record ``HR00001`` is ``ecg_id`` 1).

    Returns
    -------
    dict of str to str
        Patient of each record name.
    """
    import csv

    with Path(path).open(newline="") as file:
        table = csv.DictReader(file)
        columns = set(table.fieldnames or ())
        if {"record", "patient"} <= columns:
            return {row["record"]: row["patient"] for row in table}
        if {"ecg_id", "patient_id"} <= columns:
            return {
                f"HR{int(row['ecg_id']):05d}": str(int(float(row["patient_id"]))) for row in table
            }
    raise ValueError(
        f"{path} has columns {sorted(columns)}, expected record and patient, or ecg_id and "
        "patient_id"
    )


def write_records(
    folder: str | Path,
    ecg_mv: np.ndarray,
    labels: np.ndarray,
    schema: LabelSchema,
    *,
    sampling_hz: float,
    names: Sequence[str] | None = None,
    comments: Sequence[str] = (),
) -> list[Path]:
    """Write ECGs as WFDB records (format 16, 1 µV steps) with their labels in the header.

    Parameters
    ----------
    folder : str or Path
        Where to write; made if absent.
    ecg_mv : ndarray, shape (n, 12, time)
        Leads in the order of `LEADS_12`.
    labels : ndarray, shape (n, classes)
        Multi-hot labels.
    schema : LabelSchema
        What they mean.
    sampling_hz : float
        Sampling rate.
    names : sequence of str, optional
        Record names; ``KE00000`` and so on by default.
    comments : sequence of str
        Further header lines, such as the generator's name. Say here that the data are generated.

    Returns
    -------
    list of Path
        The headers.

    Raises
    ------
    ValueError
        Where shapes or names don't fit, a value is not finite or beyond ±32 mV.
    """
    import wfdb

    ecg_mv, folder = np.asarray(ecg_mv), Path(folder)
    if ecg_mv.ndim != 3 or ecg_mv.shape[1] != 12:
        raise ValueError(f"ecg_mv has shape {ecg_mv.shape}, expected (n, 12, time)")
    if np.shape(labels) != (len(ecg_mv), len(schema)):
        raise ValueError(
            f"labels have shape {np.shape(labels)}, expected ({len(ecg_mv)}, {len(schema)})"
        )
    names = [f"KE{i:05d}" for i in range(len(ecg_mv))] if names is None else list(names)
    if len(names) != len(ecg_mv) or len(set(names)) != len(names):
        raise ValueError(f"{len(set(names))} different names for {len(ecg_mv)} ECGs")
    if not np.all(np.abs(ecg_mv) < 32):  # also where NaN
        raise ValueError("ecg_mv has values that are not finite or beyond ±32 mV")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, signal_mv, row in zip(names, ecg_mv, labels, strict=True):
        wfdb.wrsamp(
            name,
            fs=sampling_hz,
            units=["mV"] * 12,
            sig_name=list(LEADS_12),
            d_signal=np.rint(1000 * signal_mv.T).astype(np.int64),
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            comments=[f"Dx: {','.join(schema.decode_codes(row)) or 'Unknown'}", *comments],
            write_dir=str(folder),
        )
        written.append(folder / f"{name}.hea")
    return written


def _read(stem: str) -> tuple[np.ndarray, float, list[str]]:
    """Signals in mV in the standard order, their rate, and the header's comments."""
    import wfdb

    try:
        record = wfdb.rdrecord(stem)
    except Exception as error:  # whatever wfdb says of a damaged header or lost samples
        raise RecordError(f"can't be read: {type(error).__name__}: {error}") from error
    if record.p_signal is None or not record.p_signal.size:
        raise RecordError("has no signal")
    if not RATES_HZ[0] <= record.fs <= RATES_HZ[1]:
        raise RecordError(
            f"is sampled at {record.fs:g} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]}"
        )
    try:
        at = lead_indices(LEADS_12, record.sig_name)
    except ValueError as error:
        raise RecordError(str(error)) from error
    units = [str(record.units[i]).lower() for i in at]
    unknown = sorted(set(units) - set(MV_PER_UNIT))
    if unknown:
        raise RecordError(f"units {unknown} are unknown, expected one of {list(MV_PER_UNIT)}")
    factors = np.array([MV_PER_UNIT[u] for u in units])
    return record.p_signal.T[at] * factors[:, None], float(record.fs), record.comments or []


def _codes(comments: Sequence[str]) -> tuple[str, ...]:
    for line in comments:
        key, _, value = line.partition(":")
        if key.strip().lower() == "dx":
            codes = [code.strip() for code in value.split(",")]
            codes = tuple(code for code in codes if code and code.lower() != "unknown")
            if codes:
                return codes
    raise RecordError("unlabelled: its header has no line '# Dx: code,code'")
