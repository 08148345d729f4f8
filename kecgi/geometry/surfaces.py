"""Closed triangle surfaces: checks, solid angles, and what a finite element makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

CHUNK = 2_000_000
"""Pairs of points and triangles whose solid angles are computed at once."""


@dataclass(frozen=True, eq=False)
class TriangleSurface:
    """A closed surface of triangles, its normals pointing outwards.

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
        Nodes; each belongs to a triangle.
    triangles : ndarray of int, shape (m, 3)
        Nodes of each triangle, from 0. All of one orientation; where that is inwards (as in a
        file of the other convention) every triangle is turned around.
    name : str
        Used in messages.

    Raises
    ------
    ValueError
        Where a shape or a number is wrong, or the surface is open, branched, not of one
        orientation, or encloses nothing.
    """

    points_mm: np.ndarray
    triangles: np.ndarray
    name: str = "surface"

    def __post_init__(self) -> None:
        """Check the surface and turn it outwards."""
        points = np.ascontiguousarray(self.points_mm, float)
        triangles = np.asarray(self.triangles)
        for what, shape in (("points_mm", points.shape), ("triangles", triangles.shape)):
            if len(shape) != 2 or shape[1] != 3 or not shape[0]:
                raise ValueError(f"{self.name}: {what} has shape {shape}, expected (n, 3)")
        if triangles.dtype.kind not in "iu":
            raise ValueError(f"{self.name}: triangles must be integers, got {triangles.dtype}")
        triangles = np.ascontiguousarray(triangles, np.int64)
        low, high = triangles.min(), triangles.max()
        if low < 0 or high >= len(points):
            raise ValueError(
                f"{self.name}: triangles refer to nodes {low} … {high}, expected 0 … "
                f"{len(points) - 1}; files of MATLAB count from 1"
            )
        if not np.all(np.isfinite(points)):
            raise ValueError(f"{self.name}: points_mm has values that are not finite")
        alone = np.setdiff1d(np.arange(len(points)), triangles)
        if alone.size:
            raise ValueError(
                f"{self.name}: {alone.size} nodes belong to no triangle, the first {alone[:5]}; "
                "drop them"
            )
        _require_closed(triangles, self.name)
        volume = _signed_volume(points, triangles)
        if abs(volume) < 1e-9 * np.ptp(points, axis=0).max() ** 3:
            raise ValueError(f"{self.name}: the surface encloses no volume")
        if volume < 0:
            triangles = np.ascontiguousarray(triangles[:, ::-1])
        if _areas(points, triangles).min() <= 0:
            raise ValueError(f"{self.name}: a triangle has no area; weld its points")
        object.__setattr__(self, "points_mm", points)
        object.__setattr__(self, "triangles", triangles)

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.points_mm)

    @property
    def volume_ml(self) -> float:
        """Enclosed volume in ml."""
        return _signed_volume(self.points_mm, self.triangles) / 1000

    @property
    def areas_mm2(self) -> np.ndarray:
        """Area of each triangle."""
        return _areas(self.points_mm, self.triangles)

    @property
    def node_areas_mm2(self) -> np.ndarray:
        """Area that each node stands for: a third of its triangles'."""
        return np.bincount(
            self.triangles.ravel(), np.repeat(self.areas_mm2 / 3, 3), minlength=len(self)
        )

    @cached_property
    def edges(self) -> np.ndarray:
        """Pairs of neighbouring nodes, each once, shape (k, 2)."""
        sides = np.concatenate([self.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
        return np.unique(np.sort(sides, axis=1), axis=0)

    @property
    def edge_lengths_mm(self) -> np.ndarray:
        """Length of each edge."""
        a, b = self.edges.T
        return np.linalg.norm(self.points_mm[a] - self.points_mm[b], axis=1)

    def moved(
        self,
        by_mm: Sequence[float] = (0.0, 0.0, 0.0),
        turn_deg: float = 0.0,
        about: Sequence[float] = (0.0, 0.0, 1.0),
        scale: float = 1.0,
    ) -> TriangleSurface:
        """Return the surface scaled and turned about its centroid, then shifted.

        Parameters
        ----------
        by_mm : sequence of 3 floats
            Shift.
        turn_deg : float
            Angle of the turn about the axis `about`.
        about : sequence of 3 floats
            Direction of the axis.
        scale : float
            Factor of its size.
        """
        from scipy.spatial.transform import Rotation

        axis = np.asarray(about, float) / np.linalg.norm(about)
        turn = Rotation.from_rotvec(np.radians(turn_deg) * axis)
        centre = np.average(self.points_mm, axis=0, weights=self.node_areas_mm2)
        points = turn.apply(scale * (self.points_mm - centre)) + centre + np.asarray(by_mm, float)
        return TriangleSurface(points, self.triangles, self.name)

    def solid_angles(self, points_mm: np.ndarray) -> np.ndarray:
        """Solid angle under which each point sees the whole surface: 4 pi inside, 0 outside.

        References
        ----------
        van Oosterom and Strackee 1983, doi 10.1109/TBME.1983.325207.
        """
        points = np.atleast_2d(np.asarray(points_mm, float))
        step = max(1, CHUNK // len(self.triangles))
        return np.concatenate(
            [self._solid_angles(points[i : i + step]) for i in range(0, len(points), step)]
        )

    def _solid_angles(self, points: np.ndarray) -> np.ndarray:
        corners = self.points_mm[self.triangles]
        a, b, c = np.moveaxis(corners[None] - points[:, None, None], 2, 0)
        la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
        triple = np.einsum("...i,...i", a, np.cross(b, c))
        below = (
            la * lb * lc
            + np.einsum("...i,...i", a, b) * lc
            + np.einsum("...i,...i", b, c) * la
            + np.einsum("...i,...i", c, a) * lb
        )
        return 2 * np.arctan2(triple, below).sum(axis=1)

    def require_around(self, inner: TriangleSurface) -> None:
        """Check that another surface lies wholly in this one.

        Raises
        ------
        ValueError
            Where nodes of the inner surface lie outside, or nodes of this one inside it.
        """
        outside = np.flatnonzero(self.solid_angles(inner.points_mm) < 2 * np.pi)
        if outside.size:
            place = inner.points_mm[outside[0]].round(1).tolist()
            raise ValueError(
                f"{outside.size} of {len(inner)} nodes of {inner.name} lie outside {self.name}, "
                f"the first at {place} mm; are both in one frame and in mm?"
            )
        inside = np.flatnonzero(inner.solid_angles(self.points_mm) > 2 * np.pi)
        if inside.size:
            raise ValueError(
                f"{inside.size} of {len(self)} nodes of {self.name} lie inside {inner.name}, the "
                f"first at {self.points_mm[inside[0]].round(1).tolist()} mm: the surfaces cross"
            )

    def gradient(self) -> sparse.csr_matrix:
        """Surface gradient of a linear function, per triangle, times the root of its area.

        Returns
        -------
        sparse matrix, shape (3 m, n)
            R with ``|R x|² = Int |grad x|² dS`` for values x at the nodes.
        """
        corners = self.points_mm[self.triangles]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        double_area = np.linalg.norm(normal, axis=1)
        m = len(corners)
        rows, columns, values = [], [], []
        for k in range(3):
            opposite = corners[:, (k + 2) % 3] - corners[:, (k + 1) % 3]
            slope = np.cross(normal, opposite) / double_area[:, None] ** 2
            rows.append(np.arange(3 * m))
            columns.append(np.repeat(self.triangles[:, k], 3))
            values.append((slope * np.sqrt(double_area / 2)[:, None]).ravel())
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(entries, shape=(3 * m, len(self)))

    def laplacian(self) -> sparse.csr_matrix:
        """Surface Laplacian of a linear function (cotangent weights), per node.

        Returns
        -------
        sparse matrix, shape (n, n)
            In 1/mm²; applied to the coordinates it gives the mean curvature's vector.

        References
        ----------
        Meyer et al. 2003, doi 10.1007/978-3-662-05105-4_2.
        """
        gradient = self.gradient()
        return sparse.csr_matrix(sparse.diags(-1 / self.node_areas_mm2) @ (gradient.T @ gradient))


def icosphere(
    radius_mm: float, subdivisions: int = 3, centre_mm: Sequence[float] = (0.0, 0.0, 0.0)
) -> TriangleSurface:
    """Sphere from an icosahedron whose triangles are cut into four, several times.

    Parameters
    ----------
    radius_mm : float
        Distance of the nodes from the centre.
    subdivisions : int
        How often; 3 gives 642 nodes, 4 gives 2 562.
    centre_mm : sequence of 3 floats
        Its centre.
    """
    golden = (1 + np.sqrt(5)) / 2
    points = np.array(
        [
            (-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0),
            (0, -1, golden), (0, 1, golden), (0, -1, -golden), (0, 1, -golden),
            (golden, 0, -1), (golden, 0, 1), (-golden, 0, -1), (-golden, 0, 1),
        ]
    )  # fmt: skip
    triangles = np.array(
        [
            (0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11),
            (1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6), (7, 1, 8),
            (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9),
            (4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1),
        ]
    )  # fmt: skip
    for _ in range(subdivisions):
        points, triangles = quartered(points, triangles)
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return TriangleSurface(radius_mm * points + np.asarray(centre_mm), triangles, "sphere")


def quartered(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut each triangle into four at the middles of its sides; new points come last."""
    sides = np.sort(np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1)
    edges, middle = np.unique(sides, axis=0, return_inverse=True)
    ab, bc, ca = len(points) + middle.reshape(3, -1)
    a, b, c = triangles.T
    points = np.concatenate([points, points[edges].mean(axis=1)])
    parts = ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))
    return points, np.concatenate([np.stack(part, axis=1) for part in parts])


def _areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def _signed_volume(points: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = np.moveaxis(points[triangles] - points.mean(axis=0), 1, 0)
    return float(np.einsum("ij,ij", a, np.cross(b, c)) / 6)


def _require_closed(triangles: np.ndarray, name: str) -> None:
    """Check that each edge has two triangles that run along it in opposite directions."""
    sides = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    _, uses = np.unique(np.sort(sides, axis=1), axis=0, return_counts=True)
    if np.any(uses == 1):
        raise ValueError(
            f"{name}: the surface is open, {np.count_nonzero(uses == 1)} edges have one triangle; "
            "close its holes"
        )
    if np.any(uses > 2):
        raise ValueError(
            f"{name}: {np.count_nonzero(uses > 2)} edges have more than two triangles; "
            "expected a surface without branches or repeated triangles"
        )
    directed = np.unique(sides, axis=0)
    if len(directed) < len(sides):
        raise ValueError(
            f"{name}: triangles are of different orientation along "
            f"{len(sides) - len(directed)} edges; turn them so that all normals point outwards"
        )
