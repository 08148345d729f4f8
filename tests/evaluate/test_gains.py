import numpy as np
import pytest
from scipy import stats

from kecgi.evaluate.gains import paired_gains, temporal_correlation


def made_up(rng, gains, seeds=5, cases=12):
    """Scores whose cases and seeds differ much more than the arms do."""
    case, seed = rng.normal(0.4, 0.2, cases), rng.normal(0, 0.05, (seeds, 1))
    baseline = case + seed + 0.01 * rng.standard_normal((seeds, cases))
    each = np.asarray(gains)[:, None, None] + 0.01 * rng.standard_normal((seeds, cases))
    noise = 0.01 * rng.standard_normal((len(gains), seeds, cases))
    return case + seed + each + noise, baseline


def test_a_gain_is_found_and_none_is_not():
    rng = np.random.default_rng(0)
    scores, baseline = made_up(rng, [0.0, 0.05, -0.05])
    found = paired_gains(scores, baseline, rng=rng)
    np.testing.assert_allclose(found.gain, (scores - baseline).mean(axis=(1, 2)))
    assert found.low_all[0] < 0 < found.high_all[0]
    assert found.low_all[1] > 0.03 and found.high_all[2] < -0.03
    assert np.all(found.low_all <= found.low) and np.all(found.high <= found.high_all)


def test_the_best_of_many_useless_arms_does_not_win():
    """Alone, the best of twenty looks like a gain too often; the common interval allows for it."""
    rng = np.random.default_rng(1)
    alone = together = 0
    for _ in range(60):
        scores = rng.normal(0, 0.05, (20, 1, 20)).repeat(5, axis=1)
        found = paired_gains(scores, np.zeros((5, 20)), resamples=400, rng=rng)
        best = found.gain.argmax()
        alone += found.low[best] > 0
        together += found.low_all[best] > 0
    assert alone > 15 and together <= 8


def test_an_arm_alone_has_the_interval_of_the_crossed_bootstrap():
    rng = np.random.default_rng(2)
    scores = rng.normal(0.1, 1, (1, 400, 400)) * 0 + rng.normal(0, 1, (400, 1))
    found = paired_gains(scores, np.zeros((400, 400)), rng=rng)
    # cases are all alike: the interval is that of the mean of 400 seeds
    spread = scores[0, :, 0].std() / 20
    assert found.high[0] - found.low[0] == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert found.high_all[0] - found.low_all[0] == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_correlations_are_those_of_scipy():
    rng = np.random.default_rng(3)
    true, found = rng.standard_normal((2, 2, 3, 40))
    found = found + true
    true[0, 1] = 0  # flat: left out
    found[1, 2] = 5  # flat: counts as 0
    scores = temporal_correlation(true, found)
    for name, of in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        first = np.mean([of(true[0, c], found[0, c]).statistic for c in (0, 2)])
        second = np.sum([of(true[1, c], found[1, c]).statistic for c in (0, 1)]) / 3
        np.testing.assert_allclose(scores[name], [first, second])


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"scores have shape \(2, 5, 3\) and .*\(5, 4\)"):
        paired_gains(np.zeros((2, 5, 3)), np.zeros((5, 4)), rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="two seeds and two cases or more"):
        paired_gains(np.zeros((2, 1, 3)), np.zeros((1, 3)), rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected one shape"):
        temporal_correlation(np.zeros((2, 3, 4)), np.zeros((2, 4, 3)))
