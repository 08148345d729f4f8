"""Atrial electrograms by rhythm, and maps on the atrial wall."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures.style import INK, QUIET, SERIES, SPREAD, new_figure, round_up, styled

PHASE = "twilight"
"""Cyclic colours: the phase after pi is the one after -pi."""

PALE = 0.75
"""Share of white in the colours of the far wall."""

VIEWS = {
    "From the front": (0, 2, 1, -1.0),
    "From the back": (0, 2, 1, 1.0),
}
"""Axes across and up, the axis of sight, and the sign of what is near on it."""


@styled
def rhythm_traces(
    signals_mv: Mapping[str, ArrayLike],
    time_ms: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Signals of a few channels, one column a rhythm, all on one scale.

    Parameters
    ----------
    signals_mv : mapping of str to (channels, time) arrays
        Signals by the name of their rhythm.
    time_ms : (time,) array
    names : sequence of str, optional
        Names of the channels, from top to bottom.
    title : str
        What the signals are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    time_ms = np.asarray(time_ms, float)
    values = {name: np.asarray(v, float) for name, v in signals_mv.items()}
    shapes = {v.shape for v in values.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2 or {s[1] for s in shapes} != {len(time_ms)}:
        raise ValueError(
            f"signals have shapes {sorted(shapes)}, expected one shape (channels, time) with "
            f"{len(time_ms)} times"
        )
    channels = next(iter(shapes))[0]
    if names is not None and len(names) != channels:
        raise ValueError(f"{len(names)} names for {channels} channels")
    # traces lie as far apart as nearly all of them need
    swings = np.concatenate([np.ptp(v, axis=1) for v in values.values()])
    apart = round_up(float(np.percentile(swings, 90)))
    offsets = -apart * np.arange(channels)
    figure = new_figure(2.3 * len(values) + 0.5, 0.9 + 0.55 * channels)
    panels = figure.subplots(1, len(values), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, signal), colour in zip(panels, values.items(), _colours(values), strict=True):
        middle = signal - np.median(signal, axis=1, keepdims=True)
        axes.plot(time_ms, middle.T + offsets, color=colour, linewidth=0.8)
        axes.set_title(name.replace("_", " "), loc="left")
        axes.set_xlabel("Time (ms)")
        axes.margins(x=0)
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
    panels[0].set_yticks(offsets, names or [str(k + 1) for k in range(channels)])
    last, x = panels[-1], time_ms[-1] + 0.03 * np.ptp(time_ms)
    low = offsets[-1] - 0.5 * apart
    last.plot([x, x], [low, low + apart], color=INK, clip_on=False, solid_capstyle="butt")
    last.text(x + 0.02 * np.ptp(time_ms), low + 0.5 * apart, f"{apart:g} mV", va="center",
              fontsize=8)  # fmt: skip
    panels[0].set_ylim(offsets[-1] - apart, apart)
    panels[0].set_xlim(time_ms[0], time_ms[-1])
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


@styled
def rhythm_spectra(signals_mv: Mapping[str, ArrayLike], sampling_hz: float) -> Figure:
    """Mean amplitude spectrum of each rhythm's signals up to 40 Hz.

    Parameters
    ----------
    signals_mv : mapping of str to (signals, time) arrays
        Signals by the name of their rhythm.
    sampling_hz : float
        Sampling rate.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.6, 2.8)
    axes = figure.add_subplot()
    for (name, signals), colour in zip(signals_mv.items(), _colours(signals_mv), strict=True):
        signals = np.asarray(signals, float)
        signals = signals - signals.mean(axis=-1, keepdims=True)
        window = np.hanning(signals.shape[-1])
        spectrum = np.abs(np.fft.rfft(signals * window)) * 2 / window.sum()
        hz = np.fft.rfftfreq(signals.shape[-1], 1 / sampling_hz)
        axes.plot(hz, spectrum.mean(axis=0), label=name.replace("_", " "), color=colour)
    axes.set(xlim=(0, 40), xlabel="Frequency (Hz)", ylabel="Amplitude (mV)", ylim=(0, None))
    axes.legend()
    return figure


@styled
def wall_maps(
    positions_mm: ArrayLike,
    spacing_mm: float,
    maps: Mapping[str, ArrayLike],
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    cyclic: bool = False,
    chamber: ArrayLike | None = None,
    marks_mm: Sequence[ArrayLike] | None = None,
) -> Figure:
    """Values on the voxels of a wall, seen from the front and from the back.

    Parameters
    ----------
    positions_mm : (voxels, 3) array
        Voxel centres, in patient LPS.
    spacing_mm : float
        Grid step.
    maps : mapping of str to (voxels,) arrays
        Values by the title of their column.
    label : str
        What the values are, with their unit.
    limits : (float, float), optional
        Ends of the colour scale; those of the values by default.
    cyclic : bool
        Whether the colours shall close, as a phase does.
    chamber : (voxels,) array of int, optional
        Chamber of each voxel: what lies behind its middle is drawn pale.
    marks_mm : sequence of (n, 3) arrays, optional
        Places to mark in each map, such as phase singularities.

    Returns
    -------
    matplotlib.figure.Figure
    """
    at = np.asarray(positions_mm, float)
    values = [np.asarray(v, float) for v in maps.values()]
    if at.ndim != 2 or at.shape[1] != 3 or any(v.shape != at.shape[:1] for v in values):
        raise ValueError(
            f"expected positions (voxels, 3) and one value a voxel, got {at.shape} and "
            f"{[v.shape for v in values]}"
        )
    if limits is None:
        limits = min(v.min() for v in values), max(v.max() for v in values)
    part = np.zeros(len(at), int) if chamber is None else np.asarray(chamber)
    middle = np.zeros_like(at)
    for own in np.unique(part):
        middle[part == own] = at[part == own].mean(axis=0)
    norm, colours = Normalize(*limits), PHASE if cyclic else SPREAD
    low, high = at.min(axis=0) - 2 * spacing_mm, at.max(axis=0) + 2 * spacing_mm
    width, height = high[0] - low[0], high[2] - low[2]
    inches = 2.1 / width
    figure = new_figure(2.1 * len(values) + 1.0, 2 * height * inches + 0.7)
    panels = figure.subplots(2, len(values), squeeze=False)
    size = (1.45 * spacing_mm * inches * 0.9 * 72) ** 2
    for row, (view, (across, up, sight, near)) in zip(panels, VIEWS.items(), strict=True):
        # the far wall, seen through valves and veins, is pale and behind the near one
        order = np.argsort(near * at[:, sight])
        ahead = near * (at[:, sight] - middle[:, sight]) > 0
        pale = np.where(ahead[order], 0.0, PALE)[:, None]
        side = (low[across], high[across]) if near < 0 else (high[across], low[across])
        for k, (axes, title) in enumerate(zip(row, maps, strict=True)):
            shades = colormaps[colours](norm(values[k][order]))[:, :3]
            axes.scatter(
                *at[order][:, [across, up]].T, s=size, c=shades + pale * (1 - shades), marker="s",
                linewidths=0,
            )  # fmt: skip
            if marks_mm is not None and len(marks_mm[k]):
                places = np.asarray(marks_mm[k], float)
                closest = np.linalg.norm(places[:, None] - at, axis=2).argmin(axis=1)
                axes.scatter(
                    *places[ahead[closest]][:, [across, up]].T, s=45, facecolors="none",
                    edgecolors=SERIES[1],
                    linewidths=1.6,
                )  # fmt: skip
            axes.set(xlim=side, ylim=(low[up], high[up]), aspect="equal")
            axes.set_axis_off()
            if axes in panels[0]:
                axes.set_title(title)
        row[0].text(-0.02, 0.5, view, transform=row[0].transAxes, rotation=90, va="center",
                    ha="right", color=QUIET)  # fmt: skip
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=panels, label=label, aspect=30, pad=0.02
    )
    bar.outline.set_visible(False)
    return figure


def _colours(names: Mapping[str, object]) -> list[str]:
    return [SERIES[k % len(SERIES)] for k in range(len(names))]
