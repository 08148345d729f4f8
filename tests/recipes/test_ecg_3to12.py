"""The recipe of twelve leads from three, from its options to its last line, made small."""

import importlib.util
import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from kecgi import tracking
from kecgi.data import ECGCohortConfig, open_ecg, read_record
from kecgi.data.ecg.build import build_ecg
from kecgi.data.ecg.records import write_records
from kecgi.experiment import WrongInputError

RECIPE = Path(__file__).parents[2] / "recipes" / "ecg_3to12.py"


@pytest.fixture
def recipe(monkeypatch):
    """Import the recipe, which is no part of a package, and make it small."""
    spec = importlib.util.spec_from_file_location("ecg_3to12", RECIPE)
    module = sys.modules["ecg_3to12"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cohort = {"hearts": 20, "records_per_heart": 2, "sampling_hz": 100.0, "seconds": 4.0}
    monkeypatch.setattr(module, "COHORT", {"quick": cohort})
    monkeypatch.setattr(module, "SIZE", {"quick": {"preset": "tiny"}})
    monkeypatch.setattr(module, "EPOCHS", {"quick": 1})
    # takes seconds, and is tested with the recipes of other models
    monkeypatch.setattr(tracking, "log_model", lambda *args: None)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a user's folder of records: others than those that are learned from."""
    path = tmp_path_factory.mktemp("records")
    config = ECGCohortConfig(3, 2, 100.0, 4.0, seed=9)
    store = open_ecg(build_ecg(config, path / "store", progress=False))
    ecg = store.load()["ecg_mv"].swapaxes(1, 2)
    write_records(path / "wfdb", ecg, store.labels, store.schema, sampling_hz=100.0)
    return path / "wfdb"


@pytest.mark.slow
def test_simulated_and_own_records(recipe, folder, store, tmp_path, capsys):
    import mlflow

    options = recipe.CompletionOptions(folder=folder, out=tmp_path / "out")
    with joblib.parallel_config(backend="threading"):
        recipe.main(options)
    headline = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert headline["simulated"] and headline["split"] == "heart" and headline["cases_test"] == 4
    assert set(headline["baselines"]) == {"regression", "regression_160_ms"}
    # the networks start at the wider regression, and hardly leave it here; the lead laws help
    assert headline["mse"] == pytest.approx(
        headline["baselines"]["regression_160_ms"]["mse"], rel=0.1
    )
    assert headline["mse_ratio_to"] == "regression" and headline["mse_ratio"] < 1
    low, high = headline["mse_interval"]
    assert low <= headline["mse"] <= high
    assert headline["frechet"]["features"] == "signal statistics"
    assert set(headline["mae_per_lead"]) == {
        "I",
        "III",
        "aVR",
        "aVL",
        "aVF",
        "V2",
        "V3",
        "V4",
        "V6",
    }
    real = headline["real"]
    assert real["records"] == 6 and len(real["baselines"]) == 4
    assert mlflow.get_run(headline["run_id"]).info.status == "FINISHED"

    results = tmp_path / "out" / "ecg-3to12"
    figures = {"training", "comparison", "completed", "real_comparison", "real_completed"}
    assert {p.stem for p in results.glob("*.png")} == figures
    assert (results / "model.keras").is_file()
    given, made = (
        read_record(f, sampling_hz=100, seconds=4)
        for f in (folder / "KE00001", results / "completed-real" / "KE00001")
    )
    assert made.codes == given.codes
    np.testing.assert_allclose(made.ecg_mv[[1, 6, 10]], given.ecg_mv[[1, 6, 10]], atol=1e-6)
    assert not np.allclose(made.ecg_mv[7], given.ecg_mv[7], atol=1e-3)


def test_wrong_input_ends_before_anything_is_made(recipe, tmp_path):
    options = recipe.CompletionOptions(learn_from="folder", out=tmp_path / "out")
    with pytest.raises(WrongInputError, match="give --folder"):
        recipe.main(options)
    with pytest.raises(WrongInputError, match="there is no folder"):
        recipe.main(recipe.CompletionOptions(folder=tmp_path / "none", out=tmp_path / "out"))
    assert not any(tmp_path.iterdir())
