"""Twelve-lead ECGs from the three leads of a wearable recorder: WearECG (arXiv 2510.11442).

A variational autoencoder is given leads II, V1 and V5 (all others are zero) and learns all twelve.
It is judged on hearts kept out, by the leads that it was not given: mean squared and mean absolute
error in mV, and Fréchet distance on a named feature map. Beside it stand two linear regressions
that are fitted on the same training records: of each lead on the given ones at the same time, and
at all times up to 160 ms before and after.

With --folder the same model completes the user's records, which it has not seen the like of. There
the regressions stand twice, as fitted on simulations and as fitted on the other records of the
folder, which tells how much is due to the difference between simulations and real ECGs. With
--learn-from folder all is trained on the folder, split by patient.

Departures from the paper: simulated ECGs, since MIMIC-IV-ECG can't be downloaded freely; 100 Hz and
a smaller network, with as many numbers in the code of a second; --paper-form has the paper's
network and loss, otherwise the network adds to the wider regression and the divergence weighs 1e-6
in place of 1e-4. Completed leads are brought to the nearest that obey the lead laws. The paper
preset, at 500 Hz, is for a GPU.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from kecgi import experiment
from kecgi.experiment import ECGOptions, WrongInputError

COHORT = {
    "quick": {"hearts": 120, "records_per_heart": 5, "sampling_hz": 100.0},
    "compact": {"hearts": 600, "records_per_heart": 4, "sampling_hz": 100.0},
    "paper": {"hearts": 4000, "records_per_heart": 5, "sampling_hz": 500.0},
}
SIZE = {
    # 20 numbers for 80 ms are as many as the paper's 4 for 16 ms
    "quick": {"preset": "compact", "width": 12, "latent_channels": 20},
    "compact": {"preset": "compact", "width": 16, "latent_channels": 20},
    "paper": {"preset": "paper"},
}
EPOCHS = {"quick": 4, "compact": 4, "paper": 10}
BATCH = {"quick": 8, "compact": 8, "paper": 16}
LEARNING_RATE = 1e-3
BETA = 1e-6
REACH_MS = 160.0
EXPORTED = 20  # records of hearts kept out; of a folder, all
FOLDS = 5


@dataclass(frozen=True)
class CompletionOptions(ECGOptions):
    """Options of all recipes on ECGs, and of this one.

    Parameters
    ----------
    learn_from : {"simulations", "folder"}
        What the model is trained on. A folder is completed in any case.
    paper_form : bool
        The paper's network and loss, without the regression.
    features : Path, optional
        Keras classifier of ECGs (batch, time, 12) in mV, such as a judge that ecg_nvae.py keeps:
        what it makes of them before its last layer is where the Fréchet distance is measured. By
        default that is statistics of the signals.
    """

    learn_from: Literal["simulations", "folder"] = "simulations"
    paper_form: bool = False
    features: Path | None = None


def main(options: CompletionOptions) -> None:
    """Simulate, train, complete, judge, look."""
    experiment.begin(options)
    import keras

    from kecgi import evaluate, tracking
    from kecgi.data import LeadScale
    from kecgi.data.ecg.batches import ECGBatches
    from kecgi.geometry.electrodes import LEADS_12
    from kecgi.models import WearECG
    from kecgi.studies import review

    source, others = sources(options)
    store = experiment.ecg_dataset(source, options)
    real = None if others is None else experiment.ecg_dataset(others, options)
    split = experiment.ecg_split(store, options)
    hz, length = source.sampling_hz, source.samples
    millivolts = LeadScale(LEADS_12, [0.0] * 12, [1.0] * 12)  # WearECG takes them as they are

    def training(part, **kwargs):
        return ECGBatches(
            store, part, BATCH[options.preset], millivolts, seed=options.seed, **kwargs
        )

    def fitted(reach):
        blocks = (block.swapaxes(1, 2) for block in store.blocks(split.train))
        return evaluate.LeadRegression.fit(blocks, reach=reach)

    regressions = {
        "regression": fitted(0),
        "regression_160_ms": fitted(round(REACH_MS * hz / 1000)),
    }
    form = {"seed": options.seed}
    if not options.paper_form:
        form |= {"linear": regressions["regression_160_ms"].coefficients, "beta": BETA}
    size = dict(SIZE[options.preset])
    model = WearECG.from_preset(size.pop("preset"), length, **size, **form)
    batches, epochs = training(split.train, training=True), EPOCHS[options.preset]
    steps = epochs * len(batches)
    model.compile(
        model.paper_optimizer(steps)
        if options.preset == "paper"
        else keras.optimizers.AdamW(falling(steps), weight_decay=0.01)
    )
    features = feature_map(options, hz)
    settings = {"epochs": epochs, "batch": BATCH[options.preset], "beta": model.beta, **size}
    name = f"ecg-3to12{'-paper-form' if options.paper_form else ''}"
    with experiment.run("ECG completion", name, options, store, split, settings) as run:
        history = model.fit(
            batches,
            validation_data=training(split.validation),
            epochs=epochs,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
        )
        run.keep(model)

        def completed(ecg_mv):
            made = model.reconstruct(ecg_mv.swapaxes(1, 2)).swapaxes(1, 2)
            return evaluate.obey_lead_laws(made)

        test, found = records(store, split.test)
        made = {"wear_ecg": completed(test), **{n: r.predict(test) for n, r in regressions.items()}}
        run.headline |= judged(test, made, found["group"], features, options.seed)
        run.headline["simulated"] = store.simulated
        shown = {
            "training": review.training_figure(history),
            "comparison": comparison(run.headline),
            "completed": completion_figure(store, split.test, test, made["wear_ecg"]),
        }
        export(run.folder / "completed", store, split.test[:EXPORTED], made["wear_ecg"])

        if real is not None:
            rows = np.flatnonzero(~real.flat.any(axis=1))
            test, found = records(real, rows)
            made = {"wear_ecg": completed(test)}
            for title, regression in regressions.items():
                made[f"{title}_of_simulations"] = regression.predict(test)
                made[f"{title}_of_other_records"] = cross_validated(
                    test, found["group"], regression.reach, options.seed
                )
            run.headline["real"] = judged(test, made, found["group"], features, options.seed)
            run.headline["real"] |= {"records": len(rows), "left_out": len(real) - len(rows)}
            shown |= {
                "real_comparison": comparison(run.headline["real"]),
                "real_completed": completion_figure(real, rows, test, made["wear_ecg"]),
            }
            export(run.folder / "completed-real", real, rows, made["wear_ecg"])
        run.conclude(shown, model, {"ecg": store.load(split.test[:2])["ecg_mv"]})


def sources(options: CompletionOptions):
    """Return what is learned from, and the records that are completed as well, if any."""
    folder = experiment.ecg_source(options)
    if options.learn_from == "folder":
        if options.folder is None:
            raise WrongInputError("--learn-from folder needs a folder: give --folder")
        return replace(folder, sampling_hz=COHORT[options.preset]["sampling_hz"]), None
    source = experiment.ecg_source(replace(options, folder=None, patients=None))
    source = replace(source, **COHORT[options.preset])
    if options.folder is None:
        return source, None
    return source, replace(folder, sampling_hz=source.sampling_hz, seconds=source.seconds)


def records(store, rows: np.ndarray) -> tuple[np.ndarray, dict]:
    """Return ECGs (n, 12, time), and all that the store has of them."""
    found = store.load(rows)
    return found["ecg_mv"].swapaxes(1, 2), found


def falling(steps: int):
    """Return a learning rate that rises for a twentieth of the steps and falls as a cosine."""
    import keras

    rise = max(steps // 20, 1)
    return keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 10, steps - rise, 0.01, warmup_target=LEARNING_RATE, warmup_steps=rise
    )


def feature_map(options: CompletionOptions, hz: float):
    """Return where the Fréchet distance is measured."""
    from kecgi import evaluate
    from kecgi.studies.judge import network_features

    if options.features is None:
        return evaluate.signal_statistics(hz)
    return network_features(experiment.trained(options.features), options.features.stem, hz)


def judged(true: np.ndarray, made: dict, groups: np.ndarray, features, seed: int) -> dict:
    """Errors and Fréchet distance of WearECG, and of its rivals under "baselines"."""
    from kecgi import evaluate

    tables, rng = {}, np.random.default_rng(seed)
    for name, ecg in made.items():
        rival = made["wear_ecg" if name != "wear_ecg" else list(made)[1]]
        tables[name] = {
            **evaluate.completion_errors(true, ecg),
            **evaluate.completion_intervals(true, ecg, groups, rival, rng=rng),
            "frechet": evaluate.frechet(true, ecg, features),
        }
        tables[name]["frechet_distance"] = tables[name]["frechet"]["distance"]
        tables[name]["mse_ratio_to"] = list(made)[1] if name == "wear_ecg" else "wear_ecg"
    return {**tables.pop("wear_ecg"), "baselines": tables}


def cross_validated(ecg_mv: np.ndarray, groups: np.ndarray, reach: int, seed: int) -> np.ndarray:
    """Complete records by the regression that is fitted on records of other patients."""
    from kecgi.evaluate import LeadRegression

    kinds = np.random.default_rng(seed).permutation(np.unique(groups))
    made = np.empty_like(ecg_mv)
    for part in np.array_split(kinds, min(FOLDS, len(kinds))):
        own = np.isin(groups, part)
        if own.all():
            raise WrongInputError("the folder has records of one patient alone, expected two")
        made[own] = LeadRegression.fit(ecg_mv[~own], reach=reach).predict(ecg_mv[own])
    return made


def comparison(headline: dict):
    """Show errors of all methods beside each other."""
    from kecgi import figures

    rows = {"WearECG": headline, **headline["baselines"]}
    table = {
        name.replace("_", " "): {
            f"{metric}_{unit}{end}": factor * np.array(values[f"{metric}{end}"])
            for metric, unit, factor in (("mse", "uv2", 1e3), ("mae", "uv", 1e3))
            for end in ("", "_interval")
        }
        for name, values in rows.items()
    }
    labels = {"mse_uv2": "MSE of missing leads (10⁻³ mV²)", "mae_uv": "MAE (µV)"}
    return figures.model_comparison(table, labels, ["WearECG"])


def completion_figure(store, rows: np.ndarray, true: np.ndarray, made: np.ndarray):
    """Show the record of median error."""
    from kecgi import figures

    error = np.square(made - true).mean(axis=(1, 2))
    shown = np.argsort(error)[len(error) // 2]
    names = ", ".join(store.schema.decode(store.labels[rows[shown]])) or "no label"
    title = f"{'Simulated' if store.simulated else 'Recorded'}: {names}; the record of median error"
    return figures.ecg_completion(true[shown], made[shown], store.config.sampling_hz, title=title)


def export(folder, store, rows: np.ndarray, ecg_mv: np.ndarray) -> None:
    """Write completed ECGs as WFDB records."""
    from kecgi.data import write_records

    write_records(
        folder,
        ecg_mv[: len(rows)],
        store.labels[rows],
        store.schema,
        sampling_hz=store.config.sampling_hz,
        names=[store.names[row].replace("/", "-") for row in rows],
        comments=[
            f"{'Simulated' if store.simulated else 'Recorded'}: leads II, V1 and V5",
            "Estimated by kecgi (WearECG): all other leads",
        ],
    )


if __name__ == "__main__":
    experiment.command_line(main, CompletionOptions)
