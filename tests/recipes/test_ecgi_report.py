"""The report recipe from its options to its last line, on a model that has learned nothing."""

import importlib.util
import json
from pathlib import Path

import joblib
import numpy as np
import pytest

from kecgi import experiment
from kecgi.data import CohortConfig
from kecgi.experiment import WrongInputError
from kecgi.studies import evidence

RECIPE = Path(__file__).parents[2] / "recipes" / "ecgi_report.py"


@pytest.fixture
def recipe(monkeypatch):
    spec = importlib.util.spec_from_file_location("ecgi_report", RECIPE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "ecgi_report", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CASES", {"quick": 4})
    monkeypatch.setattr(module, "CASES_DISTURBED", {"quick": 2})
    monkeypatch.setattr(module, "OTHER_HEARTS", {"quick": 1})
    monkeypatch.setattr(module, "DRAWS", 19)
    monkeypatch.setattr(evidence, "SIMULATIONS", {"grid step (mm)": {"6": {"spacing_mm": 6.0}}})
    monkeypatch.setattr(
        evidence, "CONDITIONS", {"leads lost (%)": evidence.CONDITIONS["leads lost (%)"]}
    )
    monkeypatch.setattr(
        experiment,
        "many_hearts",
        lambda o: CohortConfig(
            2, 2, shape=(32, 32, 32), spacing_mm=5.0, electrodes="standard_12", samples=16
        ),
    )
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Save a model whose weights are random."""
    from kecgi.models import ActivationPosterior

    path = tmp_path_factory.mktemp("model") / "model.keras"
    small = {"tokens": 16, "units": 16, "condition_blocks": 1, "generator_blocks": 1}
    model = ActivationPosterior(16, seed=0, **small)
    shapes = {"points_mm": (1, 16, 3), "electrodes_mm": (1, 9, 3), "bspm_mv": (1, 9, 16)}
    rng = np.random.default_rng(0)
    model.predict({k: rng.normal(size=n).astype("float32") for k, n in shapes.items()}, verbose=0)
    model.save(path)
    return path


def test_it_writes_and_logs_one_page(recipe, model, store, tmp_path, monkeypatch, capsys):
    import mlflow

    # two hearts are enough
    monkeypatch.setattr(recipe, "replace", lambda config, **changes: config)
    with joblib.parallel_config(backend="threading"):
        recipe.main(recipe.ReportOptions(model=model, out=tmp_path))
    headline = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert headline["mae_ms"] > 0 and 0 <= headline["onset_held"] <= 1
    assert set(headline["robustness_mae_ms"]) == {"leads lost (%)", "grid step (mm)"}
    assert set(headline["robustness_mae_ms"]["grid step (mm)"]) == {"5", "6"}
    html = (tmp_path / "ecgi-report" / "report.html").read_text()
    assert f"{headline['mae_ms']:.1f}" in html
    logged = mlflow.artifacts.load_text(f"runs:/{headline['run_id']}/report.html")
    assert logged == html


def test_a_model_that_is_not_there(recipe, tmp_path):
    with pytest.raises(WrongInputError, match=r"nothing\.keras"):
        recipe.main(recipe.ReportOptions(model=tmp_path / "nothing.keras", out=tmp_path))


def test_a_model_of_another_kind(recipe, tmp_path):
    import keras

    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(WrongInputError, match="a Sequential, expected an ActivationPosterior"):
        recipe.main(recipe.ReportOptions(model=tmp_path / "other.keras", out=tmp_path))


def test_a_folder_that_is_no_dataset(recipe, model, tmp_path):
    options = recipe.ReportOptions(model=model, dataset=tmp_path / "none.zarr", out=tmp_path)
    with pytest.raises(WrongInputError, match="none.zarr"):
        recipe.main(options)


def test_data_that_do_not_fit_the_model(recipe, model, tmp_path, monkeypatch):
    other = CohortConfig(1, 1, shape=(32, 32, 32), spacing_mm=5.0, samples=17)
    monkeypatch.setattr(experiment, "many_hearts", lambda o: other)
    monkeypatch.setattr(recipe, "replace", lambda config, **changes: config)
    with pytest.raises(WrongInputError, match="16 samples at 400 Hz, the dataset has 17"):
        recipe.main(recipe.ReportOptions(model=model, out=tmp_path))
