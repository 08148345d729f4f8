"""Where the electrodes lie about the heart."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import ArrayLike
from skimage import measure

from kecgi.figures.style import INPUT, OUTPUT, new_figure, styled

MOST_NAMES = 16  # more would hide each other
ROOM_MM = 15.0
TICKS_MM = (5, 10, 20, 50, 100, 200, 500)


@styled
def electrode_view(
    mask: ArrayLike,
    spacing_mm: Sequence[float],
    origin_mm: Sequence[float],
    electrodes_mm: ArrayLike,
    names: Sequence[str],
) -> Figure:
    """Heart and electrodes: in space, and projected from the front, the left and the feet.

    Parameters
    ----------
    mask : (x, y, z) bool array
        Heart, in patient LPS.
    spacing_mm, origin_mm : (3,) sequences
        Voxel size, and centre of voxel (0, 0, 0).
    electrodes_mm : (electrodes, 3) array
    names : sequence of str
        Electrode names; written where there are at most 16.

    Returns
    -------
    matplotlib.figure.Figure
    """
    mask = np.asarray(mask, dtype=bool)
    spacing, origin = np.asarray(spacing_mm, dtype=float), np.asarray(origin_mm, dtype=float)
    points = np.asarray(electrodes_mm, dtype=float)
    if mask.ndim != 3 or not mask.any():
        raise ValueError(f"the heart must be a 3-D mask with tissue, got shape {mask.shape}")
    if points.ndim != 2 or points.shape[1] != 3 or len(names) != len(points):
        raise ValueError(
            f"expected as many names as electrodes (electrodes, 3), got {len(names)} names and "
            f"{points.shape}"
        )
    corners, faces, _, _ = measure.marching_cubes(
        np.pad(mask, 1).astype(np.float32), 0.5, step_size=2 if min(mask.shape) > 24 else 1
    )
    surface = origin + (corners - 1) * spacing
    both = np.vstack([surface, points])
    low, high = both.min(axis=0) - ROOM_MM, both.max(axis=0) + ROOM_MM
    size = high - low

    # The three projections share one scale; the fourth cell shows the same in space.
    widths = np.array([size[0], max(size[1], 0.6 * size[0])])
    heights = np.array([size[2], max(size[1], 0.5 * size[2])])
    inches = 7.0 / max(widths.sum(), heights.sum())
    figure = new_figure(widths.sum() * inches + 1.4, heights.sum() * inches + 1.2)
    grid = figure.add_gridspec(2, 2, width_ratios=widths, height_ratios=heights)
    step = next((s for s in TICKS_MM if size.max() <= 8 * s), TICKS_MM[-1])
    for place, title, (h, v), downwards in (
        (grid[0, 0], "From the front", (0, 2), False),
        (grid[0, 1], "From the left", (1, 2), False),
        (grid[1, 0], "From the feet", (0, 1), True),
    ):
        axes = figure.add_subplot(place)
        (across,) = {0, 1, 2} - {h, v}
        along = [origin[i] + np.arange(-1, mask.shape[i] + 1) * spacing[i] for i in (h, v)]
        silhouette = np.pad(mask.any(axis=across), 1).T.astype(float)
        axes.contourf(*along, silhouette, [0.5, 2], colors=[INPUT], alpha=0.3)
        axes.contour(*along, silhouette, [0.5], colors=[INPUT], linewidths=1)
        axes.scatter(points[:, h], points[:, v], s=10, color=OUTPUT, zorder=3)
        limits = (high[v], low[v]) if downwards else (low[v], high[v])
        axes.set(xlim=(low[h], high[h]), ylim=limits, aspect="equal", title=title)
        axes.set(xlabel=f"{'xyz'[h]} (mm)", ylabel=f"{'xyz'[v]} (mm)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MultipleLocator(step))
        axes.grid(True)
        axes.set_axisbelow(True)
        if title == "From the front" and len(names) <= MOST_NAMES:
            for point, name in zip(points, names, strict=True):
                axes.annotate(
                    name,
                    point[[h, v]],
                    xytext=(0, 4),
                    textcoords="offset points",
                    fontsize=7,
                    ha="center",
                )

    space = figure.add_subplot(grid[1, 1], projection="3d")
    space.plot_trisurf(
        *surface.T[:2], faces[:, ::-1], surface[:, 2], color="#e58b84", linewidth=0, shade=True
    )
    space.scatter(*points.T, s=10, color=OUTPUT, depthshade=False)
    space.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    space.set_box_aspect(tuple(size), zoom=0.8)
    space.view_init(elev=18, azim=-65)
    space.set(title="In space")
    for axis, name in ((space.xaxis, "x"), (space.yaxis, "y"), (space.zaxis, "z")):
        axis.set_major_locator(MultipleLocator(step))
        axis.set_ticklabels([])
        axis.set_label_text(name)
        axis.labelpad = -12
    return figure
