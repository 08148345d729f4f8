import json

import numpy as np
import pytest

from kecgi.data import AmplitudeScale, MapScale, SignalScale


@pytest.fixture
def maps():
    values = np.random.default_rng(0).uniform(20, 180, (5, 6, 7)).astype(np.float32)
    values[:, 0] = np.nan
    values[2, 3, 4], values[4, 5, 6] = 10, 210
    return values


def test_map_scale_takes_the_training_range(maps):
    scale = MapScale.fit(maps)
    assert (scale.low_ms, scale.high_ms) == (10, 210)
    assert MapScale.fit([maps[:2], maps[2:]]) == scale
    scaled = scale.apply(maps)
    assert np.nanmin(scaled) == -1 and np.nanmax(scaled) == 1
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(maps))
    assert scaled.dtype == np.float32


def test_map_scale_is_linear_beyond_its_range():
    scale = MapScale(0.0, 200.0)
    np.testing.assert_allclose(scale.apply(np.array([-100.0, 100.0, 300.0])), [-2, 0, 2])
    assert scale.ms_per_unit == 100


def test_map_scale_round_trips(maps):
    scale = MapScale.fit(maps)
    np.testing.assert_allclose(scale.invert(scale.apply(maps)), maps, rtol=1e-5)
    assert MapScale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale


def test_map_scale_needs_a_range():
    with pytest.raises(ValueError, match="5.0 … 5.0 ms"):
        MapScale.fit(np.full((2, 3), 5.0))
    with pytest.raises(ValueError, match="finite"):
        MapScale.fit(np.full((2, 3), np.nan))


def test_signal_scale_puts_silence_in_the_middle():
    signals = np.array([[[0.0, -4.0, 1.0]], [[2.0, 0.5, 3.0]]], np.float32)
    scale = SignalScale.fit(signals)
    assert scale.peak_mv == 4
    np.testing.assert_allclose(scale.apply(np.array([-4.0, 0.0, 4.0, 8.0])), [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(scale.invert(scale.apply(signals)), signals, atol=1e-6)
    assert scale.apply(signals).dtype == np.float32
    assert SignalScale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale


@pytest.mark.parametrize("signals", [np.zeros((2, 3, 4)), np.full((2, 3, 4), np.nan), []])
def test_signal_scale_needs_a_signal(signals):
    with pytest.raises(ValueError, match="peak_mv"):
        SignalScale.fit(signals)


def test_amplitudes_of_groups_are_kept():
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((6, 20, 4)) * np.array([1, 1, 5, 5, 0.2, 0.2])[:, None, None]
    scale = AmplitudeScale.per_group(signals, np.array([7, 7, 2, 2, 9, 9]))
    scaled = scale.apply(signals)
    for rows in ([0, 1], [2, 3], [4, 5]):
        assert np.abs(scaled[rows]).max() == pytest.approx(1)
        # the same factor in both rows and all channels
        assert np.ptp(scaled[rows] / signals[rows]) < 1e-6 * np.max(scaled[rows] / signals[rows])
    np.testing.assert_allclose(scale.invert(scaled), signals, rtol=1e-6)
    again = AmplitudeScale.from_dict(json.loads(json.dumps(scale.to_dict())))
    np.testing.assert_array_equal(again.peak_mv, scale.peak_mv)
    with pytest.raises(ValueError, match="2 signals, expected 6"):
        scale.apply(signals[:2])


def test_one_amplitude_for_all():
    signals = np.array([[[1.0, -4.0]], [[0.5, 2.0]]])
    scale = AmplitudeScale.whole(signals)
    np.testing.assert_allclose(scale.apply(signals), signals / 4)
    assert scale.invert(np.ones((5, 1, 2))).max() == 4
    with pytest.raises(ValueError, match="expected a positive number"):
        AmplitudeScale.whole(np.zeros((2, 3)))
