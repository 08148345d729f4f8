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


@runtime_checkable
class InverseMethod(Protocol):
    """From body-surface potentials to activation; geometry and weights belong to the method."""

    name: str

    def activation(self, bspm_mv: np.ndarray, time_ms: np.ndarray) -> Estimate:
        """Estimate activation times from potentials, shape (electrodes, times), in mV."""
        ...
