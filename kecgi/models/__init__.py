"""Keras models: arrays in, arrays out. Importing this package registers them for loading."""

from kecgi.models.activation_cvae import ActivationCVAE
from kecgi.models.activation_posterior import ActivationPosterior
from kecgi.models.activation_vae import ActivationVAE
from kecgi.models.bspm_vae import BSPMVAE

__all__ = ["BSPMVAE", "ActivationCVAE", "ActivationPosterior", "ActivationVAE"]
