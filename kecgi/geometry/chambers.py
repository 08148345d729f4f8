"""Cavities, epicardium and base of ventricles, found on their mask."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage, spatial

from kecgi.geometry.heart import Heart
from kecgi.geometry.parametric import LEFT, RIGHT

ENCLOSED = (0.75, 0.8, 0.85, 0.9)
"""Shares of directions in which tissue is met from deep in a cavity, tried one after the other."""

SMALLEST_ML = 1.0
"""Smallest cavity."""

UPWARDS = 0.6
"""Least cosine between the base's direction and the normal of a voxel's side there."""

OUTSIDE, BASE = 0, 3
"""Kinds of what a tissue voxel's side can face, beside `LEFT` and `RIGHT` for the cavities."""


@dataclass(frozen=True, eq=False)
class Chambers:
    """What lies around the tissue of ventricles.

    Attributes
    ----------
    beside : ndarray of int8, grid shape
        Of each voxel without tissue: `LEFT` or `RIGHT` in that cavity, `BASE` beyond the base,
        else `OUTSIDE`; -1 in tissue.
    to_base : ndarray, shape (3,)
        Unit vector from the apex to the base.
    """

    beside: np.ndarray
    to_base: np.ndarray

    @property
    def biventricular(self) -> bool:
        """Whether there are two cavities."""
        return bool(np.any(self.beside == RIGHT))


def find_chambers(heart: Heart) -> Chambers:
    """Find the cavities of ventricles that are cut off at the base.

    A cavity is what of the tissue's convex hull isn't tissue and holds places from which tissue is
    met in most directions; the open directions there point to the base. The left ventricle is
    known by the heart's labels, or else by its rounder cavity.

    Parameters
    ----------
    heart : Heart
        One or two ventricles, 3-D.

    Returns
    -------
    Chambers

    Raises
    ------
    ValueError
        Where the heart isn't 3-D, or there is no cavity that opens to a base.
    """
    if heart.ndim != 3:
        raise ValueError(f"{heart.name} is {heart.ndim}-D; ventricles are found in 3-D")
    spacing = np.array(heart.spacing_mm)
    hollow = _within_hull(heart) & ~heart.mask
    cells = np.argwhere(hollow)
    directions = _directions(162)
    met = _meets(heart.mask, cells, directions / spacing * spacing.min())
    share = np.zeros(heart.mask.shape)
    share[hollow] = met.mean(axis=1)
    seeds, large = _deep_places(share, spacing.prod() / 1000)
    if not large:
        raise ValueError(
            f"{heart.name} has no cavity of {SMALLEST_ML:g} ml: expected ventricles with a wall; "
            "a filled silhouette or an open sheet has none"
        )
    deep = np.isin(seeds[hollow], large)
    up = (1 - met[deep].mean(axis=0)) @ directions
    length = np.linalg.norm(up) / len(directions)
    if length < 0.01:
        raise ValueError(
            f"{heart.name}: the cavities are closed, expected ventricles open at a base"
        )
    up /= np.linalg.norm(up)
    cavities = _grown(np.where(np.isin(seeds, large), seeds, 0), hollow, heart)
    beside = np.where(heart.mask, -1, OUTSIDE).astype(np.int8)
    for name, number in zip((LEFT, RIGHT), _left_first(seeds, large, heart), strict=False):
        beside[cavities == number] = name
    _mark_base(beside, heart, up)
    return Chambers(beside, up)


def _deep_places(share: np.ndarray, voxel_ml: float) -> tuple[np.ndarray, list[int]]:
    """Components of enclosed voxels, and the numbers of the one or two that are cavities.

    Cavities that are joined over the septum come apart where more is asked for.
    """
    found: tuple[np.ndarray, list[int]] = (share, [])
    for level in ENCLOSED:
        parts, count = ndimage.label(share >= level)
        volume = voxel_ml * ndimage.sum_labels(np.ones(parts.shape), parts, np.arange(1, count + 1))
        largest = np.argsort(-volume)[:2]
        large = [int(i) + 1 for i in largest if volume[i] >= max(SMALLEST_ML, 0.1 * volume.max())]
        if len(large) == 2 or (large and not found[1]):
            found = parts, large
        if len(large) == 2:
            break
    return found


def _directions(count: int) -> np.ndarray:
    """Spread unit vectors evenly over the sphere (a spiral), opposite ones in pairs."""
    half = np.arange(count // 2) + 0.5
    height, angle = 1 - half / (count // 2), np.pi * (1 + np.sqrt(5)) * half
    radius = np.sqrt(1 - height**2)
    upper = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    return np.concatenate([upper, -upper])


def _within_hull(heart: Heart) -> np.ndarray:
    """Voxels whose centres lie in the convex hull of the tissue's."""
    hull = spatial.ConvexHull(np.argwhere(heart.mask))
    inside = np.zeros(heart.mask.shape, bool)
    box = ndimage.find_objects(heart.mask.view(np.uint8))[0]
    cells = np.stack(np.indices(heart.mask[box].shape), axis=-1) + [s.start for s in box]
    normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
    inside[box] = np.stack(
        [np.all(plane @ normals.T + offsets <= 1e-9, axis=-1) for plane in cells]
    )
    return inside


@numba.njit(cache=True)
def _meets(mask, cells, steps):
    """Whether tissue is met from each cell along each direction."""
    met = np.zeros((len(cells), len(steps)), np.bool_)
    for i in range(len(cells)):
        for d in range(len(steps)):
            x, y, z = float(cells[i, 0]), float(cells[i, 1]), float(cells[i, 2])
            while True:
                x, y, z = x + steps[d, 0], y + steps[d, 1], z + steps[d, 2]
                a, b, c = int(np.rint(x)), int(np.rint(y)), int(np.rint(z))
                if not (
                    0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and 0 <= c < mask.shape[2]
                ):
                    break
                if mask[a, b, c]:
                    met[i, d] = True
                    break
    return met


def _grown(seeds: np.ndarray, hollow: np.ndarray, heart: Heart) -> np.ndarray:
    """Cavities grown from their deep places to all hollow voxels that see the nearest of these."""
    nearest = ndimage.distance_transform_edt(
        seeds == 0, heart.spacing_mm, return_distances=False, return_indices=True
    )
    cells = np.argwhere(hollow)
    way = nearest[:, hollow].T - cells
    seen = np.ones(len(cells), bool)
    for share in np.linspace(0, 1, 2 * int(np.abs(way).max()) + 1):
        seen &= ~heart.mask[tuple(np.rint(cells + share * way).astype(int).T)]
    grown = np.zeros_like(seeds)
    grown[tuple(cells[seen].T)] = seeds[tuple((cells + way)[seen].T)]
    return grown


def _left_first(seeds: np.ndarray, numbers: list[int], heart: Heart) -> list[int]:
    """Numbers of the cavities, the left ventricle's first.

    By the heart's labels where these are `LEFT` and `RIGHT`; else the rounder one, which fills
    more of its convex hull: the right ventricle is a crescent about the left.
    """
    left = []
    labelled = heart.labels is not None and {*np.unique(heart.labels)} <= {0, LEFT, RIGHT}
    if labelled:
        distance = ndimage.distance_transform_edt
        nearest = distance(seeds == 0, return_distances=False, return_indices=True)
        closest = seeds[tuple(nearest)][heart.mask]
    for number in numbers:
        if labelled:
            left.append(np.mean(heart.labels[heart.mask][closest == number] == LEFT))
        else:
            cells = np.argwhere(seeds == number)
            left.append(len(cells) / spatial.ConvexHull(cells).volume)
    return [numbers[i] for i in np.argsort(left)[::-1]]


def _mark_base(beside: np.ndarray, heart: Heart, up: np.ndarray) -> None:
    """Mark what lies outside the upper half of the tissue, and above it."""
    smooth = ndimage.gaussian_filter(heart.mask.astype(float), 1.5)
    slope = np.stack(np.gradient(smooth, *heart.spacing_mm), axis=-1)
    length = np.linalg.norm(slope, axis=-1)
    facing = -slope @ up > UPWARDS * length
    height = sum(c * u for c, u in zip(np.ix_(*heart.coordinates_mm()), up, strict=True))
    tissue = height[heart.mask]
    high = height > (tissue.min() + tissue.max()) / 2
    beside[(beside == OUTSIDE) & facing & high & (length > 0)] = BASE
