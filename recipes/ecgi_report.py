"""Evidence on a trained posterior model: one page by which to decide whether to trust it.

    python recipes/ecgi_report.py runs/activation-posterior/model.keras DATASET
    python recipes/ecgi_report.py activation-posterior --geometry my_heart.nii.gz

"activation-posterior" is the trained model that comes with kecgi. DATASET is a dataset made by
`kecgi.data.build` that the model was not trained on; without one, new hearts of the parametric
family are drawn, or the heart of --geometry is taken. The page has errors and localisation with
intervals, calibration, robustness (noise, lost leads, a heart moved and turned, another grid,
tissue with fibres, a torso in air), the worst cases, and maps on the heart's surface. It is kept in
the output folder and logged to MLflow.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kecgi import experiment
from kecgi.experiment import Options, WrongInputError

CASES = {"quick": 60, "paper": 240}
CASES_DISTURBED = {"quick": 24, "paper": 60}
OTHER_HEARTS = {"quick": 2, "paper": 10}
DRAWS, DRAWS_DISTURBED = 39, 19


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """Options of all recipes, the model and the data.

    Parameters
    ----------
    model : Path
        A saved `ActivationPosterior`, `model.keras`, or the name of one that comes with kecgi.
    dataset : Path, optional
        Folder of a dataset.
    """

    model: Annotated[Path, tyro.conf.Positional]
    dataset: Annotated[Path | None, tyro.conf.Positional] = None


def main(options: ReportOptions) -> None:
    """Judge, disturb, look, write."""
    experiment.begin(options)
    from kecgi import figures
    from kecgi.data import Split
    from kecgi.models import ActivationPosterior
    from kecgi.studies import evidence, review

    # a model, and hearts that it has not seen
    model = experiment.trained(options.model)
    if not isinstance(model, ActivationPosterior):
        raise WrongInputError(
            f"{options.model} holds a {type(model).__name__}, expected an ActivationPosterior"
        )
    if options.dataset is not None:
        cohort = experiment.existing(options.dataset)
    else:
        config = experiment.many_hearts(options)
        config = replace(config, anatomies=30, cases_per_anatomy=8, seed=options.seed + 1000)
        if options.geometry:
            config = experiment.vest_heart(options)
        cohort = experiment.dataset(config, options)
    if (model.samples, model.sampling_hz) != (cohort.config.samples, cohort.config.sampling_hz):
        raise WrongInputError(
            f"the model takes {model.samples} samples at {model.sampling_hz:g} Hz, the dataset has "
            f"{cohort.config.samples} at {cohort.config.sampling_hz:g} Hz; build another dataset"
        )
    cases = evidence.spread(len(cohort), CASES[options.preset])
    fewer = evidence.spread(len(cohort), CASES_DISTURBED[options.preset])
    anatomy, masks = cohort.anatomy[cases], review.masks_of(cohort, cases)
    nothing = np.arange(0)
    split = Split("anatomy", nothing, nothing, cases)
    with experiment.run(
        "activation maps", "ecgi-report", options, cohort, split, {"draws": DRAWS}
    ) as run:
        # recordings as they should be
        true, drawn = review.posterior_on_voxels(
            model, cohort, cases, evidence.CLEAN, DRAWS, options.seed
        )
        run.headline |= review.judge_apart(true, drawn, anatomy, options.seed)
        run.headline |= review.localisation(cohort, cases, drawn.mean(axis=0), masks)
        run.headline |= evidence.onset_coverage(cohort, cases, drawn)

        # and as they are
        results = evidence.robustness(model, cohort, fewer, DRAWS_DISTURBED, options.seed)
        results |= evidence.other_simulations(
            model,
            cohort.config,
            OTHER_HEARTS[options.preset],
            options.out / "datasets",
            DRAWS_DISTURBED,
            options.seed,
        )
        run.headline["robustness_mae_ms"] = {
            kind: {name: level["mae_ms"] for name, level in levels.items()}
            for kind, levels in results.items()
        }

        # look
        names = [f"heart {a}, case {c}" for a, c in zip(anatomy, cases, strict=True)]
        spacing = (cohort.config.spacing_mm,) * 3
        shown = review.map_figures(true, drawn, masks, spacing, names, options.seed)
        mean, sd = drawn.mean(axis=0), drawn.std(axis=0, ddof=1)
        worst = np.argsort(-np.nanmean(np.abs(mean - true), axis=1))[:3]
        shown["worst"] = figures.activation_maps(
            *(review.on_grid(rows[worst], masks[worst]) for rows in (true, mean, sd)),
            masks[worst],
            spacing,
            names=[names[i] for i in worst],
        )
        shown |= evidence.surface_figures(cohort, cases, true, drawn)
        shown["robustness"] = figures.robustness_curves(results)
        page = evidence.page(
            f"Evidence on {options.model}",
            f"{len(cases)} maps of {len(np.unique(anatomy))} hearts of {cohort.path.name}, "
            f"{len(cohort.electrode_names)} electrodes, 30 dB of noise, {DRAWS} draws each.",
            run.headline,
            results,
            shown,
        )
        run.keep_page("report", page)
        run.conclude(shown)


if __name__ == "__main__":
    experiment.command_line(main, ReportOptions)
