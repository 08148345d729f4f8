import numpy as np
import pytest

from kecgi.geometry import load_heart
from kecgi.geometry.shell import surface_wall
from kecgi.simulate import MitchellSchaeffer, Stimulus, Tissue, simulate, wall_diffusivity
from kecgi.simulate.calibration import first_activation

RADIUS = 20.0


def open_sphere(opening_deg=35.0, n=40):
    """Return a sphere's surface without a cap around its lower pole, as a mesh."""
    polar = np.radians(np.linspace(0, 180 - opening_deg, n))
    around = 2 * np.pi * np.arange(2 * n) / (2 * n)
    t, p = np.meshgrid(polar, around, indexing="ij")
    points = RADIUS * np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1)
    k = np.arange(n * 2 * n).reshape(n, 2 * n)
    right = np.roll(k, -1, axis=1)
    lower = np.stack([k[:-1], k[1:], right[1:]], axis=-1).reshape(-1, 3)
    upper = np.stack([k[:-1], right[1:], right[:-1]], axis=-1).reshape(-1, 3)
    return points.reshape(-1, 3), np.concatenate([lower, upper])


def test_an_open_mesh_becomes_a_wall_of_its_thickness(tmp_path):
    points, triangles = open_sphere()
    wall = surface_wall(points, triangles, 3.0, 1.0)
    area = 2 * np.pi * RADIUS**2 * (1 + np.cos(np.radians(35)))
    rim = 2 * np.pi * RADIUS * np.sin(np.radians(35)) * np.pi * 1.5**2 / 2  # it is rounded
    assert wall.fraction.sum() == pytest.approx(3 * area + rim, rel=0.02)
    away = np.linalg.norm(wall.voxels_mm, axis=1)
    assert away.min() > 18 and away.max() < 22
    lowest = wall.voxels_mm[:, 2].min()
    assert lowest == pytest.approx(-RADIUS * np.cos(np.radians(35)), abs=2.2)
    np.savez(tmp_path / "wall.npz", mask=wall.mask, spacing=wall.spacing_mm)
    np.testing.assert_array_equal(load_heart(tmp_path / "wall.npz").mask.sum(), wall.mask.sum())


def test_a_front_runs_over_it_at_the_speed_asked_for():
    """From the pole, activation comes at radius times polar angle over speed."""
    wall = surface_wall(*open_sphere(n=24), 3.0, 1.5)
    cell, speed = MitchellSchaeffer(tau_close=70.0), 0.7
    tissue = Tissue.from_heart(wall, wall_diffusivity(wall, speed, cell), cell)
    at = wall.voxels_mm
    angle = np.arccos(at[:, 2] / np.linalg.norm(at, axis=1))
    frames = simulate(tissue, tissue.state(), 100.0, [Stimulus(0.0, np.flatnonzero(angle < 0.25))])
    times = first_activation(frames)
    ring = (angle > 0.7) & (angle < 2.2)
    slope = np.polyfit(angle[ring], times[ring], 1)[0]
    assert RADIUS / slope == pytest.approx(speed, rel=0.06)


def test_wrong_surfaces_are_named():
    points, triangles = open_sphere(n=6)
    with pytest.raises(ValueError, match=r"spacing_mm is 4, expected .* thickness, 3.0 mm"):
        surface_wall(points, triangles, 3.0, 4)
    with pytest.raises(ValueError, match="triangles refer to vertices 0 … 71, but there are 10"):
        surface_wall(points[:10], triangles, 3.0, 1.0)
    with pytest.raises(ValueError, match=r"triangles have shape \(0, 3\)"):
        surface_wall(points, triangles[:0], 3.0, 1.0)
