"""The monodomain benchmark runs, and says where finitewave is absent."""

import json
import os
import subprocess
import sys
from pathlib import Path


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.monodomain", "--quick", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "KECGI_FINITEWAVE"},
    )


def test_last_line_has_the_figures():
    done = run()
    assert done.returncode == 0, done.stderr
    assert "finitewave  absent" in done.stdout
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["af_second_s"] > 0 and figures["finitewave_second_s"] is None
    assert max(figures["plane_error_percent"].values()) < 5
    assert max(map(abs, figures["wall_error_percent"].values())) < 2


def test_an_interpreter_without_finitewave_is_named():
    done = run("--finitewave", sys.executable)
    assert done.returncode != 0
    assert "can't run finitewave" in done.stderr and "No module named" in done.stderr
