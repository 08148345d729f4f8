import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

from kecgi.figures import bspm_image, style


def test_the_callers_settings_stay_and_do_not_matter():
    with mpl.rc_context({"font.size": 31.0, "axes.spines.top": True}):
        before = dict(mpl.rcParams)
        figure = bspm_image(np.eye(3), np.eye(3), np.arange(3))
        assert dict(mpl.rcParams) == before
    assert figure.axes[0].title.get_fontsize() == 9


def test_no_pyplot():
    code = "import sys, kecgi.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("value", "end"), [(0.13, 0.15), (7.0, 8.0), (10.0, 10.0), (99.0, 100.0), (0.0, 1.0)]
)
def test_round_up(value, end):
    assert style.round_up(value) == pytest.approx(end)
