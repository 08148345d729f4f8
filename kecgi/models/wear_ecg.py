"""Twelve-lead ECG from the three leads of a wearable recorder: WearECG."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from kecgi.models.backend import no_gradients
from kecgi.models.latent import in_batches
from kecgi.models.training import VariationalModel, gaussian_kl, require_shape

LEADS = 12
GIVEN = (1, 6, 10)
GROUPS, EPSILON = 32, 1e-5
LEVELS = 3
PRESETS = {
    "tiny": {"width": 8, "latent_channels": 2, "depth": 1},
    "compact": {"width": 24, "latent_channels": 4, "depth": 1},
    "paper": {"width": 128, "latent_channels": 4, "depth": 2},
    "paper_64": {"width": 128, "latent_channels": 64, "depth": 2},
}


@keras.saving.register_keras_serializable(package="kecgi")
class WearECG(VariationalModel):
    """Variational autoencoder that completes an ECG, from leads II, V1 and V5 to all twelve.

    The encoder is given the record with all other leads set to zero; encoder and decoder are those
    of the latent image diffusion model of Rombach et al. in one dimension. The loss is the mean
    squared error over all twelve leads plus `beta` times the divergence from N(0, I), summed over
    the latent channels and averaged over time.

    The published code reads records unmasked, which makes a plain autoencoder, and creates a
    normalisation in each attention block without applying it; here records are masked, as the paper
    says, and the normalisation is applied, so that all of the published number of parameters are in
    use. The published factor 0.18215 on the code is undone by its own decoder and left out.

    Inputs are records (batch, length, 12) in mV, leads in the standard order, or a dict that holds
    them as ``"ecg"``. ``predict`` returns ``{"ecg", "mean", "log_var"}``.

    Parameters
    ----------
    length : int
        Samples of a record, a multiple of 8.
    width : int
        Channels at full length; two and four times as many below.
    latent_channels : int
        Channels of the code, which has an eighth of the samples; 4 or 64 in the paper.
    depth : int
        Residual blocks of each level of the encoder; the decoder has one more.
    given : sequence of int
        Leads that are known.
    linear : array, shape (taps * given + 1, 12), optional
        Weights of a linear regression of all leads on the known ones around each sample, an offset
        in the last row, as `kecgi.evaluate.LeadRegression.coefficients`. The networks start with
        nothing to add to it, and learn what it leaves. A departure from the paper, whose code has
        to carry everything.
    beta : float
        Weight of the divergence.
    **kwargs
        ``warmup_steps`` and ``seed`` as in :class:`kecgi.models.training.VariationalModel`,
        ``name`` and ``dtype`` as in Keras.

    References
    ----------
    WearECG: arXiv 2510.11442. Rombach et al., High-resolution image synthesis with latent diffusion
    models, CVPR 2022.

    Examples
    --------
    >>> model = WearECG.from_preset("compact", length=1000, seed=1)
    >>> model.compile(keras.optimizers.AdamW(1e-3))
    >>> model.fit(ecg_mv, batch_size=16, epochs=10)  # doctest: +SKIP
    >>> twelve = model.reconstruct(ecg_mv[..., [1, 6, 10]])  # doctest: +SKIP
    """

    def __init__(
        self,
        length: int = 5000,
        width: int = 128,
        latent_channels: int = 4,
        depth: int = 2,
        given: Sequence[int] = GIVEN,
        linear=None,
        *,
        beta: float = 1e-4,
        **kwargs,
    ):
        super().__init__(beta=beta, **kwargs)
        if length % 2**LEVELS or length < 2**LEVELS:
            raise ValueError(f"length must be a multiple of {2**LEVELS}, got {length}")
        if not given or not set(given) < set(range(LEADS)):
            raise ValueError(f"given must be some of the leads 0 to 11, got {tuple(given)}")
        self.length, self.width, self.latent_channels = length, width, latent_channels
        self.depth, self.given = depth, tuple(given)
        self.mask = np.isin(np.arange(LEADS), self.given).astype("float32")
        self.linear = None if linear is None else self._checked_linear(linear)
        self.encoder = _encoder(length, width, latent_channels, depth, self.dtype_policy)
        # beside a regression the networks start with nothing to add
        start = "glorot_uniform" if linear is None else "zeros"
        self.decoder = _decoder(length, width, latent_channels, depth, start, self.dtype_policy)

    @classmethod
    def from_preset(cls, preset: str, length: int = 5000, **changes):
        """Return a model of a named size: "tiny" (tests), "compact", "paper" or "paper_64"."""
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {sorted(PRESETS)}, got {preset!r}")
        return cls(length, **(PRESETS[preset] | changes))

    @staticmethod
    def paper_optimizer(steps: int) -> keras.optimizers.Optimizer:
        """Return the paper's optimiser for that many steps: a rise, then a cosine.

        The paper's schedule moves the first moment's decay as well, which is left out.
        """
        rise = max(steps // 5, 1)
        schedule = keras.optimizers.schedules.CosineDecay(
            2e-6, max(steps - rise, 1), alpha=5e-6, warmup_target=5e-5, warmup_steps=rise
        )
        return keras.optimizers.AdamW(schedule, weight_decay=0.01)

    @staticmethod
    def records(x):
        """Return the records among the inputs."""
        if not isinstance(x, dict):
            return x
        if "ecg" not in x:
            raise ValueError(f"inputs lack 'ecg'; they hold {sorted(x)}")
        return x["ecg"]

    def check_inputs(self, x):
        """Raise a ValueError unless ``x`` holds a batch of records of the model's length."""
        require_shape("ecg", self.records(x), (self.length, LEADS), "time, leads")

    def call(self, x):
        """Mask, encode, draw one code a record, decode."""
        self.check_inputs(x)
        known = ops.cast(self.records(x), "float32") * ops.convert_to_tensor(self.mask)
        mean, log_var = self.encoder(known)
        ecg = self.decoder(self.sampling(mean, log_var)) + self._expected(known)
        return {"ecg": ecg, "mean": mean, "log_var": log_var}

    def elbo_terms(self, x, y_pred):
        """Mean squared error over all leads, and divergence averaged over the code's samples."""
        error = ops.square(ops.cast(self.records(x), "float32") - y_pred["ecg"])
        kl = gaussian_kl(y_pred["mean"], y_pred["log_var"])
        return ops.mean(error, axis=(1, 2)), ops.mean(kl, axis=1)

    def reconstruct(self, ecg, batch: int = 16) -> np.ndarray:
        """Return all twelve leads, from the posterior's mean.

        Parameters
        ----------
        ecg : array, shape (batch, length, given leads) or (batch, length, 12)
            The known leads in mV; of twelve leads the unknown ones are not looked at, and may be
            NaN.
        batch : int
            Records at a time.

        Returns
        -------
        np.ndarray, shape (batch, length, 12), float32
            In mV.
        """
        masked = self._masked(ecg)
        with no_gradients():
            return in_batches(
                lambda rows: (
                    self.decoder(self.encoder(masked[rows])[0]) + self._expected(masked[rows])
                ),
                len(masked),
                batch,
            )

    def sample(
        self, condition, draws: int = 10, seed: int | None = None, batch: int = 16
    ) -> np.ndarray:
        """Draw records from the posterior; their spread says how sure the model is.

        Parameters
        ----------
        condition : array or dict
            Records as for :meth:`reconstruct`, or a dict that holds them as ``"ecg"``.
        draws : int
            Draws for each record.
        seed : int, optional
            Seed of the noise; the same seed gives the same draws on every backend.
        batch : int
            Records at a time.

        Returns
        -------
        np.ndarray, shape (draws, batch, length, 12), float32
            In mV.
        """
        masked, rng = self._masked(self.records(condition)), np.random.default_rng(seed)

        def records(rows):
            mean, log_var = self.encoder(masked[rows])
            noise = rng.standard_normal((draws, *mean.shape), "float32")
            code = mean + ops.exp(0.5 * log_var) * ops.convert_to_tensor(noise)
            drawn = self.decoder(ops.reshape(code, (-1, *mean.shape[1:])))
            drawn = ops.reshape(drawn, (draws, len(rows), self.length, LEADS))
            drawn = drawn + self._expected(masked[rows])
            return ops.transpose(drawn, (1, 0, 2, 3))

        with no_gradients():
            return np.moveaxis(in_batches(records, len(masked), batch), 1, 0)

    def _expected(self, known):
        """Return what the linear regression makes of the known leads (batch, time, 12)."""
        if self.linear is None:
            return 0.0
        given, taps = list(self.given), (len(self.linear) - 1) // len(self.given)
        kernel = np.zeros((taps, LEADS, LEADS), "float32")
        kernel[:, given] = self.linear[:-1].reshape(taps, len(given), LEADS)
        around = ((0, 0), (taps // 2, taps // 2), (0, 0))
        mirrored = ops.pad(ops.convert_to_tensor(known), around, mode="reflect")
        return ops.add(
            ops.conv(mirrored, ops.convert_to_tensor(kernel), 1, "valid"), self.linear[-1]
        )

    def _checked_linear(self, linear):
        linear = np.asarray(linear, "float32")
        taps, left = divmod(len(linear) - 1, len(self.given)) if linear.ndim == 2 else (0, 0)
        if taps % 2 != 1 or left or linear.shape[1] != LEADS or taps // 2 >= self.length:
            raise ValueError(
                f"linear must have shape (taps * {len(self.given)} + 1, {LEADS}), with an odd "
                f"number of taps, got {linear.shape}"
            )
        return linear

    def _masked(self, ecg):
        """Return records with zeros for the unknown leads."""
        ecg = np.asarray(ecg, "float32")
        if ecg.ndim == 3 and ecg.shape[-1] == LEADS:
            ecg = ecg[..., self.given]
        require_shape("ecg", ecg, (self.length, len(self.given)), "time, given leads")
        masked = np.zeros((*ecg.shape[:2], LEADS), "float32")
        masked[..., self.given] = ecg
        return masked

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("length", "width", "latent_channels", "depth", "given")
        config = super().get_config() | {name: getattr(self, name) for name in names}
        return config | {"linear": None if self.linear is None else self.linear.tolist()}


class SelfAttention(layers.Layer):
    """``x + attention(norm(x))`` over time, with one head."""

    def build(self, x_shape):
        """Build norm, joint projection and output for (batch, time, channels)."""
        channels, policy = x_shape[-1], self.dtype_policy
        self.norm = _norm(channels, policy)
        self.project = layers.Dense(3 * channels, dtype=policy, name="project")
        self.merge = layers.Dense(channels, dtype=policy, name="merge")
        for layer in (self.norm, self.project, self.merge):
            layer.build(x_shape)

    def call(self, x):
        """Attend from each sample of x (batch, time, channels) to all of them."""
        query, key, value = ops.split(self.project(self.norm(x)), 3, axis=-1)
        score = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / x.shape[-1] ** 0.5
        return x + self.merge(ops.matmul(ops.softmax(score, axis=-1), value))

    def compute_output_shape(self, x_shape):
        """Return the shape of x."""
        return x_shape


def _encoder(length, width, latent_channels, depth, policy):
    ecg = keras.Input((length, LEADS), name="ecg")
    x = _conv(ecg, width, policy)
    for level in range(LEVELS):
        for _ in range(depth):
            x = _residual(x, width * 2**level, policy)
        # an even length, padded on the right alone
        x = layers.Conv1D(x.shape[-1], 3, 2, "same", dtype=policy)(x)
    for _ in range(depth + 1):
        x = _residual(x, x.shape[-1], policy)
    x = _residual(SelfAttention(dtype=policy)(x), x.shape[-1], policy)
    x = _conv(_activated(x, policy), 2 * latent_channels, policy)
    # what the divergence depends on is float32 whatever the policy
    code = layers.Conv1D(2 * latent_channels, 1, dtype="float32")(x)
    mean = code[..., :latent_channels]
    log_var = ops.clip(code[..., latent_channels:], -30.0, 20.0)
    return keras.Model(ecg, (mean, log_var), name="encoder")


def _decoder(length, width, latent_channels, depth, start, policy):
    code = keras.Input((length // 2**LEVELS, latent_channels), name="code")
    x = layers.Conv1D(latent_channels, 1, dtype=policy)(code)
    x = _conv(x, width * 4, policy)
    x = SelfAttention(dtype=policy)(_residual(x, width * 4, policy))
    for _ in range(depth + 2):
        x = _residual(x, width * 4, policy)
    for level in (2, 2, 1):
        x = _conv(layers.UpSampling1D(2, dtype=policy)(x), x.shape[-1], policy)
        for _ in range(depth + 1):
            x = _residual(x, width * 2**level, policy)
    x = _activated(x, policy)
    ecg = layers.Conv1D(LEADS, 3, padding="same", kernel_initializer=start, dtype="float32")(x)
    return keras.Model(code, ecg, name="decoder")


def _residual(x, channels, policy):
    h = _conv(_activated(x, policy), channels, policy)
    h = _conv(_activated(h, policy), channels, policy)
    if x.shape[-1] != channels:
        x = layers.Conv1D(channels, 1, dtype=policy)(x)
    return layers.Add(dtype=policy)([x, h])


def _activated(x, policy):
    return layers.Activation("silu", dtype=policy)(_norm(x.shape[-1], policy)(x))


def _norm(channels, policy):
    groups = math.gcd(GROUPS, channels)
    return layers.GroupNormalization(groups, epsilon=EPSILON, dtype=policy)


def _conv(x, channels, policy):
    return layers.Conv1D(channels, 3, padding="same", dtype=policy)(x)
