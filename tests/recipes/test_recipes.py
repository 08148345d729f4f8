"""Every recipe from its options to its last line, on data small enough for seconds.

Once each on every backend; what further options do, on TensorFlow alone.

`python test_recipes.py NAME ...` runs recipe NAME from the command line, as small.
"""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kecgi import experiment, tracking
from kecgi.data import CohortConfig
from kecgi.experiment import Options

RECIPES = Path(__file__).parents[2] / "recipes"

RUN = {"model", "preset", "split", "seed", "cases_train", "cases_test", "run_id"}
MAPS = {
    "mae_ms",
    "r2",
    "mse",
    "mse_scale",
    "coverage50",
    "coverage90",
    "crps_ms",
    "kl",
    "baselines",
}
MAP_FIGURES = {"maps", "reliability", "sd_against_error", "electrodes", "training", "comparison"}


def load(name):
    """Import a recipe, which is no part of a package."""
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shrink(recipe, change):
    """Make an experiment small: `change(object, name, value)` is setattr or its like."""
    one_heart = experiment.one_heart
    most = 4 if recipe.__name__ == "activation_posterior" else 20
    change(experiment, "one_heart", lambda o, cases, **kw: one_heart(o, min(cases, most), **kw))
    change(
        experiment,
        "many_hearts",
        lambda o: CohortConfig(6, 3, electrodes="standard_12", seed=o.seed),
    )
    change(experiment, "heart_shares", lambda o: (0.6, 0.2, 0.2))
    tiny = {"tokens": 16, "units": 16, "condition_blocks": 1, "generator_blocks": 1}
    epochs = {
        "activation_cvae": {
            across: {"quick": 1} for across in ("simulations", "slices", "anatomies")
        },
        "activation_posterior": {"quick": 7},  # of three steps each
    }
    change(recipe, "EPOCHS", epochs.get(recipe.__name__, {"quick": 1}))
    for name, value in {"EVERY": 12, "BATCH": 4, "SIZES": {"quick": tiny}}.items():
        if hasattr(recipe, name):
            change(recipe, name, value)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Folder that the runs share, so that data are made once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def run(store, out, monkeypatch, capsys):
    """Run a recipe in this process; return headline, MLflow run, figures, model and its inputs."""
    import joblib
    import mlflow

    def run(name, **options):
        recipe = load(name)
        shrink(recipe, monkeypatch.setattr)
        logged, log_model = [], tracking.log_model
        monkeypatch.setattr(
            tracking, "log_model", lambda *args: logged.append(args) or log_model(*args)
        )
        kind = getattr(recipe, "CVAEOptions", Options)
        with joblib.parallel_config(backend="threading"):
            recipe.main(kind(out=out, **options))
        headline = json.loads(capsys.readouterr().out.splitlines()[-1])
        tracked = mlflow.get_run(headline["run_id"])
        assert tracked.info.status == "FINISHED"
        paths = mlflow.MlflowClient().list_artifacts(headline["run_id"], "figures")
        figures = {Path(item.path).stem for item in paths}
        ((model, inputs),) = logged
        return headline, tracked, figures, model, inputs

    return run


def require_finite(values):
    """Raise unless all numbers of a nested headline are finite; None says: undefined."""
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, dict | list):
            require_finite(value)
        elif isinstance(value, float):
            assert math.isfinite(value), values


def require_same(model, inputs, run_id):
    """Raise unless the run's model is the one that was trained, and predicts."""
    loaded = tracking.load_model(run_id)
    for saved, trained in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, trained)
    for values in loaded.predict(inputs, verbose=0).values():
        assert np.isfinite(values).all()


def require_maps(headline):
    """Raise unless the figures that every prediction of maps has are there."""
    assert RUN | MAPS <= set(headline)
    assert headline["mse_scale"] == "[-1, 1]"
    assert set(headline["baselines"]) == {"mean", "nearest", "regression"}
    for figures in headline["baselines"].values():
        assert {"mae_ms", "r2"} <= set(figures)
    assert headline["baselines"]["mean"]["r2"] == pytest.approx(0)
    assert headline["mae_ms"] > 0 and 0 <= headline["coverage90"] <= 1
    require_finite(headline)


def test_bspm_vae(run):
    headline, tracked, figures, model, inputs = run("bspm_vae", seed=2)
    assert RUN | {"correlation", "kl"} <= set(headline)
    assert headline["split"] == "simulation" and headline["seed"] == 2
    assert set(headline["baselines"]) == {"mean", "pca"}
    require_finite(headline)
    assert figures == {"traces", "image", "traversal", "training"}
    require_same(model, inputs, headline["run_id"])


@pytest.mark.backend
def test_activation_vae(run):
    headline, tracked, figures, model, inputs = run("activation_vae")
    require_maps(headline)
    assert figures == MAP_FIGURES | {"traversal"}
    require_same(model, inputs, headline["run_id"])
    assert {"epoch/loss", "epoch/val_kl", "mae_ms", "baseline_mean_mae_ms"} <= set(
        tracked.data.metrics
    )


@pytest.mark.backend
def test_activation_cvae(run, out):
    headline, tracked, figures, model, inputs = run("activation_cvae")
    require_maps(headline)
    assert headline["split"] == "simulation"
    assert figures == MAP_FIGURES | {"traversal"}
    assert set(inputs) == {"mask", "bspm"}
    require_same(model, inputs, headline["run_id"])
    folder = out / "activation-cvae"
    assert {f"{name}.png" for name in figures} < {path.name for path in folder.iterdir()}


@pytest.mark.filterwarnings("ignore:.*stray voxels")
def test_activation_cvae_in_a_patient_s_heart_with_the_leak(run, data_folder):
    heart = data_folder / "human_biv_mri_bivme" / "bivme_patient1_ED_1.5mm.npz"
    headline, tracked, figures, *_ = run("activation_cvae", geometry=str(heart), across="slices")
    require_maps(headline)
    assert headline["split"] == tracked.data.tags["split"] == "slice (leaky)"
    assert tracked.data.params["cohort.geometry"] == str(heart)


def test_activation_cvae_across_anatomies(run):
    headline, tracked, figures, model, inputs = run("activation_cvae", across="anatomies")
    require_maps(headline)
    assert headline["split"] == "anatomy"
    assert (headline["cases_train"], headline["cases_test"]) == (12, 3)
    assert figures == MAP_FIGURES
    assert inputs["mask"].shape == (2, 32, 32, 32, 1)


@pytest.mark.backend
def test_activation_posterior(run, tmp_path):
    from kecgi.geometry import BiventricularShape, biventricular

    heart = biventricular(BiventricularShape(), (48, 48, 48), 3.0)
    np.savez(tmp_path / "heart.npz", mask=heart.mask, spacing=heart.spacing_mm)
    headline, tracked, figures, model, inputs = run(
        "activation_posterior", geometry=str(tmp_path / "heart.npz")
    )
    require_maps(headline)
    assert headline["split"] == "anatomy"
    further = {"scale_factor", "localisation_mm_median", "geometry_mae_ms", "geometry_coverage90"}
    assert further <= set(headline)
    maps = {"maps", "reliability", "sd_against_error"}
    assert figures == MAP_FIGURES | {f"geometry_{name}" for name in maps}
    assert set(inputs) == {"points_mm", "electrodes_mm", "bspm_mv"}
    require_same(model, inputs, headline["run_id"])


@pytest.mark.backend
def test_bspm_vae_from_the_command_line(store):
    """The backend is that of the flag, the results lie where they were asked for."""
    import keras
    import mlflow

    backend = keras.backend.backend()
    command = [sys.executable, __file__, "bspm_vae", "--out", "results", "--backend", backend]
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    headline = json.loads(done.stdout.splitlines()[-1])
    assert "Review the run: make ui, then http" in done.stderr
    tracking.use("bspm")
    run = mlflow.get_run(headline["run_id"])
    assert run.data.tags["backend"] == run.data.params["backend"] == backend
    assert Path("results/bspm-vae/model.keras").is_file()
    assert len(list(Path("results/datasets").iterdir())) == 1
    assert {path.name for path in Path().iterdir()} == {"mlruns", "results"}


if __name__ == "__main__":
    recipe = load(sys.argv.pop(1))
    shrink(recipe, setattr)
    experiment.command_line(recipe.main, getattr(recipe, "CVAEOptions", Options))
