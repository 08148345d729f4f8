"""Measured atrial electrograms: PhysioNet's Intracardiac Atrial Fibrillation Database (IAFDB).

Eight patients in fibrillation or flutter; in each record three surface leads and five bipolar pairs
of a decapolar catheter, at 1 kHz. The signals are uncalibrated: amplitudes mean nothing.

References
----------
Goldberger et al. 2000, PhysioBank, doi 10.1161/01.CIR.101.23.e215; the database:
doi 10.13026/C2F305.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import signal

from kecgi.simulate.electrograms import resample

NAME = re.compile(r"iaf(\d+)_(\w+)")
BAND_HZ = (3.0, 45.0)
"""Band in which measured and simulated electrograms are compared: amplifiers have filters of their
own, drift lies below it, and mains (60 Hz in these records) and muscle above."""


@dataclass(frozen=True, eq=False)
class AtrialRecord:
    """One record of the database.

    Parameters
    ----------
    name : str
        Of the record, such as "iaf1_afw".
    patient : int
        Number of the patient.
    place : str
        Where the catheter lay: "svc", "ivc", "tva" or "afw".
    bipolar : ndarray, shape (pairs, time)
        Bipolar electrograms in arbitrary units.
    pairs : tuple of str
        Names of the pairs, "CS12" to "CS90".
    surface : ndarray, shape (leads, time)
        Surface leads, likewise.
    leads : tuple of str
        Names of the leads.
    sampling_hz : float
        Sampling rate.
    """

    name: str
    patient: int
    place: str
    bipolar: np.ndarray
    pairs: tuple[str, ...]
    surface: np.ndarray
    leads: tuple[str, ...]
    sampling_hz: float


def read_iafdb(folder: str | Path) -> list[AtrialRecord]:
    """Read all records in a folder, in the order of their names.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    ValueError
        Where a record has no bipolar electrograms.
    """
    import wfdb

    stems = sorted(p.with_suffix("") for p in Path(folder).glob("*.hea") if NAME.match(p.stem))
    if not stems:
        raise FileNotFoundError(
            f"no record iafN_PLACE.hea in {folder}; get the database from doi 10.13026/C2F305"
        )
    records = []
    for stem in stems:
        record = wfdb.rdrecord(str(stem))
        patient, place = NAME.match(stem.name).groups()
        inside = np.array([name.startswith("CS") for name in record.sig_name])
        if not inside.any():
            raise ValueError(
                f"{stem} has the signals {record.sig_name}, none of which is a CS pair"
            )
        values, names = record.p_signal.T, np.array(record.sig_name)
        records.append(
            AtrialRecord(
                stem.name, int(patient), place, values[inside], tuple(map(str, names[inside])),
                values[~inside], tuple(map(str, names[~inside])), float(record.fs),
            )
        )  # fmt: skip
    return records


def comparable(
    signals: np.ndarray, from_hz: float, to_hz: float, window_ms: float = 2000.0
) -> np.ndarray:
    """Bring bipolar electrograms of any origin to one band, rate, length and size.

    Parameters
    ----------
    signals : ndarray, shape (..., time)
        Of any unit; no shorter than a window.
    from_hz, to_hz : float
        Present and wanted rate.
    window_ms : float
        Length of a window.

    Returns
    -------
    ndarray, shape (n, samples)
        Single channels, windows of which follow each other; each in units of its root mean square.
        Flat ones are left out.
    """
    signals = np.asarray(signals, float).reshape(-1, np.shape(signals)[-1])
    signals = resample(signals.T, from_hz, to_hz).T
    band = signal.butter(4, BAND_HZ, "bandpass", fs=to_hz, output="sos")
    filtered = signal.sosfiltfilt(band, signals, axis=-1)
    samples = round(window_ms * to_hz / 1000)
    count = filtered.shape[-1] // samples
    if not count:
        raise ValueError(
            f"signals of {filtered.shape[-1]} samples at {to_hz:g} Hz are shorter than a window "
            f"of {samples}"
        )
    windows = filtered[:, : count * samples].reshape(-1, samples)
    size = np.sqrt(np.mean(np.square(windows), axis=-1))
    return windows[size > 0] / size[size > 0, None]
