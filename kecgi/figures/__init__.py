"""Figures: arrays in, `matplotlib.figure.Figure` out, without pyplot or global state."""

from kecgi.figures.activation import activation_maps
from kecgi.figures.augmentation import augmentation_gains
from kecgi.figures.bipolar import bipolar_comparison
from kecgi.figures.bspm import bspm_image, bspm_traces
from kecgi.figures.downstream import auroc_curves
from kecgi.figures.ecg import ecg_beside, ecg_completion, ecg_paper
from kecgi.figures.electrograms import rhythm_spectra, rhythm_traces, wall_maps
from kecgi.figures.geometry import electrode_view
from kecgi.figures.latent import bspm_traversal, map_traversal
from kecgi.figures.latent_space import latent_by_rhythm
from kecgi.figures.posterior import reliability, sd_against_error
from kecgi.figures.robustness import robustness_curves
from kecgi.figures.surface import l_curve, surface_maps
from kecgi.figures.training import learning_curves, model_comparison

__all__ = [
    "activation_maps",
    "auroc_curves",
    "augmentation_gains",
    "bipolar_comparison",
    "bspm_image",
    "bspm_traces",
    "bspm_traversal",
    "ecg_beside",
    "ecg_completion",
    "ecg_paper",
    "electrode_view",
    "l_curve",
    "latent_by_rhythm",
    "learning_curves",
    "map_traversal",
    "model_comparison",
    "reliability",
    "rhythm_spectra",
    "rhythm_traces",
    "robustness_curves",
    "sd_against_error",
    "surface_maps",
    "wall_maps",
]
