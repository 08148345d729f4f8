"""Transfer matrices against the closed form for concentric spheres."""

import numpy as np
import pytest
from scipy.special import sph_harm_y

from kecgi.geometry import Electrodes, Heart, vest
from kecgi.geometry.surfaces import icosphere
from kecgi.geometry.torso import torso_through
from kecgi.simulate.bem import (
    _integrals,
    insulated_lead_field,
    insulated_surface,
    transfer_matrix,
    without_boundary,
)
from kecgi.simulate.sphere_torso import sphere_kernel, sphere_lead_field


def harmonic(points, degree, order):
    radius = np.linalg.norm(points, axis=1)
    polar, azimuth = np.arccos(points[:, 2] / radius), np.arctan2(points[:, 1], points[:, 0])
    return sph_harm_y(degree, order, polar, azimuth).real


def attenuation(degree, inner, outer):
    """Potential at the insulated outer sphere over that at the inner one: r^l and r^-(l+1)."""
    growing = (degree + 1) / degree * outer ** -(2 * degree + 1.0)
    at_inner = growing * inner**degree + inner ** -(degree + 1.0)
    return (growing * outer**degree + outer ** -(degree + 1.0)) / at_inner


@pytest.mark.parametrize(("inner", "outer"), [(50.0, 100.0), (40.0, 60.0)])
def test_concentric_spheres(inner, outer):
    """Within 1 % up to degree 4 with 642 nodes, edges of 0.15 of the radius; second order."""
    errors = {}
    for cuts in (2, 3):
        heart, torso = icosphere(inner, cuts), icosphere(outer, cuts)
        transfer = transfer_matrix(heart, torso)
        np.testing.assert_allclose(transfer.sum(axis=1), 1, atol=1e-10)
        for degree in (1, 2, 3, 4):
            for order in {0, degree}:
                exact = attenuation(degree, inner, outer) * harmonic(torso.points_mm, degree, order)
                found = transfer @ harmonic(heart.points_mm, degree, order)
                errors[cuts, degree, order] = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    fine = {key: error for key, error in errors.items() if key[0] == 3}
    assert max(fine.values()) < 0.0102
    assert max(error for key, error in fine.items() if key[1] < 4) < 0.005
    assert max(errors.values()) > 2.5 * max(fine.values())


def test_integrals_over_a_triangle_against_quadrature():
    rng = np.random.default_rng(0)
    nodes, points = rng.normal(size=(3, 3)), rng.normal(size=(6, 3))
    points[4] = nodes.mean(axis=0) + 2 * (nodes[1] - nodes[0])  # in the plane, beside the triangle
    points[5] = nodes[0] + 3 * (nodes[1] - nodes[0])  # on the line of a side
    double, single = _integrals(points, nodes, np.array([[0, 1, 2]]))
    u, v = (np.indices((300, 300)) + 0.5).reshape(2, -1) / 300
    weights = np.stack([1 - np.sqrt(u), np.sqrt(u) * (1 - v), np.sqrt(u) * v])
    normal = np.cross(nodes[1] - nodes[0], nodes[2] - nodes[0])
    area = np.linalg.norm(normal) / 2
    ways = weights.T @ nodes - points[:, None]
    distance = np.linalg.norm(ways, axis=-1)
    np.testing.assert_allclose(single, area * (weights / distance[:, None]).mean(-1), rtol=1e-3)
    flux = ways @ normal / (2 * area) / distance**3
    np.testing.assert_allclose(
        double, area * (weights * flux[:, None]).mean(-1), rtol=1e-3, atol=1e-9
    )


def test_single_layer_at_a_corner_and_solid_angle_of_a_closed_surface():
    nodes = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    double, single = _integrals(nodes[:1], nodes, np.array([[0, 1, 2]]))
    # Int 1/r over the triangle, seen from its right angle: sqrt(2) asinh(1)
    assert single.sum() == pytest.approx(np.sqrt(2) * np.arcsinh(1))
    assert not double.any()
    sphere = icosphere(10.0, 1)
    double, _ = _integrals(np.array([[1.0, 2, 3], [20, 0, 0]]), sphere.points_mm, sphere.triangles)
    np.testing.assert_allclose(double.sum(axis=1), [4 * np.pi, 0], atol=1e-12)


def test_does_not_depend_on_scale_or_frame():
    heart, torso = icosphere(30.0, 1, (8.0, 3, 0)), icosphere(80.0, 1)
    transfer = transfer_matrix(heart, torso)
    larger = transfer_matrix(
        icosphere(60.0, 1, (16.0 + 100, 6, 0)), icosphere(160.0, 1, (100.0, 0, 0))
    )
    np.testing.assert_allclose(transfer, larger, atol=1e-10)


def test_surfaces_that_are_not_nested_are_refused():
    with pytest.raises(ValueError, match="lie outside"):
        transfer_matrix(icosphere(60.0, 1), icosphere(50.0, 1))


@pytest.mark.parametrize(("subdivisions", "worst"), [(2, 0.05), (3, 0.012)])
def test_dipoles_in_an_insulated_sphere(subdivisions, worst):
    """Against the closed form, at any depth and in any direction; and it converges."""
    rng = np.random.default_rng(0)
    sphere = icosphere(140.0, subdivisions)
    direction, moment = rng.normal(size=(2, 20, 3))
    sources = direction * (rng.uniform(10, 90, 20) / np.linalg.norm(direction, axis=1))[:, None]
    away = sphere.points_mm - sources[:, None]
    unbounded = np.einsum("sec,sc->se", away, moment) / np.linalg.norm(away, axis=-1) ** 3
    exact = np.einsum("sec,sc->se", sphere_kernel(sources, sphere.points_mm, 140.0), moment)
    exact -= exact.mean(axis=1, keepdims=True)
    found = unbounded @ insulated_surface(sphere).T
    error = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert error.max() < worst


def test_the_boundary_of_a_sphere_is_taken_away():
    """From the closed form in the sphere, at some of its nodes, to that of free dipoles."""
    rng = np.random.default_rng(1)
    sphere = icosphere(140.0, 3)
    direction, moment = rng.normal(size=(2, 12, 3))
    sources = 50 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    on = sphere.points_mm[:162]  # the nodes of the coarser sphere come first
    away = on - sources[:, None]
    expected = np.einsum("sec,sc->es", away, moment) / np.linalg.norm(away, axis=-1).T ** 3
    measured = np.einsum("sec,sc->es", sphere_kernel(sources, on, 140.0), moment)
    lost = [3, 40, 41]
    measured[lost, 0] = np.nan
    heard = np.setdiff1d(np.arange(162), lost)
    found = without_boundary(sphere, measured + 7.0)
    assert np.isnan(found[lost]).all()
    found, expected = found[heard], expected[heard] - expected[heard].mean(axis=0)
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_a_boundary_needs_signals_on_its_nodes():
    sphere = icosphere(140.0, 1)
    with pytest.raises(ValueError, match="the torso's 42 nodes"):
        without_boundary(sphere, np.zeros((43, 5)))
    with pytest.raises(ValueError, match="no electrode has a signal"):
        without_boundary(sphere, np.full((10, 5), np.nan))


def test_lead_field_of_a_heart_in_an_insulated_sphere():
    sphere = icosphere(140.0, 3)
    electrodes = Electrodes(tuple(f"E{i}" for i in range(30)), sphere.points_mm[:30])
    heart = Heart(np.ones((6, 5, 4), bool), 6.0)
    exact = sphere_lead_field(heart, electrodes, centre_mm=(0.0, 0.0, 0.0), radius_mm=140.0)
    found = insulated_lead_field(heart, electrodes, sphere)
    found, exact = (x - x.mean(axis=1, keepdims=True) for x in (found, exact))
    assert np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact)


def test_electrodes_and_hearts_that_do_not_belong_to_the_torso():
    heart = Heart(np.ones((4, 4, 4), bool), 4.0)
    torso = torso_through(vest())
    with pytest.raises(ValueError, match="not the first nodes of the torso"):
        insulated_lead_field(heart, vest(8, 8), torso)
    away = Heart(heart.mask, 4.0, (0.0, 0.0, 260.0))
    with pytest.raises(ValueError, match="reaches beyond the torso"):
        insulated_lead_field(away, vest(), torso)
