"""Scales between physical units and what a network sees, fitted on training data alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class MapScale:
    """Activation times in ms to [-1, 1] on the training range.

    One range for all cases, since a range per case would leak the truth's duration into the
    result. Times outside the training range continue linearly beyond ±1. NaN stays NaN.

    Parameters
    ----------
    low_ms, high_ms : float
        Times that become -1 and 1.
    """

    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low_ms, self.high_ms]).all() and self.low_ms < self.high_ms):
            raise ValueError(
                f"the range is {self.low_ms} … {self.high_ms} ms, expected finite and rising"
            )

    @classmethod
    def fit(cls, activation_ms: Iterable[np.ndarray]) -> MapScale:
        """Take the range of training maps, NaN outside the tissue.

        Parameters
        ----------
        activation_ms : iterable of ndarray
            Maps of any shape, such as an array of cases or `Cohort.blocks("activation_ms", …)`.
        """
        low, high = np.inf, -np.inf
        for block in activation_ms:
            low = min(low, float(np.fmin.reduce(block, axis=None, initial=np.inf)))
            high = max(high, float(np.fmax.reduce(block, axis=None, initial=-np.inf)))
        return cls(low, high)

    @property
    def range_ms(self) -> tuple[float, float]:
        """Times that become -1 and 1."""
        return self.low_ms, self.high_ms

    @property
    def ms_per_unit(self) -> float:
        """Factor that turns scaled differences, such as an SD or an error, into ms."""
        return 0.5 * (self.high_ms - self.low_ms)

    def apply(self, activation_ms: np.ndarray) -> np.ndarray:
        """Scale times."""
        return (activation_ms - self.low_ms) / self.ms_per_unit - 1

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Return times in ms."""
        return (scaled + 1) * self.ms_per_unit + self.low_ms

    def to_dict(self) -> dict[str, float]:
        """Return the fields, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, float]) -> MapScale:
        """Read what `to_dict` wrote."""
        return cls(**values)


@dataclass(frozen=True)
class SignalScale:
    """Potentials in mV to [0, 1], with 0 mV at one half.

    One scale for all cases and electrodes: amplitude tells distance. The training set's largest
    magnitude becomes 0 or 1, so that a sigmoid can reach every training value and a silent
    electrode is exactly 0.5. Larger potentials continue linearly beyond.

    Parameters
    ----------
    peak_mv : float
        Magnitude that becomes 0 or 1.
    """

    peak_mv: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.peak_mv) and self.peak_mv > 0):
            raise ValueError(f"peak_mv is {self.peak_mv}, expected a finite positive number")

    @classmethod
    def fit(cls, bspm_mv: Iterable[np.ndarray]) -> SignalScale:
        """Take the largest magnitude of training potentials.

        Parameters
        ----------
        bspm_mv : iterable of ndarray
            Potentials of any shape, such as an array of cases or `Cohort.blocks("bspm_mv", …)`.
        """
        peaks = [np.max(np.abs(block)) for block in bspm_mv]
        return cls(float(np.max(peaks, initial=0)))

    def apply(self, bspm_mv: np.ndarray) -> np.ndarray:
        """Scale potentials."""
        return 0.5 + bspm_mv / (2 * self.peak_mv)

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Return potentials in mV."""
        return (scaled - 0.5) * (2 * self.peak_mv)

    def to_dict(self) -> dict[str, float]:
        """Return the fields, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, float]) -> SignalScale:
        """Read what `to_dict` wrote."""
        return cls(**values)


@dataclass(frozen=True, eq=False)
class AmplitudeScale:
    """Signals in mV to about [-1, 1], one factor for all channels of a row, so 0 mV stays 0.

    A factor per channel would lose which electrode is near the source. `per_group` gives each
    simulation its own factor, and keeps them; `whole` gives one, which signals that were never
    measured, such as generated ones, can be taken back to mV with.

    Parameters
    ----------
    peak_mv : ndarray, shape (n,) or ()
        Magnitude that becomes 1, of each row or of all.
    """

    peak_mv: np.ndarray

    def __post_init__(self) -> None:
        peak = np.asarray(self.peak_mv, np.float32)
        if peak.ndim > 1 or not np.all(np.isfinite(peak)) or not np.all(peak > 0):
            raise ValueError(
                f"peak_mv of shape {peak.shape} is {peak}, expected a positive number, or one a row"
            )
        object.__setattr__(self, "peak_mv", peak)

    @classmethod
    def per_group(cls, signals_mv: np.ndarray, group: np.ndarray) -> AmplitudeScale:
        """Take the largest magnitude of each group's rows.

        Parameters
        ----------
        signals_mv : ndarray, shape (n, ...)
            Signals.
        group : ndarray, shape (n,)
            Group of each row, such as its simulation.
        """
        _, number = np.unique(group, return_inverse=True)
        peaks = np.zeros(number.max() + 1, np.float32)
        np.maximum.at(peaks, number, _peaks(signals_mv))
        return cls(peaks[number])

    @classmethod
    def whole(cls, signals_mv: np.ndarray) -> AmplitudeScale:
        """Take the largest magnitude of training signals, shape (n, ...)."""
        return cls(_peaks(signals_mv).max())

    def apply(self, signals_mv: np.ndarray) -> np.ndarray:
        """Scale signals, (n, ...); n as many as the scale has, where it has one a row."""
        return signals_mv / self._factor(signals_mv)

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Return signals in mV."""
        return scaled * self._factor(scaled)

    def to_dict(self) -> dict[str, float | list[float]]:
        """Return the fields, for JSON."""
        return {"peak_mv": self.peak_mv.tolist()}

    @classmethod
    def from_dict(cls, values: dict) -> AmplitudeScale:
        """Read what `to_dict` wrote."""
        return cls(**values)

    def _factor(self, signals: np.ndarray) -> np.ndarray:
        if self.peak_mv.ndim and len(signals) != len(self.peak_mv):
            raise ValueError(f"{len(signals)} signals, expected {len(self.peak_mv)} as were scaled")
        if not self.peak_mv.ndim:
            return self.peak_mv
        return self.peak_mv.reshape(-1, *(1,) * (np.ndim(signals) - 1))


def _peaks(signals: np.ndarray) -> np.ndarray:
    return np.abs(signals).reshape(len(signals), -1).max(axis=1)
