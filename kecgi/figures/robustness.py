"""Error against what goes wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kecgi.figures.style import OUTPUT, QUIET, SERIES, new_figure, styled

MOST_COLUMNS = 4
"""Panels side by side."""


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
    columns = min(len(results), MOST_COLUMNS)
    rows = -(-len(results) // columns)
    figure = new_figure(2.5 * columns + 0.4, 4.2 * rows)
    panels = figure.subplots(2 * rows, columns, squeeze=False)
    top = max(level["mae_ms"] for levels in results.values() for level in levels.values())
    for number, (kind, levels) in enumerate(results.items()):
        row, column = divmod(number, columns)
        above, below = panels[2 * row : 2 * row + 2, column]
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
        above.set_ylim(0, 1.25 * top)
        below.set(ylim=(0, 100), xlabel=kind)
        if column == 0:
            above.set_ylabel("MAE (ms)")
            below.set_ylabel("90 % interval covers (%)")
    for axes in panels.reshape(rows, 2, columns).swapaxes(1, 2).reshape(-1, 2)[len(results) :]:
        for unused in axes:
            unused.set_visible(False)
    return figure
