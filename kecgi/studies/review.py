"""How predicted activation maps are judged and shown, the same for every model.

Maps of hearts of different size are compared as rows of voxel values, (cases, voxels), in the
order of their masks and padded with NaN: a grid of mostly background would waste memory on draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kecgi.evaluate import (
    BASELINES,
    localisation_error_mm,
    mse,
    pit_histogram,
    reliability_curve,
    summarise_maps,
    summarise_posterior,
)
from kecgi.simulate.bem import without_boundary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kecgi.data.disturbance import Disturbance
    from kecgi.data.store import Cohort
    from kecgi.geometry.surfaces import TriangleSurface

MOST_BASELINE_CASES = 2000
"""Training cases that the baselines are fitted to, at the most: their maps are held in memory."""

COMPARED = ("mae_ms", "mae_ms_interval", "r2", "r2_interval", "mse")
"""Figures of a baseline that stand beside the model's."""

SHOWN_APART = ("mae_ms", "mae_ms_interval", "r2", "r2_interval", "rmse_ms", "correlation", "cases")
"""Figures of hearts apart from a training."""

MOST_SHOWN_VOXELS = 100_000
"""Voxels that the calibration figures are drawn from, at the most."""


def on_voxels(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Take the tissue of maps (..., cases, *space) as rows (..., cases, voxels), NaN-padded."""
    longest = int(masks.reshape(len(masks), -1).sum(axis=1).max())
    lead = maps.shape[: maps.ndim - masks.ndim]
    rows = np.full((*lead, len(masks), longest), np.nan, np.float32)
    for i, mask in enumerate(masks):
        rows[..., i, : int(mask.sum())] = maps[..., i, *([slice(None)] * mask.ndim)][..., mask]
    return rows


def on_grid(rows: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Put rows (cases, voxels) back on their grids (cases, *space), NaN outside the tissue."""
    maps = np.full(masks.shape, np.nan, np.float32)
    for values, mask, target in zip(rows, masks, maps, strict=True):
        target[mask] = values[: int(mask.sum())]
    return maps


def posterior_on_voxels(
    model,
    cohort: Cohort,
    cases: np.ndarray,
    disturbance: Disturbance,
    draws: int,
    seed: int,
    torso: TriangleSurface | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw activation times at every voxel of the hearts of some cases.

    Parameters
    ----------
    model : kecgi.models.ActivationPosterior
        The model.
    cohort : Cohort
        The data.
    cases : ndarray of int
        Cases, sorted.
    disturbance : Disturbance
        What the recordings suffer from.
    draws, seed : int
        Draws of each case, and the seed of disturbance and draws.
    torso : TriangleSurface, optional
        Its boundary's part is taken away from the potentials, as in `LearnedInverse`.

    Returns
    -------
    true : ndarray, shape (cases, voxels)
        Activation times in ms, NaN-padded.
    drawn : ndarray, shape (draws, cases, voxels)
        Draws of the posterior.
    """
    from kecgi.data.point_batches import PointBatches

    anatomy = cohort.anatomy[cases]
    true_parts, drawn_parts = [], []
    for heart in np.unique(anatomy):
        own = cases[anatomy == heart]
        batch = PointBatches(
            cohort, own, len(own), tokens=model.tokens, disturbance=disturbance, seed=seed
        ).all()
        true_parts.append(batch.pop("activation_ms")[:, model.tokens :])
        batch.pop("true_points_mm", None)
        if torso is not None:
            free = [without_boundary(torso, signals) for signals in batch["bspm_mv"]]
            batch["bspm_mv"] = np.array(free, np.float32)
        # the draws of a heart don't depend on which other hearts are judged
        drawn_parts.append(model.sample(batch, draws, seed + int(heart))[..., model.tokens :])
    longest = max(part.shape[-1] for part in true_parts)

    def padded(part):
        fill = [(0, 0)] * (part.ndim - 1) + [(0, longest - part.shape[-1])]
        return np.pad(part, fill, constant_values=np.nan)

    true = np.concatenate([padded(part) for part in true_parts])
    return true, np.concatenate([padded(part) for part in drawn_parts], axis=1)


def baseline_maps(
    cohort: Cohort, train: np.ndarray, test: np.ndarray, snr_db: float, seed: int
) -> dict[str, np.ndarray]:
    """Predict the test cases' maps naively, from BSPM as noisy as the model's.

    Parameters
    ----------
    cohort : Cohort
        The data.
    train, test : ndarray of int
        Cases, sorted.
    snr_db : float
        Signal-to-noise ratio of the potentials.
    seed : int
        Seed of the noise, and of the choice where training cases are more than
        `MOST_BASELINE_CASES`.

    Returns
    -------
    dict of str to ndarray, shape (test cases, x, y, z)
        Predicted activation times in ms by the name of the baseline.
    """
    from kecgi.data import add_noise

    rng = np.random.default_rng([seed, 77])
    if len(train) > MOST_BASELINE_CASES:
        train = np.sort(rng.choice(train, MOST_BASELINE_CASES, replace=False))
    known, asked = (add_noise(cohort.read("bspm_mv", part), snr_db, rng) for part in (train, test))
    maps = cohort.read("activation_ms", train)
    masks = masks_of(cohort, test)
    spacing = (cohort.config.spacing_mm,) * 3
    return {
        name: baseline.fit(known, maps, spacing).predict(asked, masks)
        for name, baseline in BASELINES.items()
    }


def masks_of(cohort: Cohort, cases: np.ndarray) -> np.ndarray:
    """Read the masks of some cases' hearts, (cases, x, y, z)."""
    return cohort.read("mask")[cohort.anatomy[cases]]


def slices_of(cohort: Cohort, cases: np.ndarray, every: int) -> np.ndarray:
    """Take every n-th axial slice with enough tissue, as rows (case, position)."""
    from kecgi.data import slice_index

    rows = slice_index(cohort.read("mask"), cohort.anatomy, cases)
    return rows[rows[:, 1] % every == 0]


def sliced(
    maps: Mapping[str, np.ndarray], cases: np.ndarray, rows: np.ndarray, masks: np.ndarray
) -> dict[str, np.ndarray]:
    """Cut axial slices from maps of whole hearts.

    Parameters
    ----------
    maps : mapping of str to ndarray, shape (cases, x, y, z)
        From `baseline_maps`.
    cases : ndarray of int
        Cases of the maps, sorted.
    rows : ndarray of int, shape (slices, 2)
        Case and position of each slice.
    masks : ndarray of bool, shape (slices, x, y)
        Tissue of each slice.

    Returns
    -------
    dict of str to ndarray, shape (slices, voxels)
    """
    place = np.searchsorted(cases, rows[:, 0])
    return {
        name: on_voxels(volume[place, :, :, rows[:, 1]], masks) for name, volume in maps.items()
    }


def refined(maps: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each voxel of maps (..., x, y, z): the reverse of `kecgi.data.coarsen`."""
    for axis in (-3, -2, -1):
        maps = np.repeat(maps, factor, axis=axis)
    return maps


def judge(
    true: np.ndarray,
    draws: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    scale_ms: tuple[float, float],
    groups: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Headline figures of a posterior over activation maps, beside the baselines'.

    Parameters
    ----------
    true : ndarray, shape (cases, voxels)
        Activation times in ms, NaN-padded.
    draws : ndarray, shape (draws, cases, voxels)
        Draws of the posterior; the prediction is their mean.
    baselines : mapping of str to ndarray, shape (cases, voxels)
        Predictions of the naive rivals, "mean" among them: R² is measured against it.
    scale_ms : (float, float)
        Times that are -1 and 1 on the scale of the mean squared error.
    groups : ndarray, shape (cases,)
        What is resampled as a whole for the intervals: anatomies, or simulations.
    seed : int
        Seed of the bootstrap.
    """

    def summary(predicted):
        return summarise_maps(
            true,
            predicted,
            reference=baselines["mean"],
            scale_ms=scale_ms,
            groups=groups,
            rng=np.random.default_rng(seed),
        )

    return {
        **summary(draws.mean(axis=0)),
        **summarise_posterior(draws, true),
        "mse_per_draw": float(np.mean([mse(true, draw, scale_ms=scale_ms) for draw in draws])),
        "baselines": {
            name: {key: value for key, value in summary(predicted).items() if key in COMPARED}
            for name, predicted in baselines.items()
        },
    }


def judge_apart(
    true: np.ndarray, draws: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """Error and calibration where there is no training set to compare with.

    R² is measured against these hearts' own mean time, since no training map fits them.

    Parameters
    ----------
    true, draws
        As in `judge`.
    groups : ndarray, shape (cases,), optional
        What is resampled as a whole for the intervals; cases by default.
    seed : int
        Seed of the bootstrap.
    """
    summary = summarise_maps(
        true,
        draws.mean(axis=0),
        reference=float(np.nanmean(true)),
        scale_ms=(float(np.nanmin(true)), float(np.nanmax(true))),
        groups=groups,
        rng=np.random.default_rng(seed),
    )
    return {key: summary[key] for key in SHOWN_APART} | summarise_posterior(draws, true)


def localisation(
    cohort: Cohort, cases: np.ndarray, rows: np.ndarray, masks: np.ndarray
) -> dict[str, float]:
    """Median and upper quartile of the distance from the earliest predicted place to an onset.

    Parameters
    ----------
    cohort, cases
        The data.
    rows : ndarray, shape (cases, voxels)
        Predicted activation times.
    masks : ndarray of bool, shape (cases, x, y, z)
        The hearts.
    """
    onsets = cohort.read("onsets_mm", cases)
    spacing = (cohort.config.spacing_mm,) * 3
    origin = [float(axis[0]) for axis in cohort.coordinates_mm]
    errors = [
        localisation_error_mm(on_grid(row[None], mask[None]), onset[None], spacing, origin)[0]
        for row, mask, onset in zip(rows, masks, onsets, strict=True)
    ]
    return {
        "localisation_mm_median": float(np.median(errors)),
        "localisation_mm_upper_quartile": float(np.quantile(errors, 0.75)),
    }


def map_figures(
    true: np.ndarray,
    draws: np.ndarray,
    masks: np.ndarray,
    spacing_mm: Sequence[float],
    names: Sequence[str],
    seed: int,
) -> dict[str, Figure]:
    """Draw maps of three cases, reliability, and SD against error.

    The three cases are those of lower-quartile, median and upper-decile error, so that a reader
    sees the usual and the bad.

    Parameters
    ----------
    true, draws
        As in `judge`.
    masks : ndarray of bool, shape (cases, *space)
        The hearts or slices.
    spacing_mm : sequence of float
        Grid steps.
    names : sequence of str
        Name of each case.
    seed : int
        Seed of the choice of voxels for the calibration figures.
    """
    from kecgi import figures

    mean, sd = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    errors = np.nanmean(np.abs(mean - true), axis=1)
    order = np.argsort(errors)
    chosen = order[[int(q * (len(order) - 1)) for q in (0.25, 0.5, 0.9)]]
    grids = [on_grid(rows[chosen], masks[chosen]) for rows in (true, mean, sd)]
    tissue = np.flatnonzero(np.isfinite(true))
    if len(tissue) > MOST_SHOWN_VOXELS:
        tissue = np.random.default_rng(seed).choice(tissue, MOST_SHOWN_VOXELS, replace=False)
    truth, drawn = true.ravel()[tissue], draws.reshape(len(draws), -1)[:, tissue]
    levels = np.linspace(0.1, 0.9, 9)
    return {
        "maps": figures.activation_maps(
            *grids, masks[chosen], spacing_mm, names=[names[i] for i in chosen]
        ),
        "reliability": figures.reliability(
            levels, reliability_curve(drawn, truth, levels), pit_histogram(drawn, truth)
        ),
        "sd_against_error": figures.sd_against_error(
            sd.ravel()[tissue], mean.ravel()[tissue] - truth
        ),
    }


def training_figure(history) -> Figure:
    """Draw the course of a training, `history` being what `fit` returned."""
    from kecgi import figures

    shown = {k: v for k, v in history.history.items() if k.removeprefix("val_") != "beta"}
    labels = {
        "kl": "KL divergence (nats)",
        "loss": "Loss",
        "mae_ms": "MAE (ms)",
        "reconstruction": "Reconstruction",
    }
    return figures.learning_curves(shown, {k: labels[k] for k in labels if k in shown})


def set_up_figures(cohort: Cohort, history, headline: Mapping[str, Any]) -> dict[str, Figure]:
    """Electrodes and heart, the course of the training, and the result beside the baselines.

    Parameters
    ----------
    cohort : Cohort
        The data.
    history : keras.callbacks.History
        What `fit` returned.
    headline : mapping
        From `judge`, and the model's name under "model".
    """
    from kecgi import figures

    origin = [float(axis[0]) for axis in cohort.coordinates_mm]
    table = {headline["model"]: headline, **headline["baselines"]}
    return {
        "electrodes": figures.electrode_view(
            cohort.read("mask", slice(0, 1))[0],
            (cohort.config.spacing_mm,) * 3,
            origin,
            cohort.read("electrodes_mm", slice(0, 1))[0],
            cohort.electrode_names,
        ),
        "training": training_figure(history),
        "comparison": figures.model_comparison(table, highlight=[headline["model"]]),
    }
