"""Error against what goes wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kecgi.figures.style import OUTPUT, QUIET, SERIES, new_figure, styled


@styled
def robustness_curves(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Mean absolute error with its interval, and coverage, a panel for each thing that goes wrong.

    Parameters
    ----------
    results : mapping
        ``{what goes wrong: {how much: {"mae_ms", "mae_ms_interval", "coverage90"}}}``, the
        undisturbed level first.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(2.3 * len(results) + 0.4, 4.2)
    panels = figure.subplots(2, len(results), sharey="row", squeeze=False)
    for column, (kind, levels) in enumerate(results.items()):
        above, below = panels[:, column]
        place = np.arange(len(levels))
        error = np.array([level["mae_ms"] for level in levels.values()])
        ends = np.array([level["mae_ms_interval"] or (np.nan, np.nan) for level in levels.values()])
        above.axhline(error[0], color=QUIET, linewidth=0.9, linestyle="--")
        above.errorbar(
            place, error, np.abs(ends.T - error), color=OUTPUT, marker="o", markersize=4, capsize=2
        )
        below.axhspan(88, 92, color="#e8e8e8", zorder=0)
        coverage = [100 * level["coverage90"] for level in levels.values()]
        below.plot(place, coverage, color=SERIES[1], marker="o", markersize=4)
        for axes in (above, below):
            axes.set_xticks(place, list(levels))
            axes.set_xlim(-0.3, len(levels) - 0.7)
            axes.grid(axis="y")
        above.set_ylim(bottom=0)
        below.set(ylim=(0, 100), xlabel=kind)
    panels[0, 0].set_ylabel("MAE (ms)")
    panels[1, 0].set_ylabel("90 % interval covers (%)")
    return figure
