import json

import numpy as np
import pytest
from scipy import integrate, stats

from kecgi.evaluate import posterior


def calibrated(n, values=40_000, seed=0):
    """Draws and truths from normals that differ from value to value."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(60, 30, values), rng.uniform(1, 15, values)
    draws = mean + sd * rng.standard_normal((n, values))
    return draws, mean + sd * rng.standard_normal(values)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("n", [10, 19, 25, 100])
def test_calibrated_draws_have_nominal_coverage(n, level):
    assert posterior.coverage(*calibrated(n), level) == pytest.approx(level, abs=0.012)


def test_coverage_is_nominal_for_a_skewed_posterior():
    rng = np.random.default_rng(3)
    draws, truth = rng.exponential(size=(50, 40_000)), rng.exponential(size=40_000)
    assert posterior.coverage(draws, truth, 0.9) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("n", [10, 100])
def test_too_narrow_a_posterior_is_found_out(n):
    draws, truth = calibrated(n)
    narrow = draws.mean(axis=0) + 0.5 * (draws - draws.mean(axis=0))
    # Half the width of the normal interval: P(|z| < 0.5 · 1.645).
    assert posterior.coverage(narrow, truth, 0.9) == pytest.approx(0.59, abs=0.05)
    assert posterior.coverage(np.ones((n, 3)), np.zeros(3), 0.9) == 0


def test_interval_is_of_order_statistics():
    draws = np.random.default_rng(0).permutation(np.arange(1.0, 100))  # 1 … 99: p-quantile 100 p
    assert posterior.central_interval(draws, 0.9) == pytest.approx((5, 95))
    assert posterior.central_interval(draws, 0.5) == pytest.approx((25, 75))
    low, high = posterior.central_interval(draws, 0.33)
    assert (low, high) == pytest.approx(
        np.quantile(draws, [0.335, 0.665], method="weibull").tolist()
    )


def test_crps_is_the_integral_of_its_definition():
    draws = np.array([3.0, 1.0, 7.5, 2.0])
    for truth in (-1.0, 2.5, 9.0):
        biased, _ = integrate.quad(
            lambda x, y=truth: (np.mean(draws <= x) - (y <= x)) ** 2,
            -5,
            12,
            points=[*draws, truth],
            limit=200,
        )
        pairs = np.abs(draws[:, None] - draws).sum()
        fair = biased + pairs / (2 * 4**2) - pairs / (2 * 4 * 3)
        assert posterior.crps(draws, truth) == pytest.approx(fair)


@pytest.mark.parametrize("n", [2, 10])
def test_fair_crps_is_unbiased_for_few_draws(n):
    rng = np.random.default_rng(5)
    draws, truth = rng.normal(2, 3, (n, 200_000)), 4.5
    expected = posterior.crps_normal(2.0, 3.0, truth)
    assert posterior.crps(draws, np.full(200_000, truth)).mean() == pytest.approx(
        expected, abs=0.02
    )


def test_normal_crps_is_the_integral_of_its_definition():
    value, _ = integrate.quad(
        lambda x: (stats.norm.cdf(x, 2, 3) - (x >= 4.5)) ** 2, -40, 40, points=[4.5], limit=200
    )
    assert posterior.crps_normal(2, 3, 4.5) == pytest.approx(value, rel=1e-6)
    with pytest.raises(ValueError, match="SD must be positive"):
        posterior.crps_normal(0, np.array([1, 0]), np.zeros(2))


@pytest.mark.parametrize("n", [4, 10, 100])
def test_pit_is_flat_when_calibrated(n):
    density = posterior.pit_histogram(*calibrated(n), bins=8)
    assert density.mean() == pytest.approx(1)
    assert density == pytest.approx(1, abs=0.05)


def test_pit_shows_bias_and_ties():
    draws = np.zeros((9, 5))
    assert posterior.pit_histogram(draws, np.full(5, 1.0), bins=10)[-1] == pytest.approx(10)
    assert posterior.pit_histogram(draws, np.zeros(5), bins=10) == pytest.approx(1)


def test_reliability_curve_of_calibrated_draws_is_the_diagonal():
    levels = [0.1, 0.3, 0.5, 0.7, 0.9, 0.95]
    curve = posterior.reliability_curve(*calibrated(20), levels)
    assert curve == pytest.approx(levels, abs=0.015)


def test_rank_correlation_is_scipys_on_the_mask():
    rng = np.random.default_rng(0)
    sd, error = rng.uniform(1, 9, (4, 30)), rng.normal(size=(4, 30))
    mask = rng.random((4, 30)) < 0.6
    expected = stats.spearmanr(sd[mask], np.abs(error[mask])).statistic
    assert posterior.sd_error_rank_correlation(sd, error, mask) == pytest.approx(expected)
    masked = posterior.sd_error_rank_correlation(sd, np.where(mask, error, np.nan))
    assert masked == pytest.approx(expected)
    assert np.isnan(posterior.sd_error_rank_correlation(np.ones(9), np.arange(9.0)))


def test_summary_counts_the_mask_only():
    rng = np.random.default_rng(11)
    mask = rng.random((3, 40, 40)) < 0.5
    mean, sd = rng.uniform(0, 100, mask.shape), rng.uniform(2, 20, mask.shape)
    true = np.where(mask, mean + sd * rng.standard_normal(mask.shape), np.nan)
    draws = mean + sd * rng.standard_normal((30, *mask.shape))
    summary = posterior.summarise_posterior(draws, true)
    assert summary == json.loads(json.dumps(summary, allow_nan=False))
    filled = posterior.summarise_posterior(draws, np.where(mask, true, 1e6), mask)
    assert filled == summary
    assert summary["coverage90"] == posterior.coverage(draws, true, 0.9)
    assert summary["coverage50"] == posterior.coverage(draws, true, 0.5)
    assert summary["crps_ms"] == pytest.approx(np.nanmean(posterior.crps(draws, true)))
    assert summary["sd_ms"] == pytest.approx(np.sqrt(np.mean(sd[mask] ** 2)), rel=0.03)
    assert summary["spearman_sd_error"] > 0.2
    assert summary["draws"] == 30


def test_the_rank_that_can_be_expected_is_that_of_a_calibrated_posterior():
    rng = np.random.default_rng(12)
    sd = np.exp(0.5 * rng.standard_normal((40, 500)))  # rank correlation by its definition: 0.4
    true = sd * rng.standard_normal(sd.shape)
    draws = sd * rng.standard_normal((60, *sd.shape))
    summary = posterior.summarise_posterior(draws, true)
    ideal = stats.spearmanr(sd.ravel(), np.abs(true).ravel()).statistic
    assert summary["spearman_sd_error_expected"] == pytest.approx(ideal, abs=0.03)
    assert summary["spearman_sd_error"] == pytest.approx(ideal, abs=0.03)
    # SDs that say nothing: the expectation stays
    shuffled = posterior.summarise_posterior(draws[:, :, rng.permutation(500)], true)
    assert abs(shuffled["spearman_sd_error"]) < 0.03
    assert shuffled["spearman_sd_error_expected"] == pytest.approx(ideal, abs=0.03)
    # cases as a whole: SDs that grow from case to case
    grow = np.geomspace(1, 9, 40)[:, None]
    assert (
        posterior.summarise_posterior(grow * draws, grow * true)["spearman_sd_error_cases"] > 0.95
    )
    alone = posterior.summarise_posterior(draws[:2, :1], true[:1])
    assert alone["spearman_sd_error_cases"] is alone["spearman_sd_error_expected"] is None


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="at least two draws"):
        posterior.coverage(np.zeros((1, 5)), np.zeros(5), 0.9)
    with pytest.raises(ValueError, match="draws in front"):
        posterior.crps(np.zeros((10, 5)), np.zeros(6))
    with pytest.raises(ValueError, match="level"):
        posterior.coverage(np.zeros((10, 5)), np.zeros(5), 90)
    with pytest.raises(ValueError, match="nowhere finite"):
        posterior.coverage(np.zeros((10, 5)), np.full(5, np.nan), 0.9)
    with pytest.raises(ValueError, match="not finite"):
        posterior.coverage(np.full((10, 5), np.nan), np.zeros(5), 0.9)
    with pytest.raises(ValueError, match="shapes differ"):
        posterior.interval_coverage(np.zeros(4), np.zeros(5), np.zeros(5))
