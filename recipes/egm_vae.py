"""VAE-S and VAE-C of atrial electrograms (arXiv 2512.14537), and a flow in their latent space.

VAE-S (--rhythm sinus) learns windows of sinus rhythm, VAE-C (--rhythm all) those of every rhythm,
given which. Both are judged by reconstructing windows of simulations kept out, beside the training
mean, the nearest training window and as many principal components. Then they generate, and so does
a flow-matching model that draws codes of the same autoencoder: generated windows are compared with
real ones kept out by MMD and Fréchet distance, beside the distance of real training windows from
the same; by a rhythm classifier trained on real windows; and by how alike they are to the training
recordings. The same is asked of those that are selected, by plausibility or by the paper's rule,
which keeps what is nearest to a training window.

Departures from the paper: electrograms of the project's own simulations, scaled by one factor for
all, so that amplitudes stay; split by simulation, with training windows that begin at random times,
since when a window begins says nothing. The divergence weighs much less than the paper's 3.0, and
free bits are more: the loss is a mean over samples, and in a short trial with the paper's weights
the code told 3 nats, and no deflection was where it should be. VAE-C may begin as a VAE-S
(--start). Batches of several windows, for speed. With --layout points, the default, networks know
where the nodes are and treat all times alike, and a part of the code stands for the whole window;
--layout image has the paper's. Node numbers: `kecgi.experiment.atrial_simulations`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options

TRAINING = {
    "quick": {"sinus": {"epochs": 40, "repeats": 12}, "all": {"epochs": 40, "repeats": 4}},
    "paper": {"sinus": {"epochs": 30, "repeats": 8}, "all": {"epochs": 20, "repeats": 3}},
}
"""Epochs, and windows of each simulation in one."""

BATCH, LEARNING_RATE = 4, 2e-3
MODEL = {"latent_dim": 300, "beta": 1e-3, "free_bits": 2.0}
POINTS = {"whole": 50, "tokens": 64, "units": 64, "filters": 32}
"""50 numbers of the code stand for the whole window; each of its 25 steps has 10 of its own."""

FLOW_EPOCHS = {"quick": {"sinus": 80, "all": 20}, "paper": {"sinus": 100, "all": 30}}
CLASSIFIER_EPOCHS = {"quick": 20, "paper": 20}
GENERATED = {"quick": {"sinus": 40, "all": 20}, "paper": {"sinus": 200, "all": 100}}
"""Windows of each rhythm."""


@dataclass(frozen=True)
class EGMOptions(Options):
    """Options of all recipes, and which autoencoder.

    Parameters
    ----------
    rhythm : {"sinus", "all"}
        VAE-S or VAE-C.
    layout : {"points", "image"}
        Networks that know where the nodes are, or the paper's image of time by nodes.
    start : Path, optional
        VAE-S, the model.keras of --rhythm sinus, that VAE-C begins as. Fibrillation is so varied
        that a VAE-C may leave its code unused; one that can draw sinus rhythm already does not.
    """

    rhythm: Literal["sinus", "all"] = "sinus"
    layout: Literal["points", "image"] = "points"
    start: Path | None = None


def main(options: EGMOptions) -> None:
    """Simulate, train, generate, judge, look."""
    experiment.begin(options)
    from kecgi import tracking
    from kecgi.data import EGMRecordings, Split, by_rhythm
    from kecgi.studies import egm_review, egm_training, review

    config = experiment.atrial_simulations(options)
    cohort = experiment.egm_dataset(config, options)
    split = by_rhythm(cohort.rhythm, seed=options.seed)
    every = EGMRecordings.read(cohort, split.train)
    names = ("sinus",) if options.rhythm == "sinus" else config.rhythms
    known = every.of(*names)
    unseen = np.union1d(split.validation, split.test)
    validation, asked, held_out = (
        EGMRecordings.read(cohort, part, every.scale).of(*names)
        for part in (split.validation, split.test, unseen)
    )
    own_split = Split(split.kind, known.simulation, validation.simulation, asked.simulation)

    name = "egm-vae-s" if options.rhythm == "sinus" else "egm-vae-c"
    settings = {**TRAINING[options.preset][options.rhythm], **MODEL, "layout": options.layout}
    if options.layout == "points":
        settings |= POINTS
    places = cohort.read("nodes_mm", split.train).mean(axis=0)
    with experiment.run("electrograms", name, options, cohort, own_split, settings) as run:
        vae, history = egm_training.train_vae(
            known,
            validation=validation,
            start=experiment.trained(options.start) if options.start else None,
            positions_mm=places,
            batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            seed=options.seed,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
            **settings,
        )
        run.keep(vae)
        flow = egm_training.train_flow(
            vae, known, epochs=FLOW_EPOCHS[options.preset][options.rhythm], seed=options.seed
        )
        flow.save(run.folder / "flow.keras")
        classifier = egm_training.train_classifier(
            every, epochs=CLASSIFIER_EPOCHS[options.preset], seed=options.seed
        )

        code, _ = vae.encode(asked.inputs)
        output = asked.in_mv(vae.decode(code, asked.inputs.get("rhythm")))
        count = GENERATED[options.preset][options.rhythm]
        made = {
            generator: egm_training.generate(model, known, count, options.seed)
            for generator, model in (("vae", vae), ("flow", flow))
        }
        run.headline |= {
            "layout": options.layout,
            "peak_mv": float(known.scale.peak_mv),
            "windows_test": len(output),
            **egm_review.judge_reconstruction(known, asked, output, vae.latent_dim),
            "kl": float(vae.evaluate(asked.inputs, verbose=0, return_dict=True)["kl_nats"]),
            **egm_review.judge_generated(known, held_out, made),
        }
        others = EGMRecordings.read(cohort, unseen, every.scale)
        real = {rhythm: others.of(rhythm).windows_mv for rhythm in every.names}
        for which, windows in {"classifier": real, **made}.items():
            shares = egm_training.right_labels(classifier, every, windows)
            run.headline |= {
                f"{which}_accuracy": float(np.mean(list(shares.values()))),
                f"{which}_by_rhythm": shares,
            }
        run.conclude(
            {
                "training": review.training_figure(history),
                **egm_review.electrogram_figures(asked, output, made),
                "latent": egm_review.latent_figure(vae, known, made["flow"]),
            },
            vae,
            {name: values[:2] for name, values in asked.inputs.items()},
        )


if __name__ == "__main__":
    experiment.command_line(main, EGMOptions)
