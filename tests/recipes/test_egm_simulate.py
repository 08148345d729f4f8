"""The recipe that simulates atrial rhythms, from its options to its last line, made small."""

import importlib.util
import json
import sys
from pathlib import Path

import joblib
import pytest

from kecgi import experiment
from kecgi.data import EGMConfig
from kecgi.experiment import Options, WrongInputError

RECIPE = Path(__file__).parents[2] / "recipes" / "egm_simulate.py"


@pytest.fixture
def recipe(store, monkeypatch):
    spec = importlib.util.spec_from_file_location("egm_simulate", RECIPE)
    module = sys.modules["egm_simulate"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    small = EGMConfig(
        3, ("ectopic", "fibrillation"), 1, 1, 1200.0, nodes=12, bipoles=2, spacing_mm=2.0
    )
    monkeypatch.setattr(experiment, "atrial_simulations", lambda options: small)
    return module


def test_last_line_and_figures(recipe, tmp_path, capsys):
    import mlflow

    with joblib.parallel_config(backend="threading"):
        recipe.main(Options(out=tmp_path / "out"))
    headline = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert headline["split"] == "simulation, by rhythm" and headline["cases_test"] == 2
    assert headline["windows"] == headline["pairs"] == 6
    rhythms = headline["rhythms"]
    assert set(rhythms) == {"ectopic", "fibrillation"}
    assert rhythms["fibrillation"]["rotors"] > 0.5 > rhythms["ectopic"]["rotors"]
    assert rhythms["fibrillation"]["attempts"] >= rhythms["fibrillation"]["simulations"] == 3
    figures = {p.stem for p in (tmp_path / "out" / "egm-simulate").glob("*.png")}
    assert figures == {"egm", "bspm", "spectra", "rotors_voltage", "rotors_phase"}
    client = mlflow.MlflowClient()
    logged = client.list_artifacts(headline["run_id"], "figures")
    assert {Path(item.path).stem for item in logged} == figures


def test_a_rhythm_that_cannot_be_had_ends_with_one_line(recipe, tmp_path, monkeypatch):
    from kecgi.data.egm import cohort as egm_cohort
    from kecgi.simulate import RhythmError

    def fails(*args, **kwargs):
        raise RhythmError("it died out", None)

    monkeypatch.setattr(egm_cohort, "play", fails)
    with joblib.parallel_config(backend="threading"), pytest.raises(WrongInputError, match="none"):
        recipe.main(Options(out=tmp_path / "out"))
