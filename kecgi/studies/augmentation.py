"""Does adding generated electrograms help a reconstruction? What the study of it is made of.

A generated window has no body-surface potentials. It is given those of smooth sources that explain
it in the atria of a training simulation (`kecgi.inverse.WallSources`), at that simulation's torsos.
How good such a projection is can be measured: real electrograms have both.

Keras is imported here: import this module after `kecgi.experiment.begin`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kecgi.data import EGMCohort, EGMRecordings
from kecgi.data.egm.cohort import lead_fields
from kecgi.data.egm.pair_batches import PairCrops
from kecgi.data.egm.pairs import EGMPairs, PairScale
from kecgi.evaluate.gains import Gains, paired_gains, temporal_correlation
from kecgi.evaluate.selection import Plausibility, nearest_to_training
from kecgi.evaluate.signals import pearson
from kecgi.inverse.wall_sources import WallSources
from kecgi.models import BSPMToEGM

LAG, RIDGE = 6, 0.1
"""Samples that a linear reading sees to either side, every second one, and its penalty: a share of
the mean variance of what it sees."""

ROWS = 16
"""Pairs at a time in a linear reading."""

RULES = ("nearest", "plausible", "none")
"""The paper's nearest to a training window, by plausibility, and no rule."""


@dataclass(frozen=True)
class Arm:
    """One training: what was added, and from which seed everything is drawn.

    Parameters
    ----------
    generator : str
        Where the windows come from; "none" of the baseline, "real" of the control.
    rule : str
        How they were selected, one of `RULES`.
    added : int
        Windows.
    seed : int
        Of weights, batches, and the windows themselves.
    """

    generator: str = "none"
    rule: str = "none"
    added: int = 0
    seed: int = 0


class ScoreTable:
    """Scores of arms in a file, a JSON line each, so that a study that was cut goes on.

    Parameters
    ----------
    folder : Path
        Where the file lies.
    settings : mapping
        All that the scores depend on beside the arm: other settings have another file.
    """

    def __init__(self, folder: Path, settings: Mapping) -> None:
        content = json.dumps(settings, sort_keys=True, default=str)
        self.path = folder / f"scores-{hashlib.sha256(content.encode()).hexdigest()[:12]}.jsonl"
        self.scores: dict[Arm, dict[str, list[float]]] = {}
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in lines:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # empty, or cut while it was written
                continue
            self.scores[Arm(**row["arm"])] = row["scores"]

    def get(self, arm: Arm, compute: Callable[[], Mapping[str, np.ndarray]]) -> dict:
        """Return the scores of an arm, by name and case; compute and keep them if need be."""
        if arm not in self.scores:
            self.scores[arm] = {name: np.asarray(v).tolist() for name, v in compute().items()}
            with self.path.open("a") as file:
                # begins a line of its own, also where the last one was cut
                row = {"arm": asdict(arm), "scores": self.scores[arm]}
                file.write("\n" + json.dumps(row))
        return self.scores[arm]


def sources_of(
    cohort: EGMCohort, simulation: int, placements: int, penalty: str
) -> list[WallSources]:
    """Return what links electrograms and potentials in a simulation, torso by torso."""
    attempts = int(cohort.read("attempts", [simulation])[0])
    at, near, far = lead_fields(cohort.config, int(simulation), attempts, placements)
    every = WallSources.of(at, near, np.concatenate(far, axis=1), penalty)
    leads = far[0].shape[1]
    return [every.of_leads(slice(p * leads, (p + 1) * leads)) for p in range(placements)]


def projections(
    cohort: EGMCohort, simulations: Sequence[int], placements: int, noise: float = 0.1
) -> np.ndarray:
    """Matrices from electrograms to potentials, (simulations, placements, leads, nodes)."""
    return np.array(
        [
            [s.projection(noise) for s in sources_of(cohort, simulation, placements, "smooth")]
            for simulation in simulations
        ]
    )


def projection_fidelity(cohort: EGMCohort, simulations: np.ndarray, matrices: np.ndarray) -> dict:
    """Compare projected electrograms of real windows with the potentials that they really have.

    Returns
    -------
    dict of float
        Mean correlation over time of the leads, by rhythm.
    """
    placements = matrices.shape[1]
    egm, bspm = cohort.read("egm_mv", simulations), cohort.read("bspm_mv", simulations)
    found = np.einsum("spln,swnt->spwlt", matrices, egm, optimize=True)
    score = pearson(bspm[:, :placements], found).mean(axis=(1, 2, 3))
    rhythm = cohort.rhythm[simulations]
    return {cohort.rhythm_names[r]: float(score[rhythm == r].mean()) for r in np.unique(rhythm)}


def projected(
    windows_mv: np.ndarray, rhythm: np.ndarray, matrices: np.ndarray, seed: int
) -> EGMPairs:
    """Give windows their potentials, each in the atria and torsos of a simulation by chance.

    Parameters
    ----------
    windows_mv : ndarray, shape (n, node, time)
    rhythm : ndarray of int, shape (n,)
    matrices : ndarray
        From `projections`.
    seed : int
        Of the draw; the first windows have the same simulation however many follow.
    """
    placements = matrices.shape[1]
    drawn = np.random.default_rng(seed).integers(len(matrices), size=len(windows_mv))
    hosts = matrices[drawn]
    bspm = np.einsum("wpln,wnt->wptl", hosts, windows_mv, optimize=True)
    return EGMPairs(
        bspm.reshape(-1, *bspm.shape[2:]).astype(np.float32),
        np.repeat(np.swapaxes(windows_mv, 1, 2), placements, axis=0).astype(np.float32),
        np.repeat(rhythm, placements),
        np.full(len(bspm) * placements, -1),
    )


def plausibility(known: EGMRecordings) -> dict[str, Plausibility]:
    """Measure what is plausible in each rhythm, by its name."""
    parts = {name: known.of(name) for name in known.names}
    return {
        name: Plausibility.fit(own.windows_mv, own.per_window(own.simulation), own.sampling_hz)
        for name, own in parts.items()
    }


def select(
    rule: str,
    made: Mapping[str, np.ndarray],
    plausible: Mapping[str, Plausibility],
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Select generated windows, rhythms by turns, so that the first few are a smaller selection.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    made : mapping of str to (n, node, time) array
        Generated windows in mV by the name of their rhythm.
    plausible : mapping of str to Plausibility
        What each rhythm is like where the generator was trained, in the order of its rhythms.
    count : int
        Windows.

    Returns
    -------
    windows_mv : ndarray, shape (n, node, time)
        So many, or as many as the rule lets pass.
    rhythm : ndarray of int, shape (n,)
        Place of each window's in the order of rhythms.

    Raises
    ------
    ValueError
        Where the rule is unknown.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}, expected one of {RULES}")
    each = -(-count // len(made))
    kept = []
    for label, (name, rule_of) in enumerate(plausible.items()):
        windows = made[name]
        if rule == "nearest":
            best = nearest_to_training(windows, rule_of.training_mv, min(each, len(windows)))
        elif rule == "plausible":
            best = rule_of.select(windows, each)
        else:
            best = np.arange(min(each, len(windows)))
        kept.append([(windows[i], label) for i in best])
    turns = [own[i] for i in range(each) for own in kept if i < len(own)][:count]
    if not turns:
        return next(iter(made.values()))[:0], np.zeros(0, int)
    windows, rhythm = zip(*turns, strict=True)
    return np.stack(windows), np.array(rhythm)


class Learner:
    """The reconstruction network, trained anew for each set of pairs from the same beginning.

    Parameters
    ----------
    nodes : int
        Electrograms.
    seed : int
        Of the weights, the noise, and the batches.
    samples, batch_size, steps : int
        As in `kecgi.data.egm.pair_batches.PairCrops`.
    learning_rate : float
        The first; it falls to a fiftieth along a cosine.
    **options
        Of `kecgi.models.BSPMToEGM`.
    """

    def __init__(
        self,
        nodes: int,
        seed: int,
        *,
        samples: int,
        batch_size: int,
        steps: int,
        learning_rate: float,
        **options,
    ) -> None:
        keras.utils.set_random_seed(seed)
        self.seed, self.samples, self.batch_size, self.steps = seed, samples, batch_size, steps
        self.model = BSPMToEGM(nodes, seed=seed, **options)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.02)
        self.model.compile(keras.optimizers.AdamW(rate, global_clipnorm=1.0))
        self.model.optimizer.build(self.model.trainable_variables)
        # one model for all: the graph of its step is traced once
        self.beginning = [keras.ops.convert_to_numpy(v) for v in self._variables()]

    def train(self, pairs: Mapping[str, np.ndarray]) -> BSPMToEGM:
        """Train from the beginning and return the model, which the next training changes.

        Parameters
        ----------
        pairs : mapping of str to ndarray
            As from `kecgi.data.egm.pairs.PairScale.apply`.
        """
        for variable, value in zip(self._variables(), self.beginning, strict=True):
            variable.assign(value)
        crops = PairCrops(pairs, self.samples, self.batch_size, self.steps, seed=self.seed)
        self.model.fit(crops, epochs=1, shuffle=False, verbose=0)
        return self.model

    def _variables(self) -> list:
        return [*self.model.variables, *self.model.optimizer.variables]


def scores_of(model: BSPMToEGM, scale: PairScale, pairs: EGMPairs) -> dict[str, np.ndarray]:
    """Correlation over time of each simulation, mean over its windows, torsos and nodes."""
    found = model.predict({"bspm": scale.bspm(pairs.bspm_mv)}, batch_size=16, verbose=0)["egm"]
    return by_simulation(pairs, np.swapaxes(scale.signals(found), 1, 2))


def linear_moments(pairs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what a linear regression needs of pairs; that of more pairs is the sum of both.

    It reads each sample of the electrograms from the leads at that time and around it.
    """
    total = 0.0
    for i in range(0, len(pairs["bspm"]), ROWS):
        seen = _around(pairs["bspm"][i : i + ROWS])
        seen, egm = (x.reshape(-1, x.shape[2]) for x in (seen, pairs["egm"][i : i + ROWS]))
        total = total + seen.T @ np.concatenate([seen, egm], axis=1)
    return total


def linear_scores(moments: np.ndarray, scale: PairScale, asked: EGMPairs) -> dict[str, np.ndarray]:
    """Correlations of the ridge regression that `linear_moments` belong to."""
    size = len(moments)
    square, product = moments[:, :size], moments[:, size:]
    weights = np.linalg.solve(square + RIDGE * np.trace(square) / size * np.eye(size), product)
    parts = (scale.bspm(asked.bspm_mv[i : i + ROWS]) for i in range(0, len(asked), ROWS))
    found = np.concatenate([_around(part) @ weights for part in parts])
    return by_simulation(asked, np.swapaxes(scale.signals(found), 1, 2))


def _around(bspm: np.ndarray) -> np.ndarray:
    """Leads at each sample and around it, (n, time, leads times lags)."""
    padded = np.pad(bspm, ((0, 0), (LAG, LAG), (0, 0)), mode="edge")
    samples = bspm.shape[1]
    return np.concatenate([padded[:, k : k + samples] for k in range(0, 2 * LAG + 1, 2)], axis=2)


def classical_scores(
    cohort: EGMCohort, pairs: EGMPairs, placements: int, penalty: str, rule: str = "gcv"
) -> dict[str, np.ndarray]:
    """Correlations of Tikhonov's method, which is told the atria and torso of each pair."""
    found = np.empty_like(np.swapaxes(pairs.egm_mv, 1, 2))
    for simulation in np.unique(pairs.simulation):
        own = np.flatnonzero(pairs.simulation == simulation)
        # windows turn fastest, then torsos
        for rows, sources in zip(
            np.array_split(own, placements),
            sources_of(cohort, simulation, placements, penalty),
            strict=True,
        ):
            for i in rows:
                found[i] = sources.electrograms(pairs.bspm_mv[i].T, rule)
    return by_simulation(pairs, found)


def by_simulation(pairs: EGMPairs, found: np.ndarray) -> dict[str, np.ndarray]:
    """Correlations of reconstructions (n, node, time), one a simulation."""
    scores = temporal_correlation(np.swapaxes(pairs.egm_mv, 1, 2), found)
    simulations = np.unique(pairs.simulation)
    return {
        name: np.array([values[pairs.simulation == s].mean() for s in simulations])
        for name, values in scores.items()
    }


def baseline(table: ScoreTable, seeds: Sequence[int], metric: str) -> np.ndarray:
    """Scores with nothing added, (seeds, cases)."""
    return np.array([table.scores[Arm(seed=seed)][metric] for seed in seeds])


def compare(
    table: ScoreTable,
    kinds: Sequence[tuple[str, str, int]],
    seeds: Sequence[int],
    metric: str,
    cases: slice | np.ndarray = slice(None),
) -> Gains:
    """Gains of kinds of arms (generator, rule, number added) over nothing added, by `metric`.

    Of all cases, or of some, such as those of one rhythm.
    """
    scores = [[table.scores[Arm(*kind, seed)][metric] for seed in seeds] for kind in kinds]
    before, rng = baseline(table, seeds, metric), np.random.default_rng(0)
    return paired_gains(np.array(scores)[..., cases], before[:, cases], rng=rng)


def best(gains: Gains, kinds: Sequence[tuple[str, str, int]]) -> dict[str, str | float]:
    """Say which kind gains most, and how much: its own interval, and the one that holds for all.

    Kinds of real windows, the control, are left out.
    """
    own = np.array([kind[0] != "real" for kind in kinds])
    i = int(np.argmax(np.where(own, gains.gain, -np.inf)))
    return {
        "best": "/".join(map(str, kinds[i])),
        "best_gain": float(gains.gain[i]),
        "best_low": float(gains.low[i]),
        "best_high": float(gains.high[i]),
        "best_low_all": float(gains.low_all[i]),
        "best_high_all": float(gains.high_all[i]),
    }


def by_panel(
    gains: Gains, kinds: Sequence[tuple[str, str, int]], added: Sequence[int]
) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Order gains for `kecgi.figures.augmentation_gains`: by rule, then by generator."""
    place = {kind: i for i, kind in enumerate(kinds)}
    return {
        rule: {
            generator: {
                key: np.array(
                    [
                        getattr(gains, key)[place[generator, rule, k]]
                        if (generator, rule, k) in place
                        else np.nan
                        for k in added
                    ]
                )
                for key in ("gain", "low", "high")
            }
            for generator in dict.fromkeys(g for g, r, _ in kinds if r == rule)
        }
        for rule in dict.fromkeys(rule for _, rule, _ in kinds)
    }
