"""Normal distributions whose parameters are softly clamped, and posteriors relative to a prior.

Source: Vahdat & Kautz, NVAE: a deep hierarchical variational autoencoder, NeurIPS 2020.
"""

from typing import NamedTuple

from keras import ops

LIMIT = 5.0
SMALLEST_SIGMA = 0.01


class Normal(NamedTuple):
    """Means and standard deviations of independent normal variables, tensors of one shape."""

    mean: object
    sigma: object

    def draw(self, noise):
        """Return ``mean + sigma * noise``."""
        return self.mean + self.sigma * noise


def soft_clamp(x, limit: float = LIMIT):
    """Keep x within ±limit by a scaled hyperbolic tangent; about 0 it changes nothing."""
    return limit * ops.tanh(x / limit)


def normal(mean, log_sigma) -> Normal:
    """Return the normal with clamped mean and log of the standard deviation.

    The standard deviation is ``exp(log_sigma) + 0.01``; so ``normal(0, 0)``, the prior of the first
    latent group, has 1.01.
    """
    return Normal(soft_clamp(mean), ops.exp(soft_clamp(log_sigma)) + SMALLEST_SIGMA)


def residual(prior, change) -> tuple[Normal, Normal]:
    """Return prior and posterior, where the posterior's parameters are changes to the prior's.

    Parameters
    ----------
    prior, change : pair of tensors
        Mean and log standard deviation, not clamped; the sum is clamped, not the change.

    Returns
    -------
    prior, posterior : Normal
    """
    posterior = normal(prior[0] + change[0], prior[1] + change[1])
    return normal(*prior), posterior


def normal_kl(posterior: Normal, prior: Normal):
    """Kullback-Leibler divergence of each variable from prior to posterior, in nats."""
    ratio = posterior.sigma / prior.sigma
    shift = (posterior.mean - prior.mean) / prior.sigma
    return 0.5 * (ops.square(shift) + ops.square(ratio)) - 0.5 - ops.log(ratio)
