import numpy as np
import pytest

from kecgi.geometry import AtrialShape, Heart, atrial_wall
from kecgi.simulate import MitchellSchaeffer, mitchell_schaeffer
from kecgi.simulate.calibration import diffusivity, first_activation
from kecgi.simulate.monodomain import Stimulus, Tissue, simulate

CELL = MitchellSchaeffer()


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
    times = first_activation(
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
    times = first_activation(frames)
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


def test_wrong_frames():
    tissue = Tissue.from_heart(Heart(np.ones((4, 4, 4), bool), 1.0), 0.1)
    with pytest.raises(ValueError, match="frame_ms is 0.25, expected a multiple"):
        simulate(tissue, tissue.state(), 1.0, frame_ms=0.25)
