from itertools import combinations

import numpy as np
import pytest

from kecgi.geometry import spread_points


@pytest.fixture
def positions():
    return np.random.default_rng(0).normal(size=(200, 3)) * [40, 30, 20]


def radius(positions, chosen):
    """Distance of the point farthest from all chosen ones."""
    away = np.linalg.norm(positions[:, None] - positions[chosen], axis=-1)
    return away.min(axis=1).max()


def test_each_point_is_the_farthest_from_those_before_it(positions):
    chosen = spread_points(positions, 30)
    from_centre = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    assert chosen[0] == np.argmax(from_centre)
    for k in range(1, 30):
        away = np.linalg.norm(positions[:, None] - positions[chosen[:k]], axis=-1).min(axis=1)
        assert chosen[k] == np.argmax(away)


def test_a_prefix_is_what_fewer_would_have_been(positions):
    chosen = spread_points(positions, 50)
    np.testing.assert_array_equal(chosen[:20], spread_points(positions, 20))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 3])
def test_coverage_is_within_twice_the_best(seed, count):
    positions = np.random.default_rng(seed).uniform(size=(14, 3))
    best = min(radius(positions, list(c)) for c in combinations(range(14), count))
    assert radius(positions, spread_points(positions, count)) <= 2 * best


def test_all_points_can_be_chosen_in_two_dimensions_too(positions):
    chosen = spread_points(positions[:40, :2], 40)
    np.testing.assert_array_equal(np.sort(chosen), np.arange(40))


def test_the_choice_moves_with_the_heart(positions):
    turned = positions[:, [1, 2, 0]] * [1, -1, 1] + [30, 0, -5]
    np.testing.assert_array_equal(spread_points(turned, 25), spread_points(positions, 25))


@pytest.mark.parametrize("count", [0, 201])
def test_count_must_be_possible(positions, count):
    with pytest.raises(ValueError, match=f"count is {count}, expected 1 to 200"):
        spread_points(positions, count)
