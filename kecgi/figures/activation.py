"""Activation maps beside their prediction, as in Fig. 6 of the paper."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures import slices
from kecgi.figures.style import ACTIVATION, DIFFERENCE, QUIET, SPREAD, round_up, styled


@styled
def activation_maps(
    true: ArrayLike,
    mean: ArrayLike,
    sd: ArrayLike | None,
    mask: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    planes: Sequence[str] | None = None,
    isochrone_ms: float = 10.0,
) -> Figure:
    """Rows of cases: true map, predicted mean, SD and error (predicted less true).

    All panels have one scale in mm, true and predicted one colour scale, which is that of the true
    maps. 3-D hearts take one row for each of three slices through the middle of the tissue.

    Parameters
    ----------
    true, mean : (cases, *space) arrays
        Maps in ms.
    sd : (cases, *space) array or None
        SD of the posterior in ms; None for a model without one leaves its column out.
    mask : (cases, *space) or (*space) bool array
        Tissue.
    spacing_mm : (ndim,) sequence
        Voxel size.
    names : sequence of str, optional
        Name of each case.
    planes : sequence of str, optional
        Slices of a 3-D heart, or the orientation of a 2-D one; see `kecgi.figures.slices.views`.
    isochrone_ms : float
        Time between the lines on the maps.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    Bacoyannis et al., FIMH 2019, 10.1007/978-3-030-21949-9_3, Fig. 6.
    """
    true, mean = np.asarray(true, dtype=float), np.asarray(mean, dtype=float)
    sd = None if sd is None else np.asarray(sd, dtype=float)
    for name, values in (("mean", mean), ("sd", sd)):
        if values is not None and values.shape != true.shape:
            raise ValueError(f"{name} has shape {values.shape}, expected that of true {true.shape}")
    mask = np.broadcast_to(np.asarray(mask, dtype=bool), true.shape)
    names = [f"Case {i + 1}" for i in range(len(true))] if names is None else names
    if len(names) != len(true):
        raise ValueError(f"{len(names)} names for {len(true)} cases")
    of_row = [
        (i, view) for i in range(len(true)) for view in slices.views(mask[i], spacing_mm, planes)
    ]

    error = mean - true
    low, high = np.floor(true[mask].min() / 10) * 10, np.ceil(true[mask].max() / 10) * 10
    largest = round_up(float(np.percentile(np.abs(error[mask]), 98)))
    times, errors = Normalize(low, max(high, low + 10)), Normalize(-largest, largest)
    isochrones = np.arange(low, high, isochrone_ms)
    columns = [
        ("True", true, ACTIVATION, times, isochrones),
        ("Predicted mean", mean, ACTIVATION, times, isochrones),
        ("Error", error, DIFFERENCE, errors, ()),
    ]
    if sd is not None:
        spread = Normalize(0, round_up(float(np.percentile(sd[mask], 98))))
        columns.insert(2, ("Standard deviation", sd, SPREAD, spread, ()))

    figure, axes = slices.panel_grid(
        [view for _, view in of_row],
        len(columns),
        panel_in=1.9,
        left_in=1.0,
        top_in=0.35,
        bottom_in=0.8,
    )
    for j, (title, values, cmap, norm, lines) in enumerate(columns):
        axes[0, j].set_title(title, pad=5)
        for row, (case, view) in zip(axes, of_row, strict=True):
            slices.draw_map(row[j], view, values[case], cmap, norm, lines)
    previous = None
    for row, (case, view) in zip(axes, of_row, strict=True):
        slices.letter_edges(row[0], view.plane)
        lines = []
        if case != previous:
            inside = mask[case]
            lines = [f"MAE {np.abs(error[case][inside]).mean():.1f} ms"]
            if sd is not None:
                lines += [f"SD {np.sqrt(np.mean(sd[case][inside] ** 2)):.1f} ms"]
        if view.index is not None:
            lines += [view.plane.name]
        _label(row[0], names[case] if case != previous else "", lines)
        previous = case

    slices.colour_bar(
        figure,
        axes[-1, 0],
        axes[-1, 1],
        ACTIVATION,
        times,
        f"Activation time (ms), a line every {isochrone_ms:g} ms",
        _beyond(mean[mask], times),
    )
    for j, (_, values, cmap, norm, _) in enumerate(columns[2:], start=2):
        label = "Predicted − true (ms)" if values is error else "SD (ms)"
        slices.colour_bar(
            figure, axes[-1, j], axes[-1, j], cmap, norm, label, _beyond(values[mask], norm)
        )
    slices.scale_bar(figure, axes[0, 0], left_in=0.15, bottom_in=0.55)
    return figure


def _label(axes: slices.Axes, name: str, lines: Sequence[str]) -> None:
    """Write a case's name, and smaller what is known about it, left of its row."""
    for text, place, options in (
        (textwrap.fill(name, 13), 2, {"fontweight": "bold"}),
        ("\n".join(lines), -2, {"fontsize": 8, "color": QUIET, "va": "top", "linespacing": 1.4}),
    ):
        axes.annotate(
            text,
            (0, 0.5),
            xycoords="axes fraction",
            xytext=(-66, place),
            textcoords="offset points",
            **options,
        )


def _beyond(values: np.ndarray, norm: Normalize) -> str:
    """Say at which ends of the colour bar there are values beyond it."""
    below, above = bool((values < norm.vmin).any()), bool((values > norm.vmax).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
        (below, above), "both"
    )
