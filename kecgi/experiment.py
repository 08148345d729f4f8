"""What every recipe does around its experiment: options, data, run, last line.

A recipe is left with what is its own: which data, which model, what is looked at.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kecgi import tracking
from kecgi.data.cohort import CohortConfig

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from kecgi.data import (
        ECGCohortConfig,
        ECGFolderConfig,
        ECGStore,
        EGMCohort,
        EGMConfig,
        LeadScale,
    )
    from kecgi.data.splits import Split
    from kecgi.data.store import Cohort


@dataclass(frozen=True)
class Options:
    """Options that all recipes have.

    Parameters
    ----------
    preset : {"quick", "paper"}
        "quick" shows in a few minutes on two cores that everything works; "paper" is the size
        that the README's figures come from.
    geometry : str, optional
        Heart to simulate in: npz, NIfTI, VTK, VTU, OBJ or STL. A parametric heart by default.
    backend : {"tensorflow", "jax", "torch"}, optional
        Keras backend; by default what Keras is configured for.
    seed : int
        Seed of the data, the split, the weights and the noise.
    out : Path
        Folder for datasets and results. Datasets are made once and reused.
    """

    preset: Literal["quick", "paper"] = "quick"
    geometry: str | None = None
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    seed: int = 0
    out: Path = Path("runs")


@dataclass(frozen=True)
class ECGOptions(Options):
    """Options of the recipes on 12-lead ECGs.

    Parameters
    ----------
    preset : {"quick", "compact", "paper"}
        "quick" shows in minutes on two cores that everything works, on 10 s at 100 Hz; "compact"
        takes 10 s at 500 Hz and small models; "paper" is the published size, for a GPU.
    folder : Path, optional
        Folder of WFDB records in the PhysioNet/CinC-2021 layout. Simulated ECGs by default.
    patients : Path, optional
        CSV file that says which of the folder's records are of one patient.
    geometry : None
        Not used: the simulated ECGs are of many hearts.
    """

    preset: Literal["quick", "compact", "paper"] = "quick"
    folder: Path | None = None
    patients: Path | None = None


def command_line(main: Callable[[Any], object], options: type[Options] = Options) -> None:
    """Run a recipe from the command line; wrong input ends with one line that says what to do."""
    import tyro

    chosen = tyro.cli(options, description=sys.modules[main.__module__].__doc__)
    try:
        main(chosen)
    except WrongInputError as error:
        sys.exit(f"error: {error}")


class WrongInputError(ValueError):
    """What the user asked for can't be done; found before any work."""


def begin(options: Options) -> None:
    """Choose the backend and seed Keras. First line of a recipe, before Keras is imported.

    Raises
    ------
    WrongInputError
        Where the backend isn't installed, or Keras runs on another one already.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.backend:
        os.environ["KERAS_BACKEND"] = options.backend
    try:
        import keras
    except (ImportError, ValueError) as error:
        raise WrongInputError(
            f"Keras can't load its backend ({error}); install it, or choose another with --backend"
        ) from error

    running = keras.backend.backend()
    if options.backend and running != options.backend:
        raise WrongInputError(
            f"Keras already runs on {running}, not on {options.backend}; start a new process or "
            f"set KERAS_BACKEND={options.backend} before Keras is imported"
        )
    keras.utils.set_random_seed(options.seed)


def one_heart(options: Options, cases: int, **fields) -> CohortConfig:
    """Return a config of simulations in the heart of `options.geometry`, or a parametric one.

    Parameters
    ----------
    options : Options
        The recipe's options.
    cases : int
        Number of simulations.
    **fields
        Further fields of `CohortConfig`.
    """
    fields = {"cases_per_anatomy": cases, "seed": options.seed, **fields}
    if options.geometry is None:
        return CohortConfig(anatomies=1, **fields)
    with _wrong_input():
        return CohortConfig.for_geometry(options.geometry, **fields)


def paper_heart(options: Options, cases: int) -> CohortConfig:
    """Return a config as the FIMH 2019 paper's: one heart, one onset a case, one speed.

    The paper states neither several pacing zones nor a variation of the velocity.
    """
    return one_heart(options, cases, max_onsets=1, speed_mm_per_ms=(0.6, 0.6))


def many_hearts(options: Options) -> CohortConfig:
    """Return a config of hearts of many sizes, shapes and poses in an electrode vest.

    Grid and window are wide enough for dilated hearts and slow fronts.
    """
    anatomies, cases = {"quick": (160, 10), "paper": (2000, 12)}[options.preset]
    return CohortConfig(
        anatomies, cases, shape=(72, 72, 72), samples=160, electrodes="vest", seed=options.seed
    )


def vest_heart(options: Options, cases: int = 60) -> CohortConfig:
    """Return a config of simulations in the heart of `options.geometry`, as in `many_hearts`.

    The grid is finer: hearts from images have walls that 2 mm would tear.
    """
    like = many_hearts(options)
    fields = {"electrodes": like.electrodes, "samples": like.samples}
    return one_heart(options, cases, shape=(112, 112, 112), spacing_mm=1.5, **fields)


def heart_shares(options: Options) -> tuple[float, float, float]:
    """Return the shares of `many_hearts` that train, validate and test."""
    config = many_hearts(options)
    share = {"quick": 6, "paper": 30}[options.preset] / config.anatomies
    return 1 - 2 * share, share, share


def dataset(config: CohortConfig, options: Options) -> Cohort:
    """Build the cohort, or finish or reuse the one of the same config, and open it."""
    from kecgi.data import build, open_store

    with _wrong_input():
        return open_store(
            build(config, options.out / "datasets" / f"cohort-{config.identity}", workers=-1)
        )


def atrial_simulations(options: Options) -> EGMConfig:
    """Return a config of atrial rhythms that the recipes on electrograms share.

    The paper has 68 simulations, ten torsos each, and 2 048 nodes. What is learned has to hold for
    other atria, and simulations take seconds here: so there are more of them, each in atria of its
    own, with fewer torsos, and with nodes 7 mm apart, for two cores. At 1.5 mm the speed of fronts
    is calibrated to 1 % (`benchmarks.monodomain`).
    """
    from kecgi.data import EGMConfig

    fields = {
        "quick": {"simulations_per_rhythm": 10, "placements": 3, "nodes": 64},
        "paper": {"simulations_per_rhythm": 30, "placements": 4, "nodes": 128},
    }[options.preset]
    return EGMConfig(
        windows=2, spacing_mm=1.5, geometry=options.geometry, seed=options.seed, **fields
    )


def egm_dataset(config: EGMConfig, options: Options) -> EGMCohort:
    """Build electrograms by rhythm, or finish or reuse those of the same config, and open them."""
    from kecgi.data import build_egm, open_egm
    from kecgi.simulate import RhythmError

    path = options.out / "datasets" / f"egm-{config.identity}"
    try:
        with _wrong_input():
            return open_egm(build_egm(config, path, workers=-1))
    except RhythmError as error:
        raise WrongInputError(str(error)) from error


def ecg_source(options: ECGOptions) -> ECGCohortConfig | ECGFolderConfig:
    """Return a config of the user's own records, or of simulated ones."""
    from kecgi.data import ECGCohortConfig, ECGFolderConfig

    if options.geometry is not None:
        raise WrongInputError("the simulated ECGs are of many hearts: leave out --geometry")
    if options.patients is not None and options.folder is None:
        raise WrongInputError("--patients says whose the records of a folder are: give --folder")
    sampling_hz = 100.0 if options.preset == "quick" else 500.0
    if options.folder is not None:
        if not options.folder.is_dir():
            raise WrongInputError(f"there is no folder {options.folder}")
        patients = None if options.patients is None else str(options.patients)
        return ECGFolderConfig(str(options.folder), patients=patients, sampling_hz=sampling_hz)
    hearts = {"quick": 240, "compact": 600, "paper": 2000}[options.preset]
    return ECGCohortConfig(hearts, 10, sampling_hz, seed=options.seed)


def ecg_dataset(config: ECGCohortConfig | ECGFolderConfig, options: ECGOptions) -> ECGStore:
    """Simulate or read ECGs, or reuse those of the same config, and open them."""
    from kecgi.data import build_ecg, open_ecg

    with _wrong_input():
        path = options.out / "datasets" / f"ecg-{config.identity}"
        return open_ecg(build_ecg(config, path, workers=-1))


def ecg_split(
    store: ECGStore, options: ECGOptions, shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Split:
    """Split ECGs by heart, patient or record: into training, validation and test."""
    with _wrong_input():
        return store.split(shares, options.seed)


def ecg_within(store: ECGStore, split: Split) -> tuple[LeadScale, Split]:
    """Scale of the eight generated leads, fitted on training records, and the rows it keeps.

    Rows are those within the amplitude limits of cNVAE-ECG. Where the limits would leave less than
    half of the training records, as with the few dozen of a small folder, they are the whole range
    of the training records, and all rows stay; so do those of a part that would be left empty.
    """
    import numpy as np

    from kecgi.data import CNVAE_LEADS, LeadScale

    def blocks(rows):
        return store.blocks(rows, CNVAE_LEADS)

    scale = LeadScale.fit(blocks(split.train), CNVAE_LEADS)
    kept = {}
    for part in ("train", "validation", "test"):
        rows = getattr(split, part)
        inside = np.array([i for block in blocks(rows) for i in scale.inside(block)], bool)
        if part == "train" and 2 * inside.sum() < len(rows):
            return LeadScale.fit(blocks(rows), CNVAE_LEADS, (0, 100)), split
        kept[part] = rows[inside] if inside.any() else rows
    return scale, replace(split, **kept)


def trained(model: Path) -> keras.Model:
    """Load a model that a recipe has saved, or one that comes with the package by its name."""
    import keras

    from kecgi.models.pretrained import pretrained, pretrained_names

    with _wrong_input():
        if str(model) in pretrained_names():
            return pretrained(str(model))
        return keras.saving.load_model(model)


def existing(path: Path) -> Cohort:
    """Open a dataset that is there already."""
    from kecgi.data import open_store

    with _wrong_input():
        return open_store(path)


@contextmanager
def _wrong_input() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise WrongInputError(str(error)) from error


def verbosity() -> int:
    """Keras's `verbose`: a progress bar on a terminal, a line an epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2


@dataclass
class Run:
    """Result of an experiment as it comes together; `conclude` logs and prints it."""

    options: Options
    model_name: str
    headline: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the results are kept outside MLflow."""
        folder = self.options.out / self.model_name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(self, model: keras.Model) -> None:
        """Save the trained model at once: judging takes a while, and training took longer."""
        model.save(self.folder / "model.keras")

    def keep_page(self, name: str, html: str) -> None:
        """Write a page to the output folder, and log it."""
        (self.folder / f"{name}.html").write_text(html, encoding="utf-8")
        tracking.log_page(name, html)

    def conclude(
        self, figures: Mapping[str, Figure], model: keras.Model | None = None, inputs: Any = None
    ) -> None:
        """Log figures, headline and model, if any; keep them in the output folder as well.

        Parameters
        ----------
        figures : mapping of str to Figure
            Figures by file name.
        model : keras.Model, optional
            The trained model.
        inputs : array or mapping of arrays, optional
            A small batch, for the model's signature.
        """
        for name, figure in figures.items():
            figure.savefig(self.folder / f"{name}.png")
        (self.folder / "headline.json").write_text(json.dumps(self.headline, indent=1) + "\n")
        tracking.log_figures(figures)
        tracking.log_headline(self.headline)
        if model is not None:
            self.keep(model)
            tracking.log_model(model, inputs)


@contextmanager
def run(
    experiment: str,
    model_name: str,
    options: Options,
    cohort: Cohort | EGMCohort | ECGStore,
    split: Split,
    settings: Mapping[str, Any],
) -> Iterator[Run]:
    """Track a block as one MLflow run; afterwards print its link and, last, its headline as JSON.

    Parameters
    ----------
    experiment : str
        MLflow experiment: runs that are to be compared share it.
    model_name : str
        Name of the model in the run list and of its folder under `options.out`.
    options : Options
        The recipe's options.
    cohort : Cohort, EGMCohort or ECGStore
        The data.
    split : Split
        How they were split.
    settings : mapping
        Further parameters to log, such as batch size and epochs.
    """
    with _wrong_input():
        tracking.use(experiment)
    parameters = {**asdict(options), **settings, "cohort": asdict(cohort.config)}
    tags = {"model": model_name, "preset": options.preset, "split": split.kind}
    name = f"{model_name} {options.preset} seed {options.seed}"
    with tracking.start_run(name, parameters, tags) as tracked:
        tracking.log_dataset(cohort.path.name, cohort.digest, cohort.path, asdict(cohort.config))
        current = Run(options, model_name)
        current.headline.update(
            model=model_name,
            preset=options.preset,
            split=split.kind,
            seed=options.seed,
            cases_train=len(split.train),
            cases_test=len(split.test),
        )
        yield current
        link = tracking.run_link(tracked)
        run_id = tracked.info.run_id
    print(f"Review the run: make ui, then {link}", file=sys.stderr)
    print(json.dumps({**current.headline, "run_id": run_id}), flush=True)
