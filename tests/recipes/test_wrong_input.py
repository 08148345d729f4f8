"""Wrong input ends a recipe before any work. Whole runs: `recipes_by_hand.py`."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from kecgi.experiment import Options, WrongInputError

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = ("bspm_vae", "activation_vae", "activation_cvae", "activation_posterior")


def load(name):
    """Import a recipe, which is no part of a package."""
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_heart_is_found_before_anything_is_made(name, tmp_path):
    (tmp_path / "heart.npz").write_bytes(b"no heart")
    recipe = load(name)
    options = getattr(recipe, "CVAEOptions", Options)
    for path, message in (("leg.npz", "leg.npz"), (str(tmp_path / "heart.npz"), "heart.npz")):
        with pytest.raises(WrongInputError, match=message):
            recipe.main(options(geometry=path, out=tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"heart.npz"}


def test_a_file_s_heart_is_no_family(tmp_path):
    recipe = load("activation_cvae")
    options = recipe.CVAEOptions(geometry="heart.npz", across="anatomies", out=tmp_path / "out")
    with pytest.raises(WrongInputError, match="leave out --geometry"):
        recipe.main(options)


def test_a_wrong_heart_on_the_command_line():
    command = [sys.executable, RECIPES / "activation_cvae.py", "--geometry", "leg.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stdout == ""
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: ") and "leg.npz" in last
    assert not any("Traceback" in line for line in before)
    assert not Path("runs").exists() and not Path("mlruns").exists()
