import numpy as np
import pytest

from kecgi.evaluate import auroc, compare_auroc, macro_auroc


def brute_force(truth, score, weight=None):
    """Every pair of a positive and a negative case, one by one."""
    weight = np.ones(len(truth)) if weight is None else weight
    won = pairs = 0.0
    for i in np.flatnonzero(truth):
        for j in np.flatnonzero(~truth):
            pair = weight[i] * weight[j]
            won += pair * (0.5 if score[i] == score[j] else float(score[i] > score[j]))
            pairs += pair
    return won / pairs


@pytest.mark.parametrize("ties", [False, True])
def test_against_every_pair(ties):
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.3
    score = truth + rng.standard_normal(60)
    score = score.round(0 if ties else 9)
    weight = rng.integers(0, 4, 60)
    assert auroc(truth, score) == pytest.approx(brute_force(truth, score), abs=1e-12)
    assert auroc(truth, score, weight) == pytest.approx(
        brute_force(truth, score, weight), abs=1e-12
    )


def test_limits():
    truth = [0, 0, 1, 1]
    assert auroc(truth, [1, 2, 3, 4]) == 1
    assert auroc(truth, [4, 3, 2, 1]) == 0
    assert auroc(truth, [5, 5, 5, 5]) == 0.5
    assert np.isnan(auroc([1, 1], [1, 2]))
    # any growing function of the scores gives the same
    score = np.random.default_rng(1).standard_normal(4)
    assert auroc(truth, score) == auroc(truth, np.exp(score))


def test_macro_is_the_mean_of_what_is_defined():
    rng = np.random.default_rng(2)
    truth = rng.random((80, 3)) < (0.5, 0.3, 0.0)
    score = truth + rng.standard_normal((80, 3))
    found = macro_auroc(truth, score, ["a", "b", "never"], rng=rng, resamples=50)
    assert found["a"]["auroc"] == pytest.approx(auroc(truth[:, 0], score[:, 0]))
    assert found["macro"]["auroc"] == pytest.approx((found["a"]["auroc"] + found["b"]["auroc"]) / 2)
    assert found["never"] == {"auroc": None, "low": None, "high": None}


def test_interval_covers_as_often_as_it_says():
    """Gaussian scores of known AUROC: Phi(d / sqrt 2) = 0.760 for d = 1."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(120):
        truth = np.arange(80) % 2 > 0
        score = truth + rng.standard_normal(80)
        found = macro_auroc(truth[:, None], score[:, None], ["a"], rng=rng, resamples=200)["a"]
        hits += found["low"] <= 0.7602499 <= found["high"]
    assert 0.87 <= hits / 120 <= 1.0


def test_cases_of_one_group_are_drawn_together():
    """Copies of every case don't narrow the interval when they are known to be copies."""
    rng = np.random.default_rng(4)
    truth = np.arange(40) % 2 > 0
    score = truth + rng.standard_normal(40)
    truth, score = np.repeat(truth, 10)[:, None], np.repeat(score, 10)[:, None]
    groups = np.repeat(np.arange(40), 10)
    width = {
        name: found["high"] - found["low"]
        for name, given in (("cases", None), ("groups", groups))
        for found in [macro_auroc(truth, score, ["a"], given, rng=rng)["a"]]
    }
    assert width["groups"] > 2.5 * width["cases"]


def delong_variance(truth, score):
    """Variance of the AUROC after DeLong et al. 1988 (doi 10.2307/2531595)."""
    wins = (score[truth][:, None] > score[~truth]) + 0.5 * (score[truth][:, None] == score[~truth])
    per_positive, per_negative = wins.mean(axis=1), wins.mean(axis=0)
    return per_positive.var(ddof=1) / len(per_positive) + per_negative.var(ddof=1) / len(
        per_negative
    )


def test_interval_of_one_seed_is_delong_s():
    rng = np.random.default_rng(6)
    truth = rng.random(400) < 0.4
    score = truth + rng.standard_normal(400)
    found = compare_auroc(
        truth[:, None], {"a": score[None, :, None]}, "a", rng=rng, resamples=2000
    )["a"]
    assert found["auroc"] == pytest.approx(auroc(truth, score))
    half = 1.96 * np.sqrt(delong_variance(truth, score))
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=0.1)
    assert found["seeds"] == 1 and found["seed_sd"] == 0 and "gain" not in found


def test_gain_is_paired_over_cases():
    """Scores that differ little gain little for sure, though each AUROC alone is uncertain."""
    rng = np.random.default_rng(7)
    truth = (np.arange(300) % 3 == 0)[:, None]
    score = truth + 1.5 * rng.standard_normal((300, 1))
    better = score + 0.3 * truth
    ways = {"a": [score] * 3, "b": [better] * 3, "c": [score] * 3}
    found = compare_auroc(truth, ways, "a", rng=rng, resamples=400)
    assert found["b"]["gain"] == pytest.approx(
        auroc(truth[:, 0], better[:, 0]) - auroc(truth[:, 0], score[:, 0])
    )
    assert 0 < found["b"]["gain_low"] < found["b"]["gain"] < found["b"]["gain_high"]
    assert found["a"]["high"] - found["a"]["low"] > 3 * (
        found["b"]["gain_high"] - found["b"]["gain_low"]
    )
    assert found["c"]["gain_low"] == found["c"]["gain_high"] == 0


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(8)
    truth = (np.arange(200) % 2 == 0)[:, None]
    noise = rng.standard_normal((3, 200, 1))
    steady, mixed = truth + noise[[0, 0, 0]], np.array([0.0, 1.0, 2.0])[:, None, None] * truth
    ways = {"steady": steady, "mixed": mixed + noise[[0, 0, 0]]}
    found = compare_auroc(truth, ways, "steady", rng=rng, resamples=400)
    width = {name: row["high"] - row["low"] for name, row in found.items()}
    assert width["mixed"] > 2 * width["steady"] and found["steady"]["seed_sd"] == 0
    assert found["mixed"]["seed_sd"] == pytest.approx(
        np.std([auroc(truth[:, 0], s[:, 0]) for s in ways["mixed"]], ddof=1)
    )


def test_classes_that_nobody_has_do_not_count():
    rng = np.random.default_rng(9)
    truth = np.stack([np.arange(60) % 2, np.zeros(60), np.ones(60)], axis=1)
    score = truth + rng.standard_normal((1, 60, 3))
    found = compare_auroc(truth, {"a": score}, "a", rng=rng, resamples=20)["a"]
    assert found["auroc"] == pytest.approx(auroc(truth[:, 0], score[0, :, 0]))
    with pytest.raises(ValueError, match="no class has positives"):
        compare_auroc(truth[:, 1:], {"a": score[..., 1:]}, "a", rng=rng)
    with pytest.raises(ValueError, match="reference is 'b'"):
        compare_auroc(truth, {"a": score}, "b", rng=rng)
    with pytest.raises(ValueError, match=r"\(seeds, 60, 3\)"):
        compare_auroc(truth, {"a": score[0]}, "a", rng=rng)


def test_wrong_input():
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="expected one"):
        auroc([0, 1], [1])
    with pytest.raises(ValueError, match="not finite"):
        auroc([0, 1], [1, np.nan])
    with pytest.raises(ValueError, match="for \\['a'\\]"):
        macro_auroc(np.zeros((4, 2)), np.zeros((4, 2)), ["a"], rng=rng)
    with pytest.raises(ValueError, match="level"):
        macro_auroc(np.zeros((4, 1)), np.zeros((4, 1)), ["a"], rng=rng, level=95)
