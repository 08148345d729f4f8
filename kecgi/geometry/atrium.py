"""A parametric family of atria: ellipsoidal shells with veins and valves, drawn from a seed.

Left and right atrium are shells of even thickness that share a small septum. Veins and valves are
holes. Also what works for any atrial wall, a segmented one included: where its holes are, and
named places on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import ndimage, sparse, spatial

from kecgi.geometry.heart import Heart, keep_largest

LEFT, RIGHT = 1, 2
"""Labels of the left and the right atrium's wall."""

RANGES = {
    "left_radius_mm": (19.0, 24.0),
    "right_radius_mm": (19.0, 24.0),
    "flatness": (0.75, 0.95),
    "wall_mm": (2.2, 3.2),
    "valve_mm": (11.5, 15.0),
    "vein_mm": (5.0, 7.5),
    "cava_mm": (7.5, 10.0),
    "tilt_deg": (-12.0, 12.0),
    "turn_deg": (-12.0, 12.0),
    "shift_mm": (-5.0, 5.0),
}
"""Range of each parameter in `AtrialShape.draw`, uniform; of the shift, about the default."""

_TO_RIGHT = np.array([-0.86, -0.48, -0.16])  # from the left to the right atrium, LPS
_VEINS = ((0.72, 0.42, 0.56), (0.78, 0.54, -0.34), (-0.46, 0.66, 0.60), (-0.54, 0.80, -0.28))
_MITRAL = (0.45, -0.76, -0.47)
_CAVAE = ((-0.05, 0.22, 0.97), (-0.05, 0.30, -0.95))
_TRICUSPID = (0.42, -0.88, -0.22)

SITES = {
    "sinus node": (-0.62, 0.10, 0.78),
    "crista terminalis": (-0.98, 0.18, 0.05),
    "left superior pulmonary vein": (0.72, 0.48, 0.50),
    "left inferior pulmonary vein": (0.74, 0.62, -0.26),
    "right superior pulmonary vein": (-0.20, 0.80, 0.56),
    "right inferior pulmonary vein": (-0.24, 0.95, -0.20),
    "left appendage": (0.90, -0.30, 0.30),
    "coronary sinus": (0.20, 0.50, -0.84),
}
"""Direction of each named place from the wall's centroid, LPS; see `site`."""


@dataclass(frozen=True)
class AtrialShape:
    """Size, wall, holes and pose of a pair of atria, or of the left one alone.

    Parameters
    ----------
    left_radius_mm, right_radius_mm : float
        Mean outer semi-axis of each atrium.
    flatness : float
        The left atrium's depth from front to back over its width.
    wall_mm : float
        Wall thickness.
    valve_mm, vein_mm, cava_mm : float
        Radii of mitral and tricuspid valve, the four pulmonary veins, and the caval veins.
    tilt_deg, turn_deg : float
        Rotations from the normal pose about the axes to the left and to the head.
    shift_mm : tuple of 3 floats
        Centre between the atria in the torso frame, whose origin is the ventricles' centre.
    right : bool
        Whether there is a right atrium.
    """

    left_radius_mm: float = 21.5
    right_radius_mm: float = 21.5
    flatness: float = 0.82
    wall_mm: float = 2.6
    valve_mm: float = 14.0
    vein_mm: float = 6.0
    cava_mm: float = 8.5
    tilt_deg: float = 0.0
    turn_deg: float = 0.0
    shift_mm: tuple[float, float, float] = (-5.0, 20.0, 35.0)
    right: bool = True

    def __post_init__(self) -> None:
        """Check that there are walls around cavities, with holes that leave a wall."""
        if np.shape(self.shift_mm) != (3,):
            raise ValueError(f"shift_mm is {self.shift_mm}, expected 3 numbers")
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{field.name} is {value}, expected finite numbers")
        if not 0.5 <= self.flatness <= 1.2:
            raise ValueError(f"flatness is {self.flatness}, expected 0.5 to 1.2")
        least = min(self.left_radius_mm, self.right_radius_mm)
        for name, most in (
            ("wall_mm", 0.3), ("valve_mm", 0.8), ("vein_mm", 0.4), ("cava_mm", 0.6),
        ):  # fmt: skip
            if not 0 < getattr(self, name) < most * least:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected more than 0 and less than "
                    f"{most * least:.1f} mm in atria of this size"
                )

    @classmethod
    def draw(cls, rng: np.random.Generator, right: bool = True) -> AtrialShape:
        """Draw a shape from the family (uniform in `RANGES`)."""
        values = {name: float(rng.uniform(*r)) for name, r in RANGES.items() if name != "shift_mm"}
        shift = np.array(cls.shift_mm) + rng.uniform(*RANGES["shift_mm"], size=3)
        return cls(**values, shift_mm=tuple(map(float, shift)), right=right)


def atrial_wall(shape: AtrialShape | None = None, spacing_mm: float = 1.0) -> Heart:
    """Build atria on a grid just large enough, with tissue fractions and labels.

    Parameters
    ----------
    shape : AtrialShape, optional
        The atria's parameters.
    spacing_mm : float
        Grid step.

    Returns
    -------
    Heart
        Labels are `LEFT` and `RIGHT`.

    Raises
    ------
    ValueError
        Where the wall is thinner than the grid step, and would fall apart.
    """
    shape = shape or AtrialShape()
    if not 0 < spacing_mm <= shape.wall_mm:
        raise ValueError(
            f"spacing_mm is {spacing_mm}, expected more than 0 and at most the wall's thickness, "
            f"{shape.wall_mm} mm: a coarser grid doesn't hold the wall together"
        )
    turn = spatial.transform.Rotation.from_euler("xz", [shape.tilt_deg, shape.turn_deg], True)
    radius = shape.left_radius_mm
    depth = radius * shape.flatness
    left = np.array([radius * 1.08, depth, radius])
    right = shape.right_radius_mm * np.array([0.95, 1.0, 1.12])
    to_right = _TO_RIGHT / np.linalg.norm(_TO_RIGHT)
    # along the line of centres the shells overlap by one wall: the septum
    reach = [1 / np.linalg.norm(to_right / axes) for axes in (left, right)]
    apart = to_right * (sum(reach) - shape.wall_mm)
    chambers = [(LEFT, np.zeros(3), left, _holes(shape, left=True))]
    if shape.right:
        chambers.append((RIGHT, apart, right, _holes(shape, left=False)))
    middle = 0.5 * apart if shape.right else np.zeros(3)

    most = max(left.max(), right.max()) + 0.5 * np.linalg.norm(apart) * shape.right
    half = int(np.ceil(most / spacing_mm)) + 4
    line = spacing_mm * np.arange(-half, half + 1)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)
    local = turn.inv().apply(grid.reshape(-1, 3)) + middle

    outer, cavity = [], []
    for _, centre, axes, holes in chambers:
        x = local - centre
        outside = _distance(x, axes)
        for direction, hole in holes:
            along = x @ direction
            across = np.sqrt(np.maximum(np.sum(x**2, axis=1) - along**2, 0))
            outside = np.where(along > 0, np.maximum(outside, hole - across), outside)
        outer.append(outside)
        cavity.append(_distance(x, axes - shape.wall_mm))
    distance = np.maximum(np.min(outer, axis=0), -np.min(cavity, axis=0))
    fraction = (0.5 - distance / spacing_mm).clip(0, 1).reshape(grid.shape[:3])
    mask = keep_largest(fraction >= 0.5)
    labels = np.array([label for label, *_ in chambers])[np.argmin(np.abs(cavity), axis=0)]
    box = tuple(
        slice(s.start - 2, s.stop + 2) for s in ndimage.find_objects(mask.view(np.uint8))[0]
    )
    origin = [line[s.start] for s in box] + np.array(shape.shift_mm)
    kept = mask[box]
    return Heart(
        kept,
        spacing_mm,
        tuple(origin),
        fraction[box].astype(np.float32),
        labels.reshape(mask.shape)[box] * kept,
        name="atria" if shape.right else "left atrium",
    )


def chambers_of(heart: Heart) -> list[np.ndarray]:
    """Tissue of each chamber as flags per voxel: by labels, or one chamber where there are none."""
    if heart.labels is None:
        return [np.ones(int(heart.mask.sum()), bool)]
    labels = heart.labels[heart.mask]
    return [labels == label for label in np.unique(labels)]


@dataclass(frozen=True, eq=False)
class Opening:
    """A hole in an atrial wall, as it is seen from inside.

    Parameters
    ----------
    centre_mm : ndarray, shape (3,)
        The chamber's centre, from which it is seen.
    direction : ndarray, shape (3,)
        Unit vector to the hole's middle.
    share : float
        Share of the view that it takes.
    """

    centre_mm: np.ndarray
    direction: np.ndarray
    share: float


def openings(heart: Heart, directions: int = 2000) -> list[Opening]:
    """Find the holes of an atrial wall: veins and valves, and where a segmentation ends.

    From the centre of each chamber, every direction in which no tissue lies belongs to a hole.

    Parameters
    ----------
    heart : Heart
        A 3-D wall around one cavity per label.
    directions : int
        How many directions are looked in.

    Returns
    -------
    list of Opening
        Chamber by chamber, the largest first; holes of less than 0.3 % of the view are left out.
    """
    golden = np.pi * (3 - np.sqrt(5)) * np.arange(directions)
    z = 1 - (2 * np.arange(directions) + 1) / directions
    view = np.stack([np.sqrt(1 - z**2) * np.cos(golden), np.sqrt(1 - z**2) * np.sin(golden), z], 1)
    # directions on a sphere are neighbours within about 1.7 times their mean distance
    near = 1.7 * np.sqrt(4 * np.pi / directions)
    pairs = spatial.KDTree(view).query_pairs(near, output_type="ndarray")
    voxels, step = heart.voxels_mm, min(heart.spacing_mm)
    found = []
    for own in chambers_of(heart):
        centre = voxels[own].mean(axis=0)
        away = voxels - centre
        distance = np.linalg.norm(away, axis=1)
        tree = spatial.KDTree(away / distance[:, None])
        # a voxel hides what lies within its half diagonal, seen from the centre
        seen, nearest = tree.query(view, k=8)
        free = np.all(seen > 0.87 * step / distance[nearest], axis=1)
        both = pairs[free[pairs].all(axis=1)]
        links = sparse.coo_array((np.ones(len(both)), tuple(both.T)), (directions, directions))
        count, member = sparse.csgraph.connected_components(links, directed=False)
        holes = [np.flatnonzero((member == k) & free) for k in range(count)]
        for hole in sorted(holes, key=len, reverse=True):
            if len(hole) >= 0.003 * directions:
                middle = view[hole].mean(axis=0)
                middle /= np.linalg.norm(middle)
                found.append(Opening(centre, middle, len(hole) / directions))
    return found


def site(heart: Heart, where: str | Sequence[float]) -> int:
    """Return the tissue voxel that lies farthest from the wall's centroid in a direction.

    Parameters
    ----------
    heart : Heart
        An atrial wall in LPS.
    where : str or sequence of 3 floats
        A name in `SITES`, or a direction.

    Returns
    -------
    int
        Its place in ``heart.voxels_mm``.

    Raises
    ------
    ValueError
        Where there is no such name.
    """
    if isinstance(where, str):
        if where not in SITES:
            raise ValueError(f"site {where!r} is unknown, expected one of {list(SITES)}")
        where = SITES[where]
    return int(np.argmax((heart.voxels_mm - heart.centroid_mm) @ np.asarray(where, float)))


def matching_voxels(heart: Heart, template: Heart, chosen: np.ndarray) -> np.ndarray:
    """Find the places in one wall that match voxels of another, so that channels match.

    A voxel's place is its chamber and the direction from the chamber's centre.

    Parameters
    ----------
    heart, template : Heart
        Atrial walls with the same labels.
    chosen : ndarray of int
        Voxels of the template.

    Returns
    -------
    ndarray of int
        Voxels of `heart`, one for each of `chosen`.

    Raises
    ------
    ValueError
        Where the walls differ in their chambers.
    """
    own, other = chambers_of(heart), chambers_of(template)
    if len(own) != len(other):
        raise ValueError(f"{heart.name} has {len(own)} chambers, {template.name} {len(other)}")
    result = np.empty(len(chosen), int)
    for here, there in zip(own, other, strict=True):
        tree = spatial.KDTree(_directions(heart.voxels_mm[here]))
        wanted = there[chosen]
        views = np.full((len(template.voxels_mm), 3), np.nan)
        views[there] = _directions(template.voxels_mm[there])
        result[wanted] = np.flatnonzero(here)[tree.query(views[chosen[wanted]])[1]]
    return result


def _directions(points: np.ndarray) -> np.ndarray:
    away = points - points.mean(axis=0)
    return away / np.linalg.norm(away, axis=1, keepdims=True)


def _holes(shape: AtrialShape, left: bool) -> list[tuple[np.ndarray, float]]:
    holes = (
        [(_MITRAL, shape.valve_mm), *((v, shape.vein_mm) for v in _VEINS)]
        if left
        else [(_TRICUSPID, shape.valve_mm), *((v, shape.cava_mm) for v in _CAVAE)]
    )
    return [(np.array(d) / np.linalg.norm(d), r) for d, r in holes]


def _distance(x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """First-order signed distance to an ellipsoid about the origin, negative inside."""
    radius = np.linalg.norm(x / axes, axis=1) + 1e-9
    slope = np.linalg.norm(x / axes**2, axis=1) + 1e-9
    return radius * (radius - 1) / slope
