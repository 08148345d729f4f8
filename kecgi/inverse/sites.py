"""Where activation begins, with the uncertainty of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kecgi.geometry import Heart


@dataclass(frozen=True, eq=False)
class Site:
    """A patch of tissue where activation may begin.

    Attributes
    ----------
    centre_mm : ndarray, shape (3,)
        Its centre, weighted by probability.
    probability : float
        Its share of all that is earliest.
    region : ndarray of bool, shape (voxels,)
        The patch, in the order of `Heart.voxels_mm`.
    """

    centre_mm: np.ndarray
    probability: float
    region: np.ndarray

    @property
    def voxels(self) -> int:
        """Size of the patch."""
        return int(self.region.sum())


def earliest_sites(
    heart: Heart,
    draws_ms: np.ndarray,
    *,
    level: float = 0.9,
    share: float = 0.01,
    least: float = 0.05,
) -> list[Site]:
    """Localise the onset, or the onsets, with a credible region.

    A voxel's probability is the share of draws in which it is among the earliest tissue. The
    credible region is the smallest set of voxels that holds `level` of it; its connected patches
    are the sites.

    Parameters
    ----------
    heart : Heart
        The heart.
    draws_ms : ndarray, shape (draws, voxels)
        Draws of activation maps, as in `Estimate.draws_ms`.
    level : float
        Probability of the region.
    share : float
        Share of the voxels that are "the earliest" in a draw.
    least : float
        Probability below which a patch is no site.

    Returns
    -------
    list of Site
        The most probable first.

    Raises
    ------
    ValueError
        Where the draws don't fit the heart, or level or share isn't between 0 and 1.
    """
    draws_ms = np.asarray(draws_ms)
    voxels = int(heart.mask.sum())
    if draws_ms.ndim != 2 or draws_ms.shape[1] != voxels:
        raise ValueError(f"draws_ms has shape {draws_ms.shape}, expected (draws, {voxels})")
    for name, value in (("level", level), ("share", share)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value}, expected between 0 and 1")
    count = max(1, round(share * voxels))
    earliest = np.argpartition(draws_ms, count - 1, axis=1)[:, :count]
    probability = np.bincount(earliest.ravel(), minlength=voxels) / earliest.size
    order = np.argsort(-probability, kind="stable")
    inside = order[: 1 + np.searchsorted(np.cumsum(probability[order]), level)]
    region = np.zeros(heart.mask.shape, bool)
    region[tuple(np.argwhere(heart.mask)[inside].T)] = True
    labels, number = ndimage.label(region, np.ones((3,) * region.ndim))
    labels = labels[heart.mask]
    sites = []
    for label in range(1, number + 1):
        own = labels == label
        weight = probability[own]
        if weight.sum() >= least:
            centre = np.average(heart.voxels_mm[own], axis=0, weights=weight)
            sites.append(Site(centre, float(weight.sum()), own))
    return sorted(sites, key=lambda site: -site.probability)
