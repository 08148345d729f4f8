"""What each latent dimension does: decoded images along it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures import slices
from kecgi.figures.style import ACTIVATION, DIFFERENCE, new_figure, round_up, styled


@styled
def map_traversal(
    maps: ArrayLike,
    values: ArrayLike,
    mask: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    plane: str = "axial",
    isochrone_ms: float = 10.0,
) -> Figure:
    """Grid of decoded activation maps: a row a latent dimension, a column a value of it.

    Parameters
    ----------
    maps : (dimensions, values, *space) array
        Decoded maps in ms.
    values : (values,) array
        Value of the dimension in each column; the others are held still.
    mask : (*space) bool array
        Tissue.
    spacing_mm : (ndim,) sequence
    names : sequence of str, optional
        Name of each dimension; z1, z2, … by default.
    plane : str
        Slice of a 3-D heart, or the orientation of a 2-D one.
    isochrone_ms : float
        Time between the lines on the maps.

    Returns
    -------
    matplotlib.figure.Figure
    """
    maps = np.asarray(maps, dtype=float)
    names = _names(maps, values, names)
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != maps.shape[2:]:
        raise ValueError(f"mask {mask.shape} does not fit maps {maps.shape[2:]}")
    (view,) = slices.views(mask, spacing_mm, (plane,))
    shown = maps[:, :, mask]
    low, high = np.floor(shown.min() / 10) * 10, np.ceil(shown.max() / 10) * 10
    norm = Normalize(low, max(high, low + 10))
    figure, axes = slices.panel_grid(
        [view] * len(maps),
        maps.shape[1],
        panel_in=1.15,
        left_in=0.6,
        top_in=0.35,
        bottom_in=0.8,
        gap_in=0.06,
    )
    for row, images, name in zip(axes, maps, names, strict=True):
        row[0].annotate(
            name,
            (0, 0.5),
            xycoords="axes fraction",
            xytext=(-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontweight="bold",
        )
        for panel, image in zip(row, images, strict=True):
            slices.draw_map(
                panel, view, image, ACTIVATION, norm, np.arange(low, high, isochrone_ms)
            )
    for panel, value in zip(axes[0], values, strict=True):
        panel.set_title(_title(value), pad=5)
    slices.colour_bar(
        figure,
        axes[-1, maps.shape[1] // 4],
        axes[-1, -1 - maps.shape[1] // 4],
        ACTIVATION,
        norm,
        f"Activation time (ms), a line every {isochrone_ms:g} ms",
        "neither",
    )
    slices.scale_bar(figure, axes[0, 0], left_in=0.15, bottom_in=0.55)
    return figure


@styled
def bspm_traversal(
    bspm: ArrayLike,
    values: ArrayLike,
    time_ms: ArrayLike,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Grid of decoded body-surface potentials, as images of electrode by time.

    Parameters
    ----------
    bspm : (dimensions, values, electrodes, time) array
        Decoded potentials in mV.
    values : (values,) array
        Value of the dimension in each column; the others are held still.
    time_ms : (time,) array
    names : sequence of str, optional
        Name of each dimension; z1, z2, … by default.

    Returns
    -------
    matplotlib.figure.Figure
    """
    bspm, time_ms = np.asarray(bspm, dtype=float), np.asarray(time_ms, dtype=float)
    names = _names(bspm, values, names)
    if bspm.ndim != 4 or bspm.shape[-1:] != time_ms.shape:
        raise ValueError(
            "bspm must be shaped (dimensions, values, electrodes, time) with as many times, got "
            f"{bspm.shape} and {time_ms.shape}"
        )
    rows, columns = bspm.shape[:2]
    largest = round_up(float(np.abs(bspm).max()))
    norm = Normalize(-largest, largest)
    figure = new_figure(0.9 + 1.2 * columns, 0.8 + 0.95 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for i, j in np.ndindex(rows, columns):
        image = axes[i, j].imshow(
            bspm[i, j],
            extent=(time_ms[0], time_ms[-1], bspm.shape[2] + 0.5, 0.5),
            aspect="auto",
            cmap=DIFFERENCE,
            norm=norm,
        )
    for panel, name in zip(axes[:, 0], names, strict=True):
        panel.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold")
    for panel, value in zip(axes[0], values, strict=True):
        panel.set_title(_title(value))
    figure.supxlabel("Time (ms)", fontsize=9)
    figure.supylabel("Electrode", fontsize=9)
    figure.colorbar(image, ax=axes, label="Potential (mV)", pad=0.015, aspect=30)
    return figure


def _title(value: float) -> str:
    return f"z = {value:.2g}".replace("-", "−")


def _names(images: np.ndarray, values: ArrayLike, names: Sequence[str] | None) -> Sequence[str]:
    if images.ndim < 4 or images.shape[1] != len(values):
        raise ValueError(
            f"expected images (dimensions, values, …) and as many values, got {images.shape} and "
            f"{len(values)} values"
        )
    names = [f"z{i + 1}" for i in range(len(images))] if names is None else names
    if len(names) != len(images):
        raise ValueError(f"{len(names)} names for {len(images)} dimensions")
    return names
