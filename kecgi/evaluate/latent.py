"""Is the latent space used? Checks of a Gaussian encoder."""

import numpy as np
from numpy.typing import ArrayLike


def kl_per_dimension(
    mean: ArrayLike,
    log_var: ArrayLike,
    prior_mean: ArrayLike = 0.0,
    prior_log_var: ArrayLike = 0.0,
) -> np.ndarray:
    """KL(posterior ‖ prior) of each latent dimension, mean over cases, in nats.

    Parameters
    ----------
    mean, log_var : (cases, latent) arrays
        Posterior of each case.
    prior_mean, prior_log_var : arrays that broadcast to (cases, latent)
        A learned prior; N(0, I) by default.

    Returns
    -------
    (latent,) array

    References
    ----------
    Kingma and Welling, arXiv 1312.6114, appendix B.
    """
    mean, log_var = _posterior(mean, log_var)
    prior_mean = np.asarray(prior_mean, dtype=float)
    prior_log_var = np.asarray(prior_log_var, dtype=float)
    log_ratio = log_var - prior_log_var
    distance = (mean - prior_mean) ** 2 / np.exp(prior_log_var)
    return 0.5 * np.mean(np.exp(log_ratio) + distance - 1 - log_ratio, axis=0)


def active_units(mean: ArrayLike, threshold: float = 0.01) -> np.ndarray:
    """Which latent dimensions carry information: variance of the posterior mean above 0.01.

    Parameters
    ----------
    mean : (cases, latent) array
        Posterior means of at least two cases. For a prior that depends on the condition, pass the
        posterior's mean less the prior's.
    threshold : float
        Least variance over cases of an active dimension.

    Returns
    -------
    (latent,) bool array

    References
    ----------
    Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, arXiv 1509.00519, 5.2.
    """
    mean = np.asarray(mean, dtype=float)
    if mean.ndim != 2 or len(mean) < 2:
        raise ValueError(f"mean must be shaped (cases >= 2, latent), got {mean.shape}")
    return mean.var(axis=0) > threshold


def summarise_latent(mean: ArrayLike, log_var: ArrayLike) -> dict[str, float | int]:
    """``kl`` (nats, summed over dimensions), ``active_units`` and ``latent_dim``, for N(0, I)."""
    kl = kl_per_dimension(mean, log_var)
    return {
        "kl": float(kl.sum()),
        "active_units": int(active_units(mean).sum()),
        "latent_dim": len(kl),
    }


def _posterior(mean: ArrayLike, log_var: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    mean, log_var = np.asarray(mean, dtype=float), np.asarray(log_var, dtype=float)
    if mean.ndim != 2 or mean.shape != log_var.shape:
        raise ValueError(
            f"mean and log_var must both be shaped (cases, latent), got {mean.shape} and "
            f"{log_var.shape}"
        )
    return mean, log_var
