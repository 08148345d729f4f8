"""What generated training data are worth: one figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures.style import INK, QUIET, SERIES, new_figure, styled

ENDS = ("low", "high")


@styled
def augmentation_gains(
    added: Sequence[int],
    gains: Mapping[str, Mapping[str, Mapping[str, ArrayLike]]],
    reached: Mapping[str, Mapping[str, float]],
    *,
    label: str = "Spearman correlation",
) -> Figure:
    """Gain against the number of windows added, beside what each method reaches at all.

    Parameters
    ----------
    added : sequence of int
        Numbers of windows, without 0.
    gains : mapping of str to mapping of str to mapping of str to (len(added),) arrays
        By the title of a panel, such as a selection rule, and the name of a line, such as a
        generator: "gain", "low" and "high"; NaN where nothing was computed.
    reached : mapping of str to mapping of str to float
        By the name of a method and of a group of cases: what it reaches. The first method is the
        one that gains are counted from.
    label : str
        What is measured.

    Returns
    -------
    matplotlib.figure.Figure
    """
    added = np.asarray(added, float)
    lines = [name for panel in gains.values() for name in panel]
    colours = dict(zip(dict.fromkeys(lines), SERIES, strict=False))
    figure = new_figure(3.1 + 2.1 * len(gains), 2.9)
    ratios = [1.35, *[1.0] * len(gains)]
    panels = figure.subplots(1, 1 + len(gains), width_ratios=ratios, squeeze=False)[0]

    groups = list(next(iter(reached.values())))
    axes, tone = panels[0], (INK, QUIET, "#bbbbbb", "#dddddd")
    width = 0.8 / len(reached)
    for k, (name, values) in enumerate(reached.items()):
        at = np.arange(len(groups)) + (k - (len(reached) - 1) / 2) * width
        axes.bar(at, [values[g] for g in groups], width, color=tone[k % len(tone)], label=name)
    axes.set_xticks(range(len(groups)), [g.replace("_", "\n") for g in groups], fontsize=7)
    top = max(max(values.values()) for values in reached.values())
    axes.set(ylabel=label, ylim=(min(0, *(min(v.values()) for v in reached.values())), 1.5 * top))
    axes.legend(loc="upper left", fontsize=7)
    axes.set_title("Without generated windows", loc="left")

    base = next(iter(reached.values()))
    for axes, (title, panel) in zip(panels[1:], gains.items(), strict=True):
        axes.axhline(0, color=INK, linewidth=0.8)
        for k, (name, values) in enumerate(panel.items()):
            low, gain, high = (np.asarray(values[key], float) for key in ("low", "gain", "high"))
            there = np.isfinite(gain)
            at = added + 0.45 * (k - (len(panel) - 1) / 2)
            axes.errorbar(
                at[there], gain[there], [(gain - low)[there], (high - gain)[there]], fmt="o-",
                color=colours[name], markersize=3, linewidth=1, elinewidth=0.9, capsize=2,
                label=name,
            )  # fmt: skip
        axes.set_title(title, loc="left")
        # of numbers so close that their labels would touch, the first has one
        close = np.diff(added, prepend=-np.inf) < 0.1 * added.max()
        names = ["" if near else f"{k:g}" for k, near in zip(added, close, strict=True)]
        axes.set_xticks(added, names)
        axes.set(xlabel="Windows added, k", xlim=(0, added.max() + 2))
        axes.tick_params(axis="x", labelsize=7)
        if axes is not panels[1]:
            axes.tick_params(labelleft=False)
    ends = [line[key] for panel in gains.values() for line in panel.values() for key in ENDS]
    low, high = np.nanmin([0, *np.ravel(ends)]), np.nanmax([0, *np.ravel(ends)])
    for axes in panels[1:]:
        axes.set_ylim(low - 0.08 * (high - low), high + 0.25 * (high - low))
    panels[1].set_ylabel(f"Gain over k = 0 ({np.mean([base[g] for g in groups]):.3f})")
    fullest = max(range(len(gains)), key=lambda i: len(list(gains.values())[i]))
    panels[1 + fullest].legend(fontsize=7)
    return figure
