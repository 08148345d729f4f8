"""The anisotropic benchmark runs and ends with the line that others read."""

import json
import subprocess
import sys
from pathlib import Path


def test_last_line_has_the_figures():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.anisotropic", "--quick"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["anisotropic_ms"] > 0
    assert max(figures["error_percent"].values()) < 0.7
    assert set(figures["maps_per_second_by_threads"]) >= {"1", "2"}
    for rival in ("ratio_to_scikit_fmm_isotropic", "fim_python_ratio"):
        assert figures[rival] is None or figures[rival] > 0
