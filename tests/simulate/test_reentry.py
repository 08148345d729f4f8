import numpy as np
import pytest

from kecgi.geometry import Heart
from kecgi.simulate import MitchellSchaeffer, TissueGraph
from kecgi.simulate.calibration import diffusivity
from kecgi.simulate.monodomain import Tissue, simulate
from kecgi.simulate.reentry import (
    line_through,
    paced_cycle,
    phase_state,
    singularities,
    voltage_phase,
    wall_squares,
    winding_phase,
)

CELL = MitchellSchaeffer(tau_close=50.0, tau_open=100.0)


def plate(n=41, thickness=2, hole=0.0):
    mask = np.ones((n, n, thickness), bool)
    x = np.arange(n) - (n - 1) / 2
    mask &= (np.hypot(x[:, None], x) >= hole)[..., None]
    return Heart(mask, 1.0)


def turns(phase):
    """Windings of a closed walk's phases."""
    steps = np.diff(np.append(phase, phase[0]))
    return np.sum((steps + np.pi) % (2 * np.pi) - np.pi) / (2 * np.pi)


def circle(centre, normal, radius=5.0):
    first = np.cross(normal, [0.3, 0.9, 0.1])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first) / np.linalg.norm(normal)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)[:, None]
    return centre + radius * (np.cos(angle) * first + np.sin(angle) * second)


@pytest.mark.parametrize("second", [(0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.6, 0.0, 0.8)])
def test_phase_winds_once_around_the_line_and_nowhere_else(second):
    centre, first, second = np.array([3.0, -2.0, 1.0]), np.array([1.0, 0, 0]), np.array(second)
    line = line_through(centre, first, second)
    around_first = turns(winding_phase(circle(centre + 20 * first, first), line))
    around_second = turns(winding_phase(circle(centre + 20 * second, second), line))
    # it leaves along the first direction and comes back along the second
    assert round(around_first, 6) == -round(around_second, 6) != 0
    assert abs(around_first) == pytest.approx(1)
    aside = centre + np.array([0.0, 0.0, -25.0])
    for normal in np.eye(3):
        assert turns(winding_phase(circle(aside, normal), line)) == pytest.approx(0, abs=1e-9)


def test_phase_about_a_straight_line_is_its_angle():
    line = line_through(np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, 0, -1]), 1e6)
    ring = circle(np.zeros(3), np.array([0.0, 0, 1]), 7.0)
    phase = np.unwrap(winding_phase(ring, line))
    np.testing.assert_allclose(np.abs(np.diff(phase)), 2 * np.pi / 60, rtol=1e-3)


def test_a_paced_cell_repeats_itself():
    v, h = paced_cycle(CELL, 250.0)
    longer = paced_cycle(CELL, 250.0, beats=12)
    np.testing.assert_allclose(v, longer[0], atol=1e-3)
    np.testing.assert_allclose(h, longer[1], atol=1e-3)
    assert v.max() > 0.8 and v[-1] < 0.01
    state = phase_state(np.array([0.0, 2 * np.pi, -np.pi, np.pi]), CELL, 250.0)
    assert state[0][0] == state[0][1] == v[0] and state[1][2] == state[1][3]
    with pytest.raises(ValueError, match="doesn't follow stimuli every 60.0 ms: beat 1 is blocked"):
        paced_cycle(MitchellSchaeffer(), 60.0)


def test_singularities_of_known_vortices():
    """Phases with vortices at known places, of either sign, and a plane wave with none."""
    graph = TissueGraph.from_heart(plate())
    x, y, _ = graph.positions_mm.T
    squares = wall_squares(graph)
    assert len(squares) == 2 * 40 * 40 + 2 * 41 * 40
    vortices = [((-8.5, 4.5), 1), ((10.5, -3.5), -1), ((2.5, 14.5), 1)]
    phase = sum(s * np.arctan2(y - b, x - a) for (a, b), s in vortices)
    phase = (np.stack([phase, 0.2 * x]) + np.pi) % (2 * np.pi) - np.pi
    found, none = singularities(graph, phase, squares)
    assert none.shape == (0, 3)
    np.testing.assert_allclose(
        sorted(found[:, :2].tolist()), sorted(list(p) for p, _ in vortices), atol=0.51
    )


def test_voltage_phase_rises_through_an_action_potential():
    v = np.interp(np.arange(200), [0, 50, 53, 120, 135, 200], [0, 0, 1, 1, 0, 0])
    phase = np.unwrap(voltage_phase(np.tile(v[:, None], 2), 10)[:, 0])
    assert np.all(np.diff(phase) >= 0)
    assert phase[-1] - phase[0] == pytest.approx(2 * np.pi)
    assert len(voltage_phase(v[:, None], 10, every=20)) == 10


@pytest.mark.parametrize(("hole", "expected"), [(0.0, 1), (9.0, 0)])
def test_a_wave_turns_around_its_core_or_around_a_hole(hole, expected):
    """Both go on; in whole tissue there is one singularity, and none around the hole."""
    heart = plate(hole=hole)
    tissue = Tissue.from_heart(heart, diffusivity(0.3, 1.0, CELL), CELL)
    line = line_through(np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, 0, -1]))
    phase = winding_phase(tissue.graph.positions_mm, line)
    frames = simulate(tissue, tissue.state(*phase_state(phase, CELL, 220.0)), 700.0)
    late = frames[300:]
    assert (late > 0.5).any(axis=1).all() and (late < 0.1).any(axis=1).all()
    found = singularities(tissue.graph, voltage_phase(late, every=20), wall_squares(tissue.graph))
    assert np.median([len(f) for f in found]) == expected
