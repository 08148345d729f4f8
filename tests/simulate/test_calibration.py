import numpy as np
import pytest

from kecgi.geometry import AtrialShape, Heart, atrial_wall
from kecgi.simulate import MitchellSchaeffer
from kecgi.simulate.calibration import (
    diffusivity,
    first_activation,
    front_speeds,
    local_speeds,
    wall_diffusivity,
    wall_speed,
)
from kecgi.simulate.monodomain import Stimulus, Tissue, simulate

CELL = MitchellSchaeffer()


def slab(tilt_deg, spacing=1.0, thickness=2.5, length=44.0, width=8.0):
    """Return a thin wall whose long side is tilted in the x-z plane, and its coordinate along."""
    n = int((length + 8) / spacing)
    line = spacing * (np.arange(n) - (n - 1) / 2)
    x, y, z = np.meshgrid(line, line[np.abs(line) < width], line, indexing="ij")
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    along, across = c * x + s * z, -s * x + c * z - 0.3
    inside = (np.abs(along) < length / 2) & (np.abs(across) < thickness / 2)
    inside &= np.abs(y) < width / 2
    return Heart(inside, spacing), along[inside]


def test_closed_form_of_the_front_speed():
    """0.6 mm/ms needs D = 0.305 mm²/ms, and c grows with the root of D."""
    assert diffusivity(0.6, 0.0) == pytest.approx(0.305, abs=0.001)
    assert diffusivity(1.2, 0.0) == pytest.approx(4 * diffusivity(0.6, 0.0))


def test_fronts_converge_to_the_closed_form():
    d, errors = diffusivity(0.6, 0.0), []
    for spacing in (2.0, 1.0, 0.5, 0.25):
        step = min(0.1, 0.1 * spacing**2)
        errors.append(np.abs(front_speeds(d, spacing, CELL, step) / 0.6 - 1).max())
    assert np.all(np.diff(errors) < 0)
    assert errors[0] > 0.1 and errors[-1] < 0.01


@pytest.mark.parametrize("spacing", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("speed", [0.3, 0.6, 1.0])
def test_calibrated_fronts_have_the_speed_asked_for(spacing, speed):
    speeds = front_speeds(diffusivity(speed, spacing), spacing, CELL)
    assert np.mean(speeds) == pytest.approx(speed, rel=0.002)
    np.testing.assert_allclose(speeds, speed, rtol=0.09 if speed == 0.3 else 0.05)


@pytest.mark.parametrize("tilt", [0, 20, 45])
def test_speed_in_thin_walls_of_any_direction(tilt):
    """A staircase of voxels alone would take 15 % of the speed at 45 degrees."""
    wall, along = slab(tilt)
    tissue = Tissue.from_heart(wall, diffusivity(0.6, 1.0))
    start = np.flatnonzero(along < along.min() + 4)
    times = first_activation(simulate(tissue, tissue.state(), 90.0, [Stimulus(0.0, start)]))
    middle = (along > -8) & (along < 17)
    assert 1 / np.polyfit(along[middle], times[middle], 1)[0] == pytest.approx(0.6, rel=0.05)


def test_speed_in_an_atrium():
    """What a wall takes shrinks with the grid's step, and its own calibration gives it back."""
    walls = {spacing: atrial_wall(AtrialShape(right=False), spacing) for spacing in (2.0, 1.0)}
    lost = {s: 1 - wall_speed(w, diffusivity(0.6, s), 0.6) / 0.6 for s, w in walls.items()}
    assert 0.02 < lost[1.0] < 0.05 < lost[2.0] < 0.08
    coarse = walls[2.0]
    assert wall_speed(coarse, wall_diffusivity(coarse, 0.6), 0.6) == pytest.approx(0.6, rel=0.015)


def test_local_speeds_of_a_known_front():
    at = np.random.default_rng(0).uniform(-10, 10, (800, 3)) * [1, 1, 0.05]
    times = np.hypot(at[:, 0] + 30, at[:, 1]) / 0.7
    times[5] = np.nan
    found = local_speeds(at, times, np.arange(50), 4.0)
    np.testing.assert_allclose(found, 0.7, rtol=0.05)  # the front is curved
    assert np.median(found) == pytest.approx(0.7, rel=0.005)


def test_what_no_grid_can_carry():
    with pytest.raises(ValueError, match="step_ms is 0.1, too long"):
        diffusivity(0.8, 0.3)
    with pytest.raises(ValueError, match="too coarse for so slow a one"):
        diffusivity(0.02, 4.0)
    with pytest.raises(ValueError, match="speed_mm_per_ms is 0"):
        diffusivity(0.0, 1.0)
    strip = Heart(np.ones((60, 3, 3), bool), 1.0)
    with pytest.raises(ValueError, match="misses .* of 540 voxels"):
        wall_speed(strip, 0.05, 0.6)
