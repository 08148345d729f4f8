"""Batches of activation times at points of the hearts, streamed for `ActivationPosterior`."""

from __future__ import annotations

import numpy as np

from kecgi.data.batches import CaseBatches
from kecgi.data.disturbance import CLEAN, Disturbance
from kecgi.data.store import Cohort
from kecgi.geometry import spread_points


class PointBatches(CaseBatches):
    """Points, electrodes, potentials and activation times as a dict, for `ActivationPosterior`.

    The keys are "points_mm" (batch, tokens + points, 3), "activation_ms" (batch, tokens + points),
    "electrodes_mm" (batch, electrode, 3) and "bspm_mv" (batch, electrode, time); where the
    disturbance misplaces hearts also "true_points_mm", shaped as "points_mm". The first points are
    the heart's tokens, spread evenly over its tissue; the others are drawn at random, or are all
    its voxels in the order of the mask.

    Parameters
    ----------
    cohort, items, batch_size, **kwargs
        As in `CaseBatches`; items are cases.
    tokens : int
        Number of tokens.
    points : int, optional
        Number of random points; all voxels by default, then all cases must be of one heart.
    disturbance : Disturbance
        Noise, lost electrodes and a misplaced heart; nothing by default.

    Raises
    ------
    IndexError, ValueError
        As in `CaseBatches`; where items are slices, or hearts of different size were to be given
        whole; on the first batch, where a heart has fewer voxels than tokens.
    """

    def __init__(
        self,
        cohort: Cohort,
        items: np.ndarray,
        batch_size: int,
        *,
        tokens: int,
        points: int | None = None,
        disturbance: Disturbance = CLEAN,
        **kwargs,
    ) -> None:
        super().__init__(cohort, items, batch_size, **kwargs)
        if self.items.ndim != 1:
            raise ValueError("items are slices, expected cases: points are taken from whole hearts")
        for name, value in (("tokens", tokens), ("points", points)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        hearts = len(np.unique(cohort.anatomy[self.items]))
        if points is None and hearts > 1:
            raise ValueError(
                f"items are cases of {hearts} hearts, which differ in their number of voxels: "
                "give a number of points, or make a view for each heart"
            )
        self.tokens = tokens
        self.points = points
        self.disturbance = disturbance

    def load(self, cases: np.ndarray) -> dict[str, list | np.ndarray]:
        """Read times and places of the tissue alone; hearts differ in their number of voxels."""
        anatomy = self.cohort.anatomy[cases]
        known, inverse = np.unique(anatomy, return_inverse=True)
        masks = self.cohort.read("mask", known)
        grid = np.stack(np.meshgrid(*self.cohort.coordinates_mm, indexing="ij"), axis=-1)
        places = [grid[mask].astype(np.float32) for mask in masks]
        tokens = [spread_points(place, self.tokens) for place in places]
        electrodes = self.cohort.read("electrodes_mm", known)
        maps = self.cohort.read("activation_ms", cases)
        return {
            "activation": [m[masks[i]] for m, i in zip(maps, inverse, strict=True)],
            "places": [places[i] for i in inverse],
            "tokens": [tokens[i] for i in inverse],
            "electrodes": electrodes[inverse].astype(np.float32),
            "bspm": self.cohort.read("bspm_mv", cases),
        }

    def example(self, case, item, rng) -> dict[str, np.ndarray]:
        """Disturb the case and choose points."""
        true = case["places"]
        places, bspm = self.disturbance.apply(true, case["bspm"], rng)
        voxels = len(places)
        others = (
            np.arange(voxels) if self.points is None else rng.integers(voxels, size=self.points)
        )
        chosen = np.concatenate([case["tokens"], others])
        example = {
            "points_mm": places[chosen],
            "activation_ms": case["activation"][chosen],
            "electrodes_mm": case["electrodes"],
            "bspm_mv": bspm,
        }
        if self.disturbance.misplaces:
            example["true_points_mm"] = true[chosen]
        return example
