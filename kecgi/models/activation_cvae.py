"""Activation maps from body-surface potentials: the paper's beta-CVAE (section 3.2, figure 3)."""

import keras
import numpy as np
from keras import ops

from kecgi.layers import SignalImage, conv_decoder, conv_encoder
from kecgi.models.latent import cases, count, in_batches, require_code, traversal
from kecgi.models.training import (
    VariationalModel,
    gaussian_kl,
    inside,
    require_shape,
    squared_error,
)


@keras.saving.register_keras_serializable(package="kecgi")
class ActivationCVAE(VariationalModel):
    """Conditional variational autoencoder of activation maps given BSPM and myocardial mask.

    The body-surface signals, resized to the map's grid (:class:`kecgi.layers.SignalImage`), and the
    mask make the condition, an image of two channels. The encoder's first convolution sees it
    beside the map. In the decoder, the output of each hidden transposed convolution is
    concatenated with the condition averaged to its grid. Loss: squared error plus ``beta`` times
    the divergence from N(0, I).

    Inputs are dicts of ``"mask"`` (batch, *map, 1), 1 on the myocardium and 0 elsewhere,
    ``"bspm"`` (batch, electrodes, time, 1) and ``"activation"`` (batch, *map, 1) in [-1, 1],
    whatever it holds outside the mask. ``call`` and ``predict`` return a dict of ``"activation"``,
    0 outside the mask, and the code's ``"mean"`` and ``"log_var"``:

    * with ``"activation"`` among the inputs, the code is drawn from the posterior: the output is a
      reconstruction;
    * without it, the code is drawn from N(0, I): the output is one draw of the prediction;
      :meth:`sample` gives several.

    Three choices that the paper leaves open. The output is multiplied by the mask: the background
    is known, so it is set rather than learned, and only the myocardium counts in the loss. The
    squared error is summed over the map (see :func:`kecgi.models.training.squared_error`). Hidden
    layers use ReLU, the output tanh.

    Parameters
    ----------
    map_shape : tuple of int
        Grid of the maps, of length 2 or 3.
    bspm_shape : tuple of int
        Electrodes and samples.
    latent_dim : int
        Size of the latent code.
    filters : int
        Filters of each convolution but the last.
    units : int
        Units of the encoder's dense layer. The paper does not say how many.
    beta : float
        Weight of the divergence.
    **kwargs
        ``warmup_steps`` and ``seed`` as in :class:`kecgi.models.training.VariationalModel`,
        ``name`` and ``dtype`` as in Keras.

    Attributes
    ----------
    paper_batch_size : int
        The paper's batch size.

    References
    ----------
    Bacoyannis et al., Deep learning formulation of ECGI for data-driven integration of
    spatiotemporal correlations and imaging information, FIMH 2019,
    https://doi.org/10.1007/978-3-030-21949-9_3

    Examples
    --------
    >>> model = ActivationCVAE((64, 64), (100, 128), seed=1)
    >>> model.compile(ActivationCVAE.paper_optimizer())
    >>> model.fit({"activation": maps, "mask": masks, "bspm": signals}, batch_size=1,
    ...           epochs=30)  # doctest: +SKIP
    >>> draws = model.sample({"mask": masks, "bspm": signals}, draws=10)  # doctest: +SKIP
    """

    paper_batch_size = 1

    def __init__(
        self,
        map_shape=(64, 64),
        bspm_shape=(100, 128),
        latent_dim=16,
        filters=16,
        units=64,
        beta=5.0,
        **kwargs,
    ):
        super().__init__(beta=beta, **kwargs)
        self.map_shape = tuple(map_shape)
        self.bspm_shape = tuple(bspm_shape)
        self.latent_dim = latent_dim
        self.filters = filters
        self.units = units
        self.signal_image = SignalImage(self.map_shape, dtype="float32", name="signal_image")
        self.signal_image.build((None, *self.bspm_shape, 1))
        self.encoder = conv_encoder(
            self.map_shape,
            3,
            latent_dim,
            filters=filters,
            units=units,
            activation="relu",
            dtype=self.dtype_policy,
        )
        self.decoder = conv_decoder(
            self.map_shape,
            latent_dim,
            filters=filters,
            activation="relu",
            output_activation="tanh",
            condition_channels=2,
            dtype=self.dtype_policy,
        )

    @staticmethod
    def paper_optimizer() -> keras.optimizers.Optimizer:
        """Return the paper's optimiser."""
        return keras.optimizers.Adam(1e-4)

    def check_inputs(self, inputs):
        """Raise unless ``inputs`` is a dict with the model's keys and shapes."""
        if not isinstance(inputs, dict):
            raise TypeError(f"inputs must be a dict of arrays, got {type(inputs).__name__}")
        missing = {"mask", "bspm"} - set(inputs)
        if missing:
            raise ValueError(f"inputs lack {sorted(missing)}; they hold {sorted(inputs)}")
        require_shape("bspm", inputs["bspm"], (*self.bspm_shape, 1), "electrodes, samples")
        for name in {"mask", "activation"} & set(inputs):
            require_shape(name, inputs[name], (*self.map_shape, 1), "map grid")

    def call(self, inputs):
        """Draw one code a case, from the posterior where a map is given, and decode it."""
        self.check_inputs(inputs)
        condition = self._condition(inputs)
        if "activation" in inputs:
            mean, log_var = self._posterior(inputs, condition)
        else:
            mean = log_var = ops.zeros((ops.shape(condition)[0], self.latent_dim))
        code = self.sampling(mean, log_var)
        image = inside(inputs["mask"], self.decoder([code, condition]))
        return {"activation": image, "mean": mean, "log_var": log_var}

    def elbo_terms(self, x, y_pred):
        """Squared error on the mask and divergence of the posterior from N(0, I)."""
        if "activation" not in x:
            raise ValueError(
                'to fit or evaluate, the inputs must hold "activation" beside "mask" and "bspm"'
            )
        true = inside(x["mask"], x["activation"])
        reconstruction = squared_error(true, y_pred["activation"])
        return reconstruction, gaussian_kl(y_pred["mean"], y_pred["log_var"])

    def encode(self, inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior's mean and log variance, each (batch, latent_dim)."""
        self.check_inputs(inputs)
        if "activation" not in inputs:
            raise ValueError('to encode, the inputs must hold "activation"')

        def posterior(rows):
            batch = cases(inputs, rows)
            return self._posterior(batch, self._condition(batch))

        return in_batches(posterior, count(inputs))

    def decode(self, code, condition) -> np.ndarray:
        """Return the maps of codes given the condition of each case.

        Parameters
        ----------
        code : array, shape (batch, latent_dim) or (draws, batch, latent_dim)
            One code a case, or several.
        condition : dict
            ``"mask"`` and ``"bspm"`` of the cases.

        Returns
        -------
        np.ndarray, shape (batch, *map, 1) or (draws, batch, *map, 1)
        """
        self.check_inputs(condition)
        code = np.asarray(code, "float32")
        require_code(code, self.latent_dim)
        number = count(condition)
        if code.shape[-2] != number:
            raise ValueError(f"{code.shape[-2]} codes for {number} conditions: one each is needed")
        # The condition is made once a case and repeated only within a batch, whatever the draws.
        image = in_batches(lambda rows: self._condition(cases(condition, rows)), number)
        flat = code.reshape(-1, self.latent_dim)
        maps = in_batches(lambda rows: self.decoder([flat[rows], image[rows % number]]), len(flat))
        maps = maps.reshape(*code.shape[:-1], *self.map_shape, 1)
        return np.where(condition["mask"], maps, np.float32(0.0))

    def sample(self, condition, draws: int = 10, seed: int | None = None) -> np.ndarray:
        """Predict: decode codes drawn from N(0, I) given BSPM and mask.

        Parameters
        ----------
        condition : dict
            ``"mask"`` and ``"bspm"`` of the cases; other keys are ignored.
        draws : int
            Maps for each case; the paper takes ten.
        seed : int, optional
            Seed of the codes; the same seed gives the same draws on every backend.

        Returns
        -------
        np.ndarray, shape (draws, batch, *map, 1), float32
        """
        shape = (draws, count(condition), self.latent_dim)
        return self.decode(np.random.default_rng(seed).standard_normal(shape), condition)

    def traverse(self, inputs, dimension: int, values) -> np.ndarray:
        """Decode with one latent dimension set to each value and the others held.

        Parameters
        ----------
        inputs : dict
            The condition; with ``"activation"`` the other dimensions stay at the posterior's mean,
            without it at 0, the prior's.
        dimension : int
            The latent dimension to move along.
        values : sequence of float
            Its values; one standard deviation of the prior is 1.

        Returns
        -------
        np.ndarray, shape (len(values), batch, *map, 1)
        """
        if "activation" in inputs:
            mean, _ = self.encode(inputs)
        else:
            mean = np.zeros((count(inputs), self.latent_dim), "float32")
        return self.decode(traversal(mean, dimension, values), inputs)

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "map_shape": self.map_shape,
            "bspm_shape": self.bspm_shape,
            "latent_dim": self.latent_dim,
            "filters": self.filters,
            "units": self.units,
        }

    def _condition(self, inputs):
        image = self.signal_image(inputs["bspm"])
        return ops.concatenate([image, ops.cast(inputs["mask"], "float32")], axis=-1)

    def _posterior(self, inputs, condition):
        activation = inside(inputs["mask"], inputs["activation"])
        return self.encoder(ops.concatenate([activation, condition], axis=-1))
