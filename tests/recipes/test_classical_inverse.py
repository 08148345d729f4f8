"""The classical recipe on measured beats, from its options to its last line."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from kecgi.experiment import WrongInputError

RECIPE = Path(__file__).parents[2] / "recipes" / "classical_inverse.py"


@pytest.fixture
def recipe():
    """Import the recipe, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("classical_inverse", RECIPE)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_measured_beats(recipe, store, data_folder, tmp_path, monkeypatch, capsys):
    if not (data_folder / "utah_sock_tank_uq").is_dir():
        pytest.skip(f"no recordings in {data_folder}")
    import mlflow

    monkeypatch.chdir(store.parent)
    monkeypatch.setattr(recipe, "PENALTIES", ("zero", "first"))
    monkeypatch.setattr(recipe, "RULES", ("l-curve", "gcv"))
    monkeypatch.setattr(recipe, "REPEATS", {"quick": 1})
    kept = ("30 dB", "20 dB")
    monkeypatch.setattr(recipe, "CONDITIONS", {k: recipe.CONDITIONS[k] for k in kept})
    recipe.main(recipe.InverseOptions(data=data_folder, out=tmp_path / "out"))
    headline = json.loads(capsys.readouterr().out.splitlines()[-1])
    table = headline["conditions"]
    assert set(table) == set(kept)
    clean, noisy = (table[c]["tikhonov-zero l-curve"] for c in kept[:2])
    assert clean["at_mae_ms"] < 4.0 < headline["baselines"]["constant"]["at_mae_ms"]
    assert clean["at_mae_ms"] < clean["at_mae_plain_ms"]
    assert clean["spatial_cc"] > noisy["spatial_cc"] > 0.5
    assert headline["spatial_cc"] == clean["spatial_cc"] > 0.65
    laboratory = headline["laboratory"]
    assert len(laboratory) == 8
    assert all(beat["mae_without_shift_ms"] < 0.5 for beat in laboratory.values())
    run = mlflow.get_run(headline["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["at_mae_ms"] == pytest.approx(clean["at_mae_ms"], rel=1e-3)
    figures = {f.name for f in (tmp_path / "out" / "classical-inverse").glob("*.png")}
    assert figures == {"potentials.png", "activation.png", "l_curve.png"}


def test_wrong_input_ends_before_anything_is_made(recipe, tmp_path):
    for options, message in (
        (dict(geometry="heart.npz"), "leave out --geometry"),
        (dict(data=tmp_path), "--data"),
    ):
        with pytest.raises(WrongInputError, match=message):
            recipe.main(recipe.InverseOptions(out=tmp_path / "out", **options))
    assert not any(tmp_path.iterdir())
