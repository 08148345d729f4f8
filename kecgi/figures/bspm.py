"""Body-surface potentials beside their reconstruction, as in Fig. 4 of the paper."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures.style import DIFFERENCE, INPUT, OUTPUT, QUIET, new_figure, round_up, styled


@styled
def bspm_traces(
    true: ArrayLike,
    predicted: ArrayLike,
    time_ms: ArrayLike,
    names: Sequence[str],
    *,
    columns: int = 2,
) -> Figure:
    """Input (red) and output (blue) signals, one panel an electrode, on one scale.

    Parameters
    ----------
    true, predicted : (signals, time) arrays
        Potentials in mV of the electrodes to show.
    time_ms : (time,) array
    names : sequence of str
        Title of each panel.
    columns : int
        Panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
    """
    true, predicted, time_ms = _signals(true, predicted, time_ms)
    if len(names) != len(true):
        raise ValueError(f"{len(names)} names for {len(true)} signals")
    columns = min(columns, len(true))
    rows = -(-len(true) // columns)
    figure = new_figure(3.4 * columns, 0.5 + 1.5 * rows)
    first = None
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1, sharex=first, sharey=first)
        first = first or axes
        axes.axhline(0, color=QUIET, linewidth=0.5)
        axes.plot(time_ms, true[i], color=INPUT, label="Input")
        axes.plot(time_ms, predicted[i], color=OUTPUT, label="Output")
        axes.set_title(name, loc="left")
        axes.margins(x=0)
        if i % columns == 0:
            axes.set_ylabel("Potential (mV)")
        else:
            axes.tick_params(labelleft=False)
        if i + columns >= len(true):
            axes.set_xlabel("Time (ms)")
        else:
            axes.tick_params(labelbottom=False)
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


@styled
def bspm_image(true: ArrayLike, predicted: ArrayLike, time_ms: ArrayLike) -> Figure:
    """One case's input, output and their difference, as images of electrode by time.

    Parameters
    ----------
    true, predicted : (electrodes, time) arrays
        Potentials in mV.
    time_ms : (time,) array

    Returns
    -------
    matplotlib.figure.Figure
    """
    true, predicted, time_ms = _signals(true, predicted, time_ms)
    largest = round_up(float(np.abs(true).max()))
    wrong = round_up(float(np.abs(predicted - true).max()))
    shared, own = Normalize(-largest, largest), Normalize(-wrong, wrong)
    figure = new_figure(8.4, 2.9)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    images = []
    for axes, title, values, norm in zip(
        panels,
        ("Input", "Output", "Output − input"),
        (true, predicted, predicted - true),
        (shared, shared, own),
        strict=True,
    ):
        images.append(
            axes.imshow(
                values,
                extent=(time_ms[0], time_ms[-1], len(values) + 0.5, 0.5),
                aspect="auto",
                cmap=DIFFERENCE,
                norm=norm,
                interpolation="nearest",
            )
        )
        axes.set_title(title)
        axes.set_xlabel("Time (ms)")
    panels[0].set_ylabel("Electrode")
    figure.colorbar(images[0], ax=panels[:2], label="Potential (mV)", pad=0.02, aspect=25)
    figure.colorbar(images[2], ax=panels[2], label="Difference (mV)", pad=0.04, aspect=25)
    return figure


def _signals(
    true: ArrayLike, predicted: ArrayLike, time_ms: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    true, predicted, time_ms = (np.asarray(a, dtype=float) for a in (true, predicted, time_ms))
    if true.ndim != 2 or true.shape != predicted.shape or true.shape[-1:] != time_ms.shape:
        raise ValueError(
            "expected input and output of one shape (signals, time) and as many times, got "
            f"{true.shape}, {predicted.shape} and {time_ms.shape}"
        )
    return true, predicted, time_ms
