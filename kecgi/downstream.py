"""Is a classifier of ECGs better for synthetic ones in its training? What it is trained on.

Two tasks, as in cNVAE-ECG (arXiv 2503.13469): one diagnosis against all else, with a growing share
of synthetic records in the training; and several diagnoses elsewhere, after pre-training on records
that synthetic ones have balanced. Here are the sets, without a network; `kecgi.judge` trains.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Labelled:
    """Records with their labels.

    Parameters
    ----------
    ecg_mv : ndarray, shape (n, time, leads)
        Records in mV.
    labels : ndarray, shape (n, classes)
        Multi-hot labels.
    group : ndarray, shape (n,), optional
        Heart or patient of each; synthetic records have none.
    """

    ecg_mv: np.ndarray
    labels: np.ndarray
    group: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check that records and labels are as many."""
        sizes = {len(x) for x in (self.ecg_mv, self.labels, self.group) if x is not None}
        if len(sizes) != 1 or np.ndim(self.ecg_mv) != 3 or np.ndim(self.labels) != 2:
            raise ValueError(
                f"records and labels have shapes {np.shape(self.ecg_mv)} and "
                f"{np.shape(self.labels)}, expected (n, time, leads) and (n, classes)"
            )

    def __len__(self) -> int:
        """Count the records."""
        return len(self.ecg_mv)

    def take(self, rows: np.ndarray) -> Labelled:
        """Return some of the records."""
        group = None if self.group is None else self.group[rows]
        return Labelled(self.ecg_mv[rows], self.labels[rows], group)

    def only(self, column: int) -> Labelled:
        """Return the same records with one label alone, as in a binary task."""
        return Labelled(self.ecg_mv, self.labels[:, [column]], self.group)

    def joined(self, other: Labelled) -> Labelled:
        """Return these records and, after them, others."""
        if self.ecg_mv.shape[1:] != other.ecg_mv.shape[1:]:
            raise ValueError(
                f"records have shapes {self.ecg_mv.shape[1:]} and {other.ecg_mv.shape[1:]}, "
                "expected one"
            )
        return Labelled(
            np.concatenate([self.ecg_mv, other.ecg_mv]),
            np.concatenate([self.labels, other.labels]),
        )


def enriched(
    real: Labelled,
    synthetic: Labelled,
    proportion: float,
    column: int | None,
    rng: np.random.Generator,
) -> Labelled:
    """Add a share of the available synthetic records to the real ones.

    Parameters
    ----------
    real, synthetic : Labelled
        What there is of both.
    proportion : float
        Share of the available ones, 0 to 1.
    column : int, optional
        Take only synthetic records with this label; those of all labels by default.
    rng : numpy.random.Generator
        Chooses them.
    """
    if not 0 <= proportion <= 1:
        raise ValueError(f"proportion is {proportion}, expected 0 to 1")
    available = np.arange(len(synthetic))
    if column is not None:
        available = np.flatnonzero(synthetic.labels[:, column] >= 0.5)
    chosen = rng.permutation(available)[: round(proportion * len(available))]
    return real.joined(synthetic.take(np.sort(chosen)))


def rows_to_even(labels: np.ndarray, column: int, rng: np.random.Generator) -> np.ndarray:
    """Label rows that, added to the real ones, make a diagnosis as frequent as its absence.

    Rows are drawn from the real ones with the diagnosis, so that what goes with it does so still.

    Returns
    -------
    ndarray, shape (rows, classes)
        None where it is the majority.
    """
    own = labels[:, column] >= 0.5
    return _drawn(labels[own], max(0, int((~own).sum() - own.sum())), rng)


def rows_to_balance(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Label rows that bring each class to the number of the most frequent, before they are added.

    As in cNVAE-ECG, where a class of k records gets (most - k) more; rows are drawn from the real
    ones with the class. Classes that nobody has get none.

    Returns
    -------
    ndarray, shape (rows, classes)
    """
    counts = (labels >= 0.5).sum(axis=0)
    parts = [
        _drawn(labels[labels[:, k] >= 0.5], int(counts.max() - count), rng)
        for k, count in enumerate(counts)
        if count
    ]
    return np.concatenate([labels[:0], *parts])


def fraction_of_groups(records: Labelled, fraction: float, rng: np.random.Generator) -> Labelled:
    """Return all records of a share of the hearts or patients, at least one."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}, expected above 0 and at most 1")
    kinds = np.unique(records.group)
    chosen = rng.permutation(kinds)[: max(1, round(fraction * len(kinds)))]
    return records.take(np.flatnonzero(np.isin(records.group, chosen)))


def _drawn(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows: all of them in turn, in a random order, as often as it takes."""
    if not count or not len(rows):
        return rows[:0]
    order = np.concatenate([rng.permutation(len(rows)) for _ in range(-(-count // len(rows)))])
    return rows[order[:count]]


class Ledger:
    """Results by configuration, kept on disk: what is there is not computed again.

    Parameters
    ----------
    folder : Path
        Where results are kept, a file each.
    shared : mapping
        What all configurations have in common, such as digests of data and generator: a change
        makes all results new.
    """

    def __init__(self, folder: Path, shared: Mapping) -> None:
        self.folder, self.shared = Path(folder), dict(shared)
        self.folder.mkdir(parents=True, exist_ok=True)

    def result(
        self, configuration: Mapping, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Return the arrays of a configuration, from disk or computed and then kept.

        Parameters
        ----------
        configuration : mapping
            What tells it from others; goes to JSON.
        compute : callable
            Gives its arrays by name.
        """
        text = json.dumps({**self.shared, **configuration}, sort_keys=True)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
        if not path.exists():
            # a cut leaves a file of another name, or none
            temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.npz")
            try:
                np.savez(temporary, configuration=np.array(text), **compute())
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        with np.load(path) as kept:
            return {name: kept[name] for name in kept.files if name != "configuration"}
