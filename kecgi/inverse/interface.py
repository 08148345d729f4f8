"""What every inverse method gives, whether classical or learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, eq=False)
class Estimate:
    """Activation of a heart as one method sees it.

    Attributes
    ----------
    mean_ms : ndarray, shape (places,)
        Activation times.
    draws_ms : ndarray, shape (draws, places), optional
        Draws of a posterior, where the method has one.
    potentials_mv : ndarray, shape (places, times), optional
        Electrograms, where the method reconstructs them.
    """

    mean_ms: np.ndarray
    draws_ms: np.ndarray | None = None
    potentials_mv: np.ndarray | None = None

    @property
    def sd_ms(self) -> np.ndarray:
        """Standard deviation of the posterior at each place."""
        return self._drawn().std(axis=0)

    def quantile_ms(self, level: float | np.ndarray) -> np.ndarray:
        """Quantiles of the posterior at each place, with the levels' axes first."""
        return np.quantile(self._drawn(), level, axis=0)

    def _drawn(self) -> np.ndarray:
        if self.draws_ms is None:
            raise ValueError("this method gives one map and no posterior: it has no uncertainty")
        return self.draws_ms


@runtime_checkable
class InverseMethod(Protocol):
    """From body-surface potentials to activation; geometry and weights belong to the method."""

    name: str

    def activation(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> Estimate:
        """Estimate activation times from potentials, shape (electrodes, times), in mV."""
        ...
