"""Activation maps of hearts never seen, with their uncertainty: kecgi's own model.

Trained on simulations in hearts of the parametric family and judged on hearts kept out of the
training; with --geometry also on the heart in that file, which the training never sees. Beside it
stand the naive baselines. The faithful beta-CVAE on the same hearts and split is
`activation_cvae.py --across anatomies`.

The paper preset is trained for recordings with noise, lost electrodes and a misplaced heart. Here
it is judged at 30 dB of noise, with all electrodes and the heart in its place; `ecgi_report.py`
judges the rest.
"""

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options

SNR_DB = 30.0
TRAINED_FOR = {
    "quick": {"snr_db": SNR_DB},
    "paper": {
        "snr_db": (15.0, 40.0),
        "lost": (0.0, 0.5),
        "shift_mm": (0.0, 12.0),
        "turn_deg": (0.0, 15.0),
    },
}
BATCH = 16
SIZES = {
    "quick": {"tokens": 64, "units": 64, "condition_blocks": 2, "generator_blocks": 1},
    "paper": {
        "tokens": 128,
        "units": 96,
        "condition_blocks": 4,
        "generator_blocks": 1,
        "alignments": 2,
    },
}
EPOCHS = {"quick": 10, "paper": 10}
DRAWS = {"quick": 19, "paper": 19}


def main(options: Options) -> None:
    """Simulate, train, calibrate, judge."""
    experiment.begin(options)
    import keras

    from kecgi import tracking
    from kecgi.data import Disturbance, MapScale, by_anatomy
    from kecgi.data.point_batches import PointBatches
    from kecgi.models import ActivationPosterior
    from kecgi.studies import review

    # data: hearts of many sizes, shapes and poses; some are kept out as a whole
    config = experiment.many_hearts(options)
    if options.geometry:
        patient = experiment.dataset(experiment.vest_heart(options), options)
    cohort = experiment.dataset(config, options)
    split = by_anatomy(cohort.anatomy, experiment.heart_shares(options), options.seed)

    # model and training
    model = ActivationPosterior(
        config.samples,
        sampling_hz=config.sampling_hz,
        seed=options.seed,
        **SIZES[options.preset],
    )
    measured, disturbed = Disturbance(SNR_DB), Disturbance(**TRAINED_FOR[options.preset])
    view = {"tokens": model.tokens, "points": 192, "seed": options.seed}
    train = PointBatches(cohort, split.train, BATCH, training=True, disturbance=disturbed, **view)
    validation = PointBatches(cohort, split.validation, BATCH, disturbance=measured, **view)
    epochs, draws = EPOCHS[options.preset], DRAWS[options.preset]
    steps = epochs * len(train)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, int(0.95 * steps), warmup_target=1e-3, warmup_steps=int(0.05 * steps), alpha=0.01
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-3, global_clipnorm=1.0)
    # with TensorFlow, compiling takes longer than it saves here; JAX crawls without
    model.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
    settings = {
        "trained_for": TRAINED_FOR[options.preset],
        "snr_db": SNR_DB,
        "batch": BATCH,
        "epochs": epochs,
        **SIZES[options.preset],
    }
    with experiment.run(
        "activation maps", "activation-posterior", options, cohort, split, settings
    ) as run:
        history = model.fit(
            train,
            validation_data=validation,
            epochs=epochs,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
        )
        run.keep(model)
        known = validation.all()
        factor = model.calibrate(known, known["activation_ms"])

        # judged at every voxel of the hearts kept out
        true, drawn = review.posterior_on_voxels(
            model, cohort, split.test, measured, draws, options.seed
        )
        masks = review.masks_of(cohort, split.test)
        rivals = review.baseline_maps(cohort, split.train, split.test, SNR_DB, options.seed)
        rivals = {name: review.on_voxels(maps, masks) for name, maps in rivals.items()}
        scale = MapScale.fit(cohort.blocks("activation_ms", split.train))
        anatomy = cohort.anatomy[split.test]
        run.headline |= review.judge(true, drawn, rivals, scale.range_ms, anatomy, options.seed)
        run.headline |= review.localisation(cohort, split.test, drawn.mean(axis=0), masks)
        run.headline |= {"kl": history.history["val_kl"][-1], "scale_factor": factor}
        names = [f"heart {a}, case {c}" for a, c in zip(anatomy, split.test, strict=True)]
        spacing = (config.spacing_mm,) * 3
        figures = review.map_figures(true, drawn, masks, spacing, names, options.seed)
        figures |= review.set_up_figures(cohort, history, run.headline)

        # and on the heart of the file
        if options.geometry:
            cases = np.arange(len(patient))
            true, drawn = review.posterior_on_voxels(
                model, patient, cases, measured, draws, options.seed
            )
            masks = review.masks_of(patient, cases)
            apart = review.judge_apart(true, drawn)
            run.headline |= {f"geometry_{name}": value for name, value in apart.items()}
            names = [f"patient, case {c}" for c in cases]
            spacing = (patient.config.spacing_mm,) * 3
            more = review.map_figures(true, drawn, masks, spacing, names, options.seed)
            figures |= {f"geometry_{name}": figure for name, figure in more.items()}
        run.conclude(figures, model, {k: v[:2] for k, v in known.items() if k != "activation_ms"})


if __name__ == "__main__":
    experiment.command_line(main)
