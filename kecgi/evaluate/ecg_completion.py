"""Twelve leads from a few: errors of the leads that were not given, lead laws, linear baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from kecgi.data.ecg.leads import expansion, lead_indices
from kecgi.evaluate.bootstrap import bootstrap_interval
from kecgi.geometry.electrodes import LEADS_12

GIVEN = ("II", "V1", "V5")
"""Leads of a wearable recorder (WearECG, arXiv 2510.11442)."""


def completion_errors(
    true_mv: ArrayLike, completed_mv: ArrayLike, given: Sequence[str] = GIVEN
) -> dict[str, float | dict[str, float]]:
    """Mean squared and mean absolute error of the leads that were not given.

    Parameters
    ----------
    true_mv, completed_mv : (n, 12, time) arrays
        ECGs in mV, leads in the order of `LEADS_12`.
    given : sequence of str
        Leads that the completion was given; they don't count.

    Returns
    -------
    dict
        ``mse`` (mV²) and ``mae`` (mV): means over records, times and missing leads;
        ``mse_per_lead`` and ``mae_per_lead``.
    """
    true_mv, completed_mv = (np.asarray(a, float) for a in (true_mv, completed_mv))
    if true_mv.ndim != 3 or true_mv.shape[1] != 12 or true_mv.shape != completed_mv.shape:
        raise ValueError(
            f"ECGs have shapes {true_mv.shape} and {completed_mv.shape}, expected (n, 12, time)"
        )
    difference = completed_mv - true_mv
    missing = _missing(given)
    per_lead = {
        "mse": np.square(difference).mean(axis=(0, 2)),
        "mae": np.abs(difference).mean(axis=(0, 2)),
    }
    overall = {name: float(values[missing].mean()) for name, values in per_lead.items()}
    return overall | {
        f"{name}_per_lead": {LEADS_12[i]: float(values[i]) for i in missing}
        for name, values in per_lead.items()
    }


def completion_intervals(
    true_mv: ArrayLike,
    completed_mv: ArrayLike,
    groups: ArrayLike,
    rival_mv: ArrayLike,
    given: Sequence[str] = GIVEN,
    *,
    rng: np.random.Generator,
) -> dict[str, list[float] | float]:
    """Bootstrap intervals (95 %) over hearts or patients, and the error relative to a rival's.

    Parameters
    ----------
    true_mv, completed_mv : (n, 12, time) arrays
        As in `completion_errors`.
    groups : (n,) array
        Heart or patient of each record; drawn as a whole.
    rival_mv : (n, 12, time) array
        The same records completed by another method.
    given : sequence of str
        Leads that the completion was given.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    dict
        ``mse_interval`` (mV²), ``mae_interval`` (mV); ``mse_ratio``, the mean squared error over
        the rival's, and ``mse_ratio_interval``, in which both have the same hearts or patients:
        below 1 the completion is better than its rival.
    """
    missing = _missing(given)
    true_mv = _checked(true_mv)[:, missing].astype(float)
    own, other = (_checked(x)[:, missing] - true_mv for x in (completed_mv, rival_mv))
    sums = {
        "square": np.square(own).mean(axis=(1, 2)),
        "absolute": np.abs(own).mean(axis=(1, 2)),
        "rival": np.square(other).mean(axis=(1, 2)),
        "records": np.ones(len(own)),
    }

    def interval(above: str, below: str) -> list[float]:
        return list(bootstrap_interval(lambda s: s[above] / s[below], sums, groups, rng=rng))

    return {
        "mse_interval": interval("square", "records"),
        "mae_interval": interval("absolute", "records"),
        "mse_ratio": float(sums["square"].sum() / sums["rival"].sum()),
        "mse_ratio_interval": interval("square", "rival"),
    }


def obey_lead_laws(ecg_mv: ArrayLike, given: Sequence[str] = GIVEN) -> np.ndarray:
    """Nearest ECG, (n, 12, time), that obeys the lead laws and has the given leads as they are.

    What completes leads one by one breaks Einthoven's law a little. True ECGs obey it, so this can
    only bring the missing leads nearer to them, in the sum of their squares.

    Parameters
    ----------
    ecg_mv : (n, 12, time) array
        Completed ECGs in mV.
    given : sequence of str
        Leads that are known; they may not break the laws among themselves.
    """
    ecg_mv = _checked(ecg_mv)
    known, missing = lead_indices(given), _missing(given)
    twelve = expansion()
    inverse = np.linalg.pinv(twelve[known])
    # what the given leads leave open, in the eight independent leads
    open_leads = np.linalg.svd(twelve[known])[2][np.linalg.matrix_rank(twelve[known]) :].T
    fitted = open_leads @ np.linalg.pinv(twelve[missing] @ open_leads)
    projection = np.zeros((12, 12))
    projection[:, missing] = twelve @ fitted
    projection[:, known] = twelve @ (inverse - fitted @ twelve[missing] @ inverse)
    lawful = np.einsum("lk,nkt->nlt", projection, ecg_mv)
    return lawful.astype(np.result_type(ecg_mv.dtype, np.float32))


@dataclass(frozen=True, eq=False)
class LeadRegression:
    """Each missing lead as a linear function of the given leads, at the same time or around it.

    Attributes
    ----------
    given : tuple of str
        The given leads.
    coefficients : ndarray, shape ((2 * reach + 1) * given + 1, 12)
        Weights, all given leads of the earliest time first, and in the last row the offset in mV.
    """

    given: tuple[str, ...]
    coefficients: np.ndarray

    @classmethod
    def fit(
        cls,
        ecg_mv: np.ndarray | Iterable[np.ndarray],
        given: Sequence[str] = GIVEN,
        reach: int = 0,
    ) -> Self:
        """Fit by least squares over all samples of training records.

        Parameters
        ----------
        ecg_mv : (n, 12, time) array, or iterable of such
            Training records in mV.
        given : sequence of str
            The given leads.
        reach : int
            Samples before and after that are taken as well; 0 looks at the same time alone.
        """
        blocks = [ecg_mv] if isinstance(ecg_mv, np.ndarray) else ecg_mv
        at, size = lead_indices(given), (2 * reach + 1) * len(given) + 1
        inputs, targets = np.zeros((size, size)), np.zeros((size, 12))
        for record in (record for block in blocks for record in _checked(block)):
            if not 0 <= reach < record.shape[1]:
                raise ValueError(f"reach is {reach}, expected 0 to {record.shape[1] - 1} samples")
            record = np.asarray(record, np.float64)
            design = _design(record[at], reach)
            inputs += design @ design.T
            targets += design @ record.T
        return cls(tuple(given), np.linalg.lstsq(inputs, targets, rcond=None)[0])

    @property
    def reach(self) -> int:
        """Samples before and after that are looked at."""
        return (len(self.coefficients) - 1) // len(self.given) // 2

    def predict(self, ecg_mv: ArrayLike) -> np.ndarray:
        """Complete records, (n, 12, time), of which only the given leads are read."""
        ecg_mv = _checked(ecg_mv)
        at = lead_indices(self.given)
        completed = np.empty(ecg_mv.shape, np.result_type(ecg_mv.dtype, np.float32))
        for row, record in enumerate(ecg_mv):
            completed[row] = self.coefficients.T @ _design(record[at], self.reach)
        completed[:, at] = ecg_mv[:, at]
        return completed


def _design(known: np.ndarray, reach: int) -> np.ndarray:
    """Given leads (given, time) around each time, one row each, and a row of ones."""
    mirrored = np.pad(known, ((0, 0), (reach, reach)), mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(mirrored, known.shape[1], axis=1)
    rows = around.swapaxes(0, 1).reshape(-1, known.shape[1])
    return np.concatenate([rows, np.ones((1, known.shape[1]))])


def _missing(given: Sequence[str]) -> list[int]:
    at = lead_indices(given)
    return [i for i in range(12) if i not in at]


def _checked(ecg_mv: ArrayLike) -> np.ndarray:
    ecg_mv = np.asarray(ecg_mv)
    if ecg_mv.ndim != 3 or ecg_mv.shape[1] != 12:
        raise ValueError(f"ECGs have shape {ecg_mv.shape}, expected (n, 12, time)")
    return ecg_mv
