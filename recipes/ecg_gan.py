"""WaveGAN* and Pulse2Pulse, the adversarial rivals of cNVAE-ECG (arXiv 2503.13469).

A generator turns noise and diagnoses into eight leads of 10 s; a critic with a gradient penalty
tells it how far its ECGs are from real ones. In the published models the critic doesn't know the
diagnoses, so nothing makes the generator heed them (--critic unconditional); by default it does.
Generated ECGs are judged, shown and written as those of ecg_nvae.py are, with the same data and the
same classifier, so that the headlines can be compared.

Data are simulated, and figures and headline say so, unless --folder names one's own WFDB records.
The quick preset has 10 s at 100 Hz (1 000 samples) and small networks; compact and paper have
500 Hz (5 000 samples), and paper is for a GPU.

Departures from the paper: quick and compact train for a number of steps, with a larger learning
rate and two steps of the critic for one of the generator; the generator's weights start larger,
since noise and labels fade through six layers of the published ones.
"""

from dataclasses import dataclass
from typing import Literal

from kecgi import experiment
from kecgi.experiment import ECGOptions

SHARES = (0.6, 0.25, 0.15)  # of the generator, of the classifier, of what both are compared on
SIZE = {"quick": "tiny", "compact": "compact", "paper": "paper"}
STEPS = {"quick": 400, "compact": 6000}
PAPER_EPOCHS = {"wavegan": 2700, "pulse2pulse": 2400}
BATCH = {"quick": 16, "compact": 16, "paper": 32}
LEARNING_RATE = 5e-4
CRITIC_STEPS = 2
GENERATED = {"quick": 200, "compact": 200, "paper": 2000}


@dataclass(frozen=True)
class GANOptions(ECGOptions):
    """Options of all recipes on ECGs, and which rival.

    Parameters
    ----------
    model : {"pulse2pulse", "wavegan"}
        The generator.
    critic : {"projection", "unconditional"}
        Whether the critic knows the labels; the published ones don't.
    """

    model: Literal["pulse2pulse", "wavegan"] = "pulse2pulse"
    critic: Literal["projection", "unconditional"] = "projection"


def main(options: GANOptions) -> None:
    """Simulate or read, train, generate, judge, look."""
    experiment.begin(options)
    import keras

    from kecgi import tracking
    from kecgi.data.ecg.batches import ECGBatches
    from kecgi.models import Pulse2Pulse, WaveGAN
    from kecgi.studies import ecg_review, judge, review
    from kecgi.studies.ecg_generator import ECGGenerator, whose

    store = experiment.ecg_dataset(experiment.ecg_source(options), options)
    split = experiment.ecg_split(store, options, SHARES)
    scale, within = experiment.ecg_within(store, split)
    batch, paper = BATCH[options.preset], options.preset == "paper"

    def batches(rows, **kwargs):
        return ECGBatches(store, rows, batch, scale, seed=options.seed, **kwargs)

    training = batches(within.train, training=True)
    epochs = -(-STEPS[options.preset] // len(training)) if not paper else None
    epochs = epochs or PAPER_EPOCHS[options.model]
    kind = {"wavegan": WaveGAN, "pulse2pulse": Pulse2Pulse}[options.model]
    model = kind.from_preset(
        SIZE[options.preset], store.schema.names, store.config.samples,
        critic=options.critic, seed=options.seed,
        **({} if paper else {"critic_steps": CRITIC_STEPS}),
    )  # fmt: skip
    adams = (keras.optimizers.Adam(LEARNING_RATE, beta_1=0.5, beta_2=0.9) for _ in range(2))
    model.compile(*(model.paper_optimizers() if paper else adams))
    settings = {"epochs": epochs, "batch": batch, "size": SIZE[options.preset]}
    name = f"ecg-{options.model}" + ("-unconditional" if options.critic == "unconditional" else "")
    with experiment.run("ECG generation", name, options, store, within, settings) as run:
        history = model.fit(
            training,
            epochs=epochs,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
        )
        known = tuple(whose(store)[within.train])
        generator = ECGGenerator(model, scale, store.schema, store.config.sampling_hz, known)
        generator.save(run.folder)
        shown = ecg_review.review(
            run, generator, store, split, within,
            count=GENERATED[options.preset],
            size=judge.PAPER if paper else judge.SMALL,
        )  # fmt: skip
        shown["training"] = review.training_figure(history)
        run.conclude(shown, model, batches(within.test[:2])[0])


if __name__ == "__main__":
    experiment.command_line(main, GANOptions)
