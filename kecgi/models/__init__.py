"""Keras models: arrays in, arrays out. Importing this package registers them for loading."""

from kecgi.models.activation_cvae import ActivationCVAE
from kecgi.models.activation_posterior import ActivationPosterior
from kecgi.models.activation_vae import ActivationVAE
from kecgi.models.bspm_egm import BSPMToEGM
from kecgi.models.bspm_vae import BSPMVAE
from kecgi.models.ecg_gan import Pulse2Pulse, WaveGAN
from kecgi.models.ecg_nvae import ECGNVAE
from kecgi.models.egm_flow import EGMFlow
from kecgi.models.egm_vae import EGMVAE
from kecgi.models.wear_ecg import WearECG
from kecgi.models.xresnet1d import xresnet1d101

__all__ = [
    "BSPMVAE",
    "ECGNVAE",
    "EGMVAE",
    "ActivationCVAE",
    "ActivationPosterior",
    "ActivationVAE",
    "BSPMToEGM",
    "EGMFlow",
    "Pulse2Pulse",
    "WaveGAN",
    "WearECG",
    "xresnet1d101",
]
