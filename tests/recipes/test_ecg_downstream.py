"""The recipe of the downstream protocol, from its options to its last line, made small."""

import importlib.util
import json
import sys
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pytest

from kecgi import experiment
from kecgi.data import ECGCohortConfig
from kecgi.experiment import WrongInputError
from kecgi.models import ECGNVAE, WaveGAN
from kecgi.studies import judge
from kecgi.studies.ecg_generator import ECGGenerator, whose

RECIPE = Path(__file__).parents[2] / "recipes" / "ecg_downstream.py"


@pytest.fixture
def recipe(monkeypatch):
    """Import the recipe, which is no part of a package, and make it small."""
    spec = importlib.util.spec_from_file_location("ecg_downstream", RECIPE)
    module = sys.modules["ecg_downstream"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(
        experiment, "ecg_source", lambda o: ECGCohortConfig(20, 4, 100.0, 2.0, seed=o.seed)
    )
    monkeypatch.setattr(module, "TARGET", {"quick": (20, 4)})
    monkeypatch.setattr(judge, "SMALL", judge.JudgeSize((1,), 4, epochs=1, batch=16))
    return module


def kept_generator(store, folder, rows):
    """Keep a generator that was trained on some records, as far as it says."""
    scale, _ = experiment.ecg_within(store, store.split())
    model = WaveGAN(store.schema.names, 200, size=10, critic_strides=(2, 2), seed=0)
    model.compile(*model.paper_optimizers())
    ECGGenerator(model, scale, store.schema, 100.0, tuple(whose(store)[rows])).save(folder)


@pytest.mark.slow
def test_last_line_figure_and_going_on_after_a_cut(recipe, store, tmp_path, capsys, monkeypatch):
    def run():
        options = recipe.DownstreamOptions(out=tmp_path / "out", generator=tmp_path / "kept")
        with joblib.parallel_config(backend="threading"):
            data = experiment.ecg_dataset(experiment.ecg_source(options), options)
            if not (tmp_path / "kept").exists():
                split = experiment.ecg_split(data, options, recipe.SHARES)
                kept_generator(data, tmp_path / "kept", split.train)
                kept_generator(data, tmp_path / "unfair", split.test[:1])
            recipe.main(options)
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    headline = run()
    assert headline["simulated"] and headline["split"] == "heart"
    assert set(headline["enrichment"]) == {"none", "MI 1", "all 1"}
    assert set(headline["transfer"]["1"]) == {"none", "real", "real + synthetic"}
    for row in (*headline["enrichment"].values(), *headline["transfer"]["1"].values()):
        assert 0 <= row["low"] <= row["auroc"] <= row["high"] <= 1 or row["seeds"] == 1
    assert headline["records_synthetic"]["all"] == headline["records_real"]
    results = tmp_path / "out" / "ecg-downstream"
    assert (results / "auroc.png").is_file() and len(list((results / "results").iterdir())) == 6
    below = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.mlflow.parentRunId = '{headline['run_id']}'",
        output_format="list",
    )
    assert len(below) == 6 and all("auroc" in r.data.metrics for r in below)

    monkeypatch.setattr(judge.Judge, "train", lambda *a, **k: pytest.fail("trained again"))
    again = run()
    assert again["enrichment"] == headline["enrichment"]
    with pytest.raises(WrongInputError, match="hearts or patients that validate or test"):
        recipe.main(recipe.DownstreamOptions(out=tmp_path / "out", generator=tmp_path / "unfair"))


def test_its_own_generator_never_sees_who_is_tested(recipe, tmp_path, monkeypatch):
    options = recipe.DownstreamOptions(out=tmp_path)
    with joblib.parallel_config(backend="threading"):
        data = experiment.ecg_dataset(experiment.ecg_source(options), options)
    split, seen = experiment.ecg_split(data, options, recipe.SHARES), []
    monkeypatch.setattr(ECGNVAE, "fit", lambda self, batches, **_: seen.append(batches.items))
    generator = recipe.trained_generator(data, split, options, tmp_path / "run")
    assert not set(data.group[seen[0]]) & set(data.group[np.r_[split.validation, split.test]])
    assert generator.saw(data, split.train)
    assert not generator.saw(data, split.validation) and not generator.saw(data, split.test)
    recipe.trained_generator(data, split, options, tmp_path / "run")
    assert len(seen) == 1  # it is kept
    made = recipe.generated(generator, np.eye(7)[:2], data.config, 0)
    assert made.ecg_mv.shape == (2, 200, 12) and np.isfinite(made.ecg_mv).all()


def test_wrong_input_ends_before_anything_is_made(recipe, tmp_path):
    out = tmp_path / "out"
    for fields, message in (
        (dict(label="WPW"), "--label is WPW"),
        (dict(target=tmp_path / "none"), "there is no folder"),
        (dict(folder=tmp_path), "give --target"),
    ):
        with pytest.raises(WrongInputError, match=message):
            recipe.main(recipe.DownstreamOptions(out=out, **fields))
    assert not any(tmp_path.iterdir())
