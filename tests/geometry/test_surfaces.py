"""Closed surfaces: what is refused, solid angles, and operators on spheres."""

import numpy as np
import pytest

from kecgi.geometry.surfaces import TriangleSurface, icosphere

TETRAHEDRON = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def test_a_tetrahedron():
    solid = TriangleSurface(TETRAHEDRON, FACES)
    assert solid.volume_ml == pytest.approx(1 / 6)
    assert solid.areas_mm2.sum() == pytest.approx(3 * 50 + np.sqrt(3) / 4 * 200)
    assert solid.node_areas_mm2.sum() == pytest.approx(solid.areas_mm2.sum())
    assert sorted(map(tuple, solid.edges)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    np.testing.assert_allclose(np.sort(solid.edge_lengths_mm), [10] * 3 + [np.sqrt(200)] * 3)


def test_inward_triangles_are_turned_around():
    assert TriangleSurface(TETRAHEDRON, FACES[:, ::-1]).volume_ml > 0


def test_solid_angles_tell_inside_from_outside():
    sphere = icosphere(30.0, 2, (5.0, 0, 0))
    points = [[5.0, 0, 0], [20, 10, 10], [40, 0, 0], [-60, 3, 2]]
    np.testing.assert_allclose(sphere.solid_angles(points) / np.pi, [4, 4, 0, 0], atol=1e-9)
    octant = TriangleSurface(TETRAHEDRON, FACES)._solid_angles(np.array([[1e-7, 1e-7, 1e-7]]))
    assert octant == pytest.approx(4 * np.pi)


def test_icosphere_approaches_a_sphere():
    coarse, fine = icosphere(10.0, 2), icosphere(10.0, 4)
    assert len(coarse) == 162 and len(fine) == 2562
    np.testing.assert_allclose(np.linalg.norm(fine.points_mm, axis=1), 10)
    assert fine.volume_ml == pytest.approx(4 / 3 * np.pi, rel=5e-3)
    assert abs(coarse.volume_ml / fine.volume_ml - 1) > 0.01


def test_gradient_and_laplacian_of_harmonics():
    """On a sphere |grad x|² integrates to 8/3 pi r², and the Laplacian of z² - r²/3 is -6 / r²."""
    radius = 20.0
    sphere = icosphere(radius, 4)
    x, _, z = sphere.points_mm.T
    dirichlet = np.square(sphere.gradient() @ x).sum()
    assert dirichlet == pytest.approx(8 / 3 * np.pi * radius**2, rel=0.005)
    np.testing.assert_allclose(sphere.gradient() @ np.ones(len(sphere)), 0, atol=1e-12)
    harmonic = z**2 - radius**2 / 3
    expected = -6 / radius**2 * harmonic
    error = np.linalg.norm(sphere.laplacian() @ harmonic - expected) / np.linalg.norm(expected)
    assert error < 0.02


def test_moves_are_rigid_but_for_the_scale():
    sphere = icosphere(10.0, 1, (1.0, 2.0, 3.0))
    moved = sphere.moved((5.0, 0, 0), turn_deg=30.0, about=(0, 0, 2.0), scale=1.1)
    np.testing.assert_allclose(moved.points_mm.mean(0), [6, 2, 3], atol=1e-9)
    np.testing.assert_allclose(moved.edge_lengths_mm, 1.1 * sphere.edge_lengths_mm)
    arm = (sphere.points_mm - [1, 2, 3])[0], (moved.points_mm - [6, 2, 3])[0]
    angle = [np.arctan2(a[1], a[0]) for a in arm]
    assert np.degrees(angle[1] - angle[0]) == pytest.approx(30)


def test_nesting():
    outer, inner = icosphere(50.0, 2), icosphere(20.0, 2)
    outer.require_around(inner)
    with pytest.raises(ValueError, match="162 of 162 nodes of sphere lie outside"):
        inner.require_around(outer)
    with pytest.raises(ValueError, match=r"nodes of sphere lie outside sphere, the first at \["):
        outer.require_around(inner.moved((40.0, 0, 0)))


def test_surfaces_that_cross_though_all_inner_nodes_lie_inside():
    sphere = icosphere(20.0, 1)
    points = sphere.points_mm.copy()
    points[0] *= 0.2  # a dent, whose tip sticks through a face of the tetrahedron
    axis = points[0] / np.linalg.norm(points[0])
    across = np.cross(axis, [0, 0, 1.0])
    across /= np.linalg.norm(across)
    other = np.cross(axis, across)
    turns = np.radians([0, 120, 240])[:, None]
    face = 8 * axis + 7 * (np.cos(turns) * across + np.sin(turns) * other)
    inner = TriangleSurface(np.vstack([face, -8 * axis]), FACES, "inner")
    dented = TriangleSurface(points, sphere.triangles, "dented")
    sphere.require_around(inner)
    with pytest.raises(ValueError, match="1 of 42 nodes of dented lie inside inner.*cross"):
        dented.require_around(inner)


@pytest.mark.parametrize(
    ("points", "triangles", "message"),
    [
        (TETRAHEDRON, FACES[:3], "the surface is open, 3 edges have one triangle"),
        (TETRAHEDRON, np.vstack([FACES[:3], FACES[3:, ::-1]]), "different orientation along 3"),
        (TETRAHEDRON, np.vstack([FACES, FACES]), "more than two triangles"),
        (TETRAHEDRON, FACES + 1, "refer to nodes 1 … 4, expected 0 … 3; files of MATLAB"),
        (TETRAHEDRON, FACES.astype(float), "must be integers"),
        (TETRAHEDRON[:, :2], FACES, r"points_mm has shape \(4, 2\)"),
        (np.vstack([TETRAHEDRON, [5, 5, 5]]), FACES, "1 nodes belong to no triangle"),
        (TETRAHEDRON * [1, 1, 0], FACES, "encloses no volume"),
        (TETRAHEDRON * [1, 1, np.nan], FACES, "not finite"),
    ],
)
def test_what_is_no_closed_surface_is_refused(points, triangles, message):
    with pytest.raises(ValueError, match=f"thing: .*{message}"):
        TriangleSurface(points, triangles, "thing")
