"""Sphere in air against Legendre series, symmetric cases and the unbounded torso."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from kecgi.geometry import Electrodes, Heart, standard_12
from kecgi.simulate import TissueGraph, lead_field
from kecgi.simulate.sphere_torso import sphere_kernel, sphere_lead_field

R = 140.0
ANGLES = np.linspace(0.05, np.pi - 0.05, 9)
ON = R * np.stack([np.sin(ANGLES), 0 * ANGLES, np.cos(ANGLES)], axis=1)


@pytest.mark.parametrize("b", [1e-3, 30.0, 80.0])
def test_radial_dipole_against_its_legendre_series(b):
    """4 pi sigma R² V / p = sum (2 n + 1) (b/R)^(n-1) P_n(cos angle)."""
    n = np.arange(1, 200)[:, None]
    series = np.sum((2 * n + 1) * (b / R) ** (n - 1) * eval_legendre(n, np.cos(ANGLES)), axis=0)
    found = sphere_kernel(np.array([[0, 0, b]]), ON, R)[0, :, 2]
    np.testing.assert_allclose(found, series / R**2, rtol=1e-10, atol=1e-12)


def test_a_dipole_in_the_middle_is_three_times_as_large_as_unbounded():
    found = sphere_kernel(np.zeros((1, 3)), ON, R)[0]
    np.testing.assert_allclose(found, 3 * ON / R**3, rtol=1e-12)


def test_kernel_is_the_gradient_of_a_harmonic_function():
    """In the source's position: no divergence and no curl, from differences."""
    at, h = np.array([40.0, -35.0, 20.0]), 0.01
    electrode = ON[3:4]
    steps = h * np.eye(3)
    up, down = (
        np.stack([sphere_kernel((at + s * d)[None], electrode, R)[0, 0] for d in steps])
        for s in (1, -1)
    )
    jacobian = (up - down) / (2 * h)
    scale = np.abs(jacobian).max()
    assert abs(np.trace(jacobian)) < 1e-6 * scale
    assert np.abs(jacobian - jacobian.T).max() < 1e-6 * scale


@pytest.fixture(scope="module")
def block():
    mask = np.zeros((16, 14, 12), bool)
    mask[3:13, 3:11, 3:9] = True
    mask[6:9, 5:8, 5:7] = False
    return Heart(mask, 3.0, name="block")


def test_field_in_a_huge_torso_far_from_its_surface(block):
    """Same differences as in the unbounded torso: only the kernel differs.

    Electrodes near the middle of nothing: on a sphere so close that the heart is a point, three
    times the unbounded potential of the same distance.
    """
    radius = 4000.0
    electrodes = Electrodes(("a", "b"), np.array([[radius, 0, 0], [0, -radius, 0.0]]))
    sphere = sphere_lead_field(block, electrodes, centre_mm=(0, 0, 0), radius_mm=radius)
    unbounded = lead_field(block, electrodes)
    error = np.abs(sphere - 3 * unbounded).max() / np.abs(3 * unbounded).max()
    assert error < 0.02


def test_uniform_voltage_makes_no_potential(block):
    field = sphere_lead_field(block, standard_12())
    assert field.shape == (len(TissueGraph.from_heart(block)), 9)
    assert np.abs(field.sum(axis=0)).max() < 1e-5 * np.abs(field).sum(axis=0).max()


def test_a_heart_beyond_the_torso_is_refused(block):
    with pytest.raises(ValueError, match="expected less than radius_mm, 60"):
        sphere_lead_field(block, standard_12(), radius_mm=60.0)
