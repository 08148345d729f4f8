"""Where 12-lead ECGs come from, in one small config: a simulation, or a folder of records."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from pathlib import Path

from kecgi.data.ecg.labels import NINE, SIMULATED, LabelSchema


@dataclass(frozen=True)
class ECGCohortConfig:
    """Simulated ECGs. Equal configs give equal data.

    Parameters
    ----------
    hearts : int
        Number of hearts; each has its own shape, wall, torso, conduction and repolarisation.
    records_per_heart : int
        ECGs of each heart, with rhythms and noise of their own.
    sampling_hz : float
        Sampling rate, 100 to 1000 Hz.
    seconds : float
        Length of a record, at least 2 s.
    seed : int
        Root of every random draw.

    Raises
    ------
    TypeError, ValueError
        Where a field is not of its type or lies out of its range.
    """

    hearts: int = 200
    records_per_heart: int = 10
    sampling_hz: float = 500.0
    seconds: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("hearts", 1), ("records_per_heart", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name} is {value!r}, expected an integer")
            if value < low:
                raise ValueError(f"{name} is {value}, expected at least {low}")
            object.__setattr__(self, name, int(value))
        _set_rate_and_length(self)
        if not 100 <= self.sampling_hz <= 1000:
            raise ValueError(f"sampling_hz is {self.sampling_hz}, expected 100 to 1000")

    @property
    def schema(self) -> LabelSchema:
        """Classes that are simulated."""
        return SIMULATED

    @property
    def grouping(self) -> str:
        """What a split keeps together."""
        return "heart"

    @property
    def records(self) -> int:
        """Number of ECGs."""
        return self.hearts * self.records_per_heart

    @property
    def samples(self) -> int:
        """Number of time samples of a record."""
        return round(self.seconds * self.sampling_hz)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name this config."""
        return _digest(self.to_json())

    def to_json(self) -> str:
        """Return the config as one JSON object."""
        return json.dumps({"source": "simulated", **asdict(self)})


@dataclass(frozen=True)
class ECGFolderConfig:
    """A folder of WFDB records and how they are read.

    Parameters
    ----------
    folder : str
        The folder; its subfolders are read as well.
    schema : LabelSchema
        Classes; a record whose diagnoses are all others has an empty label.
    patients : str, optional
        CSV file that says whose records they are, see `kecgi.data.ecg.records.read_patients`.
        Without it, splits are by record.
    sampling_hz, seconds : float
        Wanted rate and length.
    flat_leads : int
        Leads without signal that a record may have; it is then left out of splits.

    Raises
    ------
    TypeError, ValueError
        Where a field is not of its type or lies out of its range.
    """

    folder: str
    schema: LabelSchema = NINE
    patients: str | None = None
    sampling_hz: float = 500.0
    seconds: float = 10.0
    flat_leads: int = 3

    def __post_init__(self) -> None:
        if not isinstance(self.schema, LabelSchema):
            raise TypeError(f"schema is {self.schema!r}, expected a LabelSchema")
        if not 0 <= self.flat_leads <= 11:
            raise ValueError(f"flat_leads is {self.flat_leads}, expected 0 to 11")
        object.__setattr__(self, "folder", str(self.folder))
        _set_rate_and_length(self)

    @property
    def grouping(self) -> str:
        """What a split keeps together."""
        return "record" if self.patients is None else "patient"

    @property
    def samples(self) -> int:
        """Number of time samples of a record."""
        return round(self.seconds * self.sampling_hz)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name this config and the files in the folder."""
        files = sorted(p for p in Path(self.folder).rglob("*") if p.is_file())
        listing = [f"{p.relative_to(self.folder).as_posix()} {p.stat().st_size}" for p in files]
        return _digest("\n".join([self.to_json(), *listing]))

    def to_json(self) -> str:
        """Return the config as one JSON object."""
        return json.dumps({"source": "records", **asdict(self)})


def config_from_json(text: str) -> ECGCohortConfig | ECGFolderConfig:
    """Read what either config's `to_json` wrote.

    Raises
    ------
    ValueError
        Where the text is no such config.
    """
    values = json.loads(text)
    source = values.pop("source", None) if isinstance(values, dict) else None
    if source == "simulated":
        return ECGCohortConfig(**values)
    if source == "records":
        return ECGFolderConfig(**{**values, "schema": LabelSchema(**values["schema"])})
    raise ValueError(f"not a config of ECGs: {text[:200]!r}")


def _set_rate_and_length(config: ECGCohortConfig | ECGFolderConfig) -> None:
    for name, low in (("sampling_hz", 1), ("seconds", 2)):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} is {value!r}, expected a number")
        if not (math.isfinite(value) and value >= low):
            raise ValueError(f"{name} is {value}, expected at least {low}")
        object.__setattr__(config, name, float(value))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
