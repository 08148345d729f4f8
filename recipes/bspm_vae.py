"""VAE for body-surface potentials (FIMH 2019, section 3.2, figures 2 and 4).

The paper's architecture, optimiser, batch and latent size on simulations in one heart, split by
simulation. It learns what potentials look like: six numbers must carry a whole recording.

Departures from the paper: simulations drawn anew (its own are not public); the squared error is
summed over an image, not averaged, and the divergence's weight rises over the first third of the
training, since the code is ignored otherwise.
"""

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options

CASES = {"quick": 400, "paper": 1200}
EPOCHS = {"quick": 40, "paper": 80}


def main(options: Options) -> None:
    """Simulate, train, judge, look."""
    experiment.begin(options)
    from kecgi import evaluate, figures, tracking
    from kecgi.data import SignalScale, by_simulation
    from kecgi.data.batches import BSPMBatches
    from kecgi.models import BSPMVAE
    from kecgi.studies import review

    cohort = experiment.dataset(experiment.paper_heart(options, CASES[options.preset]), options)
    split = by_simulation(len(cohort), (0.8, 0.1, 0.1), options.seed)
    scale = SignalScale.fit(cohort.blocks("bspm_mv", split.train))

    def batches(part, **kwargs):
        return BSPMBatches(
            cohort, part, BSPMVAE.paper_batch_size, scale, seed=options.seed, **kwargs
        )

    shape = (len(cohort.electrode_names), cohort.config.samples)
    epochs = EPOCHS[options.preset]
    warmup = epochs * len(split.train) // (3 * BSPMVAE.paper_batch_size)
    model = BSPMVAE(shape, warmup_steps=warmup, seed=options.seed)
    model.compile(BSPMVAE.paper_optimizer())
    settings = {"epochs": epochs, "batch": BSPMVAE.paper_batch_size, "peak_mv": scale.peak_mv}
    with experiment.run("bspm", "bspm-vae", options, cohort, split, settings) as run:
        history = model.fit(
            batches(split.train, training=True),
            validation_data=batches(split.validation),
            epochs=epochs,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
        )
        run.keep(model)

        # reconstructions of simulations kept out, from the mean of their code, beside two rivals
        test = batches(split.test).all()
        code, log_var = model.encode(test)
        true = scale.invert(test["bspm"][..., 0])
        output = scale.invert(model.decode(code)[..., 0])
        known = scale.invert(batches(split.train).all()["bspm"][..., 0])
        rivals = {
            "mean": np.broadcast_to(known.mean(axis=0), true.shape),
            "pca": principal_components(known, true, model.latent_dim),
        }
        run.headline |= {
            **evaluate.summarise_bspm(true, output),
            **evaluate.summarise_latent(code, log_var),
            "baselines": {n: evaluate.summarise_bspm(true, r) for n, r in rivals.items()},
        }

        # look at two electrodes of two cases (figure 4), a whole case, and what each latent does
        loud = [int(np.argmax(np.ptp(t, axis=1))) for t in true[:2]]
        pairs = [(i, e) for i in range(2) for e in (loud[i], shape[0] // 2)]
        steps = np.linspace(-2, 2, 5)
        one = {"bspm": test["bspm"][:1]}
        moves = [model.traverse(one, d, steps)[:, 0, ..., 0] for d in range(model.latent_dim)]
        run.conclude(
            {
                "traces": figures.bspm_traces(
                    np.stack([true[p] for p in pairs]),
                    np.stack([output[p] for p in pairs]),
                    cohort.time_ms,
                    [f"case {split.test[i]}, {cohort.electrode_names[e]}" for i, e in pairs],
                ),
                "image": figures.bspm_image(true[0], output[0], cohort.time_ms),
                "traversal": figures.bspm_traversal(
                    scale.invert(np.stack(moves)), steps, cohort.time_ms
                ),
                "training": review.training_figure(history),
            },
            model,
            {"bspm": test["bspm"][:2]},
        )


def principal_components(known: np.ndarray, asked: np.ndarray, count: int) -> np.ndarray:
    """Reconstruct signals from as many principal components as the model has latent numbers."""
    from kecgi.evaluate.baselines import truncated_svd

    mean = known.mean(axis=0).ravel()
    axes = truncated_svd(known.reshape(len(known), -1) - mean, count)[2]
    flat = asked.reshape(len(asked), -1) - mean
    return (flat @ axes @ axes.T + mean).reshape(asked.shape)


if __name__ == "__main__":
    experiment.command_line(main)
