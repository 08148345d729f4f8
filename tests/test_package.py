"""What holds for the package as a whole: cheap imports, pinned dependencies, fixed names."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch", "mlflow"}


def loaded(code):
    """Names of the top-level modules that a fresh interpreter has loaded after some code."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_package_alone_is_light():
    assert not loaded("import kecgi") & (FRAMEWORKS | {"numba", "numpy"})


@pytest.mark.parametrize(
    "part", ["geometry", "simulate", "data", "inverse", "evaluate", "figures", "tracking"]
)
def test_only_models_need_a_framework(part):
    assert not loaded(f"import kecgi.{part}") & FRAMEWORKS


def test_recipes_have_their_names():
    names = {path.stem for path in RECIPES}
    assert {"bspm_vae", "activation_vae", "activation_cvae", "activation_posterior"} <= names


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_help_of_a_recipe_is_light(recipe):
    ask = f"""
import contextlib, io, runpy, sys
sys.argv = [{str(recipe)!r}, "--help"]
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    runpy.run_path({str(recipe)!r}, run_name="__main__")
for flag in ("--preset", "--geometry", "--backend", "--seed", "--out"):
    assert flag in shown.getvalue(), flag
"""
    assert not loaded(ask) & FRAMEWORKS


def test_all_dependencies_are_pinned_without_addresses():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines), lines
    pinned = {line.partition("==")[0] for line in lines}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needs = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    for requirement in map(Requirement, filter(None, "\n".join(needs).splitlines())):
        assert canonicalize_name(requirement.name) in pinned
