import numpy as np
import pytest

from kecgi.data.ecg.scaling import LeadScale

LEADS = ("I", "V1")


def records(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 50, 2)) * rng.uniform(0.5, 2, (n, 1, 1)) * (1, 3)


def test_limits_are_percentiles_of_extremes():
    ecg = records()
    scale = LeadScale.fit(ecg, LEADS)
    lows, highs = np.sort(ecg.min(axis=1), axis=0), np.sort(ecg.max(axis=1), axis=0)
    # 2.5 % of 199 steps lies between the 5th and the 6th of 200
    assert np.all((lows[4] <= scale.low_mv) & (scale.low_mv <= lows[5]))
    assert np.all((highs[194] <= scale.high_mv) & (scale.high_mv <= highs[195]))


def test_inside_means_every_sample_of_every_lead():
    ecg = records()
    scale = LeadScale.fit(ecg, LEADS)
    expected = [bool(np.all((r > scale.low_mv) & (r < scale.high_mv))) for r in ecg]
    np.testing.assert_array_equal(scale.inside(ecg), expected)
    assert 0.85 < np.mean(expected) < 0.98


def test_scaled_records_lie_in_the_unit_interval_and_come_back():
    ecg = records().astype(np.float32)
    scale = LeadScale.fit(ecg, LEADS)
    scaled = scale.apply(ecg)
    assert scaled.dtype == np.float32
    kept = scaled[scale.inside(ecg)]
    assert 0 < kept.min() < 0.05 and 0.95 < kept.max() < 1
    np.testing.assert_allclose(scale.invert(scaled), ecg, atol=1e-5)
    np.testing.assert_allclose(scale.apply(np.array([[*scale.low_mv], [*scale.high_mv]]))[1], 1)


def test_json_round_trip():
    scale = LeadScale.fit(records(), LEADS)
    assert LeadScale.from_json(scale.to_json()) == scale
    with pytest.raises(ValueError, match="not a lead scale"):
        LeadScale.from_json('{"leads": ["I"]}')


def test_wrong_input():
    with pytest.raises(ValueError, match="range of I is"):
        LeadScale.fit(np.zeros((3, 5, 2)), LEADS)
    with pytest.raises(ValueError, match=r"expected \(…, time, 2\)"):
        LeadScale.fit(records(), LEADS).apply(np.zeros((4, 2, 50)))
    with pytest.raises(ValueError, match="as many of each"):
        LeadScale(("I", "II"), (0,), (1,))
