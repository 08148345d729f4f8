"""The simulator's benchmark runs and ends with the line that others read."""

import json
import subprocess
import sys
from pathlib import Path


def test_last_line_has_the_figures():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.simulation", "--quick"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["cases_per_second_per_core"] > 0
    assert (
        figures["eikonal_ratio_to_scikit_fmm"] is None or figures["eikonal_ratio_to_scikit_fmm"] > 0
    )
    assert 0 < figures["forward_ratio_to_matrix_form"]
    error = figures["eikonal_error_percent"]
    assert error.keys() == {"64x64", "128x128", "64x64x64"}
    assert error["64x64"] <= 0.4 and error["128x128"] <= 0.25 and error["64x64x64"] <= 0.5
