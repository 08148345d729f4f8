"""Twelve leads from a few: errors of the leads that were not given, and the linear baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from kecgi.data.ecg_leads import lead_indices
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


@dataclass(frozen=True, eq=False)
class LeadRegression:
    """Each missing lead as a linear function of the given leads at the same time.

    Attributes
    ----------
    given : tuple of str
        The given leads.
    coefficients : ndarray, shape (given + 1, 12)
        Weights, and in the last row the offset in mV.
    """

    given: tuple[str, ...]
    coefficients: np.ndarray

    @classmethod
    def fit(cls, ecg_mv: ArrayLike, given: Sequence[str] = GIVEN) -> Self:
        """Fit by least squares over all samples of training records, (n, 12, time)."""
        ecg_mv = _checked(ecg_mv)
        at, size = lead_indices(given), len(given) + 1
        inputs, targets = np.zeros((size, size)), np.zeros((size, 12))
        for record in ecg_mv:
            record = np.asarray(record, np.float64)
            design = np.concatenate([record[at], np.ones((1, record.shape[1]))])
            inputs += design @ design.T
            targets += design @ record.T
        return cls(tuple(given), np.linalg.lstsq(inputs, targets, rcond=None)[0])

    def predict(self, ecg_mv: ArrayLike) -> np.ndarray:
        """Complete records, (n, 12, time), of which only the given leads are read."""
        ecg_mv = _checked(ecg_mv)
        at = lead_indices(self.given)
        completed = np.einsum("gl,ngt->nlt", self.coefficients[:-1], ecg_mv[:, at])
        completed += self.coefficients[-1][:, None]
        completed[:, at] = ecg_mv[:, at]
        return completed.astype(np.result_type(ecg_mv.dtype, np.float32))


def _missing(given: Sequence[str]) -> list[int]:
    at = lead_indices(given)
    return [i for i in range(12) if i not in at]


def _checked(ecg_mv: ArrayLike) -> np.ndarray:
    ecg_mv = np.asarray(ecg_mv)
    if ecg_mv.ndim != 3 or ecg_mv.shape[1] != 12:
        raise ValueError(f"ECGs have shape {ecg_mv.shape}, expected (n, 12, time)")
    return ecg_mv
