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

from kecgi import experiment, tracking
from kecgi.data import ECGCohortConfig, read_record
from kecgi.data.ecg.labels import NINE, SIMULATED
from kecgi.models.ecg_nvae import PRESETS
from kecgi.studies import judge
from kecgi.studies.ecg_generator import ECGGenerator

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
        smallest = {"channels": 4, "pre_blocks": 1, "groups": (1,), "pre_cells": 1, "cells": 1}
        monkeypatch.setitem(PRESETS, "tiny", PRESETS["tiny"] | smallest)
        monkeypatch.setattr(judge, "SMALL", judge.JudgeSize((1, 1, 1, 1), 4, epochs=1, batch=16))
        for constant, value in (
            ("STEPS", {"quick": 2}), ("SIZE", {"quick": "tiny"}), ("BATCH", {"quick": 16}),
            ("GENERATED", {"quick": 8}),
        ):  # fmt: skip
            monkeypatch.setattr(recipe, constant, value)
        kind = recipe.GANOptions if name == "ecg_gan" else recipe.NVAEOptions
        with joblib.parallel_config(backend="threading"):
            recipe.main(kind(out=out, **options))
        headline = json.loads(capsys.readouterr().out.splitlines()[-1])
        figures = {path.stem for path in (out / headline["model"]).glob("*.png")}
        return headline, figures

    return run


@pytest.mark.backend
def test_cnvae_on_simulated_ecgs(run, out):
    headline, figures = run("ecg_nvae")
    assert headline["model"] == "ecg-nvae" and headline["split"] == "heart"
    assert headline["simulated"] is True and headline["samples"] == 400
    assert headline["lead_laws_uv"] < 0.1 and headline["lead_laws_float64_uv"] < 1e-4
    assert headline["duplicates"] == headline["copies"] == 0
    real = headline["baselines"]["real"]
    assert real["rate_within"] > 0.9
    for found in (headline, real):
        assert 0 <= found["auroc_low"] <= found["auroc"] <= found["auroc_high"] <= 1
        assert set(found["auroc_by_class"]) == CLASSES
    assert {f.removeprefix("ecg_") for f in figures} - CLASSES == {"training"}
    records = sorted((out / "ecg-nvae" / "generated").glob("*.hea"))
    assert len(records) == headline["generated"] == 8
    record = read_record(records[0], sampling_hz=100.0, seconds=4.0)
    assert record.ecg_mv.shape == (12, 400) and SIMULATED.encode_codes(record.codes).any()
    assert "simulated" in records[0].read_text()
    generator = ECGGenerator.load(out / "ecg-nvae")
    assert generator.generate_mv(np.eye(7)[:2]).shape == (2, 12, 400)


def test_the_published_rival_on_one_s_own_records(run, out, data_folder):
    folder = data_folder / "cinc2021_12lead_25"
    headline, figures = run("ecg_gan", folder=folder, critic="unconditional")
    name = headline["model"]
    assert name == "ecg-pulse2pulse-unconditional" and headline["split"] == "record"
    assert headline["simulated"] is False and headline["lead_laws_uv"] < 0.1
    assert headline["auroc"] is None  # a judge of six records would be none
    assert {f.removeprefix("ecg_") for f in figures} <= {*NINE.names, "training"}
    assert "recorded" in next((out / name / "generated").glob("*.hea")).read_text()
    model = keras.saving.load_model(out / name / "model.keras")
    assert model.critic_kind == "unconditional" and model.critic_steps == 2
    assert keras.ops.convert_to_numpy(model.step) >= 2
