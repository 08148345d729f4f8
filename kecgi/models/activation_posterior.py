"""A posterior over activation maps of any heart, from any electrodes: kecgi's own model."""

from functools import cached_property

import keras
import numpy as np
from keras import layers, ops
from scipy import special

from kecgi.layers import (
    DipoleSources,
    PlaneReadout,
    PointAttention,
    PointReadout,
    RigidAlignment,
    squared_distances,
)
from kecgi.models.backend import compiled
from kecgi.models.latent import cases, count, in_batches
from kecgi.models.training import VariationalModel, gaussian_kl

UNIT_MM = 50.0
"""Length that is 1 in the network: about half a heart."""

TYPICAL_MS, SPREAD_MS = 100.0, 50.0
"""Centre and scale of activation times that are 0 and 1 in the network."""

MISPLACEMENT_WEIGHT = 0.1
"""What a millimetre between the tokens' true and estimated places weighs in the loss, in nats."""

MOST_CALIBRATED = 20_000
"""Points that the calibration looks at, at the most."""

AXES = {
    "points_mm": ("cases", "points", "coordinates"),
    "electrodes_mm": ("cases", "electrodes", "coordinates"),
    "bspm_mv": ("cases", "electrodes", "samples"),
    "activation_ms": ("cases", "points"),
    "true_points_mm": ("cases", "points", "coordinates"),
}
TRUTH = {"activation_ms", "true_points_mm"}
"""What the axes of the inputs count."""


@keras.saving.register_keras_serializable(package="kecgi")
class ActivationPosterior(VariationalModel):
    """Conditional generative model of activation times at points of a heart, given its BSPM.

    A heart is a set of points in its tissue and the torso a set of electrodes, so there is no grid
    to fit and no fixed electrode layout. The first ``tokens`` points, spread evenly over the tissue
    (`kecgi.geometry.spread_points`), carry the computation:

    1. a classical inverse lifts the potentials to dipole sources at these points
       (`kecgi.layers.DipoleSources`), which brings in geometry as physics;
    2. attention between the points (`kecgi.layers.PointAttention`) turns local sources and the
       heart's shape into features: the condition. After each of the first ``alignments`` blocks the
       heart is moved to where sources and shape agree (`kecgi.layers.RigidAlignment`), for it may
       lie elsewhere than it is assumed to, and the sources are estimated again;
    3. a latent code, drawn from a learned prior p(z | BSPM, heart, electrodes), adds what the
       potentials leave open; in training it is drawn from q(z | activation, condition);
    4. every point reads location and scale of a Laplace distribution of its activation time
       from the features nearby (`kecgi.layers.PointReadout`), and how the code changes them, in
       which no dense layer has a part: so many draws cost little more than one.

    Inputs are dicts of ``"points_mm"`` (batch, points, 3), ``"electrodes_mm"``
    (batch, electrodes, 3), ``"bspm_mv"`` (batch, electrodes, time) and, for training and
    evaluation, ``"activation_ms"`` (batch, points); where hearts are misplaced in training, also
    ``"true_points_mm"``, the same points where they truly are. ``call`` and ``predict`` return a
    dict of ``"location_ms"`` and ``"scale_ms"`` (batch, points), ``"placed_mm"``, the tokens where
    the model thinks that they are, and the code's ``"mean"`` and ``"log_var"`` with those of the
    prior. Without ``"activation_ms"`` the code is drawn from the prior. `sample` gives draws of
    whole maps.

    The loss is the mean negative log likelihood of a point's time in ms, plus ``beta`` times the
    divergence of the posterior from the learned prior, plus a tenth of the distance in mm of the
    tokens from their true places, if these are given. ``beta = 1/64`` makes it the usual bound of
    a map that is worth 64 independent points: neighbours activate together.

    Parameters
    ----------
    samples : int
        Time samples of the potentials, the first when activation begins.
    tokens : int
        Points that carry the computation.
    units, heads : int
        Features of a point and heads of the attention.
    condition_blocks, generator_blocks : int
        Attention blocks before and after the code is known.
    alignments : int
        How often the heart's place is estimated, at most ``condition_blocks``.
    latent_dim : int
        Size of the code.
    channels : int
        Temporal channels of the lifted potentials.
    beta : float
        Weight of the divergence.
    sampling_hz : float
        Sampling rate of the potentials; kept with the model for those who use it.
    **kwargs
        ``warmup_steps`` and ``seed`` as in `kecgi.models.training.VariationalModel`, ``name`` and
        ``dtype`` as in Keras.

    Examples
    --------
    >>> model = ActivationPosterior(samples=128, seed=1)
    >>> model.compile(keras.optimizers.AdamW(1e-3))
    >>> model.fit(batches, epochs=30)  # doctest: +SKIP
    >>> draws = model.sample(condition, draws=50)  # doctest: +SKIP
    """

    def __init__(
        self,
        samples=128,
        tokens=96,
        units=96,
        heads=8,
        condition_blocks=3,
        generator_blocks=2,
        alignments=0,
        latent_dim=16,
        channels=48,
        beta=1 / 64,
        sampling_hz=400.0,
        **kwargs,
    ):
        super().__init__(beta=beta, **kwargs)
        if not 0 <= alignments <= condition_blocks:
            raise ValueError(
                f"alignments is {alignments}, expected 0 to condition_blocks={condition_blocks}"
            )
        self.samples, self.tokens, self.alignments = samples, tokens, alignments
        self.sampling_hz = float(sampling_hz)
        self.units, self.heads = units, heads
        self.condition_blocks, self.generator_blocks = condition_blocks, generator_blocks
        self.latent_dim, self.channels = latent_dim, channels
        policy = self.dtype_policy
        features = (None, tokens, units)
        distances = (None, tokens, tokens)

        def dense(size, inputs, name, activation=None, dtype=policy):
            layer = layers.Dense(size, activation=activation, dtype=dtype, name=name)
            layer.build((None, None, inputs))
            return layer

        def attention(name):
            layer = PointAttention(units, heads, dtype=policy, name=name)
            layer.build(features, distances)
            return layer

        def norm(name):
            layer = layers.LayerNormalization(epsilon=1e-5, dtype=policy, name=name)
            layer.build(features)
            return layer

        self.sources = DipoleSources(channels, name="sources")
        self.sources.build((None, tokens, 3), (None, None, 3), (None, None, samples))
        lifted = 3 * channels * len(self.sources.regularisation)
        self.from_sources = [
            dense(units, lifted, f"from_sources_{i}") for i in range(1 + alignments)
        ]
        self.from_place = [
            dense(units, 42, "from_place_0", "gelu"),
            dense(units, units, "from_place_1"),
        ]
        self.align_norm = [norm(f"align_norm_{i}") for i in range(alignments)]
        self.align = []
        for i in range(alignments):
            self.align.append(RigidAlignment(UNIT_MM, name=f"align_{i}"))
            self.align[-1].build((None, tokens, 3), features)
        self.from_amplitude = dense(units, 1, "from_amplitude")
        self.condition = [attention(f"condition_{i}") for i in range(condition_blocks)]
        self.condition_norm = norm("condition_norm")
        self.prior_head = dense(2 * latent_dim, units, "prior_head", dtype="float32")
        self.from_times = dense(units, 1, "from_times")
        self.recognise = attention("recognise")
        self.recognise_norm = norm("recognise_norm")
        self.posterior_head = dense(2 * latent_dim, units, "posterior_head", dtype="float32")
        self.from_code = dense(units, latent_dim, "from_code")
        self.generate = [attention(f"generate_{i}") for i in range(generator_blocks)]
        self.generate_norm = norm("generate_norm")
        self.readout = PointReadout(2, dtype=policy, name="readout")
        self.readout.build((None, None, 3), (None, tokens, 3), features)
        self.code_readout = PlaneReadout(2, name="code_readout")
        self.code_readout.build((None, None, 3), (None, tokens, 3), features)
        self.scale_factor = self.add_weight(
            name="scale_factor", shape=(), initializer="ones", trainable=False
        )
        self.tail_power = self.add_weight(
            name="tail_power", shape=(), initializer="ones", trainable=False
        )
        self.mae_tracker = keras.metrics.Mean(name="mae_ms")
        if alignments:
            self.misplaced_tracker = keras.metrics.Mean(name="misplaced_mm")

    def check_inputs(self, inputs):
        """Raise unless ``inputs`` is a dict with the model's keys and shapes."""
        if not isinstance(inputs, dict):
            raise TypeError(f"inputs must be a dict of arrays, got {type(inputs).__name__}")
        missing = set(AXES) - TRUTH - set(inputs)
        if missing:
            raise ValueError(f"inputs lack {sorted(missing)}; they hold {sorted(inputs)}")
        known = {"coordinates": 3, "samples": self.samples}
        for name in [name for name in AXES if name in inputs]:
            if not hasattr(inputs[name], "shape"):
                raise TypeError(f"{name} must be an array, got {type(inputs[name]).__name__}")
            shape, axes = tuple(inputs[name].shape), AXES[name]
            # tracing may have lost the size of an axis
            if len(shape) != len(axes) or any(
                size not in (None, known.get(axis, size))
                for axis, size in zip(axes, shape, strict=True)
            ):
                expected = ", ".join(f"{known.get(axis, '')} {axis}".strip() for axis in axes)
                raise ValueError(f"{name} must have shape ({expected}), got {shape}")
            known |= {a: size for a, size in zip(axes, shape, strict=True) if size is not None}
        if known.get("points", self.tokens) < self.tokens:
            raise ValueError(
                f"points_mm has {known['points']} points a case, expected at least the "
                f"{self.tokens} tokens"
            )

    def call(self, inputs):
        """Draw one code a case and read the points' distributions."""
        self.check_inputs(inputs)
        geometry, features = self._condition(inputs)
        prior_mean, prior_log_var = self._gaussian(self.prior_head, features)
        mean, log_var = prior_mean, prior_log_var
        if "activation_ms" in inputs:
            times = self._scaled(inputs["activation_ms"][:, : self.tokens])
            seen = features + self.from_times(times[..., None])
            seen = self.recognise_norm(self.recognise(seen, geometry["squared_distance"]))
            mean, log_var = self._gaussian(self.posterior_head, seen)
        code = self.sampling(mean, log_var)
        location, scale = self._decode(code, features, geometry)
        return {
            "location_ms": location,
            "scale_ms": self.scale_factor * scale,
            "placed_mm": geometry["placed"],
            "mean": mean,
            "log_var": log_var,
            "prior_mean": prior_mean,
            "prior_log_var": prior_log_var,
        }

    def elbo_terms(self, x, y_pred):
        """Mean negative log likelihood of a point and divergence from the learned prior."""
        if "activation_ms" not in x:
            raise ValueError(
                'to fit or evaluate, the inputs must hold "activation_ms" beside the condition'
            )
        error = ops.abs(ops.cast(x["activation_ms"], "float32") - y_pred["location_ms"])
        scale = y_pred["scale_ms"]
        self.mae_tracker.update_state(ops.mean(error, axis=1))
        likelihood = ops.mean(error / scale + ops.log(2.0 * scale), axis=1)
        if self.alignments and "true_points_mm" in x:
            away = ops.cast(x["true_points_mm"][:, : self.tokens], "float32") - y_pred["placed_mm"]
            distance = ops.sqrt(ops.sum(ops.square(away), axis=-1) + 1e-6)
            distance = ops.mean(distance, axis=1)
            self.misplaced_tracker.update_state(distance)
            likelihood = likelihood + MISPLACEMENT_WEIGHT * distance
        kl = gaussian_kl(
            y_pred["mean"], y_pred["log_var"], y_pred["prior_mean"], y_pred["prior_log_var"]
        )
        return likelihood, kl

    def sample(self, condition, draws: int = 10, seed: int | None = None) -> np.ndarray:
        """Draw activation maps given BSPM, heart and electrodes.

        A draw takes a code from the learned prior and a residual from the distribution of each
        point, Laplace's as `calibrate` has shaped it. Residuals of neighbours go together: one
        Gaussian field, drawn at the tokens and interpolated as `PointReadout` does, gives the
        quantile at which each point is drawn.

        Parameters
        ----------
        condition : dict
            ``"points_mm"``, ``"electrodes_mm"`` and ``"bspm_mv"`` of the cases.
        draws : int
            Maps for each case.
        seed : int, optional
            Seed of codes and residuals. The same seed gives the same draws on every backend, and a
            case's draws don't depend on the cases after it.

        Returns
        -------
        np.ndarray, shape (draws, batch, points), float32
            Activation times in ms.
        """
        centre, shift, spread, tail = self._draw(condition, draws, seed)
        factor, power = (
            ops.convert_to_numpy(weight) for weight in (self.scale_factor, self.tail_power)
        )
        return centre + factor * (shift + spread * tail**power)

    def calibrate(self, condition, activation_ms, draws: int = 39, seed: int = 0) -> float:
        """Shape the points' distributions until their intervals cover what they should.

        Two numbers are found by bisection on data kept out of the training, and are saved with the
        model: a factor of all deviations from the map of the prior's mean code, so that the central
        90 % interval covers 90 %, and a power of the residuals relative to their scale, so that the
        50 % interval covers 50 %. Below 1 it gives them more shoulder and less tail than Laplace's.

        Parameters
        ----------
        condition : dict
            Condition of validation cases.
        activation_ms : array, shape (batch, points)
            Their activation times.
        draws : int
            Draws per case that the intervals are taken from, at least 19.
        seed : int
            Seed of the draws.

        Returns
        -------
        float
            The factor, relative to the scale as trained.

        Raises
        ------
        ValueError
            Where the draws are too few for the interval, or times and points don't agree.
        """
        if draws < 19:
            raise ValueError(f"{draws} draws have no central 90 % interval, expected at least 19")
        self.check_inputs({**condition, "activation_ms": activation_ms})
        drawn = [part.reshape(len(part), -1) for part in self._draw(condition, draws, seed)]
        true = np.asarray(activation_ms).reshape(-1)
        chosen = np.random.default_rng(seed).permutation(true.size)[:MOST_CALIBRATED]
        centre, shift, spread, tail = (part[:, chosen] for part in drawn)
        true = true[chosen]

        def covered(level, factor, power):
            outside = (1 - level) / 2
            times = centre + factor * (shift + spread * tail**power)
            bounds = np.quantile(times, [outside, 1 - outside], axis=0, method="weibull")
            return np.mean((bounds[0] <= true) & (true <= bounds[1]))

        def factor_for(power):
            return _bisect(lambda factor: covered(0.9, factor, power) < 0.9, 0.1, 10.0)

        power = _bisect(lambda p: covered(0.5, factor_for(p), p) > 0.5, 0.4, 2.0)
        factor = factor_for(power)
        self.scale_factor.assign(factor)
        self.tail_power.assign(power)
        return factor

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "samples": self.samples,
            "tokens": self.tokens,
            "units": self.units,
            "heads": self.heads,
            "condition_blocks": self.condition_blocks,
            "generator_blocks": self.generator_blocks,
            "alignments": self.alignments,
            "latent_dim": self.latent_dim,
            "channels": self.channels,
            "sampling_hz": self.sampling_hz,
        }

    def _draw(self, condition, draws, seed):
        """Parts of draws, each (draws, batch, points).

        The map of the prior's mean code (a single one), what a code moves it by, and the signed
        scale and the relative size of the residual.
        """
        self.check_inputs(condition)
        streams = np.random.SeedSequence(seed).spawn(count(condition))

        def draw(row):
            rng = np.random.default_rng(streams[row[0]])
            noise = rng.standard_normal((draws, self.latent_dim), dtype="float32")
            field = rng.standard_normal((draws, self.tokens), dtype="float32")
            noise = np.concatenate([np.zeros_like(noise[:1]), noise])
            arrays = {k: v for k, v in condition.items() if k not in TRUTH}
            arrays = cases(arrays, row) | {"noise": noise, "field": field}
            return self._draw_case({k: ops.convert_to_tensor(v) for k, v in arrays.items()})

        location, scale, normal = in_batches(draw, len(streams), batch=1)
        # quantile of the Laplace distribution at the Gaussian's probability
        tail = -(np.log(np.float32(2.0)) + special.log_ndtr(-np.abs(normal)))
        parts = (location[:, :1], location[:, 1:] - location[:, :1], scale * np.sign(normal), tail)
        return tuple(np.swapaxes(part, 0, 1) for part in parts)

    @cached_property
    def _draw_case(self):
        """Compiled: codes and fields of one case to location, scale and field at its points."""

        def draw(inputs):  # the draws are the batch
            geometry, features = self._condition(inputs)
            mean, log_var = self._gaussian(self.prior_head, features)
            code = mean + ops.exp(0.5 * log_var) * inputs["noise"]
            weights = self.readout.weights_of(geometry["points"], geometry["places"])
            location, scale = self._decode(code, features, geometry, weights)
            near = weights[0, :, 0]
            near = near / ops.sqrt(ops.sum(ops.square(near), axis=-1, keepdims=True))
            normal = ops.matmul(inputs["field"], ops.transpose(near))
            return location[None], scale[None, 1:], normal[None]

        return compiled(draw)

    def _condition(self, inputs):
        """Features of the tokens before the code is known, and where things are."""
        points = ops.cast(inputs["points_mm"], "float32")
        tokens = points[:, : self.tokens]
        centre = ops.mean(tokens, axis=1, keepdims=True)
        places = (tokens - centre) / UNIT_MM
        geometry = {
            "points": (points - centre) / UNIT_MM,
            "places": places,
            "squared_distance": squared_distances(places, places),
        }
        torso = inputs["electrodes_mm"], inputs["bspm_mv"]
        sources, amplitude = self.sources(tokens, *torso)
        both = ops.concatenate([tokens / UNIT_MM, places], axis=-1)
        waves = [both]
        for frequency in (2.0, 4.0, 8.0):
            waves += [ops.sin(frequency * both), ops.cos(frequency * both)]
        hidden = self.from_place[1](self.from_place[0](ops.concatenate(waves, axis=-1)))
        features = self.from_sources[0](sources) + hidden + self.from_amplitude(amplitude)
        for i, block in enumerate(self.condition):
            features = block(features, geometry["squared_distance"])
            if i < self.alignments:
                tokens = self.align[i](tokens, self.align_norm[i](features))
                features = features + self.from_sources[i + 1](self.sources(tokens, *torso)[0])
        return geometry | {"placed": tokens}, self.condition_norm(features)

    def _gaussian(self, head, features):
        mean, log_var = ops.split(head(ops.mean(features, axis=1)), 2, axis=-1)
        return mean, _bounded(log_var, -8.0, 4.0)

    def _decode(self, code, features, geometry, weights=None):
        """Location and scale as trained of each point's activation time, in ms."""
        where = geometry["points"], geometry["places"]
        if weights is None:
            weights = self.readout.weights_of(*where)
        drawn = features + self.from_code(code)[:, None]
        for block in self.generate:
            drawn = block(drawn, geometry["squared_distance"])
        read = self.readout(*where, features, weights)
        read = read + self.code_readout(*where, self.generate_norm(drawn), weights)
        location = TYPICAL_MS + SPREAD_MS * read[..., 0]
        return location, ops.exp(_bounded(1.0 + read[..., 1], -3.0, 5.0))

    @staticmethod
    def _scaled(activation_ms):
        return (ops.cast(activation_ms, "float32") - TYPICAL_MS) / SPREAD_MS


def _bisect(below, low, high):
    """Where a condition that holds at the low end, and not at the high one, ceases to hold."""
    for _ in range(10):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if below(middle) else (low, middle)
    return middle


def _bounded(x, low, high):
    """Clip, and let the gradient through: what has overshot a bound must find back."""
    return x + ops.stop_gradient(ops.clip(x, low, high) - x)
