"""Selection of generated electrograms: each check refuses what it is for."""

import numpy as np
import pytest

from kecgi.evaluate.selection import Plausibility, nearest_to_training

HZ = 200.0


def beats(rate_hz, windows, channels=9, seed=0):
    """Make trains of deflections, a rise and a fall of 20 ms each, at a rate."""
    rng = np.random.default_rng(seed)
    late = np.arange(400) / HZ - rng.uniform(0, 1 / rate_hz, (windows, channels, 1))
    late = (late + 0.5 / rate_hz) % (1 / rate_hz) - 0.5 / rate_hz
    return -late / 0.01 * np.exp(0.5 - 0.5 * (late / 0.01) ** 2)


@pytest.fixture
def training():
    return beats(3.0, 24, seed=1), np.repeat(np.arange(12), 2)


def test_each_check_refuses_what_it_is_for(training):
    windows, simulation = training
    rule = Plausibility.fit(windows, simulation, HZ)
    good = beats(3.0, 10, seed=2)
    wrong = {
        "amplitude": 3 * good,
        "rate": beats(7.0, 10),
        "spectrum": good + np.random.default_rng(0).normal(0, 0.1, good.shape),
        "new": windows[:10] + 0.001,
    }
    assert np.mean(np.all(list(rule.judge(good).values()), axis=0)) >= 0.6
    for name, set_ in wrong.items():
        assert rule.judge(set_)[name].mean() <= 0.1, name
        assert len(rule.select(set_)) <= 1
    mixed = np.concatenate([wrong["amplitude"], good])
    chosen = rule.select(mixed, count=4)
    assert len(chosen) == 4 and chosen.min() >= 10


def test_the_paper_s_rule_takes_copies_first(training):
    windows, _ = training
    mixed = np.concatenate([beats(3.0, 5, seed=3), windows[:3] + 0.001])
    assert set(nearest_to_training(mixed, windows, 3)) == {5, 6, 7}
    with pytest.raises(ValueError, match="count is 9, expected 1 to 8"):
        nearest_to_training(mixed, windows, 9)


def test_one_simulation_says_nothing_about_distance(training):
    windows, _ = training
    with pytest.raises(ValueError, match="all windows are of one simulation"):
        Plausibility.fit(windows, np.zeros(24), HZ)
