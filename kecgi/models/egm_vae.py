"""Variational autoencoders of atrial electrograms, VAE-S and VAE-C (arXiv 2512.14537)."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from kecgi.models import egm_losses
from kecgi.models.egm_image import image_decoder, image_encoder
from kecgi.models.egm_points import PointDecoder, PointEncoder, steps_of
from kecgi.models.latent import cases, count, in_batches, require_code
from kecgi.models.training import VariationalModel, gaussian_kl

LOSS_WEIGHTS = {
    "mse": 0.35,
    "gradient": 0.30,
    "spectrum": 0.25,
    "spurious": 0.10,
    "decorrelation": 0.50,
}
"""The paper's weights of the terms in `kecgi.models.egm_losses`."""

LOG_VAR_RANGE = (-10.0, 10.0)

START_LOG_VAR = -3.0
"""Log variance of posteriors at the start: wide ones hide the code, and it may stay unused."""


@keras.saving.register_keras_serializable(package="kecgi")
class EGMVAE(VariationalModel):
    """Variational autoencoder of windows of electrograms, of one rhythm or conditioned on several.

    With one rhythm it is VAE-S: codes have the prior N(0, I). With more it is VAE-C: the decoder
    sees the one-hot rhythm beside the code, and each rhythm has a Gaussian prior of its own, whose
    mean and variance are learned.

    Inputs are dicts of ``"egm"`` (batch, time, node), scaled to [-1, 1] by one factor for a whole
    dataset (`kecgi.data.AmplitudeScale.whole`), so that generated signals have amplitudes, and, for
    more than one rhythm, ``"rhythm"`` (batch, rhythms), one-hot. ``call`` and ``predict`` return
    ``"egm"``, the code's ``"mean"`` and ``"log_var"``, and ``"prior_mean"`` and
    ``"prior_log_var"``. Without ``"egm"`` the code is drawn from the prior.

    The loss is a weighted sum of `kecgi.models.egm_losses`, each tracked under its name, and
    ``beta`` times the divergence from the prior, in which no dimension counts for less than
    ``free_bits``: so much a dimension may tell for free. Learned priors follow the codes all the
    same. Tracked are ``kl``, so floored, and
    ``kl_nats``, the divergence itself.

    Parameters
    ----------
    samples, nodes : int
        Size of a window.
    rhythms : sequence of str
        Names of the rhythms, in the order of the one-hot input.
    layout : {"image", "points"}
        The paper's image of time by nodes, in which neighbouring columns need not be neighbours in
        space, or networks that know where the nodes are (`kecgi.models.egm_points`).
    positions_mm : (nodes, 3) array, optional
        Where the nodes are, for "points".
    latent_dim : int
        Size of the code; the paper's is 250, in a variant 50.
    whole : int
        Of "points": numbers of the code that stand for the whole window; the others are of its
        steps in time, each as many.
    tokens, units, heads, blocks, filters : int
        Of "points": nodes that attend to each other, their features, heads and blocks of the
        attention, filters of the outer convolutions.
    free_bits : float
        Nats of a latent dimension that cost nothing. The paper's 0.5 is taken to be of each
        dimension: as a sum it would leave nothing in the code at ``beta`` 3.
    loss_weights : mapping of str to float, optional
        Weights other than `LOSS_WEIGHTS`, by name.
    sampling_hz : float
        Sampling rate, for the spectral terms.
    beta : float
        Weight of the divergence.
    **kwargs
        ``warmup_steps`` and ``seed`` as in `kecgi.models.training.VariationalModel`, ``name`` and
        ``dtype`` as in Keras.

    Attributes
    ----------
    paper_batch_size, paper_warmup_steps, paper_epochs : int
        The paper's batch size, steps until ``beta`` is reached, and most epochs.

    References
    ----------
    arXiv 2512.14537; free bits: Kingma et al., Improved variational inference with inverse
    autoregressive flow, NeurIPS 2016.

    Examples
    --------
    >>> model = EGMVAE(400, 2048, warmup_steps=EGMVAE.paper_warmup_steps, seed=1)
    >>> model.compile(EGMVAE.paper_optimizer(steps_per_epoch=48))
    >>> model.fit({"egm": windows}, batch_size=1, epochs=50)  # doctest: +SKIP
    >>> new = model.generate("sinus", n=200, seed=2)  # doctest: +SKIP
    """

    paper_batch_size = 1
    paper_warmup_steps = 3300
    paper_epochs = 50

    def __init__(
        self,
        samples=400,
        nodes=2048,
        rhythms=("sinus",),
        layout="image",
        positions_mm=None,
        latent_dim=250,
        whole=0,
        tokens=32,
        units=32,
        heads=4,
        blocks=1,
        filters=16,
        free_bits=0.5,
        loss_weights: Mapping[str, float] | None = None,
        sampling_hz=200.0,
        beta=3.0,
        **kwargs,
    ):
        super().__init__(beta=beta, **kwargs)
        if isinstance(rhythms, str) or not rhythms or len(set(rhythms)) < len(rhythms):
            raise ValueError(f"rhythms is {rhythms!r}, expected different names, at least one")
        if layout not in ("image", "points"):
            raise ValueError(f"layout is {layout!r}, expected 'image' or 'points'")
        if free_bits < 0:
            raise ValueError(f"free_bits must not be negative, got {free_bits}")
        unknown = sorted(set(loss_weights or {}) - set(LOSS_WEIGHTS))
        if unknown:
            raise ValueError(f"loss_weights names {unknown[0]!r}, expected {list(LOSS_WEIGHTS)}")
        self.samples, self.nodes, self.rhythms = samples, nodes, tuple(rhythms)
        self.layout, self.latent_dim, self.whole = layout, latent_dim, whole
        self.tokens, self.units, self.heads = tokens, units, heads
        self.blocks, self.filters = blocks, filters
        self.free_bits, self.sampling_hz = float(free_bits), float(sampling_hz)
        self.loss_weights = {**LOSS_WEIGHTS, **(loss_weights or {})}
        self.positions_mm = None
        code_dim = latent_dim + (len(self.rhythms) if self.conditional else 0)
        policy = self.dtype_policy
        if layout == "image":
            self.encoder = image_encoder(samples, nodes, latent_dim, policy)
            self.decoder = image_decoder(samples, nodes, code_dim, policy)
        else:
            if np.shape(positions_mm) != (nodes, 3):
                raise ValueError(
                    f"positions_mm has shape {np.shape(positions_mm)}, expected ({nodes}, 3): the "
                    "layout 'points' needs the place of each node"
                )
            self.positions_mm = np.asarray(positions_mm, float).tolist()
            if not 0 <= whole < latent_dim or (latent_dim - whole) % steps_of(samples):
                raise ValueError(
                    f"latent_dim is {latent_dim} and whole is {whole}, expected a difference that "
                    f"is a multiple of {steps_of(samples)}, the steps in time of a code"
                )
            size = {
                "tokens": tokens, "units": units, "heads": heads, "blocks": blocks,
                "filters": filters, "dtype": policy,
            }  # fmt: skip
            where = samples, positions_mm, latent_dim, whole
            self.encoder = PointEncoder(*where, **size, name="encoder")
            self.decoder = PointDecoder(*where, known=code_dim - latent_dim, **size, name="decoder")
            self.encoder.build((None, samples, nodes))
            self.decoder.build((None, code_dim))
        if self.conditional:
            shape = (len(self.rhythms), latent_dim)
            self.prior_mean = self.add_weight(name="prior_mean", shape=shape, initializer="zeros")
            self.prior_log_var = self.add_weight(
                name="prior_log_var", shape=shape, initializer="zeros"
            )
        self.term_trackers = [keras.metrics.Mean(name=name) for name in LOSS_WEIGHTS]
        self.nats_tracker = keras.metrics.Mean(name="kl_nats")
        self.built = True

    @property
    def conditional(self) -> bool:
        """Whether it is VAE-C."""
        return len(self.rhythms) > 1

    @staticmethod
    def paper_optimizer(steps_per_epoch: int, learning_rate=1e-3) -> keras.optimizers.Optimizer:
        """Return the paper's optimiser: its rate falls by 5 % an epoch."""
        rate = keras.optimizers.schedules.ExponentialDecay(
            learning_rate, steps_per_epoch, 0.95, staircase=True
        )
        return keras.optimizers.Adam(rate, global_clipnorm=1.0)

    def start_from(self, other: "EGMVAE") -> None:
        """Take over another model's encoder and decoder, such as a VAE-S's for a VAE-C.

        What the decoder makes of a rhythm that the other does not know starts at nothing.

        Raises
        ------
        ValueError
            Where the two differ in more than their rhythms.
        """
        ours, theirs = (m.encoder.weights + m.decoder.weights for m in (self, other))
        more = len(self.rhythms) - (len(other.rhythms) if other.conditional else 0)
        fits = len(ours) == len(theirs) and all(
            len(a.shape) == len(b.shape)
            and set(np.subtract(a.shape, b.shape)) <= {0, more}
            and np.sum(np.not_equal(a.shape, b.shape)) <= 1
            for a, b in zip(ours, theirs, strict=True)
        )
        if more < 0 or not fits:
            raise ValueError(
                f"{other.name} is of another size, layout or set of rhythms; expected a model that "
                "differs in knowing fewer rhythms alone"
            )
        for a, b in zip(ours, theirs, strict=True):
            value = np.zeros(a.shape, "float32")
            value[tuple(map(slice, b.shape))] = ops.convert_to_numpy(b)
            a.assign(value)

    def check_inputs(self, inputs):
        """Raise unless ``inputs`` is a dict with the model's keys and shapes."""
        if not isinstance(inputs, dict):
            raise TypeError(f"inputs must be a dict of arrays, got {type(inputs).__name__}")
        needed = "rhythm" if self.conditional else "egm"
        if needed not in inputs:
            raise ValueError(f"inputs lack {needed!r}; they hold {sorted(inputs)}")
        expected = {"egm": (self.samples, self.nodes)}
        if self.conditional:
            expected["rhythm"] = (len(self.rhythms),)
        for name in set(expected) & set(inputs):
            shape = tuple(inputs[name].shape)[1:]
            if shape != expected[name]:
                raise ValueError(
                    f"{name} must have shape (batch, {', '.join(map(str, expected[name]))}), but "
                    f"each case has shape {shape}"
                )

    def call(self, inputs):
        """Draw one code a case, from the posterior where a window is given, and decode it."""
        self.check_inputs(inputs)
        prior_mean, prior_log_var = self._prior(inputs)
        mean, log_var = prior_mean, prior_log_var
        if "egm" in inputs:
            mean, log_var = self._posterior(inputs["egm"])
        code = self.sampling(mean, log_var)
        return {
            "egm": self._decoded(code, inputs.get("rhythm")),
            "mean": mean,
            "log_var": log_var,
            "prior_mean": prior_mean,
            "prior_log_var": prior_log_var,
        }

    def elbo_terms(self, x, y_pred):
        """Weighted sum of the signal's terms, and the floored divergence from the prior."""
        if "egm" not in x:
            raise ValueError('to fit or evaluate, the inputs must hold "egm"')
        true, predicted = ops.cast(x["egm"], "float32"), y_pred["egm"]
        spectrum, spurious = egm_losses.spectral_terms(true, predicted, self.sampling_hz)
        terms = {
            "mse": egm_losses.mean_squared(true, predicted),
            "gradient": egm_losses.gradient_l1(true, predicted),
            "spectrum": spectrum,
            "spurious": spurious,
            "decorrelation": egm_losses.decorrelation(true, predicted),
        }
        for tracker in self.term_trackers:
            tracker.update_state(terms[tracker.name])
        reconstruction = sum(self.loss_weights[name] * term for name, term in terms.items())
        # one dimension at a time: of each as a vector of one
        parts = [
            y_pred[name][..., None] for name in ("mean", "log_var", "prior_mean", "prior_log_var")
        ]
        kl = gaussian_kl(*parts)
        self.nats_tracker.update_state(ops.sum(kl, axis=-1))
        # the floor is one of a batch's mean: a dimension that is used at times is free as well
        floored = ops.sum(ops.maximum(ops.mean(kl, axis=0), self.free_bits))
        if self.conditional:
            # what is free for posteriors must not stop the priors from learning where codes are
            tie = gaussian_kl(*map(ops.stop_gradient, parts[:2]), *parts[2:])
            tie = ops.where(ops.mean(kl, axis=0) < self.free_bits, ops.mean(tie, axis=0), 0.0)
            floored = floored + ops.sum(tie - ops.stop_gradient(tie))
        return reconstruction, ops.broadcast_to(floored, ops.shape(reconstruction))

    def encode(self, inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior's mean and log variance, each (batch, latent_dim)."""
        egm = inputs["egm"]
        return in_batches(lambda rows: self._posterior(cases(egm, rows)), count(egm))

    def decode(self, code, rhythm=None) -> np.ndarray:
        """Return the windows (batch, time, node) of codes.

        Parameters
        ----------
        code : array, shape (batch, latent_dim)
            Codes.
        rhythm : array, shape (batch, rhythms), optional
            One-hot rhythm of each, where there are several.
        """
        code = np.asarray(code, "float32")
        require_code(code, self.latent_dim)
        if self.conditional:
            rhythm = np.asarray(rhythm, "float32")
            if rhythm.shape != (len(code), len(self.rhythms)):
                raise ValueError(
                    f"rhythm has shape {rhythm.shape}, expected {(len(code), len(self.rhythms))}"
                )
        return in_batches(
            lambda rows: self._decoded(code[rows], rhythm[rows] if self.conditional else None),
            len(code),
        )

    def sample(
        self, condition=None, draws: int = 10, seed: int | None = None, temperature: float = 1.0
    ) -> np.ndarray:
        """Decode codes drawn from the prior.

        Parameters
        ----------
        condition : dict, optional
            ``"rhythm"``, one-hot, where there are several.
        draws : int
            Windows of each case of the condition, or in all.
        seed : int, optional
            Seed of the codes; the same seed gives the same draws on every backend.
        temperature : float
            Factor of the prior's standard deviation.

        Returns
        -------
        np.ndarray, shape (draws, batch, time, node), or (draws, time, node) of one rhythm
        """
        rows = None
        if self.conditional:
            rows = np.asarray(condition["rhythm"], "float32")
        number = 1 if rows is None else len(rows)
        noise = np.random.default_rng(seed).standard_normal((draws * number, self.latent_dim))
        mean, spread = self.prior_of(rows, draws)
        every = None if rows is None else np.tile(rows, (draws, 1))
        windows = self.decode(mean + temperature * spread * noise, every)
        return windows if rows is None else windows.reshape(draws, number, *windows.shape[1:])

    def prior_of(self, rhythm, draws: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the prior of one-hot rows, repeated."""
        if rhythm is None:
            return np.zeros(self.latent_dim), np.ones(self.latent_dim)
        mean, log_var = (
            np.asarray(rhythm) @ ops.convert_to_numpy(w)
            for w in (self.prior_mean, self.prior_log_var)
        )
        return np.tile(mean, (draws, 1)), np.tile(np.exp(0.5 * log_var), (draws, 1))

    def one_hot(self, rhythm: str, n: int) -> np.ndarray | None:
        """Return the rhythm input of n windows; None where there is one rhythm."""
        if rhythm not in self.rhythms:
            raise ValueError(f"rhythm is {rhythm!r}, expected one of {list(self.rhythms)}")
        if not self.conditional:
            return None
        return np.eye(len(self.rhythms), dtype="float32")[[self.rhythms.index(rhythm)] * n]

    def generate(
        self, rhythm: str, n: int = 1, temperature: float = 1.0, seed: int | None = None
    ) -> np.ndarray:
        """Return new windows of a rhythm.

        Parameters
        ----------
        rhythm : str
            One of the model's.
        n : int
            Windows.
        temperature : float
            Factor of the prior's standard deviation: below 1 the windows are more alike.
        seed : int, optional
            Seed of the codes.

        Returns
        -------
        np.ndarray, shape (n, time, node), float32
            In [-1, 1].
        """
        rows = self.one_hot(rhythm, n)
        if rows is None:
            return self.sample(draws=n, seed=seed, temperature=temperature)
        return self.sample({"rhythm": rows}, 1, seed, temperature)[0]

    def get_config(self):
        """Return the constructor's arguments."""
        names = (
            "samples", "nodes", "rhythms", "layout", "positions_mm", "latent_dim", "whole",
            "tokens", "units", "heads", "blocks", "filters", "free_bits", "sampling_hz",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return super().get_config() | own | {"loss_weights": dict(self.loss_weights)}

    def _prior(self, inputs):
        if self.conditional:
            rhythm = ops.cast(inputs["rhythm"], "float32")
            return ops.matmul(rhythm, self.prior_mean), ops.matmul(rhythm, self.prior_log_var)
        zeros = ops.zeros((ops.shape(inputs["egm"])[0], self.latent_dim))
        return zeros, zeros

    def _posterior(self, egm):
        mean, log_var = ops.split(self.encoder(ops.cast(egm, self.compute_dtype)), 2, axis=-1)
        return mean, ops.clip(log_var + START_LOG_VAR, *LOG_VAR_RANGE)

    def _decoded(self, code, rhythm):
        if self.conditional:
            code = ops.concatenate([code, ops.cast(rhythm, "float32")], axis=-1)
        return self.decoder(code)
