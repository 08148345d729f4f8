"""What a laboratory asks of a posterior model before it trusts it: robustness and localisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from kecgi import report
from kecgi.data import Cohort, CohortConfig, Disturbance, build, draw_anatomy, open_store
from kecgi.geometry import Heart, by_name
from kecgi.geometry.fibres import wall_axes
from kecgi.geometry.surfaces import TriangleSurface
from kecgi.geometry.torso import torso_through
from kecgi.inverse import earliest_sites
from kecgi.studies import review

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLEAN = Disturbance(snr_db=30.0)
"""The recording that others are compared with."""

CONDITIONS = {
    "noise (dB)": {f"{db}": Disturbance(snr_db=float(db)) for db in (30, 20, 10)},
    "leads lost (%)": {f"{n}": Disturbance(30.0, lost=n / 100) for n in (0, 10, 30, 50)},
    "heart moved (mm)": {f"{mm}": Disturbance(30.0, shift_mm=float(mm)) for mm in (0, 5, 10)},
    "heart turned (°)": {f"{deg}": Disturbance(30.0, turn_deg=float(deg)) for deg in (0, 5, 10)},
}
"""Recordings by what goes wrong, and how much of it."""

SIMULATIONS = {
    "grid step (mm)": {"1.5": {"spacing_mm": 1.5}, "3": {"spacing_mm": 3.0}},
    "tissue": {
        "fibres": {"across_fibre": 0.74},
        "fibres,\nfast layer": {"across_fibre": 0.74, "fast_layer": 3.0},
    },
    "torso": {"in air": {"torso": "insulated"}},
}
"""What the same kind of hearts is simulated anew with, by its name, and by what is other.

Speeds across the fibres are those of Taggart et al. 2000, doi 10.1006/jmcc.2000.1105; anisotropic
tissue is solved by another scheme, too.
"""


def measured(
    model,
    cohort: Cohort,
    cases: np.ndarray,
    disturbance: Disturbance,
    draws: int,
    seed: int,
    torso: TriangleSurface | None = None,
) -> dict[str, Any]:
    """Judge a model on some cases under one condition, as `kecgi.studies.review.judge_apart`.

    Parameters
    ----------
    model : kecgi.models.ActivationPosterior
        The model.
    cohort : Cohort
        Data that it was not trained on.
    cases : ndarray of int
        Cases, sorted.
    disturbance : Disturbance
        What the recordings suffer from.
    draws, seed : int
        Draws of each case; seed of disturbance, draws and bootstrap.
    torso : TriangleSurface, optional
        Its boundary's part is taken away from the potentials.
    """
    true, drawn = review.posterior_on_voxels(model, cohort, cases, disturbance, draws, seed, torso)
    masks = review.masks_of(cohort, cases)
    return {
        **review.judge_apart(true, drawn, cohort.anatomy[cases], seed),
        **review.localisation(cohort, cases, drawn.mean(axis=0), masks),
    }


def robustness(
    model, cohort: Cohort, cases: np.ndarray, draws: int, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Judge a model under all `CONDITIONS`, by what goes wrong and how much of it."""
    return {
        kind: {
            name: measured(model, cohort, cases, disturbance, draws, seed)
            for name, disturbance in levels.items()
        }
        for kind, levels in CONDITIONS.items()
    }


def other_simulations(
    model, config: CohortConfig, hearts: int, folder: Path, draws: int, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Judge a model on new hearts of the same family, simulated otherwise: all `SIMULATIONS`.

    Those that can't be are left out: fibres where a heart from a file has no ventricles, a torso
    where the electrodes are not all around it.

    Parameters
    ----------
    model : kecgi.models.ActivationPosterior
        The model.
    config : CohortConfig
        Config of the data that it is judged on otherwise.
    hearts : int
        Hearts of each kind, with four cases each.
    folder : Path
        Where their datasets are kept.
    draws, seed : int
        As in `measured`.

    Returns
    -------
    dict
        As from `robustness`; first of each kind are new hearts simulated as usual. The torso in air
        is there twice: as it is, and with its boundary's part taken away as `LearnedInverse` does,
        by a surface that goes 120 mm beyond the electrodes, where the simulation's goes 80 mm.
    """
    extent = np.array(config.shape) * config.spacing_mm
    known = {}

    def judged(boundary=None, **fields):
        other = replace(
            config,
            anatomies=1 if config.geometry else hearts,
            cases_per_anatomy=4 * hearts if config.geometry else 4,
            seed=config.seed + 1,
            **fields,
        )
        other = replace(other, shape=tuple(int(n) for n in np.ceil(extent / other.spacing_mm)))
        key = other, boundary is None
        if key not in known:
            store = open_store(build(other, folder / f"cohort-{other.identity}", workers=-1))
            cases = np.arange(len(store))
            known[key] = measured(model, store, cases, CLEAN, draws, seed, boundary)
        return known[key]

    usual = {
        "grid step (mm)": f"{config.spacing_mm:g}",
        "tissue": "isotropic" if config.isotropic else "usual",
        "torso": config.torso,
    }
    results = {
        kind: {usual[kind]: judged()} | {name: judged(**f) for name, f in levels.items()}
        for kind, levels in SIMULATIONS.items()
        if all(_possible(replace(config, **f)) for f in levels.values())
    }
    if "torso" in results:
        # a laboratory knows where the electrodes are, not where the torso ends beyond them
        surface = torso_through(by_name(config.electrodes), beyond_mm=120.0)
        results["torso"]["in air,\naccounted for"] = judged(surface, torso="insulated")
    return results


def _possible(config: CohortConfig) -> bool:
    """Whether there are ventricles for fibres to follow, and electrodes around a torso."""
    try:
        if not config.isotropic:
            wall_axes(draw_anatomy(config, 0))
        if config.torso == "insulated":
            torso_through(by_name(config.electrodes))
    except ValueError:
        return False
    return True


def onset_coverage(
    cohort: Cohort, cases: np.ndarray, drawn: np.ndarray, level: float = 0.9
) -> dict[str, float]:
    """How much of the true onset the credible region of the onset holds, and how large it is.

    What is true is the earliest 1 % of the tissue, as in `kecgi.inverse.earliest_sites`.

    Parameters
    ----------
    cohort, cases
        The data.
    drawn : ndarray, shape (draws, cases, voxels)
        Draws, NaN-padded.
    level : float
        Probability of the region.

    Returns
    -------
    dict
        ``onset_held``: mean share of the earliest tissue that lies in the region;
        ``onset_region_ml``: median volume of the region.
    """
    maps = cohort.read("activation_ms", cases)
    held, volume = [], []
    for row, case in enumerate(cases):
        heart = draw_anatomy(cohort.config, int(cohort.anatomy[case]))
        times = maps[row][heart.mask]
        region = np.zeros(len(times), bool)
        for site in earliest_sites(heart, drawn[:, row, : len(times)], level=level):
            region |= site.region
        earliest = np.argsort(times)[: max(1, round(0.01 * len(times)))]
        held.append(region[earliest].mean())
        volume.append(region.sum() * np.prod(heart.spacing_mm) / 1000)
    return {
        "onset_held": float(np.mean(held)),
        "onset_region_ml": float(np.median(volume)),
    }


def spread(count: int, most: int) -> np.ndarray:
    """Choose at most so many of the cases 0 to count, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def surface_figures(
    cohort: Cohort, cases: np.ndarray, true: np.ndarray, drawn: np.ndarray
) -> dict[str, Figure]:
    """Show true map, mean and SD on the surface of two hearts: of median and of largest error.

    Parameters
    ----------
    cohort, cases
        The data.
    true : ndarray, shape (cases, voxels)
        Activation times, NaN-padded.
    drawn : ndarray, shape (draws, cases, voxels)
        Draws.
    """
    from kecgi import figures

    mean, sd = drawn.mean(axis=0), drawn.std(axis=0, ddof=1)
    order = np.argsort(np.nanmean(np.abs(mean - true), axis=1))
    shown = {}
    for name, row in (("median", order[len(order) // 2]), ("worst", order[-1])):
        heart = draw_anatomy(cohort.config, int(cohort.anatomy[cases[row]]))
        points, triangles, voxel = _surface(heart)
        maps = {"true": true[row][voxel], "mean": mean[row][voxel]}
        title = f"case {cases[row]}"
        views = (("front", -90.0), ("back", 90.0))
        shown[f"surface_{name}"] = figures.surface_maps(
            points, triangles, {title: maps}, label="activation time (ms)", views=views
        )
        shown[f"surface_{name}_sd"] = figures.surface_maps(
            points, triangles, {title: {"SD": sd[row][voxel]}}, label="SD (ms)", views=views
        )
    return shown


def page(
    title: str,
    source: str,
    headline: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Mapping[str, Any]]],
    figures: Mapping[str, Figure],
) -> str:
    """Write the page: figures in words and tables, then what they look like.

    Parameters
    ----------
    title : str
        What is judged.
    source : str
        On which data.
    headline : mapping
        From `judge_apart`, `localisation` and `onset_coverage` together.
    results : mapping
        From `robustness` and `other_simulations`.
    figures : mapping of str to Figure
        All figures by name.
    """
    low, high = headline["mae_ms_interval"]
    errors = [
        {
            "": "activation time",
            "MAE (ms)": f"{headline['mae_ms']:.1f} ({low:.1f} to {high:.1f})",
            "RMSE (ms)": f"{headline['rmse_ms']:.1f}",
            "R²": f"{headline['r2']:.3f}",
            "CRPS (ms)": f"{headline['crps_ms']:.1f}",
        }
    ]
    onsets = [
        {
            "": "onset",
            "median error (mm)": f"{headline['localisation_mm_median']:.1f}",
            "upper quartile (mm)": f"{headline['localisation_mm_upper_quartile']:.1f}",
            "earliest tissue in the 90 % region": f"{100 * headline['onset_held']:.0f} %",
            "region (ml)": f"{headline['onset_region_ml']:.1f}",
        }
    ]
    calibration = [
        {
            "": "intervals",
            "50 % covers": f"{100 * headline['coverage50']:.1f} %",
            "90 % covers": f"{100 * headline['coverage90']:.1f} %",
            "rank correlation of SD and error": f"{headline['spearman_sd_error']:.2f}",
            "the same if a draw were the truth": f"{headline['spearman_sd_error_expected']:.2f}",
            "and of whole cases": f"{headline['spearman_sd_error_cases'] or np.nan:.2f}",
        }
    ]
    disturbed = []
    for kind, levels in results.items():
        first = next(iter(levels.values()))["mae_ms"]
        for level, row in levels.items():
            disturbed.append(
                {
                    "": kind,
                    "level": level,
                    "MAE (ms)": f"{row['mae_ms']:.1f}",
                    "change": f"{100 * (row['mae_ms'] / first - 1):+.0f} %",
                    "90 % covers": f"{100 * row['coverage90']:.0f} %",
                    "onset, median (mm)": f"{row['localisation_mm_median']:.1f}",
                }
            )
    parts = [
        report.paragraph(source),
        report.heading("Error and localisation"),
        report.paragraph(
            "Intervals are 95 %, by bootstrap over hearts. R² is measured against these hearts' "
            "mean time. An onset is the centre of the earliest 1 % of the tissue."
        ),
        report.table(errors),
        report.table(onsets),
        report.heading("Calibration"),
        report.table(calibration),
        report.picture(figures["reliability"], "Coverage of central intervals; rank of the truth."),
        report.picture(figures["sd_against_error"], "Error against the posterior's SD."),
        report.heading("Robustness"),
        report.paragraph(
            "Each line beside the first of its kind. A heart that is moved or turned is given to "
            "the model where it isn't. On other grids, with fibres or a fast layer beside the "
            "cavities, and in a torso in air, other hearts of the same kind were simulated."
        ),
        report.table(disturbed),
        report.picture(figures["robustness"], "Error (with interval) and coverage."),
        report.heading("Maps"),
        report.picture(figures["maps"], "Cases of lower-quartile, median and upper-decile error."),
        report.picture(figures["worst"], "The three cases of largest error."),
    ]
    for name in ("median", "worst"):
        parts += [
            report.picture(figures[f"surface_{name}"], f"On the surface: {name} case."),
            report.picture(figures[f"surface_{name}_sd"], f"Uncertainty: {name} case."),
        ]
    return report.page(title, parts)


def _surface(heart: Heart) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, triangles and each point's nearest voxel, of the surface around the tissue."""
    share = heart.mask.astype(np.float32) if heart.fraction is None else heart.fraction
    points, triangles, _, _ = marching_cubes(np.pad(share, 1), 0.5)
    points = (points - 1) * heart.spacing_mm + heart.origin_mm
    _, voxel = cKDTree(heart.voxels_mm).query(points)
    return points, triangles[:, ::-1], voxel
