"""The augmentation study and the comparison with recordings, made small."""

import importlib.util
import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from kecgi import experiment
from kecgi.data import EGMConfig
from kecgi.experiment import WrongInputError

RECIPES = Path(__file__).parents[2] / "recipes"


def load(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Folder that the runs share, so that data and generators are made once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def small(store, monkeypatch):
    config = EGMConfig(
        4, ("sinus", "fibrillation"), 2, 3, 800.0, nodes=12, bipoles=6, spacing_mm=2.0
    )
    monkeypatch.setattr(experiment, "atrial_simulations", lambda options: config)


@pytest.fixture
def study(small, monkeypatch):
    module = load("egm_augmentation")
    for name, value in {
        "ADDED": (2,), "PAIRED": 1, "POOL": 12,
        "TRAINING": {"samples": 32, "batch_size": 4, "steps": 2, "learning_rate": 1e-3},
        "GENERATORS": {"vae": {"epochs": 1}, "flow": {"epochs": 1, "every": 40}},
    }.items():  # fmt: skip
        monkeypatch.setattr(module, name, {"quick": value})
    monkeypatch.setattr(module, "VAE", {"latent_dim": 20, "beta": 1e-3, "free_bits": 2.0})
    return module


class Waves:
    """Stands for a trained generator."""

    rhythms = ("sinus", "fibrillation")

    def generate(self, rhythm, n=1, seed=None):
        rng = np.random.default_rng((seed, self.rhythms.index(rhythm)))
        return rng.standard_normal((n, 160, 12)).cumsum(axis=1).astype("f4") / 20

    def get_weights(self):
        return [np.ones(3)]


def run(module, options, capsys):
    with joblib.parallel_config(backend="threading"):
        module.main(options)
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.study)])
def test_a_study_has_children_a_figure_and_goes_on(study, out, capsys, monkeypatch, trained):
    import mlflow

    from kecgi.studies import augmentation

    if not trained:
        both = {"vae": Waves(), "flow": Waves()}
        monkeypatch.setattr(study, "trained_generators", lambda *args: both)
    headline = run(study, study.AugmentationOptions(out=out), capsys)
    assert headline["paired_simulations"] == 2 and headline["seeds"] == 2
    assert set(headline["baselines"]) == {"tikhonov_zero", "tikhonov_smooth", "linear"}
    assert set(headline["projection"]) == {"sinus", "fibrillation"}
    # what is not plausible is not added; the other rules always give windows
    kinds = set(headline["gains"])
    assert {"vae/nearest/2", "flow/none/2", "real/none/2"} <= kinds
    gain, low, high = headline["gains"][headline["spearman_best"]]
    assert low <= gain <= high and gain == pytest.approx(headline["spearman_best_gain"], abs=1e-3)
    assert headline["spearman_best_low_all"] <= headline["spearman_best_low"] + 1e-9
    children = mlflow.search_runs(
        experiment_names=["augmentation"],
        filter_string=f"tags.mlflow.parentRunId = '{headline['run_id']}'",
        output_format="list",
    )
    assert len(children) == 2 * (1 + len(kinds))
    (base,) = [c for c in children if c.info.run_name == "none none k 0 seed 1"]
    scores = [c.data.metrics["spearman"] for c in children if c.data.params["added"] == "0"]
    assert base.data.metrics["spearman"] in scores
    assert np.mean(scores) == pytest.approx(headline["correlation"])
    assert (out / "egm-augmentation" / "gains.png").stat().st_size > 10_000

    monkeypatch.setattr(augmentation.Learner, "train", lambda *args: pytest.fail("trained again"))
    again = run(study, study.AugmentationOptions(out=out), capsys)
    assert again["gains"] == headline["gains"] and again["run_id"] != headline["run_id"]


def test_recordings_stand_beside_what_was_made(small, out, data_folder, capsys):
    if not (data_folder / "iafdb_af_egm").is_dir():
        pytest.skip(f"no recordings in {data_folder}")
    real = load("egm_real")
    options = real.RealOptions(out=out, records=data_folder / "iafdb_af_egm")
    headline = run(real, options, capsys)
    assert headline["records"] == 13 and headline["patients"] == 4
    assert headline["floor_mmd2"] > 0
    assert set(headline["mmd2"]) == {
        "simulated sinus", "simulated fibrillation", "simulated, nodes",
    }  # fmt: skip
    assert set(headline["medians"]) == {"real", *headline["mmd2"]}
    assert headline["medians"]["real"]["dominant_hz"] > 4
    assert (out / "egm-real" / "bipolar.png").stat().st_size > 10_000


def test_no_recordings_end_with_one_line(small, tmp_path):
    real = load("egm_real")
    with pytest.raises(WrongInputError, match="no record .*--records"):
        real.main(real.RealOptions(records=tmp_path))
