"""Mitchell–Schaeffer cells against the model's closed forms and a plain integrator."""

import numpy as np
import pytest

from kecgi.simulate import (
    ActionPotential,
    MitchellSchaeffer,
    action_potential,
    mitchell_schaeffer,
)

MODEL = MitchellSchaeffer()


def duration(time, v, gate=0.13):
    """Time above the gate voltage, crossings interpolated linearly."""
    above = np.flatnonzero(v > gate)
    first, last = above[0], above[-1]
    ends = [time[last] + (v[last] - gate) / (v[last] - v[last + 1]) * (time[last + 1] - time[last])]
    begins = time[first]
    if first:
        begins -= (v[first] - gate) / (v[first] - v[first - 1]) * (time[first] - time[first - 1])
    return ends[0] - begins


def test_constants():
    assert MODEL.h_min == pytest.approx(0.2)
    assert MODEL.v_peak == pytest.approx(0.947, abs=5e-4)


def test_plain_runge_kutta_agrees():
    step = 0.02
    time = np.arange(0, 400, step)

    def slope(v, h, t):
        stimulus = 0.22 if t < 1 - 1e-12 else 0.0
        gate = (1 - h) / 120 if v < 0.13 else -h / 150
        return np.array([h * v * v * (1 - v) / 0.3 - v / 6 + stimulus, gate])

    state, expected = np.array([0.0, 1.0]), []
    for t in time:
        expected.append(state)
        a = slope(*state, t)
        b = slope(*(state + step / 2 * a), t + step / 2)
        c = slope(*(state + step / 2 * b), t + step / 2)
        d = slope(*(state + step * c), t + step * (1 - 1e-9))
        state = state + step / 6 * (a + 2 * b + 2 * c + d)
    np.testing.assert_allclose(mitchell_schaeffer(time), np.transpose(expected), atol=1e-3)


def test_peak_and_longest_action_potential():
    time = np.arange(0, 400, 0.02)
    v, _ = mitchell_schaeffer(time)
    assert v.max() == pytest.approx(MODEL.v_peak, abs=0.003)
    assert duration(time, v) == pytest.approx(284.7, abs=0.1)


def test_restitution_follows_the_closed_form():
    """Differences between diastolic intervals; the ODE's excess of 43 ms is the same in each."""
    time = np.arange(0, 400, 0.02)
    interval = np.array([30, 60, 100, 200, 400, np.inf])
    h = 1 - (1 - MODEL.h_min) * np.exp(-interval / MODEL.tau_open)
    expected = MODEL.tau_close * np.log(h / MODEL.h_min)
    # from above the gate, where h starts to close
    measured = [
        duration(time, mitchell_schaeffer(time, v0=0.2, h0=value, stimuli_ms=())[0]) for value in h
    ]
    np.testing.assert_allclose(np.diff(measured), np.diff(expected), atol=0.1)
    np.testing.assert_allclose(measured - expected, 43.3, atol=0.2)


def test_fast_currents_approach_the_leading_order():
    time = np.arange(0, 300, 0.02)
    leading = MODEL.tau_close * np.log(1 / MODEL.h_min)
    assert leading == pytest.approx(241.4, abs=0.05)
    excess = []
    for scale in (1, 0.1, 0.01):
        model = MitchellSchaeffer(0.3 * scale, 6 * scale)
        v, _ = mitchell_schaeffer(time, model, v0=0.2, stimuli_ms=())
        excess.append(duration(time, v) - leading)
    # a fold is left after a time of order scale^(2/3)
    np.testing.assert_allclose(excess, 43.3 * np.array([1, 0.1, 0.01]) ** (2 / 3), rtol=0.05)


def test_upstroke():
    time = np.arange(0, 20, 0.005)
    v, _ = mitchell_schaeffer(time)
    tenth, most = (time[np.argmax(v > share * v.max())] for share in (0.1, 0.9))
    assert most - tenth == pytest.approx(2.8, abs=0.1)
    assert np.gradient(v, time).max() == pytest.approx(0.38, abs=0.005)


def test_second_stimulus_restores_less():
    time = np.arange(0, 900, 0.1)
    v, _ = mitchell_schaeffer(time, stimuli_ms=(0.0, 400.0))
    first, second = duration(time, v * (time < 400)), duration(time, v * (time >= 400))
    interval = 400 - first
    h = 1 - (1 - MODEL.h_min) * np.exp(-interval / MODEL.tau_open)
    assert second - first == pytest.approx(MODEL.tau_close * np.log(h), abs=6)


def test_weak_stimulus_fades():
    v, _ = mitchell_schaeffer(np.arange(0, 100, 0.1), amplitude=0.05)
    assert v.max() < 0.06
    assert v[-1] < 1e-3


def test_template_is_at_rest_before_and_steepest_at_zero():
    template = action_potential()
    assert np.all(template(np.array([-100.0, -5.0])) == 0)
    time = np.arange(-5, 20, 0.1)
    assert abs(time[np.argmax(np.gradient(template(time), time))]) <= 0.1
    assert template(np.array([250.0]))[0] > 0.5
    assert template(np.array([2000.0]))[0] == pytest.approx(0, abs=1e-6)
    assert action_potential() is template  # made once
    with pytest.raises(ValueError, match="read-only"):
        template.v[0] = 1


def test_average_over_the_crossing_time():
    template = action_potential()
    time = np.linspace(-20, 400, 97)
    for width in (0.5, 3.3, 12.0):
        inside = np.linspace(-width / 2, width / 2, 4001)
        brute = template(time[:, None] + inside).mean(axis=1)
        np.testing.assert_allclose(template.averaged(width)(time), brute, atol=2e-3)
    assert template.averaged(0) is template
    ramp = ActionPotential(0.0, 1.0, np.concatenate([[0.0], np.arange(20.0)]))
    np.testing.assert_allclose(ramp.averaged(4)(np.array([8.0, 12.0])), [7, 11])


@pytest.mark.parametrize("width", [-1.0, np.nan, np.inf])
def test_wrong_width_is_named(width):
    with pytest.raises(ValueError, match="width_ms is"):
        action_potential().averaged(width)


@pytest.mark.parametrize("name", ["tau_in", "tau_out", "tau_open", "tau_close", "v_gate"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_wrong_parameter_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*, expected"):
        MitchellSchaeffer(**{name: value})


def test_parameters_without_an_action_potential():
    with pytest.raises(ValueError, match="more than 4 tau_in = 1.2"):
        MitchellSchaeffer(tau_out=1.2)
    with pytest.raises(ValueError, match="has no action potential: its voltage peaks at 0"):
        action_potential(MitchellSchaeffer(tau_out=1.3))


@pytest.mark.parametrize("time", [[0.0], [0.0, 0.0, 1.0], [1.0, 0.0], [[0.0, 1.0]]])
def test_times_must_increase(time):
    with pytest.raises(ValueError, match="time_ms must be"):
        mitchell_schaeffer(np.array(time))
