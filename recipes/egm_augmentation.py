"""Augmentation: do generated electrograms help to reconstruct them from the body surface.

The downstream study of arXiv 2512.14537, with what it left open: number added x selection rule x
generator, several seeds, intervals. A dual-branch network learns from pairs of potentials and
electrograms of few simulations, alone or with k windows that a VAE or a flow has generated, chosen
by plausibility, by the paper's rule (nearest to a training window) or not at all. It is judged by
simulations that neither it nor a generator has seen: correlation of each electrogram with the true
one over time, Spearman's as in the paper, and Pearson's. Beside it stand a linear regression on the
same pairs, and Tikhonov's method, which is told the atria and the torso: of order zero, and with
the least bending energy.

A generated window has no potentials. It gets those of the smoothest sources that explain it in the
atria of a training simulation, at that simulation's torsos; the headline says how well that works
where the truth is known. As a control, real windows of simulations that were put aside are added
the same way: what they don't gain, generated ones can't.

Departures from the paper: generators learn from the electrograms of all training simulations, the
reconstruction from pairs of few, as many as the paper has: catheters record electrograms without
potentials, and pairs are what is scarce. Potentials are whitened and electrograms compressed by
arcsinh (`kecgi.data.egm.pairs`), the LSTM is larger, and pieces of 0.2 s are trained on. Every arm
of a seed begins from the same weights and makes as many steps. Amplitudes are relative.
"""

import time
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options

ADDED = {"quick": (5, 14), "paper": (14, 25, 5, 18, 10, 20)}
"""Windows added, beside none, in the order in which they are done."""

SEEDS = {"quick": 2, "paper": 5}
PAIRED = {"quick": 4, "paper": 12}
"""Simulations of each rhythm whose potentials are known."""

TORSOS = 2
"""Torsos of each simulation that is trained on; one of those that judge."""

HOSTS = 2
"""Simulations of each rhythm in whose atria and torsos generated windows get potentials."""

POOL = {"quick": 64, "paper": 80}
"""Windows that are generated, to select from; the paper keeps 25 of 200."""

TRAINING = {
    "quick": {"samples": 40, "batch_size": 16, "steps": 60, "learning_rate": 6e-3},
    "paper": {"samples": 40, "batch_size": 16, "steps": 160, "learning_rate": 8e-3},
}
NETWORK = {"filters": 6, "lstm_units": 64, "beta": 1e-4}
GENERATORS = {
    "quick": {"vae": {"epochs": 12, "repeats": 3}, "flow": {"epochs": 4, "every": 20}},
    "paper": {"vae": {"epochs": 25, "repeats": 2}, "flow": {"epochs": 10, "every": 20}},
}
"""Training of generators where none are given: minutes; `egm_vae.py` trains them for longer."""

VAE = {"latent_dim": 250, "beta": 1e-3, "free_bits": 2.0}


LABELS = {
    "network": "network",
    "linear": "linear regression",
    "tikhonov_zero": "Tikhonov, order 0",
    "tikhonov_smooth": "Tikhonov, least bending",
    "plausible": "Plausible",
    "nearest": "Nearest to training",
    "none": "Not selected",
    "vae": "VAE",
    "flow": "flow",
    "real": "real, control",
}


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """Options of all recipes, and which generators.

    Parameters
    ----------
    generators : Path, optional
        Folder with the trained ``model.keras`` and ``flow.keras`` of ``egm_vae.py`` with the same
        preset, geometry and seed: VAE-S gives windows of sinus rhythm, as in the paper, VAE-C of
        all rhythms by turns. By default VAE-C and a flow are trained here, briefly.
    minutes : float, optional
        After so many minutes no arm is begun, and the study concludes with what is there. Run it
        again to go on: what was trained is kept.
    reader : {"network", "linear"}
        What learns to reconstruct: the dual-branch network, or the linear regression.
    added : tuple of int, optional
        Numbers of windows to add, other than the preset's, in the order in which they are done.
    """

    generators: Path | None = None
    minutes: float | None = None
    reader: Literal["network", "linear"] = "network"
    added: tuple[int, ...] | None = None


def main(options: AugmentationOptions) -> None:
    """Read, generate, project, train many times, compare."""
    began = time.monotonic()
    experiment.begin(options)
    if options.generators is not None and not options.generators.is_dir():
        raise experiment.WrongInputError(f"there is no folder {options.generators}")
    from kecgi import figures, tracking
    from kecgi.data import EGMRecordings, by_rhythm
    from kecgi.data.egm.pairs import EGMPairs, PairScale
    from kecgi.studies import augmentation, egm_training
    from kecgi.studies.augmentation import RULES, Arm

    config = experiment.atrial_simulations(options)
    cohort = experiment.egm_dataset(config, options)
    split = by_rhythm(cohort.rhythm, seed=options.seed)
    known = EGMRecordings.read(cohort, split.train)
    paired = first_of_each(cohort.rhythm, split.train, PAIRED[options.preset])
    hosts = first_of_each(cohort.rhythm, paired, HOSTS)
    spare = EGMRecordings.read(cohort, np.setdiff1d(split.train, paired), known.scale)
    real = EGMPairs.read(cohort, paired, TORSOS)
    asked = EGMPairs.read(cohort, split.test, 1)
    scale = PairScale.fit(real)
    real = scale.apply(real)
    added = options.added or ADDED[options.preset]
    seeds = [options.seed + i for i in range(SEEDS[options.preset])]
    name = "egm-augmentation" + ("-linear" if options.reader == "linear" else "")
    settings = {
        **TRAINING[options.preset], **NETWORK, "paired": PAIRED[options.preset],
        "torsos": TORSOS, "pool": POOL[options.preset],
    }  # fmt: skip

    with experiment.run("augmentation", name, options, cohort, split, settings) as run:
        own = f"generators-{options.preset}-{config.identity}-seed-{options.seed}"
        folder = options.generators or run.folder / own
        generators = trained_generators(known, cohort, split, options, folder)
        known, spare = (x.of(*generators["vae"].rhythms) for x in (known, spare))
        identity = {
            **settings,
            "reader": options.reader,
            "cohort": cohort.digest,
            "seed": options.seed,
        }
        identity |= {name: fingerprint(model) for name, model in generators.items()}
        table = augmentation.ScoreTable(run.folder, identity)
        plausible = augmentation.plausibility(known)
        learners = {}

        @cache
        def matrices():
            return augmentation.projections(cohort, hosts, TORSOS)

        @cache
        def known_moments():
            return augmentation.linear_moments(real)

        @cache
        def made(generator, seed):
            if generator == "real":
                return shuffled(spare, seed)
            count = POOL[options.preset] // len(known.names)
            return egm_training.generate(generators[generator], known, count, 1000 + seed)

        @cache
        def chosen(generator, rule, seed):
            """Windows and their rhythm: the most that are ever added, of which arms take some."""
            return augmentation.select(rule, made(generator, seed), plausible, max(added))

        def windows(arm):
            if arm.added == 0:
                return (), ()
            egm_mv, rhythm = chosen(arm.generator, arm.rule, arm.seed)
            return egm_mv[: arm.added], rhythm[: arm.added]

        def trained(arm):
            """Train one arm and judge it."""
            new = None
            if arm.added:
                new = scale.apply(augmentation.projected(*windows(arm), matrices(), arm.seed))
            if options.reader == "linear":
                more = 0 if new is None else augmentation.linear_moments(new)
                return augmentation.linear_scores(known_moments() + more, scale, asked)
            if arm.seed not in learners:
                learners[arm.seed] = augmentation.Learner(
                    config.nodes, arm.seed, **TRAINING[options.preset], **NETWORK
                )
            pairs = real
            if arm.added:
                pairs = {name: np.concatenate([x, new[name]]) for name, x in real.items()}
            return augmentation.scores_of(learners[arm.seed].train(pairs), scale, asked)

        lines = {rule: tuple(generators) for rule in RULES}
        lines["none"] += ("real",)
        arms = [Arm(seed=seed) for seed in seeds]
        arms += [
            Arm(generator, rule, k, seed)
            for k in added for rule in RULES for generator in lines[rule] for seed in seeds
        ]  # fmt: skip
        arms = [a for a in arms if a in table.scores or len(windows(a)[0]) == a.added]
        for arm in arms:
            late = options.minutes and time.monotonic() - began > 60 * options.minutes
            if late and arm.added and arm not in table.scores:
                continue
            scores = table.get(arm, lambda arm=arm: trained(arm))
            tracking.log_arm(
                f"{arm.generator} {arm.rule} k {arm.added} seed {arm.seed}",
                asdict(arm),
                {name: float(np.mean(values)) for name, values in scores.items()},
            )

        rivals = {
            name: table.get(
                Arm(name), partial(augmentation.classical_scores, cohort, asked, 1, penalty)
            )
            for name, penalty in (("tikhonov_zero", "zero"), ("tikhonov_smooth", "smooth"))
        }
        if options.reader == "network":
            rivals["linear"] = table.get(
                Arm("linear"), lambda: augmentation.linear_scores(known_moments(), scale, asked)
            )
        fidelity = table.get(
            Arm("projection"),
            lambda: augmentation.projection_fidelity(cohort, hosts, matrices()),
        )
        kinds = list(dict.fromkeys((a.generator, a.rule, a.added) for a in arms if a.added))
        kinds = [kind for kind in kinds if all(Arm(*kind, seed) in table.scores for seed in seeds)]
        rhythm = cohort.rhythm[split.test]
        names = {cohort.rhythm_names[r]: rhythm == r for r in np.unique(rhythm)}
        alike = np.any([names[name] for name in known.names], axis=0)
        summary = {
            title: augmentation.compare(table, kinds, seeds, metric, cases)
            for title, metric, cases in (
                ("spearman", "spearman", slice(None)),
                ("pearson", "pearson", slice(None)),
                ("spearman_of_added_rhythms", "spearman", alike),
            )
        }
        baseline = augmentation.baseline(table, seeds, "spearman")
        reached = {options.reader: baseline.mean(axis=0)}
        reached |= {name: np.array(scores["spearman"]) for name, scores in rivals.items()}
        by_rhythm_reached = {
            method: {name: float(values[own].mean()) for name, own in names.items()}
            for method, values in reached.items()
        }
        run.headline |= {
            "paired_simulations": len(paired),
            "added_rhythms": ", ".join(known.names),
            "seeds": len(seeds),
            "correlation": float(baseline.mean()),
            "pearson": float(augmentation.baseline(table, seeds, "pearson").mean()),
            "baselines": {
                name: {
                    "correlation": float(np.mean(scores["spearman"])),
                    "pearson": float(np.mean(scores["pearson"])),
                }
                for name, scores in rivals.items()
            },
            "by_rhythm": by_rhythm_reached,
            "projection": fidelity,
            **{
                f"{title}_{key}": value
                for title, found in summary.items()
                for key, value in augmentation.best(found, kinds).items()
            },
            "gains": {
                "/".join(map(str, kind)): [round(float(v), 4) for v in values]
                for kind, *values in zip(
                    kinds, summary["spearman"].gain, summary["spearman"].low,
                    summary["spearman"].high, strict=True,
                )
            },
        }  # fmt: skip
        panels = {
            LABELS[rule]: {LABELS[generator]: line for generator, line in panel.items()}
            for rule, panel in augmentation.by_panel(
                summary["spearman"], kinds, sorted(added)
            ).items()
        }
        shown = {LABELS[method]: values for method, values in by_rhythm_reached.items()}
        run.conclude({"gains": figures.augmentation_gains(sorted(added), panels, shown)})


def first_of_each(rhythm, simulations, count):
    """Return so many of the simulations of each rhythm, sorted."""
    own = [simulations[rhythm[simulations] == r][:count] for r in np.unique(rhythm[simulations])]
    return np.sort(np.concatenate(own))


def shuffled(recordings, seed):
    """Real windows in mV by the name of their rhythm, in an order by chance."""
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(recordings.of(name).windows_mv) for name in recordings.names}


def trained_generators(known, cohort, split, options, folder):
    """Load VAE-C and flow, or train them and keep them for when the study goes on."""
    import keras

    from kecgi.studies import egm_training

    files = {"vae": folder / "model.keras", "flow": folder / "flow.keras"}
    if options.generators is None and not all(file.exists() for file in files.values()):
        keras.utils.set_random_seed(options.seed)
        at = cohort.read("nodes_mm", split.train).mean(axis=0)
        settings = GENERATORS[options.preset]
        vae, _ = egm_training.train_vae(
            known, positions_mm=at, layout="points", seed=options.seed, **VAE, **settings["vae"]
        )
        flow = egm_training.train_flow(vae, known, seed=options.seed, **settings["flow"])
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in (("vae", vae), ("flow", flow)):
            model.save(files[name])
    return {name: experiment.trained(file) for name, file in files.items()}


def fingerprint(model):
    """Sum of the weights' magnitudes: another training has another one."""
    return float(np.sum([np.abs(w, dtype=float).sum() for w in model.get_weights()]).round(4))


if __name__ == "__main__":
    experiment.command_line(main, AugmentationOptions)
