"""cNVAE-ECG: ECGs with the diagnoses that are asked for (arXiv 2503.13469).

A hierarchical variational autoencoder learns eight leads given the diagnoses, in whatever mix they
come, and generates records of 10 s; the other four leads follow by Einthoven's and Goldberger's
laws. Generated ECGs are compared with as many real ones of hearts or patients kept out: by the
laws, by their heart rate, by how near they are to the training, and by a classifier trained on
further real records, which tells from a generated ECG what was asked for. They are written as WFDB
records with their labels.

Data are simulated, and figures and headline say so, unless --folder names one's own WFDB records.
The quick preset has 10 s at 100 Hz (1 000 samples) and a small network; compact and paper have
500 Hz (5 000 samples), and paper is for a GPU.

Departures from the paper: amplitude limits are fitted on the training part, the split is by heart
or patient, and quick and compact train for a number of steps, with another learning rate.
"""

from dataclasses import dataclass

from kecgi import experiment
from kecgi.experiment import ECGOptions

SHARES = (0.6, 0.25, 0.15)  # of the generator, of the classifier, of what both are compared on
SIZE = {"quick": "compact", "compact": "compact", "paper": "paper"}
STEPS = {"quick": 400, "compact": 8000}
PAPER_EPOCHS = 500
BATCH = {"quick": 8, "compact": 8, "paper": 32}
LEARNING_RATE = 4e-3
CLIP = 2000.0  # of the gradient's norm: the loss is a sum over a record, in thousands of nats
GENERATED = {"quick": 200, "compact": 200, "paper": 2000}


@dataclass(frozen=True)
class NVAEOptions(ECGOptions):
    """Options of all recipes on ECGs, and which network.

    Parameters
    ----------
    stft : bool
        The variant on short-time Fourier transforms, which the paper found worse; of one size.
    """

    stft: bool = False


def main(options: NVAEOptions) -> None:
    """Simulate or read, train, generate, judge, look."""
    experiment.begin(options)
    import keras

    from kecgi import tracking
    from kecgi.data.ecg.batches import ECGBatches
    from kecgi.models import ECGNVAE
    from kecgi.studies import ecg_review, judge, review
    from kecgi.studies.ecg_generator import ECGGenerator, whose

    store = experiment.ecg_dataset(experiment.ecg_source(options), options)
    split = experiment.ecg_split(store, options, SHARES)
    scale, within = experiment.ecg_within(store, split)
    batch, paper = BATCH[options.preset], options.preset == "paper"
    size = "stft" if options.stft else SIZE[options.preset]

    def batches(rows, **kwargs):
        return ECGBatches(store, rows, batch, scale, seed=options.seed, **kwargs)

    training = batches(within.train, training=True)
    epochs = PAPER_EPOCHS if paper else -(-STEPS[options.preset] // len(training))
    steps = epochs * len(training)
    model = ECGNVAE.from_preset(
        size, store.schema.names, store.config.samples,
        warmup_steps=round((0.3 if paper else 0.7) * steps), seed=options.seed,
    )  # fmt: skip
    rising = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 10, steps, 0.01, warmup_target=LEARNING_RATE, warmup_steps=steps // 20
    )
    model.compile(
        model.paper_optimizer(len(training), epochs)
        if paper
        else keras.optimizers.Adamax(rising, global_clipnorm=CLIP)
    )
    settings = {"epochs": epochs, "batch": batch, "size": size}
    name = "ecg-nvae-stft" if options.stft else "ecg-nvae"
    with experiment.run("ECG generation", name, options, store, within, settings) as run:
        history = model.fit(
            training,
            validation_data=batches(within.validation),
            epochs=epochs,
            verbose=experiment.verbosity(),
            callbacks=[tracking.epoch_logger()],
        )
        model.calibrate(store.labels[within.train], seed=options.seed)
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
    experiment.command_line(main, NVAEOptions)
