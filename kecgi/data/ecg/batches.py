"""Batches of 12-lead ECGs for Keras, streamed from a store of any size."""

from __future__ import annotations

import numpy as np

from kecgi.data.batches import CaseBatches
from kecgi.data.ecg.scaling import LeadScale
from kecgi.data.ecg.store import ECGStore


class ECGBatches(CaseBatches):
    """Scaled leads "ecg", (batch, time, leads), and "labels", (batch, classes).

    Parameters
    ----------
    store : ECGStore
        The ECGs.
    items, batch_size, **kwargs
        As in `CaseBatches`; items are records.
    scale : LeadScale
        Leads to take, in its order, and their scale.
    """

    def __init__(
        self, store: ECGStore, items: np.ndarray, batch_size: int, scale: LeadScale, **kwargs
    ) -> None:
        super().__init__(store, items, batch_size, **kwargs)
        self.scale = scale

    def load(self, cases: np.ndarray) -> dict[str, np.ndarray]:
        """Read ECGs and labels."""
        return self.cohort.load(cases, self.scale.leads)

    def example(self, case, item, rng) -> dict[str, np.ndarray]:
        """Scale."""
        return {"ecg": self.scale.apply(case["ecg_mv"]), "labels": case["labels"]}
