"""Are classifiers better for synthetic ECGs in their training? Two tasks of arXiv 2503.13469.

Enrichment: infarction against all else. A generator that was trained on the training part alone
adds a share (0 to 1) of what would even both out ("MI"), or of as many records of all labels as
there are real ones ("all"). Transfer: a classifier of all diagnoses is trained on real records, or
on these and synthetic ones that balance them, and goes on with a fraction of another data set's
patients; beside one that starts there.

The classifier is XResNet1d101, with the weights of the epoch that is best in validation, from
several seeds. AUROC is that of hearts or patients that neither the generator nor the classifier has
seen; intervals (95 %, bootstrap) hold hearts and seeds, and gains are paired by heart. Each
training that is done is kept: after a cut, the same command goes on.

--generator takes what ecg_nvae.py and ecg_gan.py keep; without it a small cNVAE-ECG is trained
first. The compact preset has the data and generators of quick, and asks more of them: several
seeds, shares and fractions. Departures from the paper: simulated ECGs, unless --folder and --target
say otherwise, with a target of other hearts in place of other hospitals; a classifier with fewer
real hearts than the generator, since simulated infarction is easy; at quick and compact 100 Hz, one
block a stage and a quarter of the channels, and AdamW at 5e-3 in batches of 32. The paper preset is
for a GPU.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kecgi import experiment
from kecgi.experiment import ECGOptions, WrongInputError

SHARES = (0.6, 0.25, 0.15)  # the split of ecg_nvae.py and ecg_gan.py, whose generators fit
# real hearts of the classifier, at most; with 40 its AUROC of simulated infarction is 1 already
REAL_HEARTS = {"quick": 8, "compact": 8, "paper": 1200}
TARGET = {"quick": (40, 4), "compact": (100, 5), "paper": (1000, 10)}  # hearts, records of each
TARGET_SEED = 10_000  # added to the seed: hearts that no other data set has
SIZE = {"quick": "SMALL", "compact": "SMALL", "paper": "PAPER"}
PROPORTIONS = {
    "quick": (0.0, 1.0),
    "compact": (0.0, 0.3, 1.0),
    "paper": tuple(n / 10 for n in range(11)),
}
FRACTIONS = {"quick": (1.0,), "compact": (0.1, 1.0), "paper": (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)}
SEEDS = {"quick": 1, "compact": 3, "paper": 5}
GENERATOR = {"quick": ("tiny", 60), "compact": ("tiny", 400), "paper": ("paper", 200_000)}
GENERATOR_BATCH, GENERATOR_RATE, CLIP = 16, 6e-3, 2000.0  # as in ecg_nvae.py


@dataclass(frozen=True)
class DownstreamOptions(ECGOptions):
    """Options of all recipes on ECGs, and of this one.

    Parameters
    ----------
    generator : Path, optional
        Folder or model file that ecg_nvae.py or ecg_gan.py has kept, of the same data and seed.
    target : Path, optional
        Folder of WFDB records that the transfer goes to. Other simulated hearts by default.
    label : str
        The diagnosis of the enrichment.
    """

    generator: Path | None = None
    target: Path | None = None
    label: str = "MI"


def main(options: DownstreamOptions) -> None:
    """Simulate, generate, train many classifiers, compare them."""
    experiment.begin(options)
    from kecgi.studies import downstream, judge

    source, aim = sources(options)
    column = source.schema.index(options.label)
    store, other = (experiment.ecg_dataset(config, options) for config in (source, aim))
    split = experiment.ecg_split(store, options, SHARES)
    there = experiment.ecg_split(other, options, SHARES)
    given = None if options.generator is None else checked_generator(options, store, split)
    settings = {"seeds": SEEDS[options.preset], "judge": SIZE[options.preset]}
    with experiment.run("ECG downstream", "ecg-downstream", options, store, split, settings) as run:
        generator = given or trained_generator(store, split, options, run.folder)
        train, validation, test = (labelled(store, rows) for rows in parts(split))
        rng = np.random.default_rng(options.seed)
        hearts = len(np.unique(train.group))
        share = min(1.0, REAL_HEARTS[options.preset] / hearts)
        train = downstream.fraction_of_groups(train, share, rng)

        def synthetic(rows):
            return generated(generator, rows, source, options.seed)

        pools = {
            options.label: synthetic(downstream.rows_to_even(train.labels, column, rng)),
            "all": synthetic(rng.permutation(train.labels)),
        }
        balanced = synthetic(downstream.rows_to_balance(train.labels, rng))

        size, seeds = getattr(judge, SIZE[options.preset]), SEEDS[options.preset]
        shared = {"source": store.digest, "target": other.digest, "generator": generator.digest}
        shared |= {"judge": repr(size), "real": share, "label": options.label, "seed": options.seed}
        ledger = downstream.Ledger(run.folder / "results", shared)
        one = [part.only(column) for part in (train, validation, test)]
        binary = downstream.enrichment(
            judge.Judge(1, source.samples, size), one,
            {name: pool.only(column) for name, pool in pools.items()},
            PROPORTIONS[options.preset], seeds, ledger, log(one[2].labels),
        )  # fmt: skip
        aims = [labelled(other, rows) for rows in parts(there)]
        moved = downstream.transfer(
            judge.Judge(len(source.schema), source.samples, size),
            {"none": None, "real": train, "real + synthetic": train.joined(balanced)},
            validation, aims, FRACTIONS[options.preset], seeds, ledger, log(aims[2].labels),
        )  # fmt: skip

        enriched = table(one[2], binary, "none", options)
        transferred = {f: table(aims[2], ways, "real", options) for f, ways in moved.items()}
        run.headline |= {
            "simulated": store.simulated,
            "label": options.label,
            "generator": str(options.generator or "trained here"),
            "records_real": len(train),
            "records_synthetic": {
                name: len(p) for name, p in (*pools.items(), ("balanced", balanced))
            },
            "auroc": enriched["none"]["auroc"],
            **{
                f"gain_{name.replace(' ', '_')}": row["gain"]
                for name, row in enriched.items()
                if "gain" in row
            },
            "enrichment": enriched,
            "transfer": {f"{fraction:g}": rows for fraction, rows in transferred.items()},
        }
        run.conclude({"auroc": picture(enriched, transferred, options.label)})


def sources(options: DownstreamOptions):
    """Return configs of the source and of the target."""
    from kecgi.data import ECGCohortConfig, ECGFolderConfig

    data = "paper" if options.preset == "paper" else "quick"
    source = experiment.ecg_source(replace(options, preset=data))
    if options.label not in source.schema.names:
        raise WrongInputError(f"--label is {options.label}, expected one of {source.schema.names}")
    like = {"sampling_hz": source.sampling_hz, "seconds": source.seconds}
    if options.target is not None:
        if not options.target.is_dir():
            raise WrongInputError(f"there is no folder {options.target}")
        return source, ECGFolderConfig(str(options.target), source.schema, **like)
    if options.folder is not None:
        raise WrongInputError("records of a folder need a target that is alike: give --target")
    return source, ECGCohortConfig(*TARGET[options.preset], **like, seed=options.seed + TARGET_SEED)


def checked_generator(options: DownstreamOptions, store, split):
    """Load the generator; refuse one of other classes, or one that has seen who is tested."""
    from kecgi.studies.ecg_generator import ECGGenerator

    try:
        generator = ECGGenerator.load(options.generator)
    except (ValueError, FileNotFoundError) as error:
        raise WrongInputError(str(error)) from error
    if generator.schema.names != store.schema.names:
        raise WrongInputError(
            f"the generator's classes are {generator.schema.names}, expected {store.schema.names}"
        )
    if generator.saw(store, np.concatenate([split.validation, split.test])):
        raise WrongInputError(
            "the generator was trained on hearts or patients that validate or test here: take one "
            "that was trained with the same preset, folder and --seed"
        )
    return generator


def trained_generator(store, split, options: DownstreamOptions, folder: Path):
    """Train a small cNVAE-ECG on the training part, or take the one that was trained before."""
    import keras

    from kecgi.data.ecg.batches import ECGBatches
    from kecgi.models import ECGNVAE
    from kecgi.studies.ecg_generator import ECGGenerator, whose

    size, steps = GENERATOR[options.preset]
    identity = f"{store.digest} {size} {steps} {options.seed}"
    place = folder / f"generator-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if place.exists():
        return ECGGenerator.load(place)
    scale, within = experiment.ecg_within(store, split)
    batches = ECGBatches(
        store, within.train, GENERATOR_BATCH, scale, training=True, seed=options.seed
    )
    epochs = -(-steps // len(batches))
    steps = epochs * len(batches)
    model = ECGNVAE.from_preset(
        size, store.schema.names, store.config.samples, common_start=True, norm="group",
        warmup_steps=max(1, round(0.3 * steps)), seed=options.seed,
    )  # fmt: skip
    rising = keras.optimizers.schedules.CosineDecay(
        GENERATOR_RATE / 10, steps, 0.01,
        warmup_target=GENERATOR_RATE, warmup_steps=max(1, steps // 20),
    )  # fmt: skip
    model.compile(keras.optimizers.Adamax(rising, global_clipnorm=CLIP))
    model.fit(batches, epochs=epochs, verbose=experiment.verbosity())
    seen = tuple(whose(store)[within.train])
    generator = ECGGenerator(model, scale, store.schema, store.config.sampling_hz, seen)
    generator.save(place)
    return generator


def generated(generator, rows: np.ndarray, source, seed: int):
    """Generate a record for each row of labels, at the source's rate and of its length."""
    from kecgi.data.ecg.records import fit_length, resample
    from kecgi.studies.downstream import Labelled

    ecg_mv = np.zeros((0, 12, source.samples), np.float32)
    if len(rows):
        made = generator.generate_mv(rows, seed)
        made = resample(made, generator.sampling_hz, source.sampling_hz)
        ecg_mv = fit_length(made, source.samples, slack=source.samples // 50)
    return Labelled(ecg_mv.swapaxes(1, 2).astype(np.float32), rows)


def parts(split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that train, validate and test."""
    return split.train, split.validation, split.test


def labelled(store, rows: np.ndarray):
    """Read records with labels and hearts."""
    from kecgi.studies.downstream import Labelled

    found = store.load(rows)
    return Labelled(found["ecg_mv"], found["labels"], found["group"])


def log(truth: np.ndarray):
    """Return what logs a training as a run below this one."""
    from kecgi import tracking
    from kecgi.evaluate import auroc

    def done(configuration, arm):
        values = [auroc(t, s) for t, s in zip(truth.T, arm["scores"].T, strict=True)]
        metrics = {"auroc": np.nanmean(values), "best_epoch": 1 + np.argmax(arm["validation"])}
        tracking.log_arm(" ".join(map(str, configuration.values())), configuration, metrics)

    return done


def table(test, scores: dict, reference: str, options: DownstreamOptions) -> dict:
    """AUROC of each way to train, with intervals, and gains over the reference."""
    from kecgi.evaluate import compare_auroc

    rng = np.random.default_rng(options.seed)
    return compare_auroc(test.labels, scores, reference, test.group, resamples=500, rng=rng)


def picture(enriched: dict, transferred: dict, label: str):
    """Show both tasks."""
    from kecgi import figures

    lines = {f"with {label} alone": label, "with all labels": "all"}
    shares = sorted({float(name.split()[-1]) for name in enriched if name != "none"})
    left, right = f"{label} against all else", "Transfer, all diagnoses"
    panels = {
        left: {
            line: {0.0: enriched["none"]} | {s: enriched[f"{pool} {s:g}"] for s in shares}
            for line, pool in lines.items()
        },
        right: {
            f"from {start}" if start != "none" else "from scratch": {
                fraction: rows[start] for fraction, rows in transferred.items()
            }
            for start in next(iter(transferred.values()))
        },
    }
    axes = {left: "Share of the synthetic records", right: "Fraction of the target's hearts"}
    return figures.auroc_curves(panels, axes, {left: enriched["none"]["auroc"]})


if __name__ == "__main__":
    experiment.command_line(main, DownstreamOptions)
