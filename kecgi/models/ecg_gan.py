"""Conditional adversarial generators of ECGs: WaveGAN* and Pulse2Pulse."""

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import ops

from kecgi.layers import Sampling
from kecgi.models.adversarial import AdversarialModel
from kecgi.models.backend import input_gradient, no_gradients
from kecgi.models.ecg_inputs import LEADS, GeneratesRecords, check_labelled
from kecgi.models.ecg_networks import (
    CRITIC_STRIDES,
    REACH,
    Critic,
    Pulse2PulseGenerator,
    WaveGANGenerator,
    fitting_strides,
)
from kecgi.models.latent import count, in_batches

PRESETS = {"tiny": {"size": 10}, "compact": {"size": 20}, "paper": {}}


class ECGGAN(GeneratesRecords, AdversarialModel):
    """Generator of ECGs that learns from a critic with a gradient penalty; see its subclasses.

    Inputs are those of :class:`kecgi.models.ECGNVAE`: ``"ecg"`` (batch, length, 8), leads I, III,
    V1 ... V6 in [0, 1], and ``"labels"`` (batch, classes), multi-hot. ``predict`` returns an ECG
    for each row of labels. Noise is uniform in [-1, 1], in training and in generation.

    In the published models the critic doesn't see the labels, so nothing makes the generator heed
    them. The default here is a critic whose score depends on the labels by projection.

    Parameters
    ----------
    classes : sequence of str
        Names of the classes, in the order of the labels.
    length : int
        Samples of a record: an even number, product of 2, 3 and 5.
    size : int
        Width of generator and critic, a multiple of 10; 50 is the paper's.
    critic : {"projection", "unconditional"}
        Whether the critic knows the labels.
    critic_strides : sequence of int
        Strides of the critic's convolutions; short records need fewer than the paper's seven.
    penalty : float
        Weight of the gradient penalty.
    critic_steps : int
        Steps of the critic for one of the generator.
    seed : int, optional
        Seed of the noise.
    **kwargs
        ``name`` as in Keras.

    References
    ----------
    Gulrajani et al., Improved training of Wasserstein GANs, NeurIPS 2017; Donahue et al.,
    Adversarial audio synthesis, ICLR 2019; Thambawita et al., DeepFake electrocardiograms using
    generative adversarial networks, Scientific Reports 11, 2021; arXiv 2503.13469.

    Examples
    --------
    >>> model = Pulse2Pulse(("SR", "AF"), length=1000, size=20, seed=1)
    >>> model.compile(*model.paper_optimizers())
    >>> model.fit({"ecg": ecg, "labels": labels}, batch_size=32, epochs=100)  # doctest: +SKIP
    >>> model.generate("AF", 10, seed=1).shape  # doctest: +SKIP
    (10, 1000, 8)
    """

    generator_type: type
    critic_terms_names = ("critic_loss", "wasserstein", "gradient_penalty")

    def __init__(
        self,
        classes: Sequence[str],
        length: int = 5000,
        *,
        size: int = 50,
        critic: Literal["projection", "unconditional"] = "projection",
        critic_strides: Sequence[int] = CRITIC_STRIDES,
        penalty: float = 10.0,
        critic_steps: int = 5,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(critic_steps=critic_steps, **kwargs)
        if critic not in ("projection", "unconditional"):
            raise ValueError(f'critic must be "projection" or "unconditional", got {critic!r}')
        self.classes, self.length, self.size = tuple(classes), length, size
        if not self.classes:
            raise ValueError("classes must name one class at least")
        self.critic_kind, self.critic_strides = critic, tuple(critic_strides)
        self.penalty, self.seed = penalty, seed
        self.noise = Sampling(seed, name="noise")
        self.noise.build((None,))
        self.generator = self.generator_type(len(self.classes), length, size, name="generator")
        known = len(self.classes) if critic == "projection" else 0
        self.critic = Critic(known, length, size, self.critic_strides, name="critic")
        self.built = True

    @classmethod
    def from_preset(cls, preset: str, classes: Sequence[str], length: int = 5000, **changes):
        """Return a model of a named size: "tiny" (tests), "compact" or "paper".

        Records shorter than the paper's have a critic of fewer convolutions. Keyword arguments
        change single settings.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {sorted(PRESETS)}, got {preset!r}")
        settings = PRESETS[preset] | {"critic_strides": fitting_strides(length)} | changes
        return cls(classes, length, **settings)

    @staticmethod
    def paper_optimizers() -> tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer]:
        """Return the paper's optimisers, of critic and generator, for batches of 32."""
        return tuple(keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9) for _ in range(2))

    def check_inputs(self, x):
        """Raise an error unless ``x`` holds a batch of ECGs and of labels of the model's sizes."""
        check_labelled(x, self.length, self.classes)

    def fit(self, x=None, *args, **kwargs):
        """Train, as ``keras.Model.fit`` does; arrays are checked before anything is done."""
        if isinstance(x, (dict, np.ndarray)):
            self.check_inputs(x)
        return super().fit(x, *args, **kwargs)

    def call(self, x):
        """Generate an ECG for each row of labels."""
        check_labelled(x, self.length, self.classes, needed=("labels",))
        return {"ecg": 0.5 * (self._generated(x["labels"]) + 1.0)}

    def _generated(self, labels):
        shape = (ops.shape(labels)[0], *self.generator.noise_shape)
        noise = keras.random.uniform(shape, -1.0, 1.0, seed=self.noise.seed_generator)
        return self.generator(noise, ops.cast(labels, "float32"))

    def _shifts(self, labels):
        shape = (ops.shape(labels)[0], self.critic.shuffles)
        return keras.random.randint(shape, -REACH, REACH + 1, seed=self.noise.seed_generator)

    def critic_terms(self, x):
        """Return loss, estimated distance and gradient penalty of the critic."""
        self.check_inputs(x)
        labels = ops.cast(x["labels"], "float32")
        real = 2.0 * ops.cast(x["ecg"], "float32") - 1.0
        with no_gradients():
            fake = ops.stop_gradient(self._generated(labels))
        twice = ops.concatenate([labels, labels])
        scores = self.critic(ops.concatenate([real, fake]), twice, self._shifts(twice))
        of_real, of_fake = ops.split(scores, 2)
        distance = ops.mean(of_real) - ops.mean(of_fake)

        share = keras.random.uniform((ops.shape(labels)[0], 1, 1), seed=self.noise.seed_generator)
        shifts = self._shifts(labels)
        slope = input_gradient(
            lambda between: self.critic(between, labels, shifts), share * real + (1 - share) * fake
        )
        norm = ops.sqrt(ops.sum(ops.square(slope), axis=(1, 2)) + 1e-12)
        penalty = ops.mean(ops.square(norm - 1.0))
        loss = self.penalty * penalty - distance
        return {"critic_loss": loss, "wasserstein": distance, "gradient_penalty": penalty}

    def generator_terms(self, x):
        """Return the loss of the generator."""
        labels = ops.cast(x["labels"], "float32")
        scores = self.critic(self._generated(labels), labels, self._shifts(labels))
        return {"generator_loss": -ops.mean(scores)}

    def sample(
        self, condition: dict, draws: int = 1, seed: int | None = None, batch: int = 32
    ) -> np.ndarray:
        """Draw records for each row of labels.

        Parameters
        ----------
        condition : dict
            ``"labels"``, shape (rows, classes); other keys are ignored.
        draws : int
            Records for each row.
        seed : int, optional
            Seed of the noise; the same seed gives the same draws on every backend.
        batch : int
            Records at a time.

        Returns
        -------
        np.ndarray, shape (draws, rows, length, 8), float32
            Leads I, III, V1 ... V6 in [0, 1].
        """
        check_labelled(condition, self.length, self.classes, needed=("labels",))
        rng = np.random.default_rng(seed)
        labels = np.tile(np.asarray(condition["labels"], "float32"), (draws, 1))

        def records(rows):
            noise = 2.0 * rng.random((len(rows), *self.generator.noise_shape), "float32") - 1.0
            made = self.generator(ops.convert_to_tensor(noise), ops.convert_to_tensor(labels[rows]))
            return 0.5 * (made + 1.0)

        with no_gradients():
            drawn = in_batches(records, len(labels), batch)
        return drawn.reshape(draws, count(condition["labels"]), self.length, LEADS)

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("classes", "length", "size", "critic_strides", "penalty", "seed")
        config = {name: getattr(self, name) for name in names}
        return super().get_config() | config | {"critic": self.critic_kind}


@keras.saving.register_keras_serializable(package="kecgi")
class WaveGAN(ECGGAN):
    """Conditional WaveGAN*: the generator makes an ECG from 100 random numbers."""

    generator_type = WaveGANGenerator


@keras.saving.register_keras_serializable(package="kecgi")
class Pulse2Pulse(ECGGAN):
    """Conditional Pulse2Pulse: the generator is a U-Net from noise of the shape of an ECG."""

    generator_type = Pulse2PulseGenerator
