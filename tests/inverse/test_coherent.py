"""Activation times of synthetic fronts whose times are known."""

import numpy as np
import pytest

from kecgi.geometry.surfaces import icosphere
from kecgi.inverse.coherent import coherent_activation, steepest_descent

TIMES = np.arange(0.0, 160.0, 1.0)


def front(sphere, speed=0.8, late=40.0):
    """Give the times of a front from one pole along the surface."""
    radius = np.linalg.norm(sphere.points_mm[0])
    return late + radius * np.arccos(sphere.points_mm[:, 2] / radius) / speed


def electrograms(times, width=3.0):
    return -2 * np.tanh((TIMES - times[:, None]) / width)


def test_descent_is_found_between_samples():
    times = np.array([50.0, 50.3, 61.75, 99.5])
    np.testing.assert_allclose(steepest_descent(electrograms(times), TIMES), times, atol=0.05)
    np.testing.assert_allclose(
        steepest_descent(electrograms(times)[:, ::2], TIMES[::2]), times, atol=0.2
    )


def test_window_excludes_a_deeper_descent():
    signal = electrograms(np.array([60.0])) + 3 * electrograms(np.array([130.0]))
    assert steepest_descent(signal, TIMES) == pytest.approx(130, abs=0.1)
    assert steepest_descent(signal, TIMES, (0.0, 100.0)) == pytest.approx(60, abs=0.1)


def test_clean_fronts_are_kept():
    sphere = icosphere(25.0, 3)
    times = front(sphere)
    found = coherent_activation(electrograms(times), TIMES, sphere.edges, sphere.edge_lengths_mm)
    assert np.abs(found - times).mean() < 0.05
    assert np.abs(found - times).max() < 0.3


def test_coherent_times_halve_the_error_of_noisy_descents():
    rng = np.random.default_rng(0)
    sphere = icosphere(25.0, 3)
    times = front(sphere)
    signals = electrograms(times, width=6.0)
    signals += 0.4 * rng.standard_normal(signals.shape)
    alone = np.abs(steepest_descent(signals, TIMES) - times).mean()
    found = coherent_activation(signals, TIMES, sphere.edges, sphere.edge_lengths_mm)
    assert alone > 1.5
    assert np.abs(found - times).mean() < 0.5 * alone


def test_a_flat_electrogram_follows_its_neighbours():
    sphere = icosphere(25.0, 2)
    times = front(sphere)
    signals = electrograms(times)
    signals[40] = 0
    found = coherent_activation(signals, TIMES, sphere.edges, sphere.edge_lengths_mm)
    around = sphere.edges[(sphere.edges == 40).any(axis=1)]
    beside = times[around[around != 40]]
    others = np.arange(len(times)) != 40
    assert np.abs(found - times)[others].max() < 0.5
    assert np.isfinite(found[40]) and abs(found[40]) < 200 and len(beside) >= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(time_ms=TIMES[:-1]), r"expected \(nodes, times\) and \(times,\)"),
        (dict(time_ms=TIMES**2), "evenly spaced"),
        (dict(window_ms=(200.0, 300.0)), "holds 0 samples of 0 … 159 ms"),
        (dict(lengths_mm=np.ones(3)), "3 lengths for edges"),
        (dict(edges=np.array([[0, 9]]), lengths_mm=np.ones(1)), "nodes 0 … 9 of 2"),
        (dict(own_weight=0.0), "expected a positive number"),
        (dict(potentials_mv=np.full((2, 160), np.nan)), "not finite"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    usual = dict(
        potentials_mv=electrograms(np.array([50.0, 60.0])),
        time_ms=TIMES,
        edges=np.array([[0, 1]]),
        lengths_mm=np.ones(1),
    )
    with pytest.raises(ValueError, match=message):
        coherent_activation(**(usual | arguments))
