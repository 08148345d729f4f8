"""Is the uncertainty true? Reliability, PIT, and SD against error."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from kecgi.figures.style import INK, OUTPUT, QUIET, SERIES, new_figure, round_up, styled


@styled
def reliability(levels: ArrayLike, coverages: ArrayLike, pit: ArrayLike) -> Figure:
    """Reliability diagram and PIT histogram.

    Parameters
    ----------
    levels, coverages : (levels,) arrays
        Nominal and measured coverage of the central intervals, from 0 to 1; see
        `kecgi.evaluate.reliability_curve`.
    pit : (bins,) array
        Density; see `kecgi.evaluate.pit_histogram`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    levels, coverages, pit = (np.asarray(a, dtype=float) for a in (levels, coverages, pit))
    if levels.ndim != 1 or levels.shape != coverages.shape:
        raise ValueError(f"{coverages.shape} coverages for {levels.shape} levels")
    figure = new_figure(6.8, 3.2)
    left, right = figure.subplots(1, 2)

    left.plot([0, 100], [0, 100], color=QUIET, linewidth=0.9, linestyle="--", label="calibrated")
    left.plot(100 * levels, 100 * coverages, color=OUTPUT, marker="o", markersize=4, label="model")
    ends = dict(color=QUIET, fontsize=8, style="italic")
    left.text(4, 96, "intervals too wide", va="top", **ends)
    left.text(96, 4, "intervals too narrow", ha="right", **ends)
    left.set(
        xlim=(0, 100),
        ylim=(0, 100),
        aspect="equal",
        xlabel="Nominal level of the interval (%)",
        ylabel="Truth inside the interval (%)",
        title="Reliability",
    )
    left.set_xticks(range(0, 101, 25))
    left.set_yticks(range(0, 101, 25))
    left.grid(True)
    left.set_axisbelow(True)
    left.legend(loc="center right", bbox_to_anchor=(1.0, 0.3))

    edges = np.linspace(0, 1, len(pit) + 1)
    right.stairs(pit, edges, fill=True, color=SERIES[5], alpha=0.55)
    right.stairs(pit, edges, color=OUTPUT)
    right.axhline(1, color=QUIET, linewidth=0.9, linestyle="--")
    right.set(
        xlim=(0, 1),
        ylim=(0, max(2.0, 1.1 * pit.max())),
        xlabel="Share of the posterior below the truth",
        ylabel="Density",
        title="PIT histogram (flat when calibrated)",
    )
    return figure


@styled
def sd_against_error(sd: ArrayLike, error: ArrayLike, *, bins: int = 12) -> Figure:
    """Error against predicted SD: the root mean square error of voxels with about the same SD.

    Parameters
    ----------
    sd, error : (values,) arrays
        SD of the posterior and error of its mean, in ms, at the tissue voxels; NaN are left out.
    bins : int
        Number of groups of equally many voxels.

    Returns
    -------
    matplotlib.figure.Figure
    """
    sd, error = np.asarray(sd, dtype=float).ravel(), np.abs(np.asarray(error, dtype=float)).ravel()
    if sd.shape != error.shape:
        raise ValueError(f"shapes differ: {sd.shape} of sd, {error.shape} of error")
    known = np.isfinite(sd) & np.isfinite(error)
    if not known.any():
        raise ValueError("there is no voxel with a finite sd and error")
    sd, error = sd[known], error[known]
    order = np.argsort(sd, kind="stable")
    groups = [g for g in np.array_split(order, bins) if g.size]
    centre = [sd[g].mean() for g in groups]
    rms = [np.sqrt(np.mean(error[g] ** 2)) for g in groups]
    quartiles = np.array([np.percentile(error[g], [25, 75]) for g in groups])
    end = round_up(1.05 * max(*rms, *centre, quartiles.max()))

    figure = new_figure(3.9, 3.6)
    axes = figure.add_subplot()
    axes.plot([0, end], [0, end], color=QUIET, linewidth=0.9, linestyle="--", label="calibrated")
    axes.fill_between(
        centre, *quartiles.T, color=SERIES[5], alpha=0.35, linewidth=0, label="|error|, quartiles"
    )
    axes.plot(centre, rms, color=OUTPUT, marker="o", markersize=4, label="root mean square error")
    axes.set(
        xlim=(0, end), ylim=(0, end), xlabel="Predicted SD (ms)", ylabel="Error of the mean (ms)"
    )
    ticks = MaxNLocator(6).tick_values(0, end)
    axes.set(aspect="equal", xticks=ticks[ticks <= end], yticks=ticks[ticks <= end])
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.legend(loc="best", labelcolor=INK)
    return figure
