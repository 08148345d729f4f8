"""AUROC of ways to train, over how much data each had."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from kecgi.figures.style import QUIET, SERIES, new_figure, styled


@styled
def auroc_curves(
    panels: Mapping[str, Mapping[str, Mapping[float, Mapping[str, float]]]],
    axes_labels: Mapping[str, str],
    reference: Mapping[str, float] | None = None,
) -> Figure:
    """One panel a task: lines of AUROC with intervals.

    Parameters
    ----------
    panels : mapping
        Title to ways of training; each way's AUROC by how much data it had: a mapping of the
        amount to ``auroc``, ``low`` and ``high``, as from `kecgi.evaluate.compare_auroc`.
    axes_labels : mapping of str to str
        What the amount is, by title.
    reference : mapping of str to float, optional
        Level that a dashed line marks, by title.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not panels or not all(ways and all(ways.values()) for ways in panels.values()):
        raise ValueError("a panel without a way of training, or a way without AUROC: nothing drawn")
    figure = new_figure(3.6 * len(panels), 3.0)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, ways) in zip(row, panels.items(), strict=True):
        amounts = np.unique([amount for way in ways.values() for amount in way])
        # side by side, so that intervals don't hide each other
        step = 0.012 * (np.ptp(amounts) or 1.0)
        for i, (name, way) in enumerate(ways.items()):
            at = np.array(sorted(way))
            value, low, high = (
                np.array([way[x][key] for x in at], float) for key in ("auroc", "low", "high")
            )
            axes.errorbar(
                at + step * (i - (len(ways) - 1) / 2),
                value,
                (np.maximum(value - low, 0), np.maximum(high - value, 0)),
                color=SERIES[i % len(SERIES)],
                marker="o",
                markersize=3.5,
                capsize=2,
                linewidth=1.2,
                elinewidth=0.8,
                label=name,
            )
        if reference and title in reference:
            axes.axhline(reference[title], color=QUIET, linewidth=0.8, linestyle="--")
        axes.set(title=title, xlabel=axes_labels[title], ylabel="AUROC", xticks=amounts)
        axes.grid(True, axis="y")
        axes.set_axisbelow(True)
        axes.legend()
    return figure
