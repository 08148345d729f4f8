"""The recipe of VAE-S, VAE-C and the flow, from its options to its last line, made small."""

import importlib.util
import json
import sys
from pathlib import Path

import joblib
import pytest

from kecgi import experiment, tracking
from kecgi.data import EGMConfig

RECIPE = Path(__file__).parents[2] / "recipes" / "egm_vae.py"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Folder that the runs share, so that data are made once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def recipe(store, monkeypatch):
    spec = importlib.util.spec_from_file_location("egm_vae", RECIPE)
    module = sys.modules["egm_vae"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    small = EGMConfig(
        4, ("sinus", "ectopic"), 1, 2, 640.0, 100.0, nodes=12, bipoles=2, spacing_mm=2.0,
        fronts="eikonal",
    )  # fmt: skip
    monkeypatch.setattr(experiment, "atrial_simulations", lambda options: small)
    # nothing is learned here, so little of a model is logged
    monkeypatch.setattr(tracking, "log_model", lambda *args: None)
    once = {"sinus": {"epochs": 1, "repeats": 1}, "all": {"epochs": 1, "repeats": 1}}
    monkeypatch.setattr(module, "TRAINING", {"quick": once})
    monkeypatch.setitem(module.MODEL, "latent_dim", 12)
    monkeypatch.setattr(
        module, "POINTS", {"whole": 4, "tokens": 4, "units": 8, "heads": 2, "filters": 4}
    )
    monkeypatch.setattr(module, "FLOW_EPOCHS", {"quick": {"sinus": 1, "all": 1}})
    monkeypatch.setattr(module, "CLASSIFIER_EPOCHS", {"quick": 1})
    monkeypatch.setattr(module, "GENERATED", {"quick": {"sinus": 6, "all": 6}})
    return module


@pytest.mark.parametrize(("rhythm", "layout"), [("sinus", "points"), ("all", "image")])
def test_last_line_and_figures(recipe, out, capsys, rhythm, layout):
    import mlflow

    with joblib.parallel_config(backend="threading"):
        recipe.main(recipe.EGMOptions(out=out, rhythm=rhythm, layout=layout))
    headline = json.loads(capsys.readouterr().out.splitlines()[-1])
    rhythms = {"sinus"} if rhythm == "sinus" else {"sinus", "ectopic"}
    name = "egm-vae-s" if rhythm == "sinus" else "egm-vae-c"
    assert headline["model"] == name and headline["layout"] == layout
    assert headline["split"] == "simulation, by rhythm"
    fidelity = {"lsd", "lsd_band", "correlation"}
    assert fidelity | {"kl", "classifier_accuracy"} <= set(headline)
    assert set(headline["baselines"]) == {"mean", "nearest", "pca"}
    assert all(set(rival) == fidelity for rival in headline["baselines"].values())
    assert set(headline["by_rhythm"]) == rhythms
    for generator in ("vae", "flow"):
        further = {"mmd2", "frechet", "accuracy", "copied", "share_plausible", "coherence"}
        assert {f"{generator}_{n}" for n in further} <= set(headline)
    assert {"floor_mmd2", "floor_frechet"} <= set(headline)
    figures = {p.stem for p in (out / name).glob("*.png")}
    each = {f"{kind}_{r}" for kind in ("egm", "spectra") for r in rhythms}
    assert figures == each | {"latent", "training"}
    metrics = mlflow.get_run(headline["run_id"]).data.metrics
    assert {"lsd", "vae_mmd2", "epoch/val_decorrelation", "baseline_pca_lsd"} <= set(metrics)
    assert (out / name / "flow.keras").is_file() and (out / name / "model.keras").is_file()
