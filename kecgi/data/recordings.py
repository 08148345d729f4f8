"""Measured electrograms and what their laboratory made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kecgi.geometry.matfile import read_mat

FIDUCIALS = {2: "qrs_on", 4: "qrs_off", 5: "t_on", 6: "t_peak", 7: "t_off"}
"""Types of fiducials in PFEIFER's files."""

LOST = 2
"""Bit of PFEIFER's `leadinfo` that marks a bad lead."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Potentials of one beat.

    Attributes
    ----------
    potentials_mv : ndarray, shape (leads, times)
        Potentials in mV.
    sampling_hz : float
        Sampling rate.
    lost : ndarray of bool, shape (leads,)
        Leads that the laboratory marked as bad.
    fiducials_ms : dict of str to float
        Those of the whole beat, on the scale of `time_ms`: "qrs_on", "qrs_off", "t_on", "t_peak",
        "t_off"; empty where none were marked.
    name : str
        From the file.
    """

    potentials_mv: np.ndarray
    sampling_hz: float
    lost: np.ndarray
    fiducials_ms: dict[str, float] = field(default_factory=dict)
    name: str = "recording"

    @property
    def time_ms(self) -> np.ndarray:
        """Sampling times; the first sample is at 0."""
        return np.arange(self.potentials_mv.shape[1]) * 1000 / self.sampling_hz


@dataclass(frozen=True, eq=False)
class LabTimes:
    """Times per lead that a laboratory annotated, shape (leads,).

    Attributes
    ----------
    activation_ms : ndarray
        From the onset of the QRS complex.
    recovery_ms : ndarray
        From the onset of the T wave.
    lost : ndarray of bool
        Leads marked as bad.
    """

    activation_ms: np.ndarray
    recovery_ms: np.ndarray
    lost: np.ndarray


def read_recording(path: str | os.PathLike, sampling_hz: float | None = None) -> Recording:
    """Read one beat from a MATLAB file.

    Parameters
    ----------
    path : path
        A file of PFEIFER (a time series `ts` with `potvals` and fiducials), or of SCIRun (one
        matrix of leads by samples).
    sampling_hz : float, optional
        Sampling rate, where the file doesn't say.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it holds no recording, or its sampling rate is neither in it nor given.
    """
    series, fields = _series(path)
    rate = sampling_hz or float(np.ravel(fields.get("samplefrequency", 0))[0])
    if not rate > 0:
        raise ValueError(f"{path} doesn't state its sampling rate; pass sampling_hz")
    marked = {}
    for fiducial in fields.get("fids", ()):
        if np.ndim(fiducial["value"]) == 0 and fiducial["type"] in FIDUCIALS:
            marked[FIDUCIALS[fiducial["type"]]] = (float(fiducial["value"]) - 1) * 1000 / rate
    return Recording(series, rate, _lost(fields, len(series)), marked, Path(path).stem)


def read_lab_times(path: str | os.PathLike) -> LabTimes:
    """Read a laboratory's activation and recovery times, PFEIFER's ``*-ari.mat``.

    The three columns of these files are documented as activation time, recovery time and their
    difference. In fact the first two hold the *sample* of the window's onset plus the time since
    then in *seconds* (121.05 is 50 ms after sample 121): the fraction alone is the time.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it doesn't hold three columns, or times that aren't of this kind.
    """
    columns, fields = _series(path)
    if columns.shape[1:] != (3,):
        raise ValueError(f"{path} has an array of shape {columns.shape}, expected (leads, 3)")
    onset = np.floor(columns[:, :2])
    lost = _lost(fields, len(columns))
    if np.any(np.ptp(onset[~lost], axis=0) > 0):
        raise ValueError(
            f"{path}: times lie in different seconds, expected the onset's sample, the same for "
            "all leads, plus seconds"
        )
    activation, recovery = 1000 * (columns[:, :2] - onset).T
    return LabTimes(activation, recovery, lost)


def _series(path: str | os.PathLike) -> tuple[np.ndarray, Mapping]:
    content = read_mat(path)
    structures = [v for v in content.values() if isinstance(v, Mapping) and "potvals" in v]
    if structures:
        return np.asarray(structures[0]["potvals"], float), structures[0]
    matrices = [v for v in content.values() if isinstance(v, np.ndarray) and v.ndim == 2]
    if len(matrices) != 1:
        raise ValueError(
            f"{path} holds no recording: expected a structure with `potvals`, or one matrix of "
            f"leads by samples, found {list(content)}"
        )
    return np.asarray(matrices[0], float), {}


def _lost(fields: Mapping, leads: int) -> np.ndarray:
    marks = np.asarray(fields.get("leadinfo", np.zeros(leads)), int)
    return (marks & LOST) > 0
