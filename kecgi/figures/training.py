"""Learning curves, and models beside each other."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kecgi.figures.style import INK, QUIET, SERIES, new_figure, styled


@styled
def learning_curves(
    history: Mapping[str, Sequence[float]], labels: Mapping[str, str] | None = None
) -> Figure:
    """One panel a metric, training and validation, over epochs.

    Parameters
    ----------
    history : mapping of str to (epochs,) sequences
        As `keras.callbacks.History.history`: ``NAME`` and, of validation, ``val_NAME``.
    labels : mapping of str to str, optional
        Axis labels with units, by name; the name itself by default.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = list(dict.fromkeys(key.removeprefix("val_") for key in history))
    if not names:
        raise ValueError("the history is empty: there is nothing to draw")
    columns = 2 if len(names) == 4 else min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(2.7 * columns + 0.2, 0.35 + 2.1 * rows)
    drawn = {}
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        curves = {
            part: np.asarray(history[key], dtype=float)
            for part, key in (("training", name), ("validation", f"val_{name}"))
            if key in history
        }
        for part, curve in curves.items():
            epochs = np.arange(1, len(curve) + 1)
            marker = "o" if len(curve) == 1 else None  # a line of one point cannot be seen
            colour = SERIES[0] if part == "training" else SERIES[1]
            (drawn[part],) = axes.plot(epochs, curve, color=colour, marker=marker, markersize=4)
        values = np.concatenate(list(curves.values()))
        values = values[np.isfinite(values)]
        if values.size and values.min() > 0 and values.max() > 30 * values.min():
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.set(xlabel="Epoch", ylabel=(labels or {}).get(name, name.replace("_", " ")))
        axes.grid(True)
        axes.set_axisbelow(True)
    figure.legend(
        drawn.values(), drawn.keys(), loc="outside upper right", ncols=2, fontsize="medium"
    )
    return figure


@styled
def model_comparison(
    table: Mapping[str, Mapping[str, object]],
    metrics: Mapping[str, str] | None = None,
    highlight: Sequence[str] = (),
) -> Figure:
    """Bars with intervals, one panel a metric, one bar a model.

    Parameters
    ----------
    table : mapping of str to mapping
        Model name to what `kecgi.evaluate.summarise_maps` gives: each metric, and its interval
        under the metric's name and ``_interval`` where there is one.
    metrics : mapping of str to str, optional
        Metrics to show and their axis labels; by default ``mae_ms`` and ``r2``.
    highlight : sequence of str
        Models in colour; the others, such as baselines, are grey. By default all are in colour.

    Returns
    -------
    matplotlib.figure.Figure
    """
    metrics = metrics or {"mae_ms": "MAE (ms)", "r2": "Skill (R², training mean: 0)"}
    if not table:
        raise ValueError("the table is empty: there is no model to compare")
    unknown = sorted(set(highlight) - set(table))
    if unknown:
        raise ValueError(f"highlight names {unknown[0]!r}, which is not in {list(table)}")
    names = list(table)
    place = np.arange(len(names))
    colours = [SERIES[0] if not highlight or name in highlight else "#a9b0b7" for name in names]
    figure = new_figure(1.3 + 2.9 * len(metrics), 0.75 + 0.34 * len(names))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, (metric, label) in zip(panels, metrics.items(), strict=True):
        # A metric may be undefined (None), as the correlation of a constant map is.
        values = np.array([table[name][metric] for name in names], dtype=float)
        axes.barh(place, np.nan_to_num(values), height=0.62, color=colours)
        intervals = np.stack([values, values], axis=1)
        for i, name in enumerate(names):
            interval = table[name].get(f"{metric}_interval")
            if interval is not None:
                intervals[i] = interval
                axes.plot(interval, [place[i]] * 2, color=INK, linewidth=1.1, marker="|")
        intervals = np.nan_to_num(intervals)
        low, high = min(0.0, intervals.min()), max(0.0, intervals.max())
        span = high - low or 1.0
        for i, value in enumerate(values):
            end = max(intervals[i, 1], 0) + 0.03 * span
            axes.text(end, place[i], _number(value), va="center", fontsize=8)
        axes.axvline(0, color=QUIET, linewidth=0.7)
        axes.set_xlim(low - (0.05 * span if low < 0 else 0), high + 0.2 * span)
        axes.set_xlabel(label)
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
    panels[0].set_yticks(place, names)
    panels[0].invert_yaxis()
    return figure


def _number(value: float) -> str:
    if np.isnan(value):
        return "undefined"
    text = f"{value:.1f}" if abs(value) >= 2 else f"{value:.2f}"
    return text.replace("-", "−")
