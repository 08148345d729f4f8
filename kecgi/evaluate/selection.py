"""Which generated electrograms to keep: by plausibility, or as the paper does.

Windows are (n, channel, time) in mV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kecgi.evaluate.egm import activation_rate_hz, nearest_rmse_mv

BANDS_HZ = ((0.5, 3.0), (3.0, 8.0), (8.0, 18.0), (18.0, 40.0), (40.0, np.inf))
"""Bands whose log amplitudes are checked."""


@dataclass(frozen=True, eq=False)
class Plausibility:
    """What real windows of a rhythm look like, and how far they are from each other.

    A window is plausible where its amplitude, its rate and its spectrum are in the range of the
    training windows, widened by a margin, and where it is no nearer to a training window than
    training windows of different simulations are to each other: selecting what is near, as the
    paper does, rewards copies.

    Parameters
    ----------
    bounds : dict of str to (2, ...) arrays
        Lowest and highest ``amplitude`` (mV), ``rate`` (Hz) and ``spectrum`` (a band each).
    training_mv : (m, channel, time) array
        The training windows.
    least_mv : float
        Least root mean square distance from a training window.
    sampling_hz : float
        Sampling rate.
    """

    bounds: dict[str, np.ndarray]
    training_mv: np.ndarray
    least_mv: float
    sampling_hz: float

    @classmethod
    def fit(
        cls,
        training_mv: ArrayLike,
        simulation: ArrayLike,
        sampling_hz: float,
        margin: float = 0.25,
    ) -> Plausibility:
        """Measure training windows of one rhythm.

        Parameters
        ----------
        training_mv : (m, channel, time) array
        simulation : (m,) array
            Simulation of each window; at least two.
        sampling_hz : float
        margin : float
            Share of each range by which it is widened at both ends.

        Raises
        ------
        ValueError
            Where all windows are of one simulation.
        """
        training, simulation = np.asarray(training_mv, float), np.asarray(simulation)
        if len(np.unique(simulation)) < 2:
            raise ValueError("all windows are of one simulation, expected two or more")
        different = simulation[:, None] != simulation[None]
        bounds = {}
        for name, values in measure(training, sampling_hz).items():
            low, high = values.min(axis=0), values.max(axis=0)
            wider = margin * np.maximum(high - low, 0.1 * np.abs(high))
            bounds[name] = np.stack([low - wider, high + wider])
        least = float(nearest_rmse_mv(training, training, different).min())
        return cls(bounds, training, least, float(sampling_hz))

    def judge(self, generated_mv: ArrayLike) -> dict[str, np.ndarray]:
        """Return which windows pass each check, (n,) bool: those of `bounds`, and ``new``."""
        passed = {}
        for name, values in measure(generated_mv, self.sampling_hz).items():
            low, high = self.bounds[name]
            inside = (values >= low) & (values <= high)
            passed[name] = inside.reshape(len(inside), -1).all(axis=1)
        passed["new"] = nearest_rmse_mv(generated_mv, self.training_mv) >= self.least_mv
        return passed

    def select(self, generated_mv: ArrayLike, count: int | None = None) -> np.ndarray:
        """Return the indices of windows that pass all checks, the first `count` of them."""
        passed = np.all(list(self.judge(generated_mv).values()), axis=0)
        return np.flatnonzero(passed)[:count]


def measure(egm_mv: ArrayLike, sampling_hz: float) -> dict[str, np.ndarray]:
    """Return what is checked of each window, as in `Plausibility.bounds`."""
    egm = np.asarray(egm_mv, float)
    spectrum = np.abs(np.fft.rfft(egm, axis=-1)).mean(axis=1) / egm.shape[-1]
    hz = np.fft.rfftfreq(egm.shape[-1], 1 / sampling_hz)
    bands = [(hz >= low) & (hz < high) for low, high in BANDS_HZ]
    return {
        "amplitude": np.median(np.ptp(egm, axis=-1), axis=1),
        "rate": activation_rate_hz(egm, sampling_hz),
        "spectrum": np.stack(
            [np.log(spectrum[:, band].mean(axis=1) + 1e-9) for band in bands if band.any()], axis=1
        ),
    }


def nearest_to_training(generated_mv: ArrayLike, training_mv: ArrayLike, count: int) -> np.ndarray:
    """Return the indices of the `count` windows nearest to a training window, nearest first.

    The paper's rule, which keeps 25 of 200: here for comparison, since it rewards copies.
    """
    if not 1 <= count <= len(np.asarray(generated_mv)):
        raise ValueError(f"count is {count}, expected 1 to {len(np.asarray(generated_mv))}")
    return np.argsort(nearest_rmse_mv(generated_mv, training_mv), kind="stable")[:count]
