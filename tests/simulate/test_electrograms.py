import numpy as np
import pytest

from kecgi.geometry import AtrialShape, Electrodes, Heart, atrial_wall
from kecgi.simulate import lead_field
from kecgi.simulate.electrograms import bipolar_pairs, near_field, resample


def test_a_straight_front_gives_the_closed_form():
    """In a sheet of thickness w: sigma_i ΔV w / (4 pi sigma_b) * 2 x / (x² + d²), d the height."""
    sheet = Heart(np.ones((81, 161, 1), bool), 1.0)
    height = 3.0
    field = near_field(sheet, np.zeros((1, 3)), height_mm=height, sigma_i=0.07, sigma_b=0.22)[:, 0]
    x = sheet.voxels_mm[:, 0]
    front = np.arange(-20, 20) + 0.5
    # tissue behind the front, at lower x, is at v = 1
    found = np.array([(x < f) @ field for f in front])
    scale = 100 * 0.07 / (4 * np.pi * 0.22)
    # the rest of an endless sheet is beyond 80 mm to the sides
    side = 80.5
    distance = front**2 + height**2
    expected = scale * -front * 2 * side / (distance * np.sqrt(side**2 + distance))
    np.testing.assert_allclose(found, expected, atol=0.045 * np.abs(expected).max())
    assert found[0] > 0 > found[-1]  # positive while it comes, negative when it has passed


def test_from_far_it_is_the_lead_field():
    heart = atrial_wall(AtrialShape(right=False), 2.0)
    far = heart.centroid_mm + np.array([[90.0, 0, 0], [0, -80.0, 30.0]])
    expected = lead_field(heart, Electrodes(("a", "b"), far))
    np.testing.assert_allclose(
        near_field(heart, far, height_mm=0.5), expected, rtol=0.01, atol=1e-7
    )
    uniform = near_field(heart, heart.voxels_mm[:5]).sum(axis=0)
    assert np.abs(uniform).max() < 1e-3


def test_deflections_are_steep_only_near_the_front():
    strip = Heart(np.ones((60, 5, 2), bool), 1.0)
    x = strip.voxels_mm[:, 0]
    v = 1 / (1 + np.exp((x - np.arange(-40, 40, 0.6)[:, None]) / 0.8))
    at = np.array([[-15.0, 0, 0], [15.0, 0, 0]])
    signals = v @ near_field(strip, at)
    steepest = np.diff(signals, axis=0).argmin(axis=0)
    passing = (at[:, 0] + 40) / 0.6
    np.testing.assert_allclose(steepest, passing, atol=2)


def test_pairs_are_as_far_apart_as_asked():
    at = atrial_wall(AtrialShape(right=False), 1.0).voxels_mm
    first = np.arange(0, len(at), 500)
    pairs = bipolar_pairs(at, first, 4.0)
    np.testing.assert_array_equal(pairs[:, 0], first)
    apart = np.linalg.norm(at[pairs[:, 0]] - at[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(apart, 4.0, atol=0.5)


def test_resampling_keeps_what_is_below_half_the_rate_and_drops_the_rest():
    time = np.arange(2000) / 1000
    slow, fast = np.sin(2 * np.pi * 20 * time), np.sin(2 * np.pi * 180 * time)
    found = resample((slow + fast)[:, None].astype(np.float32), 1000, 200)[:, 0]
    assert found.shape == (400,) and found.dtype == np.float32
    assert np.abs(found - slow[::5])[20:-20].max() < 0.02
    np.testing.assert_array_equal(resample(slow, 1000, 1000), slow)
    with pytest.raises(ValueError, match="can't resample from 1000 Hz to 441.3"):
        resample(slow, 1000, 441.37)


def test_wrong_electrodes():
    heart = atrial_wall(AtrialShape(right=False), 2.0)
    with pytest.raises(ValueError, match="height_mm is 0"):
        near_field(heart, heart.voxels_mm[:1], height_mm=0.0)
    with pytest.raises(ValueError, match="is 2-D"):
        near_field(Heart(np.ones((4, 4), bool), 1.0), np.zeros((1, 3)))
