"""The recipes of cNVAE-ECG and its rivals, from their options to the last line, made small."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest

from kecgi import experiment, judge, tracking
from kecgi.data import ECGCohortConfig, read_record
from kecgi.data.ecg_labels import NINE, SIMULATED
from kecgi.ecg_generator import ECGGenerator
from kecgi.experiment import ECGOptions

RECIPES = Path(__file__).parents[2] / "recipes"
CLASSES = set(SIMULATED.names)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Folder that the runs share, so that data are made once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def run(store, out, monkeypatch, capsys):
    """Run a recipe in this process, small; return its headline, and what it drew."""

    def run(name, **options):
        spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
        recipe = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(recipe)
        source = experiment.ecg_source

        def short(options):
            if options.folder is not None:
                return replace(source(options), seconds=4.0)
            return ECGCohortConfig(16, 4, 100.0, 4.0)

        monkeypatch.setattr(experiment, "ecg_source", short)
        monkeypatch.setattr(tracking, "log_model", lambda *args: None)
        monkeypatch.setattr(judge, "SMALL", judge.JudgeSize((1, 1, 1, 1), 4, epochs=1, batch=16))
        for constant, value in (
            ("STEPS", {"quick": 2}), ("SIZE", {"quick": "tiny"}), ("BATCH", {"quick": 16}),
            ("GENERATED", {"quick": 8}),
        ):  # fmt: skip
            monkeypatch.setattr(recipe, constant, value)
        kind = getattr(recipe, "GANOptions", ECGOptions)
        with joblib.parallel_config(backend="threading"):
            recipe.main(kind(out=out, **options))
        headline = json.loads(capsys.readouterr().out.splitlines()[-1])
        figures = {path.stem for path in (out / headline["model"]).glob("*.png")}
        return headline, figures

    return run


@pytest.mark.backend
@pytest.mark.parametrize(
    ("recipe", "options", "name"),
    [
        ("ecg_nvae", {}, "ecg-nvae"),
        ("ecg_gan", {"model": "wavegan", "critic": "unconditional"}, "ecg-wavegan-unconditional"),
    ],
)
def test_headline_figures_and_records(run, out, recipe, options, name):
    headline, figures = run(recipe, **options)
    assert headline["model"] == name and headline["split"] == "heart"
    assert headline["simulated"] is True and headline["samples"] == 400
    assert headline["lead_laws_uv"] < 0.1 and headline["lead_laws_float64_uv"] < 1e-4
    assert headline["duplicates"] == headline["copies"] == 0
    real = headline["baselines"]["real"]
    assert real["rate_within"] > 0.9
    for found in (headline, real):
        assert 0 <= found["auroc_low"] <= found["auroc"] <= found["auroc_high"] <= 1
        assert set(found["auroc_by_class"]) == CLASSES
    assert "training" in figures and {f.removeprefix("ecg_") for f in figures} - CLASSES == {
        "training"
    }
    assert headline["generated"] == 8
    records = sorted((out / name / "generated").glob("*.hea"))
    assert len(records) == 8
    record = read_record(records[0], sampling_hz=100.0, seconds=4.0)
    assert record.ecg_mv.shape == (12, 400) and SIMULATED.encode_codes(record.codes).any()
    assert "simulated" in records[0].read_text()
    generator = ECGGenerator.load(out / name)
    assert generator.generate_mv(np.eye(7)[:2]).shape == (2, 12, 400)


def test_one_s_own_records(run, out, data_folder):
    headline, figures = run("ecg_gan", folder=data_folder / "cinc2021_12lead_25")
    assert headline["simulated"] is False and headline["split"] == "record"
    assert headline["model"] == "ecg-pulse2pulse"
    assert headline["auroc"] is None  # a judge of six records would be none
    assert {f.removeprefix("ecg_") for f in figures} <= {*NINE.names, "training"}
    assert "recorded" in next((out / "ecg-pulse2pulse" / "generated").glob("*.hea")).read_text()


def test_gans_are_trained_as_asked_for(run, out):
    run("ecg_gan", model="pulse2pulse")
    model = keras.saving.load_model(out / "ecg-pulse2pulse" / "model.keras")
    assert model.critic_kind == "projection" and model.critic_steps == 2
    assert keras.ops.convert_to_numpy(model.step) >= 2
