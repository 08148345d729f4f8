"""Hierarchical conditional variational autoencoder of 12-lead ECGs (cNVAE-ECG)."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kecgi.layers import logistic_mixture
from kecgi.layers.initial import dense
from kecgi.layers.latent_group import LatentGroup
from kecgi.layers.residual_cell import CONVOLUTIONS, ResidualCell
from kecgi.layers.short_time_fourier import analyse, frames_of, synthesise
from kecgi.models.backend import no_gradients
from kecgi.models.ecg_inputs import LEADS, GeneratesRecords, check_labelled, multi_hot
from kecgi.models.latent import count, in_batches
from kecgi.models.nvae_training import (
    CoupledAdamax,
    WarmupCosine,
    balance_weights,
    kl_weight,
)
from kecgi.models.training import VariationalModel

PRESETS = {
    "tiny": {
        "channels": 4,
        "pre_blocks": 2,
        "pre_cells": 2,
        "groups": (1, 2),
        "cells": 1,
        "latent_channels": 2,
        "mixtures": 3,
    },
    "compact": {
        "channels": 8,
        "pre_blocks": 3,
        "pre_cells": 2,
        "groups": (1, 2, 4),
        "cells": 2,
        "latent_channels": 5,
        "mixtures": 5,
        "common_start": True,
        "norm": "group",
    },
    "stft": {
        "window": 64,
        "channels": 16,
        "pre_blocks": 2,
        "pre_cells": 2,
        "groups": (1, 2, 4),
        "cells": 2,
        "latent_channels": 5,
        "mixtures": 5,
        "common_start": True,
        "norm": "group",
    },
    "paper": {},
}


@keras.saving.register_keras_serializable(package="kecgi")
class ECGNVAE(GeneratesRecords, VariationalModel):
    """Conditional variational autoencoder with many groups of latent variables, as cNVAE-ECG.

    The encoder halves the signal block by block and keeps its features at three scales. The decoder
    starts from a learned tensor for each class, summed over the classes that hold, and goes from
    the coarsest scale to the finest; at each group it draws variables, from the encoder's posterior
    in training and from its own prior in generation. Its output is a mixture of logistics at each
    sample, in which leads depend on leads (:mod:`kecgi.layers.logistic_mixture`). The loss is the
    negative log likelihood plus beta times the divergences, both summed over a record, plus the
    penalty on the normalisations' gains.

    Inputs are a dict: ``"ecg"`` (batch, length, 8), the leads I, III, V1 ... V6 in [0, 1], and
    ``"labels"`` (batch, classes), multi-hot; a row of zeros is "no label". ``predict`` returns
    ``"nll"`` (batch,) and ``"kl"`` (batch, groups) in nats and ``"ecg"``, the records seen through
    one draw of the posterior.

    The defaults are the paper's; :meth:`from_preset` has smaller sizes.

    Parameters
    ----------
    classes : sequence of str
        Names of the classes, in the order of the labels.
    length : int
        Samples of a record. Records are extended by reflection to a multiple of the coarsest step;
        the surplus is neither scored nor returned.
    channels : int
        Channels of the first convolution; they double at each halving.
    pre_blocks, pre_cells : int
        Halvings before the first latent scale, and cells of each, the one that halves included.
    groups : sequence of int
        Latent groups of each scale, coarsest first.
    cells : int
        Cells of each group.
    latent_channels : int
        Variables of a group at each step.
    mixtures : int
        Components of the output's mixture.
    window : int, optional
        Samples of a frame of the two-dimensional variant: the network works on the short-time
        Fourier transform of a record, frames by frequencies, and its output is transformed back;
        the likelihood is the same. The paper tried a spectrogram, and found it worse.
    dependency : {"value", "mean"}
        How leads depend on leads.
    common_start : bool
        Whether the decoder starts from a tensor common to all classes plus those of the classes.
        The paper says so, its code has none.
    norm : {"batch", "group"}
        Batch normalisation needs :meth:`calibrate` before generation, group normalisation doesn't.
    norm_penalty : float
        Strength of the penalty on the largest gain of each normalisation.
    balance : bool
        Whether, while beta rises, the gradient of a group's divergence is weighted by how much the
        group carries (NVAE does, cNVAE-ECG doesn't).
    warmup_steps : int
        Steps over which beta rises; the paper's is 0.3 of all steps.
    **kwargs
        ``beta`` and ``seed`` as in :class:`kecgi.models.training.VariationalModel`, ``name`` and
        ``dtype`` as in Keras.

    References
    ----------
    cNVAE-ECG: arXiv 2503.13469. Vahdat & Kautz, NVAE, NeurIPS 2020.

    Examples
    --------
    >>> model = ECGNVAE.from_preset("compact", classes=("SR", "AF"), length=1000, seed=1)
    >>> model.compile(model.paper_optimizer())
    >>> model.fit({"ecg": ecg, "labels": labels}, epochs=50)  # doctest: +SKIP
    >>> model.generate("AF", 10, seed=1).shape  # doctest: +SKIP
    (10, 1000, 8)
    """

    def __init__(
        self,
        classes: Sequence[str],
        length: int = 5000,
        *,
        channels: int = 12,
        pre_blocks: int = 4,
        pre_cells: int = 4,
        groups: Sequence[int] = (5, 10, 20),
        cells: int = 4,
        latent_channels: int = 5,
        mixtures: int = 20,
        window: int | None = None,
        dependency: logistic_mixture.Dependency = "value",
        common_start: bool = False,
        norm: str = "batch",
        norm_penalty: float = 1e-2,
        balance: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classes, self.length = tuple(classes), length
        self.channels, self.pre_blocks, self.pre_cells = channels, pre_blocks, pre_cells
        self.groups, self.cells, self.latent_channels = tuple(groups), cells, latent_channels
        self.mixtures, self.dependency = mixtures, dependency
        self.common_start, self.norm, self.norm_penalty = common_start, norm, norm_penalty
        self.balance, self.window = balance, window
        if not self.classes:
            raise ValueError("classes must name one class at least")
        if not self.groups or min(self.groups) < 1:
            raise ValueError(f"groups must be positive numbers, coarsest first, got {self.groups}")
        if length < self.coarsest_step:
            raise ValueError(
                f"length must be {self.coarsest_step} at least, the coarsest step, got {length}"
            )
        if window is not None and (window < 2 or (window // 2) % self.coarsest_step or window % 2):
            raise ValueError(
                f"half a window must be a multiple of {self.coarsest_step}, the coarsest step, got "
                f"a window of {window}"
            )
        self._make_encoder()
        self._make_decoder()
        self.sampling.build((None,))
        self.built = True
        # XLA would compile for minutes where TensorFlow's plain graph is as fast
        self.supports_jit = keras.backend.backend() != "tensorflow"

    @classmethod
    def from_preset(cls, preset: str, classes: Sequence[str], length: int = 5000, **changes):
        """Return a model of a named size: "tiny" (tests), "compact", "stft" or "paper".

        "stft" is as "compact", but two-dimensional. "compact" is about forty times cheaper than
        "paper" and trains in minutes on two cores on records of a thousand samples. Keyword
        arguments change single settings.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {sorted(PRESETS)}, got {preset!r}")
        return cls(classes, length, **(PRESETS[preset] | changes))

    @property
    def coarsest_step(self) -> int:
        """Samples of the signal for one of the coarsest scale."""
        return 2 ** (self.pre_blocks + len(self.groups) - 1)

    @property
    def padded_length(self) -> int:
        """Samples after extension, so that the grid is a multiple of the coarsest step."""
        step = self.coarsest_step
        if self.window is None:
            return -(-self.length // step) * step
        half = self.window // 2
        frames = frames_of(-(-self.length // half) * half, self.window)
        return (-(-frames // step) * step - 1) * half

    @property
    def grid(self) -> tuple[int, ...]:
        """Samples of the finest features, or frames and frequencies."""
        if self.window is None:
            return (self.padded_length,)
        return frames_of(self.padded_length, self.window), self.window // 2

    def _cell(self, direction, name):
        return ResidualCell(
            direction,
            norm=self.norm,
            norm_penalty=self.norm_penalty,
            dimensions=len(self.grid),
            dtype=self.dtype_policy,
            name=name,
        )

    def _make_encoder(self):
        widest = self.channels * self.coarsest_step
        top = [n // self.coarsest_step for n in self.grid]
        if self.window is None:
            top = [self.length // self.coarsest_step]  # the published one, one step short
        starts = {"shape": (len(self.classes), *top, widest), "name": "class_start"}
        self.class_start = self.add_weight(
            **starts, initializer=keras.initializers.RandomUniform(0.0, 1.0)
        )
        self.start = None
        if self.common_start:
            self.start = self.add_weight(
                shape=(*top, widest), name="common_start", initializer="zeros"
            )
        policy, convolution = self.dtype_policy, CONVOLUTIONS[len(self.grid)]
        self.stem = convolution(self.channels, 3, dtype=policy, name="stem")
        self.stem.build((None, *self.grid, LEADS * len(self.grid)))  # twice as many for an image
        self.embed = dense(widest, self.channels, dtype=policy, name="embed")
        directions = (["same"] * (self.pre_cells - 1) + ["down"]) * self.pre_blocks
        self.kept = []  # after which cells the features are kept for the decoder
        for scale, number in enumerate(reversed(self.groups)):
            directions += ["down"] * (scale > 0)
            for _ in range(number):
                directions += ["same"] * self.cells
                self.kept.append(len(directions) - 1)
        self.encoder_cells = [self._cell(d, f"encoder_{i}") for i, d in enumerate(directions)]
        self._build_chain(self.encoder_cells, (None, *self.grid, self.channels))

    def _make_decoder(self):
        policy, step = self.dtype_policy, self.coarsest_step
        shape = (None, *(n // step for n in self.grid), self.channels * step)
        self.latent_groups = []
        for scale, number in enumerate(self.groups):
            for index in range(number):
                place = "same" if index else ("up" if scale else "first")
                group = LatentGroup(
                    self.latent_channels,
                    self.cells,
                    place,
                    norm=self.norm,
                    norm_penalty=self.norm_penalty,
                    dimensions=len(self.grid),
                    dtype=policy,
                    name=f"latent_{len(self.latent_groups)}",
                )
                group.build(shape)
                self.latent_groups.append(group)
                if place == "up":
                    shape = (None, *(2 * n for n in shape[1:-1]), shape[-1] // 2)
        directions = (["up"] + ["same"] * (self.pre_cells - 1)) * self.pre_blocks
        self.decoder_cells = [self._cell(d, f"decoder_{i}") for i, d in enumerate(directions)]
        self._build_chain(self.decoder_cells, shape)
        parameters = logistic_mixture.CHANNELS_PER_COMPONENT * self.mixtures
        image = self.window is not None
        self.output_layer = CONVOLUTIONS[len(self.grid)](
            parameters * (1 + image), 3, use_bias=not image, dtype="float32", name="parameters"
        )
        self.output_layer.build((None, *self.grid, self.channels))
        # a constant is no constant among frequencies: it is added after the transform
        self.output_bias = None
        if image:
            self.output_bias = self.add_weight(
                shape=(parameters,), name="output_bias", initializer="zeros"
            )

    @staticmethod
    def _build_chain(cells, shape):
        for cell in cells:
            cell.build(shape)
            shape = cell.compute_output_shape(shape)

    def check_inputs(self, x):
        """Raise an error unless ``x`` holds a batch of ECGs and of labels of the model's sizes."""
        check_labelled(x, self.length, self.classes)

    def fit(self, *args, **kwargs):
        """Train, as ``keras.Model.fit`` does."""
        # TensorFlow builds an optimiser while it traces the step, and then has to trace it again;
        # with hundreds of layers that is felt.
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().fit(*args, **kwargs)

    def call(self, x, training=False):
        """Score a batch of records; out of training, reconstruct them too."""
        self.check_inputs(x)
        ecg, start = ops.cast(x["ecg"], "float32"), self._start(x["labels"])
        noise = [
            keras.random.normal(shape, seed=self.sampling.seed_generator)
            for shape in self._noise_shapes(ops.shape(ecg)[0])
        ]
        features = self._encode(ecg, start, training)
        parameters, kl = self._decode(start, noise, features, training=training)
        likelihood = logistic_mixture.log_likelihood(ecg, parameters, self.dependency)
        outputs = {"nll": -ops.sum(likelihood, axis=1), "kl": kl}
        if not training:
            outputs["ecg"] = logistic_mixture.expected(parameters, self.dependency)
        return outputs

    def _start(self, labels):
        start = ops.tensordot(ops.cast(labels, self.compute_dtype), self.class_start, 1)
        return start if self.start is None else start + self.start

    def _encode(self, ecg, start, training):
        """Return the features of each latent group, coarsest first."""
        before, after = self._margins()
        padded = ops.pad(2.0 * ecg - 1.0, ((0, 0), (before, after), (0, 0)), mode="reflect")
        if self.window is not None:
            padded = analyse(padded, self.window)
        axes = tuple(range(1, len(self.grid) + 1))
        s = self.stem(padded) + ops.mean(self.embed(start), axis=axes, keepdims=True)
        features = []
        for index, cell in enumerate(self.encoder_cells):
            s = cell(s, training=training)
            if index in self.kept:
                features.append(s)
        return features[::-1]

    def _margins(self):
        surplus = self.padded_length - self.length
        return surplus // 2, surplus - surplus // 2

    def _decode(self, s, noise, features=None, training=False):
        """Return the mixture's parameters (batch, length, ...) and the divergence of each group."""
        missing = self.grid[0] // self.coarsest_step - s.shape[1]
        s = ops.concatenate([s] + [s[:, -1:]] * missing, axis=1)
        divergences = []
        for index, group in enumerate(self.latent_groups):
            known = None if features is None else features[index]
            s, kl = group(s, noise[index], features=known, training=training)
            divergences.append(kl)
        for cell in self.decoder_cells:
            s = cell(s, training=training)
        parameters = self.output_layer(ops.elu(s))
        if self.window is not None:
            parameters = synthesise(parameters, self.window) + self.output_bias
        before = self._margins()[0]
        parameters = parameters[:, before : before + self.length]
        return parameters, ops.stack(divergences, axis=1)

    def _noise_shapes(self, batch):
        coarsest = [n // self.coarsest_step for n in self.grid]
        for scale, number in enumerate(self.groups):
            for _ in range(number):
                yield batch, *(n * 2**scale for n in coarsest), self.latent_channels

    def elbo_terms(self, x, y_pred):
        """Negative log likelihood of a record, and the sum of its groups' divergences."""
        kl = y_pred["kl"]
        total = ops.sum(kl, axis=1)
        if self.balance:
            # the value stays the bound's, only the gradient is another
            rising = ops.cast(self.current_beta() < self.beta, kl.dtype)
            weights = rising * balance_weights(ops.mean(kl, axis=0), self.groups) + 1.0 - rising
            weighted = ops.sum(kl * ops.stop_gradient(weights), axis=1)
            total = weighted + ops.stop_gradient(total - weighted)
        return y_pred["nll"], total

    def current_beta(self):
        """Return the weight of the divergence at the present step, a float32 scalar."""
        if not self.warmup_steps:
            return super().current_beta()
        return self.beta * kl_weight(self.step, self.warmup_steps)

    def sample(
        self,
        condition: dict,
        draws: int = 1,
        seed: int | None = None,
        *,
        prior_temperature: float = 1.0,
        mixture_temperature: float = 1.0,
        noise_temperature: float = 1.0,
        batch: int = 16,
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
        prior_temperature : float
            Factor on the standard deviations of the latent variables.
        mixture_temperature, noise_temperature : float
            As in :func:`kecgi.layers.logistic_mixture.draw`. A `noise_temperature` of 0 returns the
            expected record, without noise in the samples.
        batch : int
            Records at a time.

        Returns
        -------
        np.ndarray, shape (draws, rows, length, 8), float32
            Leads I, III, V1 ... V6 in [0, 1].
        """
        check_labelled(condition, self.length, self.classes, needed=("labels",))
        for name, value in (
            ("prior_temperature", prior_temperature),
            ("noise_temperature", noise_temperature),
        ):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if mixture_temperature <= 0:
            raise ValueError(f"mixture_temperature must be positive, got {mixture_temperature}")
        rng = np.random.default_rng(seed)
        labels = np.tile(np.asarray(condition["labels"], "float32"), (draws, 1))

        def records(rows):
            parameters, _ = self._decode(
                self._start(labels[rows]), self._noise(rng, len(rows), prior_temperature)
            )
            if noise_temperature == 0:
                return logistic_mixture.expected(parameters, self.dependency)
            uniform = rng.random((len(rows), self.length, self.mixtures + LEADS), "float32")
            return logistic_mixture.draw(
                parameters,
                ops.convert_to_tensor(uniform),
                mixture_temperature,
                noise_temperature,
                self.dependency,
            )

        with no_gradients():
            drawn = in_batches(records, len(labels), batch)
        return drawn.reshape(draws, count(condition["labels"]), self.length, LEADS)

    def calibrate(
        self,
        labels,
        batches: int = 20,
        batch: int = 16,
        prior_temperature: float = 1.0,
        seed: int | None = None,
    ) -> None:
        """Replace the decoder's batch statistics by those of generated records.

        Training leaves running averages over records seen through the posterior; records from the
        prior, all the more at a low temperature, have other statistics. Here they are averaged over
        `batches` batches, all counting alike. Without batch normalisation nothing is to be done.

        Parameters
        ----------
        labels : array, shape (rows, classes)
            Rows to draw labels from, such as those that will be asked for.
        batches, batch : int
            Number of batches and records in each.
        prior_temperature : float
            That of the generation to come.
        seed : int, optional
            Seed of labels and noise.

        Raises
        ------
        FloatingPointError
            Where a statistic comes out infinite or NaN; the former ones are restored.
        """
        norms = [layer for layer in self._flatten_layers() if _is_batch_norm(layer)]
        if not norms:
            return
        rng, rows = np.random.default_rng(seed), multi_hot(labels, self.classes)
        momenta, former = [norm.momentum for norm in norms], self.get_weights()
        try:
            for index in range(batches):
                for norm in norms:
                    norm.momentum = index / (index + 1.0)
                with no_gradients():
                    chosen = rows[rng.integers(len(rows), size=batch)]
                    noise = self._noise(rng, batch, prior_temperature)
                    self._decode(self._start(chosen), noise, training=True)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
        statistics = [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]
        if not all(np.isfinite(ops.convert_to_numpy(v)).all() for v in statistics):
            self.set_weights(former)
            raise FloatingPointError(
                "calibration gave statistics that aren't finite, and was undone: lower "
                "prior_temperature, or train with norm='group'"
            )

    def _noise(self, rng, batch, temperature):
        # a factor on the noise is the same as one on all standard deviations
        return [
            ops.convert_to_tensor(temperature * rng.standard_normal(shape, "float32"))
            for shape in self._noise_shapes(batch)
        ]

    @staticmethod
    def paper_optimizer(steps_per_epoch: int, epochs: int = 500) -> keras.optimizers.Optimizer:
        """Return cNVAE-ECG's optimiser, for batches of 32."""
        return CoupledAdamax(WarmupCosine(steps_per_epoch, epochs))

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("classes", "length", "channels", "pre_blocks", "pre_cells", "groups", "cells")
        names += ("latent_channels", "mixtures", "window", "dependency", "common_start", "norm")
        names += ("norm_penalty", "balance")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _is_batch_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)
