"""Maps on a closed surface, seen from two sides, and the L-curve of an inverse problem."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import ArrayLike

from kecgi.figures.style import ACTIVATION, DIFFERENCE, OUTPUT, QUIET, SERIES, new_figure, styled

MOST_ERROR = 1.5  # a zero solution has 1

LIGHT = np.array([0.4, -0.5, 0.75])


@styled
def surface_maps(
    points_mm: ArrayLike,
    triangles: ArrayLike,
    rows: Mapping[str, Mapping[str, ArrayLike]],
    *,
    label: str,
    signed: bool = False,
    views: Sequence[tuple[str, float]] = (("along y", -90.0), ("against y", 90.0)),
) -> Figure:
    """Show maps on one surface: a row for each moment or condition, a column for each source.

    All maps of a row have one colour scale, that of the row's first map.

    Parameters
    ----------
    points_mm : (nodes, 3) array
        With z upwards.
    triangles : (m, 3) int array
        Oriented outwards.
    rows : mapping of str to mapping of str to (nodes,) array
        ``{row title: {column title: values}}``; each row has the same columns.
    label : str
        Quantity and unit, for the colour bars.
    signed : bool
        Diverging colours about 0, as for potentials; else those of activation times.
    views : sequence of (str, float)
        Name and azimuth in degrees of each view.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where rows differ in their columns or values don't fit the surface.
    """
    points, triangles = np.asarray(points_mm, float), np.asarray(triangles)
    columns = list(next(iter(rows.values())))
    for title, maps in rows.items():
        if list(maps) != columns:
            raise ValueError(f"row {title!r} has columns {list(maps)}, expected {columns}")
        for name, values in maps.items():
            if np.shape(values) != (len(points),):
                raise ValueError(
                    f"map {name!r} of row {title!r} has shape {np.shape(values)}, expected "
                    f"({len(points)},)"
                )
    corners = points[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    centre, reach = (points.max(0) + points.min(0)) / 2, np.ptp(points, axis=0).max() / 2
    count = len(columns) * len(views)
    figure = new_figure(1.75 * count + 1.0, 1.9 * len(rows) + 0.7)
    grid = figure.add_gridspec(len(rows), count)
    for i, (title, maps) in enumerate(rows.items()):
        first = np.asarray(maps[columns[0]], float)
        span = np.abs(first).max()
        norm = Normalize(-span, span) if signed else Normalize(first.min(), first.max())
        colours = colormaps[DIFFERENCE if signed else ACTIVATION]
        panels = []
        for j, name in enumerate(columns):
            values = np.asarray(maps[name], float)[triangles].mean(axis=1)
            for k, (view, azimuth) in enumerate(views):
                axes = figure.add_subplot(grid[i, j * len(views) + k], projection="3d")
                turn = np.radians(azimuth)
                shade = 0.78 + 0.22 * (normal @ _turned(LIGHT, turn)).clip(0)
                face = colours(norm(values))
                face[:, :3] *= shade[:, None]
                axes.add_collection3d(
                    Poly3DCollection(corners, facecolors=face, edgecolors=face, linewidths=0.2)
                )
                limits = [(c - 0.62 * reach, c + 0.62 * reach) for c in centre]
                axes.set(xlim=limits[0], ylim=limits[1], zlim=limits[2])
                axes.set_proj_type("ortho")
                axes.set_box_aspect((1, 1, 1))
                axes.view_init(elev=5, azim=azimuth)
                axes.set_axis_off()
                if i == 0:
                    axes.set_title(f"{name}\n{view}" if k == 0 else f"\n{view}", fontsize=8)
                if j == k == 0:
                    axes.text2D(
                        -0.02, 0.5, title, transform=axes.transAxes, rotation=90, va="center",
                        ha="center", fontsize=9,
                    )  # fmt: skip
                panels.append(axes)
        figure.colorbar(
            ScalarMappable(norm, colours), ax=panels, label=label, shrink=0.8, aspect=14, pad=0.01
        )
    return figure


@styled
def l_curve(
    strengths: ArrayLike,
    residual: ArrayLike,
    size: ArrayLike,
    chosen: Mapping[str, float],
    error: ArrayLike | None = None,
) -> Figure:
    """Size of the solution against the residual, with the parameters that rules chose.

    Parameters
    ----------
    strengths, residual, size : (n,) arrays
        Values of lambda, norm of the residual, norm that the penalty measures.
    chosen : mapping of str to float
        Lambda that each rule chose.
    error : (n,) array, optional
        Relative error of the solution, where the truth is known; shown beside.

    Returns
    -------
    matplotlib.figure.Figure
    """
    strengths, residual, size = (np.asarray(a, float) for a in (strengths, residual, size))
    figure = new_figure(3.6 if error is None else 7.0, 3.0)
    panels = figure.subplots(1, 1 if error is None else 2, squeeze=False)[0]
    panels[0].loglog(residual, size, color=QUIET)
    panels[0].set(xlabel="Norm of the residual (mV)", ylabel="Norm of the solution")
    for (name, value), colour in zip(chosen.items(), SERIES, strict=False):
        at = np.interp(np.log(value), np.log(strengths), np.arange(len(strengths)))
        place = [np.interp(at, np.arange(len(strengths)), v) for v in (residual, size)]
        panels[0].plot(*place, "o", color=colour, label=f"{name}: λ = {value:.2g}")
        if error is not None:
            panels[1].axvline(value, color=colour, linestyle="--", linewidth=1)
    panels[0].legend()
    if error is not None:
        error = np.asarray(error, float)
        shown = strengths[error < MOST_ERROR]
        panels[1].semilogx(strengths, error, color=OUTPUT)
        panels[1].set(xlabel="λ", ylabel="Relative error", ylim=(0, MOST_ERROR))
        panels[1].set_xlim(*(shown[[0, -1]] if shown.size > 1 else strengths[[0, -1]]))
    return figure


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """Turn the light with the view, so that both sides are lit alike."""
    c, s = np.cos(angle + np.pi / 2), np.sin(angle + np.pi / 2)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ vector / np.linalg.norm(vector)
