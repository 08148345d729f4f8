"""Metrics, checks of posteriors, and baselines: arrays in, numbers out."""

from kecgi.evaluate.baselines import BASELINES, NearestNeighbour, PCARidge, TrainingMean
from kecgi.evaluate.latent import active_units, kl_per_dimension, summarise_latent
from kecgi.evaluate.maps import (
    correlation,
    localisation_error_mm,
    mae_ms,
    mse,
    per_case,
    skill,
    summarise_maps,
)
from kecgi.evaluate.posterior import (
    central_interval,
    coverage,
    crps,
    crps_normal,
    interval_coverage,
    pit_histogram,
    reliability_curve,
    sd_error_rank_correlation,
    summarise_posterior,
)
from kecgi.evaluate.signals import (
    bspm_metrics,
    log_spectral_distance,
    magnitude_ratio,
    pearson,
    rdm_star,
    relative_error,
    summarise_bspm,
    summarise_potentials,
)

__all__ = [
    "BASELINES",
    "NearestNeighbour",
    "PCARidge",
    "TrainingMean",
    "active_units",
    "bspm_metrics",
    "central_interval",
    "correlation",
    "coverage",
    "crps",
    "crps_normal",
    "interval_coverage",
    "kl_per_dimension",
    "localisation_error_mm",
    "log_spectral_distance",
    "mae_ms",
    "magnitude_ratio",
    "mse",
    "pearson",
    "per_case",
    "pit_histogram",
    "rdm_star",
    "relative_error",
    "reliability_curve",
    "sd_error_rank_correlation",
    "skill",
    "summarise_bspm",
    "summarise_latent",
    "summarise_maps",
    "summarise_posterior",
    "summarise_potentials",
]
