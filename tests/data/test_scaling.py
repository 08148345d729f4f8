import json

import numpy as np
import pytest

from kecgi.data import MapScale, SignalScale


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
