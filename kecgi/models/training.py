"""The training step that the variational models share: evidence lower bound, schedule, trackers.

The whole custom step lives in :meth:`VariationalModel.compute_loss`. Keras calls that method from
its own ``train_step`` and ``test_step``, inside the gradient tape of TensorFlow, inside the
function that JAX differentiates, and before ``backward`` on PyTorch; what stands around it (one
backward pass, one optimiser, loss scaling for half precision, distribution) is what Keras does
best. So the step is written once and is the same on the three backends, whereas a ``train_step``
would have to be written three times. Three rules keep it so:

* every value that changes from step to step is a Keras variable (a Python number is frozen when
  the step is traced); the step counter is the model's own, because the optimiser's cannot be read
  there on JAX;
* trackers are updated in ``compute_loss``, never in ``call``;
* noise is drawn in ``call``, in validation too: otherwise the validation loss would be that of the
  posterior's mean and no bound at all.
"""

import keras
import numpy as np
from keras import ops

from kecgi.layers import Sampling


class VariationalModel(keras.Model):
    """Base of the models that minimise ``reconstruction + beta * kl``.

    A subclass defines ``call``, which returns a dict of outputs, :meth:`elbo_terms` and
    :meth:`check_inputs`. It creates all its layers, built, in ``__init__``, and draws its codes
    with ``self.sampling``.

    Tracked quantities, means over the cases of an epoch: ``loss``, ``reconstruction``, ``kl`` (in
    nats, not weighted) and ``beta``.

    Parameters
    ----------
    beta : float
        Weight of the Kullback-Leibler term.
    warmup_steps : int
        Training steps over which the weight rises linearly from 0 to ``beta``; 0 keeps it constant.
    seed : int, optional
        Seed of the noise; ``None`` takes one from Keras's global seed.

    References
    ----------
    Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014; Higgins et al., beta-VAE, ICLR
    2017.
    """

    def __init__(
        self, *, beta: float = 1.0, warmup_steps: int = 0, seed: int | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        if beta < 0:
            raise ValueError(f"beta must not be negative, got {beta}")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must not be negative, got {warmup_steps}")
        self.beta = beta
        self.warmup_steps = warmup_steps
        self.seed = seed
        self.sampling = Sampling(seed, name="sampling")
        self.step = self.add_weight(
            name="step", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self.beta_tracker = keras.metrics.Mean(name="beta")

    def elbo_terms(self, x, y_pred):
        """Return the reconstruction and the Kullback-Leibler term of each case, both (batch,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define elbo_terms")

    def check_inputs(self, x) -> None:
        """Raise a ValueError or TypeError that says how ``x`` differs from what the model takes."""
        raise NotImplementedError(f"{type(self).__name__} does not define check_inputs")

    def fit(self, x=None, *args, **kwargs):
        """Train, as ``keras.Model.fit`` does; arrays are checked before anything is done."""
        self._check_arrays(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Evaluate, as ``keras.Model.evaluate`` does; arrays are checked first."""
        self._check_arrays(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Predict, as ``keras.Model.predict`` does; arrays are checked first."""
        self._check_arrays(x)
        return super().predict(x, *args, **kwargs)

    def _check_arrays(self, x):
        # `call` checks too, for batches that come from a dataset. But there it is late: an error
        # inside the loop of the JAX backend leaves the model without its weights.
        if isinstance(x, (dict, np.ndarray)):
            self.check_inputs(x)

    def current_beta(self):
        """Return the weight of the Kullback-Leibler term at the present step, a float32 scalar."""
        beta = ops.convert_to_tensor(self.beta, "float32")
        if self.warmup_steps:
            beta = beta * ops.minimum(ops.cast(self.step, "float32") / self.warmup_steps, 1.0)
        return beta

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the negative bound of a batch, update the trackers and count the step."""
        if sample_weight is not None:
            raise ValueError("sample_weight is not used: weigh pixels with a mask among the inputs")
        reconstruction, kl = self.elbo_terms(x, y_pred)
        beta = self.current_beta()
        loss = ops.mean(reconstruction + beta * kl)
        for penalty in self.losses:
            loss = loss + penalty
        # One value a case, not a batch: a last short batch then weighs what it should.
        self.reconstruction_tracker.update_state(reconstruction)
        self.kl_tracker.update_state(kl)
        self.beta_tracker.update_state(beta)
        if training:
            self.step.assign_add(1)
        return loss

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "beta": self.beta,
            "warmup_steps": self.warmup_steps,
            "seed": self.seed,
        }


def gaussian_kl(mean, log_var, prior_mean=0.0, prior_log_var=0.0):
    """Kullback-Leibler divergence of diagonal Gaussians, in nats.

    Parameters
    ----------
    mean, log_var : tensor, shape (batch, latent)
        Mean and log variance of the posterior.
    prior_mean, prior_log_var : tensor or float
        Those of the prior; standard normal by default.

    Returns
    -------
    tensor, shape (batch,)
        The divergence from prior to posterior, summed over the latent dimensions.
    """
    scaled = ops.exp(log_var - prior_log_var)
    scaled = scaled + ops.square(mean - prior_mean) * ops.exp(-1.0 * prior_log_var)
    return 0.5 * ops.sum(scaled - 1.0 - log_var + prior_log_var, axis=-1)


def squared_error(true, predicted):
    """Squared error of each case, summed over its pixels.

    The sum, not the mean: up to a constant it is the negative log likelihood of a Gaussian of
    variance one half a pixel, so that ``squared_error + kl`` is a bound. A mean over thousands of
    pixels would leave the Kullback-Leibler term alone to be minimised, and the code would carry
    nothing.

    Parameters
    ----------
    true, predicted : tensor, shape (batch, ...)
        Images.

    Returns
    -------
    tensor, shape (batch,)
    """
    error = ops.square(true - predicted)
    return ops.sum(error, axis=tuple(range(1, len(error.shape))))


def inside(mask, image):
    """Return the image with 0 outside the mask, whatever stood there (NaN, for one)."""
    return ops.where(ops.cast(mask, "bool"), image, 0.0)


def require_shape(name: str, array, expected: tuple[int, ...], meaning: str) -> None:
    """Raise a ValueError unless every case of a batch has the expected shape.

    Raise a TypeError where there is no array at all.

    Parameters
    ----------
    name : str
        The input's name, for the message.
    array : array or tensor, shape (batch, ...)
        The batch.
    expected : tuple of int
        Shape of one case, channel included.
    meaning : str
        What the axes are, for the message.
    """
    if not hasattr(array, "shape"):
        raise TypeError(f"{name} must be an array or a tensor, got {type(array).__name__}")
    # Tracing may have lost the size of an axis, or the rank, of data that differ from earlier data.
    rank = array.shape.rank if hasattr(array.shape, "rank") else len(array.shape)
    got = tuple(array.shape)[1:] if rank is not None else "unknown"
    if got != tuple(expected):
        hint = "; add the channel with x[..., None]" if got == tuple(expected)[:-1] else ""
        raise ValueError(
            f"{name} must have shape (batch, {', '.join(map(str, expected))}), that is (batch, "
            f"{meaning}, 1), but each case has shape {got}{hint}"
        )
