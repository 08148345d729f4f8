"""What goes wrong between a heart and its recording: noise, lost leads, a misplaced heart."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from kecgi.data.noise import add_noise

Range = float | tuple[float, float]
"""A value, or the two ends of a range in which it is uniform."""


@dataclass(frozen=True)
class Disturbance:
    """How a recording differs from the clean one in a known place.

    Each field is a number, or a range (low, high) from which every case draws its own: numbers to
    judge a model under, ranges to train it for.

    Parameters
    ----------
    snr_db : float or (float, float), optional
        Signal-to-noise ratio of the potentials, see `add_noise`; no noise if absent.
    lost : float or (float, float)
        Share of the electrodes without a signal.
    shift_mm : float or (float, float)
        Distance between the heart's true place and the one that is assumed.
    turn_deg : float or (float, float)
        Angle between its true pose and the one that is assumed, about its centroid.

    Raises
    ------
    TypeError, ValueError
        Where a field is not a number or range, or lies out of what it can be.
    """

    snr_db: Range | None = None
    lost: Range = 0.0
    shift_mm: Range = 0.0
    turn_deg: Range = 0.0

    def __post_init__(self) -> None:
        limits = {"lost": (0.0, 1.0), "shift_mm": (0.0, np.inf), "turn_deg": (0.0, 180.0)}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "snr_db" and value is None:
                continue
            low, high = limits.get(field.name, (-np.inf, np.inf))
            ends = value if isinstance(value, tuple) else (value, value)
            if len(ends) != 2:
                raise TypeError(f"{field.name} is {value!r}, expected a number or (low, high)")
            if not (np.all(np.isfinite(ends)) and low <= ends[0] <= ends[1] <= high):
                raise ValueError(
                    f"{field.name} is {value}, expected finite numbers from {low:g} to {high:g}, "
                    "the low end of a range first"
                )

    @property
    def misplaces(self) -> bool:
        """Whether hearts are moved or turned."""
        return bool(self.shift_mm or self.turn_deg)

    def apply(
        self, points_mm: np.ndarray, bspm_mv: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Disturb one case.

        Parameters
        ----------
        points_mm : ndarray, shape (points, 3)
            Points of the heart, in its true place.
        bspm_mv : ndarray, shape (electrode, time)
            Clean potentials.
        rng : numpy.random.Generator
            Source of all draws.

        Returns
        -------
        points_mm : ndarray
            The points where the heart is assumed to be.
        bspm_mv : ndarray
            Noisy potentials; NaN at the electrodes that are lost.
        """
        if self.snr_db is not None:
            bspm_mv = add_noise(bspm_mv, _draw(self.snr_db, rng), rng)
        if self.lost:
            bspm_mv = lose_electrodes(bspm_mv, _draw(self.lost, rng), rng)
        if self.misplaces:
            shift, turn = _draw(self.shift_mm, rng), _draw(self.turn_deg, rng)
            points_mm = misplace(points_mm, shift, turn, rng)
        return points_mm, bspm_mv


CLEAN = Disturbance()
"""Nothing goes wrong."""


def lose_electrodes(bspm_mv: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set the potentials (electrode, time) of a share of the electrodes, rounded, to NaN."""
    count = len(bspm_mv)
    kept = bspm_mv.copy()
    kept[rng.permutation(count)[: round(share * count)]] = np.nan
    return kept


def misplace(
    points_mm: np.ndarray, shift_mm: float, turn_deg: float, rng: np.random.Generator
) -> np.ndarray:
    """Move points (n, 3) by a distance, and turn them about their centroid, in random directions.

    The turn is Rodrigues' formula.
    """
    direction, axis = rng.standard_normal((2, 3))
    direction /= np.linalg.norm(direction)
    axis /= np.linalg.norm(axis)
    angle = np.radians(turn_deg)
    centroid = points_mm.mean(axis=0)
    away = points_mm - centroid
    along = (away @ axis)[:, None] * axis
    turned = along + np.cos(angle) * (away - along) + np.sin(angle) * np.cross(axis, away)
    return (centroid + shift_mm * direction + turned).astype(points_mm.dtype)


def _draw(value: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*value)) if isinstance(value, tuple) else value
