"""Amplitude limits and scales of ECG leads, fitted on the training part alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class LeadScale:
    """Each lead's range in mV to [0, 1], and which records stay within it.

    The limits of a lead are percentiles, over the training records, of the records' minima and
    maxima. A record is inside where every sample of every lead is strictly between them: this is
    the amplitude filter of cNVAE-ECG (arXiv 2503.13469), which fits it on all records; here it is
    fitted on the training part. It removes about half of the hypertrophies, by construction.

    Parameters
    ----------
    leads : sequence of str
        Lead names.
    low_mv, high_mv : sequence of float
        What becomes 0 and 1 in each lead.
    """

    leads: tuple[str, ...]
    low_mv: tuple[float, ...]
    high_mv: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that each lead has a range."""
        object.__setattr__(self, "leads", tuple(map(str, self.leads)))
        for name in ("low_mv", "high_mv"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if not len(self.leads) == len(self.low_mv) == len(self.high_mv):
            raise ValueError(
                f"{len(self.leads)} leads, {len(self.low_mv)} lower and {len(self.high_mv)} upper "
                "limits, expected as many of each"
            )
        for lead, low, high in zip(self.leads, self.low_mv, self.high_mv, strict=True):
            if not (np.isfinite([low, high]).all() and low < high):
                raise ValueError(f"the range of {lead} is {low} … {high} mV, expected rising")

    @classmethod
    def fit(
        cls,
        ecg_mv: np.ndarray | Iterable[np.ndarray],
        leads: Sequence[str],
        percentiles: tuple[float, float] = (2.5, 97.5),
    ) -> LeadScale:
        """Take the limits of training records.

        Parameters
        ----------
        ecg_mv : ndarray, shape (n, time, leads), or iterable of such
            Training records, such as an array or ``ECGStore.blocks(split.train, leads)``.
        leads : sequence of str
            Names of the last axis.
        percentiles : (float, float)
            Of the minima and of the maxima; (0, 100) takes the whole range, and then a record
            that touches it is not inside.
        """
        blocks = [ecg_mv] if isinstance(ecg_mv, np.ndarray) else ecg_mv
        extremes = [
            (block.min(axis=-2), block.max(axis=-2))
            for block in (cls._checked(block, leads) for block in blocks)
        ]
        lowest, highest = (np.concatenate(part) for part in zip(*extremes, strict=True))
        low = np.percentile(lowest, percentiles[0], axis=0)
        high = np.percentile(highest, percentiles[1], axis=0)
        return cls(tuple(leads), tuple(low), tuple(high))

    def inside(self, ecg_mv: np.ndarray) -> np.ndarray:
        """Whether each record, shape (n, time, leads), stays strictly within the limits."""
        ecg_mv = self._checked(ecg_mv, self.leads)
        within = (ecg_mv.min(axis=-2) > self.low_mv) & (ecg_mv.max(axis=-2) < self.high_mv)
        return within.all(axis=-1)

    def apply(self, ecg_mv: np.ndarray) -> np.ndarray:
        """Scale records, shape (..., time, leads); what lies outside continues linearly."""
        low, span = self._low_span(ecg_mv)
        return (ecg_mv - low) / span

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Return records in mV."""
        low, span = self._low_span(scaled)
        return scaled * span + low

    def to_json(self) -> str:
        """Return the scale as one JSON object, to be stored with a model."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LeadScale:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != {"leads", "low_mv", "high_mv"}:
            raise ValueError(
                f"not a lead scale: {text[:200]!r}; expected leads, low_mv and high_mv"
            )
        return cls(**values)

    def _low_span(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._checked(values, self.leads)
        dtype = np.result_type(values.dtype, np.float32)
        low, high = np.array(self.low_mv), np.array(self.high_mv)
        return low.astype(dtype), (high - low).astype(dtype)

    @staticmethod
    def _checked(values: np.ndarray, leads: Sequence[str]) -> np.ndarray:
        values = np.asarray(values)
        if values.ndim < 2 or values.shape[-1] != len(leads):
            raise ValueError(
                f"ECGs have shape {values.shape}, expected (…, time, {len(leads)}) for the leads "
                f"{list(leads)}"
            )
        return values
