"""Is a classifier of ECGs better for synthetic ones in its training? What it is trained on.

Two tasks, as in cNVAE-ECG (arXiv 2503.13469): one diagnosis against all else, with a growing share
of synthetic records in the training; and several diagnoses elsewhere, after pre-training on records
that synthetic ones have balanced. A judge is whatever has ``train``, ``scores`` and ``state`` as
`kecgi.studies.judge.Judge` has.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kecgi.studies.judge import Judge


Done = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], object]
"""Is told each configuration and its arrays, for a log."""


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


def enrichment(
    judge: Judge,
    parts: tuple[Labelled, Labelled, Labelled],
    pools: Mapping[str, Labelled],
    proportions: Sequence[float],
    seeds: int,
    ledger: Ledger,
    done: Done,
) -> dict[str, list[np.ndarray]]:
    """Train with a growing share of synthetic records.

    Parameters
    ----------
    judge : Judge
        Of one class.
    parts : (Labelled, Labelled, Labelled)
        Real records that train, validate and test; one label.
    pools : mapping of str to Labelled
        The synthetic records that are available, by what they are; one label.
    proportions : sequence of float
        Shares of each pool; that of 0 is one way for all pools.
    seeds : int
        Trainings of each.
    ledger : Ledger
        Keeps what is done.
    done : callable
        Is told each training.

    Returns
    -------
    dict of str to list of ndarray, shape (cases, 1)
        Scores of the test records for each seed, by "none" or pool and share, as in "MI 0.5".
    """
    train, validation, test = parts
    found: dict[str, list[np.ndarray]] = {}
    for seed in range(seeds):
        for proportion in proportions:
            for pool in pools if proportion else ("none",):

                def compute(pool=pool, proportion=proportion, seed=seed):
                    data = train
                    if proportion:
                        rng = np.random.default_rng(seed)
                        data = enriched(train, pools[pool], proportion, None, rng)
                    return _judged(judge, data, validation, test, seed)

                configuration = {"task": "enrichment", "added": pool, "share": proportion}
                arm = ledger.result(configuration | {"seed": seed}, compute)
                name = f"{pool} {proportion:g}" if proportion else pool
                found.setdefault(name, []).append(arm["scores"])
                done(configuration | {"seed": seed}, arm)
    return found


def transfer(
    judge: Judge,
    starts: Mapping[str, Labelled | None],
    source_validation: Labelled,
    parts: tuple[Labelled, Labelled, Labelled],
    fractions: Sequence[float],
    seeds: int,
    ledger: Ledger,
    done: Done,
) -> dict[float, dict[str, list[np.ndarray]]]:
    """Train on a source, then on a fraction of the hearts or patients of a target.

    Parameters
    ----------
    judge : Judge
        Of all classes.
    starts : mapping of str to Labelled or None
        What is learned from first, by name; None starts with the target.
    source_validation : Labelled
        Chooses the epoch of the source.
    parts : (Labelled, Labelled, Labelled)
        Records of the target that train, validate and test, with their groups.
    fractions : sequence of float
        Shares of the target's training hearts or patients.
    seeds, ledger, done
        As in `enrichment`.

    Returns
    -------
    dict of float to dict of str to list of ndarray, shape (cases, classes)
        Scores of the target's test records for each seed, by fraction and start.
    """
    train, validation, test = parts
    found = {fraction: {start: [] for start in starts} for fraction in fractions}
    for seed in range(seeds):
        for start, source in starts.items():
            learned: list = []  # once for all fractions, and not at all where they are done

            def compute(fraction, seed=seed, source=source, learned=learned):
                if source is not None and not learned:
                    _judged(judge, source, source_validation, None, seed)
                    learned.append(judge.state())
                data = fraction_of_groups(train, fraction, np.random.default_rng(seed))
                return _judged(judge, data, validation, test, seed, *learned)

            for fraction in fractions:
                configuration = {"task": "transfer", "start": start, "fraction": fraction}
                arm = ledger.result(
                    configuration | {"seed": seed}, lambda f=fraction, c=compute: c(f)
                )
                found[fraction][start].append(arm["scores"])
                done(configuration | {"seed": seed}, arm)
    return found


def _judged(
    judge: Judge, data: Labelled, validation: Labelled, test: Labelled | None, seed: int, start=None
) -> dict[str, np.ndarray]:
    chosen_by = validation.ecg_mv, validation.labels
    history = judge.train(data.ecg_mv, data.labels, chosen_by, seed, start)
    scores = {} if test is None else {"scores": judge.scores(test.ecg_mv)}
    return scores | {"validation": np.array(history)}
