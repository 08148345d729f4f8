"""One look for all figures: fonts, colours, colour maps, and a figure that needs no pyplot."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

INPUT = "#c1272d"  # the paper's red: what went in
OUTPUT = "#0f4c9c"  # the paper's blue: what came out
INK = "#222222"
QUIET = "#777777"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito

# Perceptually uniform. Early activation is warm and bright, late cool and dark, as is usual.
ACTIVATION = "plasma_r"
SPREAD = "viridis"
DIFFERENCE = "RdBu_r"

_RC = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=SERIES),
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function under the package's style; the caller's settings stay as they are."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_RC)
            return draw(*args, **kwargs)

    return wrapped


def new_figure(width_in: float, height_in: float, layout: str | None = "constrained") -> Figure:
    """Return an empty figure that belongs to no window and no global state."""
    return Figure(figsize=(width_in, height_in), dpi=150, layout=layout, facecolor="white")


def round_up(value: float) -> float:
    """Return the next 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten, for the end of an axis."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1, 1.5, 2, 3, 4, 5, 6, 8, 10])
    return float(power * steps[np.searchsorted(steps, value / power * (1 - 1e-9))])
