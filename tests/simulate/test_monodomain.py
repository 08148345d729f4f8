import numpy as np
import pytest

from kecgi.geometry import AtrialShape, Heart, atrial_wall
from kecgi.simulate import MitchellSchaeffer, mitchell_schaeffer
from kecgi.simulate.monodomain import (
    Stimulus,
    Tissue,
    activations,
    diffusivity,
    front_speeds,
    simulate,
    wall_diffusivity,
    wall_speed,
)

CELL = MitchellSchaeffer()


def arrival(frames):
    """First activation of each voxel in ms, NaN where there is none."""
    frame, voxel = activations(frames)
    times = np.full(frames.shape[1], np.nan)
    low, high = frames[frame, voxel], frames[frame + 1, voxel]
    for v, t in zip(voxel[::-1], (frame + 1 + (0.5 - low) / (high - low))[::-1], strict=True):
        times[v] = t
    return times


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
    times = arrival(simulate(tissue, tissue.state(), 90.0, [Stimulus(0.0, start)]))
    middle = (along > -8) & (along < 17)
    assert 1 / np.polyfit(along[middle], times[middle], 1)[0] == pytest.approx(0.6, rel=0.05)


def test_speed_in_an_atrium():
    wall = atrial_wall(AtrialShape(right=False), 2.0)
    assert wall_speed(wall, wall_diffusivity(wall, 0.6), 0.6) == pytest.approx(0.6, rel=0.02)
    assert wall_speed(wall, diffusivity(0.6, 2.0), 0.6) < 0.58  # the plane's D is too low there


@pytest.mark.parametrize("heart", ["atrium", "square"])
def test_uniform_tissue_follows_the_cells_equation(heart):
    """No flux leaves through the border: every voxel is the single cell."""
    heart = {
        "atrium": atrial_wall(AtrialShape(right=False), 2.0),
        "square": Heart(np.ones((5, 7), bool), 1.0),
    }[heart]
    tissue = Tissue.from_heart(heart, 0.3, step_ms=0.05)
    frames = simulate(tissue, tissue.state(v=0.3), 350.0)
    assert np.ptp(frames, axis=1).max() < 1e-4
    expected, _ = mitchell_schaeffer(np.arange(0.0, 351.0), CELL, v0=0.3, stimuli_ms=())
    assert np.abs(frames[10:, 0] - expected[11:]).max() < 0.02


def test_restitution_is_the_closed_forms():
    """APD(DI) = tau_close ln(h(DI) / h_min), h(DI) = 1 - (1 - h_min) exp(-DI / tau_open).

    The equation's action potentials are longer than this by the same at every DI, so differences.
    """
    tissue = Tissue.from_heart(Heart(np.ones((2, 2, 2), bool), 1.0), 0.1, step_ms=0.02)
    h = 1 - (1 - CELL.h_min) * np.exp(-np.array([30, 60, 100, 200, 400, np.inf]) / CELL.tau_open)
    duration = []
    for value in h:
        v = simulate(tissue, tissue.state(v=0.2, h=value), 320.0, frame_ms=0.1)[:, 0]
        last = np.flatnonzero(v > CELL.v_gate)[-1]
        part = (v[last] - CELL.v_gate) / (v[last] - v[last + 1])
        duration.append(0.1 * (last + 1 + part))
    expected = CELL.tau_close * np.log(h / CELL.h_min)
    assert np.ptp(expected) > 100
    np.testing.assert_allclose(np.diff(duration), np.diff(expected), atol=0.2)


def test_a_scar_blocks():
    strip = Heart(np.ones((30, 4, 2), bool), 1.0)
    x = strip.voxels_mm[:, 0]
    d = np.where(np.abs(x) < 1, 0.0, 0.35)
    tissue = Tissue.from_heart(strip, d)
    times = arrival(
        simulate(tissue, tissue.state(), 80.0, [Stimulus(0.0, np.flatnonzero(x < -11))])
    )
    assert np.all(np.isfinite(times[(x > -10) & (x < -1)])) and np.all(np.isnan(times[x > 1]))


def test_slow_tissue_and_short_action_potentials_are_local():
    strip = Heart(np.ones((60, 3, 2), bool), 1.0)
    x = strip.voxels_mm[:, 0]
    left = x < 0
    d = np.where(left, diffusivity(0.3, 1.0), diffusivity(0.8, 1.0))
    tissue = Tissue.from_heart(strip, d, tau_close_ms=np.where(left, 60.0, 150.0))
    start = Stimulus(0.0, np.flatnonzero(x < -25))
    frames = simulate(tissue, tissue.state(), 420.0, [start])
    times = arrival(frames)
    for part, speed in (((x > -20) & (x < -6), 0.3), ((x > 6) & (x < 24), 0.8)):
        assert 1 / np.polyfit(x[part], times[part], 1)[0] == pytest.approx(speed, rel=0.08)
    lasts = (frames > 0.13).sum(axis=0)
    assert lasts[x > 15].min() - lasts[x < -15].max() > 100


def test_a_state_goes_on_where_it_was():
    heart = Heart(np.ones((12, 5, 3), bool), 1.0)
    tissue = Tissue.from_heart(heart, 0.3)
    stimuli = [Stimulus(0.0, np.arange(20)), Stimulus(12.3, np.arange(150, 180))]
    whole = simulate(tissue, tissue.state(), 20.0, stimuli)
    state = tissue.state()
    parts = [simulate(tissue, state, t, stimuli) for t in (3.0, 9.0, 8.0)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert state.time_ms == 20.0


def test_a_step_that_is_too_long_is_refused_with_what_to_do():
    heart = Heart(np.ones((6, 6, 6), bool), 0.5)
    with pytest.raises(ValueError, match="step_ms is 0.1, too long.*expected at most 0.0") as error:
        Tissue.from_heart(heart, 0.4)
    most = float(str(error.value).split("at most ")[1].split(":")[0])
    Tissue.from_heart(heart, 0.4, step_ms=0.99 * most)
    with pytest.raises(ValueError, match="too long"):
        Tissue.from_heart(heart, 0.4, step_ms=1.02 * most)
    with pytest.raises(ValueError, match="too long"):
        diffusivity(0.8, 0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diffusivity": -1.0}, "diffusivity lies in"),
        ({"diffusivity": np.ones(7)}, r"has shape \(7,\), expected a number or \(216,\)"),
        ({"diffusivity": 0.1, "tau_close_ms": np.zeros(216)}, "tau_close_ms lies in"),
        ({"diffusivity": 0.1, "step_ms": 0.0}, "step_ms is 0.0"),
    ],
)
def test_wrong_tissue(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tissue.from_heart(Heart(np.ones((6, 6, 6), bool), 1.0), **arguments)


def test_wrong_numbers():
    tissue = Tissue.from_heart(Heart(np.ones((4, 4, 4), bool), 1.0), 0.1)
    with pytest.raises(ValueError, match="frame_ms is 0.25, expected a multiple"):
        simulate(tissue, tissue.state(), 1.0, frame_ms=0.25)
    with pytest.raises(ValueError, match="speed_mm_per_ms is 0"):
        diffusivity(0.0, 1.0)
