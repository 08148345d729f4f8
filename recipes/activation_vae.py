"""VAE for activation maps (FIMH 2019, section 3.2, figure 5).

The paper's architecture, optimiser, batch and latent size on axial slices of simulations in one
heart, split by simulation: no slice of a test simulation was seen. Only the myocardium counts in
the figures.

Departures from the paper: simulations drawn anew (its own are not public); every fourth slice,
since neighbours hardly differ; the squared error is summed over an image, not averaged.
"""

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options

CASES = {"quick": 160, "paper": 600}
EPOCHS = {"quick": 15, "paper": 40}
EVERY = 4


def main(options: Options) -> None:
    """Simulate, train, judge, look."""
    experiment.begin(options)
    from kecgi import evaluate, figures, tracking
    from kecgi.data import MapScale, by_simulation
    from kecgi.data.batches import ActivationBatches
    from kecgi.models import ActivationVAE
    from kecgi.studies import review

    cohort = experiment.dataset(experiment.paper_heart(options, CASES[options.preset]), options)
    split = by_simulation(len(cohort), (0.8, 0.1, 0.1), options.seed)
    scale = MapScale.fit(cohort.blocks("activation_ms", split.train))

    def batches(part, **kwargs):
        slices = review.slices_of(cohort, part, EVERY)
        size = ActivationVAE.paper_batch_size
        return ActivationBatches(cohort, slices, size, scale, seed=options.seed, **kwargs)

    shape = cohort.config.shape[:2]
    model = ActivationVAE(shape, seed=options.seed)
    model.compile(ActivationVAE.paper_optimizer())
    epochs = EPOCHS[options.preset]
    settings = {"epochs": epochs, "batch": ActivationVAE.paper_batch_size, "every_slice": EVERY}
    with experiment.run(
        "activation maps", "activation-vae", options, cohort, split, settings
    ) as run:
        history = model.fit(
            batches(split.train, training=True),
            validation_data=batches(split.validation),
            epochs=epochs,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
        )
        run.keep(model)

        # reconstructions of slices of simulations kept out; the map itself is given, so there is
        # no inverse problem here and the baselines know less than the model
        slices = review.slices_of(cohort, split.test, EVERY)
        test = batches(split.test).all()
        masks = test["mask"][..., 0] > 0
        code, log_var = model.encode(test)
        spread = np.exp(0.5 * log_var)
        rng = np.random.default_rng(options.seed)
        codes = code + spread * rng.standard_normal((10, *code.shape))
        drawn = review.on_voxels(scale.invert(model.decode(codes)[..., 0]), masks)
        true = review.on_voxels(scale.invert(test["activation"][..., 0]), masks)
        rivals = review.baseline_maps(cohort, split.train, split.test, 30.0, options.seed)
        rivals = review.sliced(rivals, split.test, slices, masks)
        run.headline |= review.judge(
            true, drawn, rivals, scale.range_ms, slices[:, 0], options.seed
        )
        run.headline |= evaluate.summarise_latent(code, log_var)

        # look
        names = [f"case {case}, slice {position}" for case, position in slices]
        spacing = (cohort.config.spacing_mm,) * 2
        shown = review.map_figures(true, drawn, masks, spacing, names, options.seed)
        shown |= review.set_up_figures(cohort, history, run.headline)
        steps = np.linspace(-2, 2, 5)
        one = {"activation": test["activation"][:1]}
        moves = [model.traverse(one, d, steps)[:, 0, ..., 0] for d in range(model.latent_dim)]
        shown["traversal"] = figures.map_traversal(
            scale.invert(np.stack(moves)), steps, masks[0], spacing
        )
        run.conclude(shown, model, {"activation": test["activation"][:2]})


if __name__ == "__main__":
    experiment.command_line(main)
