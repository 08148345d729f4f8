import json

import numpy as np
import pytest
from scipy import stats

from kecgi.evaluate import maps


@pytest.fixture
def hearts(rng):
    """Three hearts of different size with true and predicted maps, NaN outside."""
    mask = np.zeros((3, 8, 9), dtype=bool)
    mask[0, 2:6, 2:7] = mask[1, 1:7, 1:8] = mask[2, 3:5, 3:5] = True
    true = np.where(mask, rng.uniform(0, 120, mask.shape), np.nan)
    return mask, true, true + rng.normal(0, 10, mask.shape)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_pooled_metrics_agree_with_plain_formulas(hearts):
    mask, true, predicted = hearts
    t, p = true[mask], predicted[mask]
    mean = 55.0
    assert maps.mae_ms(true, predicted) == pytest.approx(np.mean(np.abs(t - p)))
    assert maps.mse(true, predicted) == pytest.approx(np.mean((t - p) ** 2))
    expected = 1 - np.sum((t - p) ** 2) / np.sum((t - mean) ** 2)
    assert maps.skill(true, predicted, mean) == pytest.approx(expected)
    assert maps.correlation(true, predicted) == pytest.approx(stats.pearsonr(t, p).statistic)


def test_mse_on_a_scale_is_that_of_scaled_maps(hearts):
    _, true, predicted = hearts
    low, high = -10.0, 150.0
    scaled = [2 * (x - low) / (high - low) - 1 for x in (true, predicted)]
    assert maps.mse(true, predicted, scale_ms=(low, high)) == pytest.approx(maps.mse(*scaled))
    with pytest.raises(ValueError, match="high above low"):
        maps.mse(true, predicted, scale_ms=(5.0, 5.0))


def test_per_case_values(hearts):
    mask, true, predicted = hearts
    cases = maps.per_case(true, predicted, 60.0)
    for i in range(3):
        t, p = true[i][mask[i]], predicted[i][mask[i]]
        assert cases["mae_ms"][i] == pytest.approx(np.abs(t - p).mean())
        assert cases["r2"][i] == pytest.approx(1 - ((t - p) ** 2).sum() / ((t - 60) ** 2).sum())
        assert cases["correlation"][i] == pytest.approx(np.corrcoef(t, p)[0, 1])


def test_background_never_counts(hearts):
    mask, true, predicted = hearts
    filled_true, filled = np.where(mask, true, 1e9), np.where(mask, predicted, -1e9)
    for metric in (maps.mae_ms, maps.mse, maps.correlation):
        assert metric(filled_true, filled, mask) == pytest.approx(metric(true, predicted))
    assert maps.mae_ms(filled_true[:2], filled[:2], mask[0]) == pytest.approx(
        np.abs(true[:2] - predicted[:2])[:, mask[0]].mean()
    )


def test_skill_of_the_reference_is_zero_and_of_the_truth_one(hearts):
    _, true, predicted = hearts
    assert maps.skill(true, predicted, predicted) == 0
    assert maps.skill(true, true, predicted) == 1
    # A map as reference equals the same map repeated for each case.
    assert maps.skill(true[:2], predicted[:2], np.full((8, 9), 60.0)) == pytest.approx(
        maps.skill(true[:2], predicted[:2], 60.0)
    )


def test_correlation_of_a_constant_is_undefined(hearts):
    _, true, _ = hearts
    for constant in np.linspace(30, 40, 100):  # rounding leaves some of these a variance above 0
        assert np.isnan(maps.correlation(true, np.full_like(true, constant)))


def test_summary_is_json_with_the_headline_keys(hearts, rng):
    mask, true, predicted = hearts
    constant = np.full_like(true, 60.0)
    summary = maps.summarise_maps(
        true, predicted, mask, reference=constant, scale_ms=(0, 150), rng=rng
    )
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["mae_ms"] == maps.mae_ms(true, predicted)
    assert summary["r2"] == maps.skill(true, predicted, 60.0)
    assert summary["mse"] == maps.mse(true, predicted, scale_ms=(0, 150))
    assert summary["rmse_ms"] ** 2 == pytest.approx(maps.mse(true, predicted))
    assert (summary["mse_scale"], summary["mse_scale_ms"]) == ("[-1, 1]", [0.0, 150.0])
    assert (summary["cases"], summary["voxels"]) == (3, int(mask.sum()))
    low, high = summary["mae_ms_interval"]
    assert low < summary["mae_ms"] < high
    itself = maps.summarise_maps(true, constant, reference=constant, scale_ms=(0, 150), rng=rng)
    assert itself["r2"] == 0
    assert itself["correlation"] is itself["correlation_interval"] is None


def test_one_case_has_no_interval(hearts, rng):
    _, true, predicted = hearts
    summary = maps.summarise_maps(
        true[:1], predicted[:1], reference=60.0, scale_ms=(0, 150), rng=rng
    )
    assert summary["mae_ms_interval"] is None


def test_wrong_input_is_named(hearts):
    mask, true, predicted = hearts
    hole = predicted.copy()
    hole[1, 3, 3] = np.nan
    with pytest.raises(ValueError, match=r"1 voxel.*not finite, in case\(s\) 1"):
        maps.mae_ms(true, hole)
    with pytest.raises(ValueError, match="the true maps: .* inside the mask"):
        maps.mae_ms(true, predicted, ~mask)
    with pytest.raises(ValueError, match="predicted maps has shape"):
        maps.mae_ms(true, predicted[:2])
    with pytest.raises(ValueError, match="boolean"):
        maps.mae_ms(true, predicted, mask.astype(float))
    with pytest.raises(ValueError, match="fits neither"):
        maps.mae_ms(true, predicted, mask[:2])
    with pytest.raises(ValueError, match=r"no tissue in case\(s\) 2"):
        maps.mae_ms(np.where(np.arange(3)[:, None, None] == 2, np.nan, true), predicted)
    with pytest.raises(ValueError, match="case axis"):
        maps.mae_ms(np.zeros(5), np.zeros(5))
    with pytest.raises(ValueError, match="the reference has shape"):
        maps.skill(true, predicted, np.zeros(3))


@pytest.mark.parametrize("ndim", [2, 3])
def test_localisation_of_a_point_source(ndim):
    spacing, origin = np.array([2.0, 1.5, 3.0])[:ndim], np.array([-40.0, 10.0, 5.0])[:ndim]
    grid = np.stack(np.meshgrid(*[np.arange(21.0)] * ndim, indexing="ij"), -1) * spacing + origin
    onset = origin + spacing * 10
    times = np.linalg.norm(grid - onset, axis=-1) / 0.6
    far = onset + 30.0
    onsets = np.array([[onset, np.full(ndim, np.nan)], [onset + 6, far], [far, onset + 3]])
    predicted, expected = np.stack([times] * 3), [0, 6 * np.sqrt(ndim), 3 * np.sqrt(ndim)]
    first = maps.localisation_error_mm(predicted, onsets, spacing, origin, share=1e-9)
    assert first == pytest.approx(expected, abs=1e-6)
    earliest = maps.localisation_error_mm(predicted, onsets, spacing, origin)
    assert earliest == pytest.approx(expected, abs=0.6)


def test_localisation_of_two_foci_is_not_between_them():
    x, y = np.meshgrid(np.arange(60.0), np.arange(40.0), indexing="ij")
    foci = np.array([[12.0, 20.0], [47.0, 20.0]])
    first = np.hypot(x - foci[0, 0], y - foci[0, 1])
    second = np.hypot(x - foci[1, 0], y - foci[1, 1])
    predicted = np.stack([np.minimum(first, second + late) for late in (0.5, -1.5)])
    for onsets in (foci[None].repeat(2, axis=0), foci[:, None]):  # the earlier has more voxels
        errors = maps.localisation_error_mm(predicted, onsets, (1.0, 1.0), (0.0, 0.0))
        assert errors.max() < 0.5


def test_localisation_refuses_cases_without_onset():
    with pytest.raises(ValueError, match="case 0 has no onset"):
        maps.localisation_error_mm(np.zeros((1, 4, 4)), np.full((1, 2, 2), np.nan), (1, 1), (0, 0))
    with pytest.raises(ValueError, match="onsets_mm must be shaped"):
        maps.localisation_error_mm(np.zeros((1, 4, 4)), np.zeros((1, 2, 3)), (1, 1), (0, 0))
    with pytest.raises(ValueError, match="maps have 2 axes"):
        maps.localisation_error_mm(np.zeros((1, 4, 4)), np.zeros((1, 2, 2)), (1, 1, 1), (0, 0))
