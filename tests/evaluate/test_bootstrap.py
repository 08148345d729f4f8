import numpy as np
import pytest

from kecgi.evaluate.bootstrap import bootstrap_interval


def mean(sums):
    return sums["x"] / sums["n"]


def interval(x, groups=None, **options):
    sums = {"x": x, "n": np.ones(len(x))}
    return bootstrap_interval(mean, sums, groups, rng=np.random.default_rng(0), **options)


def test_interval_of_a_mean_is_the_normal_one():
    x = np.random.default_rng(1).normal(5, 2, 400)
    half = 1.96 * x.std() / np.sqrt(len(x))
    assert interval(x, resamples=20_000) == pytest.approx(
        (x.mean() - half, x.mean() + half), abs=0.03
    )


def test_groups_are_drawn_whole():
    of_group = np.random.default_rng(2).normal(size=40)
    x = np.repeat(of_group, 25)  # 1 000 cases that are worth 40
    low, high = interval(x, np.repeat(np.arange(40), 25), resamples=20_000)
    assert (high - low) / 2 == pytest.approx(1.96 * of_group.std() / np.sqrt(40), rel=0.05)
    assert np.subtract(*interval(x)) > low - high  # cases drawn one by one: falsely narrow


def test_one_group_falls_back_to_cases_and_one_case_has_no_interval():
    x = np.arange(10.0)
    assert interval(x, np.zeros(10)) == interval(x)
    assert np.isnan(interval(x[:1])).all()


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="groups must be shaped"):
        interval(np.arange(10.0), np.zeros(9))
    with pytest.raises(ValueError, match="level"):
        interval(np.arange(10.0), level=95)
