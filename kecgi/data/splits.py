"""Splits into training, validation and test: by anatomy or simulation, and the leaky rival."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Sorted index arrays of the three parts, and what kept them apart.

    Parameters
    ----------
    kind : str
        "anatomy", "simulation", "simulation, by rhythm" or "slice (leaky)"; goes into every report.
    train, validation, test : ndarray of int
        Indices of cases, or of slices for the leaky split.
    """

    kind: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def by_anatomy(
    anatomy: np.ndarray, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Split cases so that no anatomy is in two parts.

    Parameters
    ----------
    anatomy : ndarray of int, shape (cases,)
        Anatomy of each case, as in `Cohort.anatomy`.
    fractions : tuple of 3 floats
        Shares of the anatomies; a part with a share gets at least one, validation may have none.
    seed : int
        Seed of the draw.

    Raises
    ------
    ValueError
        Where the shares don't add up to 1 or there are too few anatomies.
    """
    names = np.unique(anatomy)
    parts = [np.isin(anatomy, names[i]) for i in _draw(len(names), fractions, seed, "anatomies")]
    split = Split("anatomy", *(np.flatnonzero(part) for part in parts))
    check_disjoint(split, anatomy)
    return split


def by_simulation(
    cases: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Split cases at random; parts share anatomies, as in a study of one patient.

    See `by_anatomy` for `fractions` and `seed`.
    """
    return Split("simulation", *_draw(cases, fractions, seed, "cases"))


def by_rhythm(
    rhythm: np.ndarray, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0
) -> Split:
    """Split simulations so that each part has its share of each rhythm.

    Parameters
    ----------
    rhythm : ndarray of int, shape (simulations,)
        Rhythm of each simulation, as in `EGMCohort.rhythm`.
    fractions, seed
        As in `by_anatomy`; a part with a share gets at least one simulation of each rhythm.

    Raises
    ------
    ValueError
        Where the shares don't add up to 1, or a rhythm has too few simulations.
    """
    parts = [[], [], []]
    for name in np.unique(rhythm):
        own = np.flatnonzero(rhythm == name)
        drawn = _draw(len(own), fractions, seed, f"simulations of rhythm {name}")
        for part, chosen in zip(parts, drawn, strict=True):
            part.append(own[chosen])
    return Split("simulation, by rhythm", *(np.sort(np.concatenate(part)) for part in parts))


def by_slice_leaky(
    slices: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Split 2-D slices at random, so that slices of one simulation land in several parts.

    This leaks: a test slice's neighbours and its very BSPM were in training. It serves only to
    show, beside a split by simulation, what the leak is worth. Indices count rows of the slice
    list (`kecgi.data.slices.slice_index`). See `by_anatomy` for `fractions` and `seed`.
    """
    return Split("slice (leaky)", *_draw(slices, fractions, seed, "slices"))


def check_disjoint(split: Split, group: np.ndarray) -> None:
    """Check that no group, such as an anatomy or a case, is in two parts.

    Parameters
    ----------
    split : Split
        The split.
    group : ndarray, shape (n,)
        Group of each thing that the split's indices count.

    Raises
    ------
    ValueError
        Naming the parts and the groups they share.
    """
    group = np.asarray(group)
    for i, first in enumerate(PARTS):
        for second in PARTS[i + 1 :]:
            shared = np.intersect1d(group[getattr(split, first)], group[getattr(split, second)])
            if len(shared):
                raise ValueError(
                    f"{len(shared)} groups are in {first} and in {second}: "
                    f"{shared[:5].tolist()}{' …' if len(shared) > 5 else ''}"
                )


def _draw(
    count: int, fractions: tuple[float, float, float], seed: int, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted random indices of the three parts."""
    shares = np.asarray(fractions, float)
    if shares.shape != (3,) or not np.isclose(shares.sum(), 1) or np.any(shares < 0):
        raise ValueError(f"fractions is {fractions}, expected three shares that add up to 1")
    if shares[0] == 0 or shares[2] == 0:
        raise ValueError(f"fractions is {fractions}, expected shares for training and test")
    validation, test = (max(1, round(s * count)) if s else 0 for s in shares[1:])
    train = count - validation - test
    if train < 1:
        raise ValueError(
            f"{count} {what} are too few to be split by {tuple(fractions)}, expected at least "
            f"{np.count_nonzero(shares)}; build a larger cohort"
        )
    order = np.random.default_rng(seed).permutation(count)
    return (
        np.sort(order[:train]),
        np.sort(order[train : train + validation]),
        np.sort(order[train + validation :]),
    )
