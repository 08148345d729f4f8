"""Slices of hearts, drawn in mm as radiologists look at them.

Axes are (x, y, z) in patient LPS: x to the patient's left, y to the back, z to the head. Axial
slices are seen from the feet, coronal ones from the front, sagittal ones from the left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import contourpy
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from scipy import ndimage

from kecgi.figures.style import INK, QUIET, new_figure

MARGIN_MM = 8.0  # room for the letters at the edges


@dataclass(frozen=True)
class Plane:
    """An orientation: which axes it shows, and what lies at the edges of its picture."""

    name: str
    across: int  # axis that it cuts
    horizontal: int
    vertical: int
    downwards: bool  # the vertical axis grows downwards
    left: str
    right: str
    top: str
    bottom: str


PLANES = {
    "axial": Plane("axial", 2, 0, 1, True, "R", "L", "A", "P"),
    "coronal": Plane("coronal", 1, 0, 2, False, "R", "L", "H", "F"),
    "sagittal": Plane("sagittal", 0, 1, 2, False, "A", "P", "H", "F"),
}


@dataclass(frozen=True, eq=False)
class View:
    """One slice through one heart, cropped to its tissue.

    Attributes
    ----------
    plane : Plane
    mask : (horizontal, vertical) bool array
        Whole slice, not cropped.
    spacing_mm : (horizontal, vertical) floats
    index : int or None
        Voxel index of the slice in a 3-D map; None for a 2-D map.
    """

    plane: Plane
    mask: np.ndarray
    spacing_mm: tuple[float, float]
    index: int | None

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Slice a map, (x, y) or (x, y, z), to (horizontal, vertical)."""
        return values if self.index is None else values.take(self.index, self.plane.across)

    @property
    def centre_mm(self) -> np.ndarray:
        """Centre of the tissue's bounding box, from the centre of voxel (0, 0)."""
        return np.array([axis.mean() for axis in self._bounds()])

    @property
    def size_mm(self) -> np.ndarray:
        """Width and height of the tissue's bounding box, with a margin."""
        return np.array([np.ptp(axis) for axis in self._bounds()]) + 2 * MARGIN_MM

    def _bounds(self) -> list[np.ndarray]:
        """First and last edge of the tissue along each axis."""
        return [
            (np.flatnonzero(self.mask.any(axis=1 - axis))[[0, -1]] + [-0.5, 0.5]) * spacing
            for axis, spacing in enumerate(self.spacing_mm)
        ]


def views(
    mask: np.ndarray, spacing_mm: Sequence[float], planes: Sequence[str] | None = None
) -> list[View]:
    """Choose slices through one heart that show its tissue.

    A 3-D heart is cut along each plane at the median position of its tissue, so that a slice is
    never empty. A 2-D heart is one slice already; its plane only tells how to orient it.

    Parameters
    ----------
    mask : (x, y) or (x, y, z) bool array
    spacing_mm : (ndim,) sequence
    planes : sequence of "axial", "coronal", "sagittal", optional
        By default all three in 3-D and axial in 2-D.
    """
    mask = np.asarray(mask, dtype=bool)
    spacing = tuple(float(s) for s in spacing_mm)
    if mask.ndim not in (2, 3) or len(spacing) != mask.ndim or min(spacing) <= 0:
        raise ValueError(
            "a heart must be 2-D or 3-D with one positive spacing an axis, got mask "
            f"{mask.shape} and spacing_mm {spacing_mm}"
        )
    if not mask.any():
        raise ValueError("the mask is empty: there is no tissue to draw")
    names = planes or (tuple(PLANES) if mask.ndim == 3 else ("axial",))
    unknown = [name for name in names if name not in PLANES]
    if unknown:
        raise ValueError(f"unknown plane {unknown[0]!r}, expected one of {', '.join(PLANES)}")
    if mask.ndim == 2:
        if len(names) != 1:
            raise ValueError(f"a 2-D heart has one plane, got {names}")
        return [View(PLANES[names[0]], mask, (spacing[0], spacing[1]), None)]
    chosen = []
    for name in names:
        plane = PLANES[name]
        positions = np.sort(np.nonzero(mask)[plane.across])
        index = int(positions[len(positions) // 2])
        pair = (spacing[plane.horizontal], spacing[plane.vertical])
        chosen.append(View(plane, mask.take(index, plane.across), pair, index))
    return chosen


def panel_grid(
    rows: Sequence[View],
    columns: int,
    *,
    panel_in: float,
    left_in: float,
    top_in: float,
    bottom_in: float,
    gap_in: float = 0.12,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes, (rows, columns), all on the same scale in mm.

    `panel_in` is the width of the widest slice. The margins are for labels and colour bars.
    """
    width_mm = max(view.size_mm[0] for view in rows)
    inches = panel_in / width_mm
    heights = [view.size_mm[1] * inches for view in rows]
    width = left_in + columns * panel_in + (columns - 1) * gap_in + 0.15
    height = top_in + sum(heights) + (len(rows) - 1) * gap_in + bottom_in
    figure = new_figure(width, height, layout=None)
    axes = np.empty((len(rows), columns), dtype=object)
    y = height - top_in
    for i, view in enumerate(rows):
        y -= heights[i]
        for j in range(columns):
            x = left_in + j * (panel_in + gap_in)
            box = (x / width, y / height, panel_in / width, heights[i] / height)
            axes[i, j] = figure.add_axes(box)
            _frame(axes[i, j], view, width_mm)
        y -= gap_in
    return figure, axes


def draw_map(
    axes: Axes,
    view: View,
    values: np.ndarray,
    cmap: str,
    norm: Normalize,
    isochrones: Sequence[float] = (),
) -> None:
    """Draw a map, cut as the view says, inside the outline of the tissue."""
    inside = np.where(view.mask, view.cut(values), np.nan)
    nearest = ndimage.distance_transform_edt(
        ~view.mask, sampling=view.spacing_mm, return_distances=False, return_indices=True
    )
    # Filled to the outside, so that colours and lines reach the smooth outline that clips them.
    filled = np.pad(inside[tuple(nearest)], 1, mode="edge").T
    h, v = (
        (np.arange(n + 2) - 1) * s for n, s in zip(view.mask.shape, view.spacing_mm, strict=True)
    )
    half = [s / 2 for s in view.spacing_mm]
    outline = _outline(view, h, v)
    image = axes.imshow(
        filled,
        extent=(h[0] - half[0], h[-1] + half[0], v[0] - half[1], v[-1] + half[1]),
        origin="lower",
        interpolation="bilinear",
        cmap=cmap,
        norm=norm,
        aspect="auto",  # the panel has the slice's shape
    )
    image.set_clip_path(outline, axes.transData)
    lines = [level for level in isochrones if np.nanmin(filled) < level < np.nanmax(filled)]
    if lines:
        contours = axes.contour(
            h, v, filled, lines, colors="black", linewidths=0.45, linestyles="solid", alpha=0.65
        )
        contours.set_clip_path(outline, axes.transData)
    axes.add_patch(PathPatch(outline, facecolor="none", edgecolor=INK, linewidth=0.9))


def letter_edges(axes: Axes, plane: Plane) -> None:
    """Write at the edges of a panel where the patient's right, left, front and back lie."""
    for x, y, letter in (
        (0.01, 0.5, plane.left),
        (0.99, 0.5, plane.right),
        (0.5, 0.99, plane.top),
        (0.5, 0.01, plane.bottom),
    ):
        axes.text(
            x,
            y,
            letter,
            transform=axes.transAxes,
            ha={0.01: "left", 0.99: "right"}.get(x, "center"),
            va={0.01: "bottom", 0.99: "top"}.get(y, "center"),
            fontsize=7,
            color=QUIET,
        )


def scale_bar(figure: Figure, axes: Axes, left_in: float, bottom_in: float, mm: float = 20) -> None:
    """Draw a bar of so many mm, on the scale of `axes`, at a place in inches from the corner."""
    width, height = figure.get_size_inches()
    inches_per_mm = axes.get_position().width * width / abs(np.subtract(*axes.get_xlim()))
    x, y = left_in / width, bottom_in / height
    end = x + mm * inches_per_mm / width
    figure.add_artist(Line2D([x, end], [y, y], color=INK, linewidth=2, solid_capstyle="butt"))
    figure.text((x + end) / 2, y - 0.06 / height, f"{mm:g} mm", ha="center", va="top", fontsize=8)


def colour_bar(
    figure: Figure, first: Axes, last: Axes, cmap: str, norm: Normalize, label: str, extend: str
) -> None:
    """Draw a horizontal colour bar under the columns from `first` to `last`, in a bottom margin."""
    height = figure.get_size_inches()[1]
    a, b = first.get_position(), last.get_position()
    inset = 0.06 * a.width
    box = (a.x0 + inset, 0.5 / height, b.x1 - a.x0 - 2 * inset, 0.11 / height)
    bar = figure.colorbar(
        ScalarMappable(norm, cmap),
        cax=figure.add_axes(box),
        orientation="horizontal",
        extend=extend,
    )
    bar.outline.set_linewidth(0.5)
    bar.set_label(label)


def _frame(axes: Axes, view: View, width_mm: float) -> None:
    """Set limits that put the tissue in the middle, and take away ticks and frame."""
    centre, height_mm = view.centre_mm, view.size_mm[1]
    axes.set_xlim(centre[0] - width_mm / 2, centre[0] + width_mm / 2)
    sign = -1 if view.plane.downwards else 1
    axes.set_ylim(centre[1] - sign * height_mm / 2, centre[1] + sign * height_mm / 2)
    axes.set(xticks=[], yticks=[], autoscale_on=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _outline(view: View, h: np.ndarray, v: np.ndarray) -> Path:
    """Return the closed outline of the tissue, half-way between voxels in it and out of it."""
    generator = contourpy.contour_generator(
        h, v, np.pad(view.mask, 1).T.astype(float), fill_type="OuterCode"
    )
    points, codes = generator.filled(0.5, 2.0)
    return Path(np.concatenate(points), np.concatenate(codes))
