"""Metrics, checks of posteriors, and baselines: arrays in, numbers out."""

from kecgi.evaluate.auroc import auroc, macro_auroc
from kecgi.evaluate.baselines import BASELINES, NearestNeighbour, PCARidge, TrainingMean
from kecgi.evaluate.ecg import (
    duplicates,
    heart_rates_bpm,
    lead_law_error_uv,
    nearest_rms_mv,
    wasserstein,
)
from kecgi.evaluate.ecg_beats import heart_rate_bpm, intervals_ms, r_peaks
from kecgi.evaluate.ecg_completion import LeadRegression, completion_errors
from kecgi.evaluate.frechet import FeatureMap, frechet, frechet_distance, signal_statistics
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
    "FeatureMap",
    "LeadRegression",
    "NearestNeighbour",
    "PCARidge",
    "TrainingMean",
    "active_units",
    "auroc",
    "bspm_metrics",
    "central_interval",
    "completion_errors",
    "correlation",
    "coverage",
    "crps",
    "crps_normal",
    "duplicates",
    "frechet",
    "frechet_distance",
    "heart_rate_bpm",
    "heart_rates_bpm",
    "interval_coverage",
    "intervals_ms",
    "kl_per_dimension",
    "lead_law_error_uv",
    "localisation_error_mm",
    "log_spectral_distance",
    "macro_auroc",
    "mae_ms",
    "magnitude_ratio",
    "mse",
    "nearest_rms_mv",
    "pearson",
    "per_case",
    "pit_histogram",
    "r_peaks",
    "rdm_star",
    "relative_error",
    "reliability_curve",
    "sd_error_rank_correlation",
    "signal_statistics",
    "skill",
    "summarise_bspm",
    "summarise_latent",
    "summarise_maps",
    "summarise_posterior",
    "summarise_potentials",
    "wasserstein",
]
