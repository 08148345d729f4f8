"""The convolutional variational autoencoder behind the paper's two unconditional models."""

import numpy as np

from kecgi.layers import conv_decoder, conv_encoder
from kecgi.models.latent import cases, count, in_batches, require_code, traversal
from kecgi.models.training import VariationalModel, gaussian_kl, require_shape, squared_error


class ConvVAE(VariationalModel):
    """Variational autoencoder of one-channel images; see its subclasses for the models.

    Inputs are images (batch, *shape, 1), or a dict that holds them under the name of the signal;
    its other keys are ignored, so one dataset can feed every model. ``call`` and ``predict`` return
    a dict: the reconstruction of one draw under the name of the signal, and the posterior's
    ``mean`` and ``log_var``, both (batch, latent_dim).

    Subclasses set the class attributes ``signal`` (name of the input), ``axes`` (what its axes
    are), ``activation`` and ``output_activation``.
    """

    signal: str
    axes: str
    activation: str
    output_activation: str

    def __init__(self, shape, *, latent_dim: int, filters: int, units: int, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(shape)
        self.latent_dim = latent_dim
        self.filters = filters
        self.units = units
        self.encoder = conv_encoder(
            self.image_shape,
            1,
            latent_dim,
            filters=filters,
            units=units,
            activation=self.activation,
            dtype=self.dtype_policy,
        )
        self.decoder = conv_decoder(
            self.image_shape,
            latent_dim,
            filters=filters,
            activation=self.activation,
            output_activation=self.output_activation,
            dtype=self.dtype_policy,
        )

    def images(self, x):
        """Return the images among the inputs."""
        if not isinstance(x, dict):
            return x
        if self.signal not in x:
            raise ValueError(f"inputs lack {self.signal!r}; they hold {sorted(x)}")
        return x[self.signal]

    def check_inputs(self, x):
        """Raise a ValueError unless ``x`` holds a batch of images of the model's shape."""
        require_shape(self.signal, self.images(x), (*self.image_shape, 1), self.axes)

    def call(self, x):
        """Encode, draw one code a case, decode."""
        self.check_inputs(x)
        mean, log_var = self.encoder(self.images(x))
        code = self.sampling(mean, log_var)
        return {self.signal: self.decoder(code), "mean": mean, "log_var": log_var}

    def elbo_terms(self, x, y_pred):
        """Squared error of the image and divergence of the posterior from N(0, I)."""
        reconstruction = squared_error(self.images(x), y_pred[self.signal])
        return reconstruction, gaussian_kl(y_pred["mean"], y_pred["log_var"])

    def encode(self, x) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior's mean and log variance, each (batch, latent_dim)."""
        self.check_inputs(x)
        return in_batches(lambda rows: self.encoder(self.images(cases(x, rows))), count(x))

    def decode(self, code) -> np.ndarray:
        """Return the images (..., *shape, 1) of codes (..., latent_dim)."""
        code = np.asarray(code, "float32")
        require_code(code, self.latent_dim)
        flat = code.reshape(-1, self.latent_dim)
        images = in_batches(lambda rows: self.decoder(flat[rows]), len(flat))
        return images.reshape(*code.shape[:-1], *self.image_shape, 1)

    def sample(self, draws: int = 10, seed: int | None = None) -> np.ndarray:
        """Return ``draws`` images (draws, *shape, 1) decoded from codes drawn from N(0, I)."""
        code = np.random.default_rng(seed).standard_normal((draws, self.latent_dim))
        return self.decode(code)

    def traverse(self, x, dimension: int, values) -> np.ndarray:
        """Decode the posterior means of ``x`` with one latent dimension set to each value.

        Parameters
        ----------
        x : array, shape (batch, *shape, 1)
            Images to start from.
        dimension : int
            The latent dimension to move along.
        values : sequence of float
            Its values; one standard deviation of the prior is 1.

        Returns
        -------
        np.ndarray, shape (len(values), batch, *shape, 1)
        """
        return self.decode(traversal(self.encode(x)[0], dimension, values))

    def get_config(self):
        """Return the constructor's arguments, all but the shape, which each subclass names."""
        return super().get_config() | {
            "latent_dim": self.latent_dim,
            "filters": self.filters,
            "units": self.units,
        }
