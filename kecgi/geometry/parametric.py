"""A parametric family of biventricular hearts: truncated ellipsoids, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numba
import numpy as np

from kecgi.geometry.heart import Heart, keep_largest

LEFT, RIGHT = 1, 2
"""Labels of the left and the right ventricle's wall."""

RANGES = {
    "lv_radius_mm": (24.0, 40.0),
    "lv_length_mm": (42.0, 78.0),
    "lv_wall_mm": (5.5, 13.0),
    "lv_depth": (0.85, 1.15),
    "lv_apex": (0.5, 1.0),
    "rv_wall_mm": (3.0, 7.0),
    "rv_offset": (0.70, 1.00),
    "rv_width": (0.85, 1.40),
    "rv_depth": (0.85, 1.25),
    "rv_length": (0.75, 0.98),
    "base": (0.05, 0.45),
    "rv_base": (0.05, 0.60),
    "warp_mm": (0.0, 4.0),
    "tilt_deg": (-40.0, 40.0),
    "spin_deg": (-40.0, 40.0),
    "turn_deg": (-40.0, 40.0),
    "shift_mm": (-6.0, 6.0),
}
"""Range of each parameter in `BiventricularShape.draw`, uniform.

From small to dilated hearts, with thin to thick walls, in poses from upright to lying.
"""

WAVELENGTHS_MM = (60.0, 140.0)
"""Range of the waves by which a heart is warped: as long as a heart's larger features."""

WAVES = 4

CENTROID_STEP_MM = 3.0
"""Step of the grid on which a heart's centroid is found."""

_APEX = np.array([0.62, -0.53, -0.58])  # long axis of a normal heart, base to apex, LPS
_TO_RIGHT = np.array([-0.62, -0.76, 0.05])  # from the left to the right ventricle


@dataclass(frozen=True)
class BiventricularShape:
    """Size, wall thickness, position and rotation of one heart.

    The left ventricle is the shell between two ellipsoids of revolution, the right ventricle a
    shell that leans on it; both are cut by the base plane.

    Parameters
    ----------
    lv_radius_mm, lv_length_mm : float
        Outer semi-axes of the left ventricle across and along its long axis.
    lv_wall_mm, rv_wall_mm : float
        Wall thickness.
    lv_depth : float
        Semi-axis of the left ventricle along the third axis, relative to its radius.
    lv_apex : float
        Thickness of the left ventricle's wall at the apex, relative to that at the equator.
    rv_offset, rv_width, rv_depth, rv_length : float
        Centre and semi-axes (away from the left ventricle, along the third axis, along the long
        axis) of the right ventricle, relative to the left ventricle's radius and length.
    base, rv_base : float
        Distance of the base plane of either ventricle from the left ventricle's centre, relative
        to its length.
    warp_mm : float
        Root mean square of a smooth displacement, which takes the shape away from ellipsoids.
    warp_seed : int
        Seed of that displacement.
    tilt_deg, spin_deg, turn_deg : float
        Rotations from the normal pose about the axis to the right ventricle, the long axis and
        the third axis.
    shift_mm : tuple of 3 floats
        Position of the tissue's centroid in the torso frame.
    """

    lv_radius_mm: float = 30.0
    lv_length_mm: float = 49.0
    lv_wall_mm: float = 10.0
    lv_depth: float = 1.0
    lv_apex: float = 1.0
    rv_wall_mm: float = 4.5
    rv_offset: float = 0.82
    rv_width: float = 1.0
    rv_depth: float = 1.0
    rv_length: float = 0.9
    base: float = 0.3
    rv_base: float = 0.3
    warp_mm: float = 0.0
    warp_seed: int = 0
    tilt_deg: float = 0.0
    spin_deg: float = 0.0
    turn_deg: float = 0.0
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Check that there are two walls around two cavities."""
        if np.shape(self.shift_mm) != (3,):
            raise ValueError(f"shift_mm is {self.shift_mm}, expected 3 numbers")
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{field.name} is {value}, expected finite numbers")
        left, right = self.semi_axes_mm()
        for name, wall, radius in (
            ("lv_wall_mm", self.lv_wall_mm, min(left)),
            ("rv_wall_mm", self.rv_wall_mm, min(right)),
        ):
            if not 0 < wall < radius:
                raise ValueError(
                    f"{name} is {wall}, expected more than 0 and less than the smallest "
                    f"semi-axis of its ventricle, {radius:.1f} mm: else no cavity is left"
                )

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BiventricularShape:
        """Draw a shape from the family (uniform in `RANGES`)."""
        values = {
            f.name: float(rng.uniform(*RANGES[f.name]))
            for f in fields(cls)
            if f.name not in ("shift_mm", "warp_seed")
        }
        return cls(
            **values,
            shift_mm=tuple(map(float, rng.uniform(*RANGES["shift_mm"], size=3))),
            warp_seed=int(rng.integers(2**31)),
        )

    def semi_axes_mm(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Outer semi-axes of the left and the right ventricle along the heart's axes."""
        r, length = self.lv_radius_mm, self.lv_length_mm
        return (
            (r, self.lv_depth * r, length),
            (self.rv_width * r, self.rv_depth * r, self.rv_length * length),
        )

    def axes(self) -> np.ndarray:
        """Heart axes as rows in the torso frame: to the right ventricle, third, base to apex."""
        apex = _APEX / np.linalg.norm(_APEX)
        right = _TO_RIGHT - _TO_RIGHT @ apex * apex
        right /= np.linalg.norm(right)
        frame = np.stack([right, np.cross(apex, right), apex])
        turns = _rotation(0, self.tilt_deg) @ _rotation(1, self.turn_deg)
        return _rotation(2, self.spin_deg) @ turns @ frame


def biventricular(
    shape: BiventricularShape | None = None,
    grid: tuple[int, int, int] = (64, 64, 64),
    spacing_mm: float = 2.0,
) -> Heart:
    """Build a biventricular heart with tissue fractions and labels (`LEFT`, `RIGHT`).

    Parameters
    ----------
    shape : BiventricularShape, optional
        The heart's parameters.
    grid : tuple of int
        Voxels per axis; the grid is centred on the torso frame's origin.
    spacing_mm : float
        Grid step.

    Raises
    ------
    ValueError
        Where the heart doesn't fit into the grid.
    """
    shape = shape or BiventricularShape()
    left, right = (np.array(axes) for axes in shape.semi_axes_mm())
    thinner = np.array([1.0, 1.0, shape.lv_apex])
    semi_axes = np.stack([left, left - shape.lv_wall_mm * thinner, right, right - shape.rv_wall_mm])
    offset = shape.rv_offset * shape.lv_radius_mm
    bases = np.array([shape.base, shape.rv_base]) * shape.lv_length_mm
    body = (semi_axes, offset, bases, *_waves(shape))
    # the tissue's centroid, from a coarse grid along the heart's own axes
    margin = 3 * shape.warp_mm
    widest = np.maximum(left, right)
    low = np.array([-left[0], -widest[1], -bases.max()]) - margin
    high = np.array([max(left[0], offset + right[0]), widest[1], widest[2]]) + margin
    counts = tuple(np.ceil((high - low) / CENTROID_STEP_MM).astype(int) + 1)
    coarse, _ = _rasterise(counts, CENTROID_STEP_MM, low, np.eye(3), *body)
    cells = np.argwhere(coarse)
    centroid = low + CENTROID_STEP_MM * np.average(cells, axis=0, weights=coarse[tuple(cells.T)])
    origin = -0.5 * (np.array(grid) - 1) * spacing_mm
    axes = shape.axes()
    start = origin - shape.shift_mm + axes.T @ centroid
    fraction, region = _rasterise(grid, spacing_mm, start, axes, *body)
    mask = keep_largest(fraction >= 0.5)
    touched = [a for a in range(3) if np.any(np.take(mask, [0, -1], axis=a))]
    if touched:
        raise ValueError(
            f"the heart reaches the border of the {grid} grid at {spacing_mm} mm (axes {touched}); "
            "give the grid more voxels or a larger step"
        )
    return Heart(mask, spacing_mm, origin, fraction, region * mask, name="biventricular")


def _waves(shape: BiventricularShape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wave vectors, phases and displacements of a warp, each a row per wave."""
    rng = np.random.default_rng(shape.warp_seed)
    direction, displacement = rng.standard_normal((2, WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # sin² has a mean of 1/2, and a standard normal vector a mean square of 3
    displacement *= shape.warp_mm * np.sqrt(2 / (3 * WAVES))
    lengths = rng.uniform(*WAVELENGTHS_MM, size=(WAVES, 1))
    return 2 * np.pi * direction / lengths, rng.uniform(0, 2 * np.pi, WAVES), displacement


def _rotation(axis: int, degrees: float) -> np.ndarray:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


@numba.njit(cache=True)
def _rasterise(grid, step, origin, axes, semi_axes, rv_offset, bases, vectors, phases, moves):
    """Tissue fraction of each voxel, and the ventricle whose wall is the nearer one."""
    fraction = np.zeros(grid, np.float32)
    region = np.zeros(grid, np.int8)
    scale = 1 / semi_axes
    lv_out, lv_in, rv_out, rv_in = scale[0], scale[1], scale[2], scale[3]
    lv_base, rv_base = bases[0], bases[1]
    # squared relative radii beyond which a voxel lies wholly out of a ventricle, or in the cavity
    beyond_lv = (1 + 0.5 * step * lv_out.max()) ** 2
    beyond_rv = (1 + 0.5 * step * rv_out.max()) ** 2
    within = max(1 - 0.5 * step * lv_in.max(), 0.0) ** 2
    for i in range(grid[0]):
        for j in range(grid[1]):
            for k in range(grid[2]):
                x, y, z = origin[0] + i * step, origin[1] + j * step, origin[2] + k * step
                a = axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z
                b = axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z
                c = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
                u, v, w = a, b, c
                for wave in range(len(phases)):
                    vector, move = vectors[wave], moves[wave]
                    s = np.sin(vector[0] * a + vector[1] * b + vector[2] * c + phases[wave])
                    u, v, w = u + s * move[0], v + s * move[1], w + s * move[2]
                right_u = u - rv_offset
                if (
                    w < -max(lv_base, rv_base) - step
                    or (
                        _squared(u, v, w, lv_out) > beyond_lv
                        and _squared(right_u, v, w, rv_out) > beyond_rv
                    )
                    or _squared(u, v, w, lv_in) < within
                ):
                    continue
                cavity = _distance(u, v, w, lv_in)
                lv = max(_distance(u, v, w, lv_out), -cavity, -lv_base - w)
                rv = max(
                    _distance(right_u, v, w, rv_out),
                    -_distance(right_u, v, w, rv_in),
                    -cavity,
                    -rv_base - w,
                )
                fraction[i, j, k] = min(max(0.5 - min(lv, rv) / step, 0.0), 1.0)
                region[i, j, k] = RIGHT if rv < lv else LEFT
    return fraction, region


@numba.njit(cache=True)
def _squared(u, v, w, scale):
    """Squared distance from the centre, relative to an ellipsoid with semi-axes 1 / scale."""
    return (u * scale[0]) ** 2 + (v * scale[1]) ** 2 + (w * scale[2]) ** 2


@numba.njit(cache=True)
def _distance(u, v, w, scale):
    """First-order signed distance to the ellipsoid, negative inside."""
    radius = np.sqrt(_squared(u, v, w, scale)) + 1e-9
    slope = np.sqrt((u * scale[0] ** 2) ** 2 + (v * scale[1] ** 2) ** 2 + (w * scale[2] ** 2) ** 2)
    return radius * (radius - 1) / (slope + 1e-9)
