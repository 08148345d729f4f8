"""How generators of 12-lead ECGs are judged and shown, the same for each.

Real ECGs of hearts or patients kept out of the training stand beside as many generated ones, asked
for with the same labels, row by row. ECGs are (n, 12, time) in mV, as `kecgi.evaluate` takes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kecgi.data import CNVAE_LEADS, ECGStore, by_anatomy, to_twelve, write_records
from kecgi.data.ecg.leads import select
from kecgi.data.splits import Split
from kecgi.evaluate import (
    duplicates,
    heart_rates_bpm,
    lead_law_error_uv,
    macro_auroc,
    nearest_rms_mv,
    wasserstein,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kecgi.experiment import Run
    from kecgi.studies.ecg_generator import ECGGenerator
    from kecgi.studies.judge import Judge, JudgeSize

RATE_LIMITS_BPM = {"SB": (0.0, 60.0), "SR": (60.0, 100.0), "STach": (100.0, np.inf)}
"""What the names of rhythms say about the heart rate; the others say nothing."""


@dataclass(frozen=True, eq=False)
class Beside:
    """Real ECGs and generated ones of the same labels.

    Parameters
    ----------
    real_mv, made_mv : ndarray, shape (n, 12, time)
        ECGs.
    labels : ndarray, shape (n, classes)
        Multi-hot labels of both.
    classes : tuple of str
        Their names.
    sampling_hz : float
        Sampling rate of both.
    """

    real_mv: np.ndarray
    made_mv: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    sampling_hz: float


def generate_beside(
    generator: ECGGenerator, store: ECGStore, rows: np.ndarray, count: int, seed: int
) -> Beside:
    """Generate an ECG with the labels of each of `count` of a store's records, drawn at random."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(rows)[:count])
    real = store.load(rows)
    made = generator.generate_mv(real["labels"], seed=seed)
    return Beside(
        real["ecg_mv"].swapaxes(1, 2), made, real["labels"], store.schema.names,
        store.config.sampling_hz,
    )  # fmt: skip


def judge_correctness(pair: Beside, training: Iterable[np.ndarray]) -> dict[str, Any]:
    """Whether generated ECGs are right in length, leads and rate, and new.

    Parameters
    ----------
    pair : Beside
        Generated ECGs, and real ones.
    training : iterable of ndarray, shape (k, time, 12)
        Blocks of the ECGs that the generator was trained on.

    Returns
    -------
    dict
        ``samples``; ``lead_laws_uv`` and ``lead_laws_float64_uv``, the largest departure from
        Einthoven's and Goldberger's laws of the ECGs as they are and with the leads derived in
        double precision; ``duplicates`` among the generated and ``copies`` of training ECGs;
        ``nearest_rms_mv``, median distance from the nearest training ECG; ``rate_within``, share
        whose R peaks have the rate that their rhythm's name says; and Wasserstein distances from
        the real ones. The same of the real ones, where it applies, under ``baselines``, "real".
    """
    made, real = pair.made_mv, pair.real_mv
    double = to_twelve(select(made.astype(float), CNVAE_LEADS))
    copies, nearest = 0, [[], []]
    for block in training:
        others = block.swapaxes(1, 2)
        copies += len(duplicates(made, others))
        for found, ecg_mv in zip(nearest, (made, real), strict=True):
            found.append(nearest_rms_mv(ecg_mv, others))
    made_near, real_near = (float(np.median(np.min(found, axis=0))) for found in nearest)
    beside = {"nearest_rms_mv": real_near, "rate_within": rate_within(real, pair)}
    distances = wasserstein(real, made, pair.sampling_hz)
    return {
        "samples": made.shape[-1],
        "lead_laws_uv": max(lead_law_error_uv(made).values()),
        "lead_laws_float64_uv": max(lead_law_error_uv(double).values()),
        "duplicates": len(duplicates(made)),
        "copies": copies,
        "nearest_rms_mv": made_near,
        "rate_within": rate_within(made, pair),
        **{f"wasserstein_{name}": _or_none(value) for name, value in distances.items()},
        "baselines": {"real": beside},
    }


def rate_within(ecg_mv: np.ndarray, pair: Beside) -> float | None:
    """Share of ECGs whose rhythm has limits and whose R peaks lie within; None without any."""
    rates = heart_rates_bpm(ecg_mv, pair.sampling_hz)
    within = []
    for name, (low, high) in RATE_LIMITS_BPM.items():
        if name in pair.classes:
            own = rates[pair.labels[:, pair.classes.index(name)] >= 0.5]
            within.append((own >= low) & (own <= high))  # a rate that isn't found is not within
    within = np.concatenate([np.zeros(0, bool), *within])
    return float(within.mean()) if within.size else None


def trained_judge(store: ECGStore, rows: np.ndarray, size: JudgeSize, seed: int) -> Judge | None:
    """Train a classifier on records; a quarter of their hearts or patients chooses its epoch.

    Returns
    -------
    Judge or None
        None where records are too few: where no class has cases and others both.
    """
    if len(np.unique(store.group[rows])) < 2:
        return None
    own = by_anatomy(store.group[rows], (0.75, 0.0, 0.25), seed)
    parts = [store.load(rows[part]) for part in (own.train, own.test)]
    labels = [part["labels"] >= 0.5 for part in parts]
    if not all((x.any(axis=0) & ~x.all(axis=0)).any() for x in labels):
        return None
    from kecgi.studies.judge import Judge  # imports Keras

    judge = Judge(len(store.schema), store.config.samples, size)
    known, asked = ((part["ecg_mv"], part["labels"]) for part in parts)
    judge.train(*known, validation=asked, seed=seed)
    return judge


def judge_labels(judge: Judge | None, pair: Beside, seed: int) -> dict[str, Any]:
    """How well a classifier of real ECGs finds in generated ones what was asked for.

    Returns
    -------
    dict
        ``auroc``, the mean over the classes, with ``auroc_low`` and ``auroc_high``, a 95 %
        bootstrap interval; ``auroc_by_class``; and the same of the real ones under "real". None
        where undefined.
    """
    result: dict[str, Any] = {}
    for name, ecg_mv in (("made", pair.made_mv), ("real", pair.real_mv)):
        table = None
        if judge is not None:
            scores = judge.scores(ecg_mv.swapaxes(1, 2))
            rng = np.random.default_rng(seed)
            table = macro_auroc(pair.labels, scores, pair.classes, rng=rng)
        macro = {"auroc": None, "low": None, "high": None} if table is None else table.pop("macro")
        found = {
            "auroc": macro["auroc"],
            "auroc_low": macro["low"],
            "auroc_high": macro["high"],
            "auroc_by_class": None if table is None else {k: v["auroc"] for k, v in table.items()},
        }
        result |= found if name == "made" else {"real": found}
    return result


def paper_figures(pair: Beside, source: str, generator: str) -> dict[str, Figure]:
    """Draw a real ECG of each class beside a generated one of the same labels, on ECG paper.

    Parameters
    ----------
    pair : Beside
        Both.
    source : str
        Where the real ones come from, such as "simulated".
    generator : str
        Name of the generator.
    """
    from kecgi import figures

    shown = {}
    number = pair.labels.sum(axis=1)
    for k, name in enumerate(pair.classes):
        own = np.flatnonzero(pair.labels[:, k] >= 0.5)
        if not len(own):
            continue
        row = own[np.argmin(number[own])]  # with as few other diagnoses as possible
        asked = " + ".join(n for n, on in zip(pair.classes, pair.labels[row], strict=True) if on)
        shown[f"ecg_{name}"] = figures.ecg_beside(
            pair.real_mv[row],
            pair.made_mv[row],
            pair.sampling_hz,
            (f"{asked}, {source}, kept out", f"{asked}, generated by {generator}"),
        )
    return shown


def review(
    run: Run,
    generator: ECGGenerator,
    store: ECGStore,
    split: Split,
    within: Split,
    *,
    count: int,
    size: JudgeSize,
) -> dict[str, Figure]:
    """Judge a generator, write its ECGs as WFDB records, and draw them.

    Parameters
    ----------
    run : Run
        Takes the results into its headline; the records are written to its folder.
    generator : ECGGenerator
        Trained on ``within.train``.
    store : ECGStore
        The ECGs.
    split, within : Split
        Their parts, and those rows of them that are within the generator's limits.
    count : int
        ECGs to generate, at the most.
    size : JudgeSize
        Of the classifier that judges labels. It is trained on the validation part; both generator
        and classifier are compared on the test part.

    Returns
    -------
    dict of Figure
        By file name.
    """
    seed = run.options.seed
    pair = generate_beside(generator, store, within.test, count, seed)
    result = judge_correctness(pair, store.blocks(within.train))
    judge = trained_judge(store, split.validation, size, seed)
    labels = judge_labels(judge, pair, seed)
    result["baselines"]["real"] |= labels.pop("real")
    run.headline |= {"simulated": store.simulated, "generated": len(pair.made_mv)}
    run.headline |= {**labels, **result}
    source = "simulated" if store.simulated else "recorded"
    write_records(
        run.folder / "generated", pair.made_mv, pair.labels, store.schema,
        sampling_hz=pair.sampling_hz,
        comments=[f"Generated by {run.model_name} of kecgi, trained on {source} ECGs"],
    )  # fmt: skip
    return paper_figures(pair, source, run.model_name)


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
