"""What goes wrong with a recording, measured on what comes out."""

import numpy as np
import pytest

from kecgi.data import Disturbance, add_noise
from kecgi.data.disturbance import CLEAN, lose_electrodes, misplace


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def case(rng):
    """Points of a heart off centre, and potentials."""
    points = (rng.normal(size=(50, 3)) * [20, 30, 10] + [5, -8, 40]).astype(np.float32)
    return points, rng.normal(size=(40, 25)).astype(np.float32)


def test_nothing_changes_where_nothing_goes_wrong(case, rng):
    for given, result in zip(case, CLEAN.apply(*case, rng), strict=True):
        assert result is given


def test_noise_is_that_of_the_other_views(case):
    _, noisy = Disturbance(snr_db=20.0).apply(*case, np.random.default_rng(7))
    np.testing.assert_array_equal(noisy, add_noise(case[1], 20.0, np.random.default_rng(7)))


@pytest.mark.parametrize(("share", "lost"), [(0.0, 0), (0.3, 12), (0.01, 0), (1.0, 40)])
def test_as_many_electrodes_are_lost_as_asked(case, rng, share, lost):
    bspm = lose_electrodes(case[1], share, rng)
    gone = np.isnan(bspm)
    assert (gone.all(axis=1) == gone.any(axis=1)).all() and gone[:, 0].sum() == lost
    np.testing.assert_array_equal(bspm[~gone], case[1][~gone])
    assert np.isfinite(case[1]).all()  # the case itself is untouched


def test_the_heart_moves_as_a_whole(case, rng):
    points = misplace(case[0], 12.0, 25.0, rng)
    before, after = (p - p.mean(axis=0) for p in (case[0], points))
    assert np.linalg.norm(points.mean(axis=0) - case[0].mean(axis=0)) == pytest.approx(12, abs=1e-3)
    # the best rotation between the two (Kabsch) is a proper one by the angle, and leaves nothing
    u, _, vt = np.linalg.svd(before.T @ after)
    rotation = (u @ vt).T
    assert np.linalg.det(rotation) == pytest.approx(1)
    angle = np.degrees(np.arccos((np.trace(rotation) - 1) / 2))
    assert angle == pytest.approx(25, abs=0.01)
    np.testing.assert_allclose(before @ rotation.T, after, atol=1e-3)


def test_directions_are_spread_over_the_sphere(rng):
    point = np.zeros((1, 3))
    moves = np.array([misplace(point, 1.0, 0.0, rng)[0] for _ in range(3000)])
    np.testing.assert_allclose(moves.T @ moves / 3000, np.eye(3) / 3, atol=0.03)


def test_ranges_are_drawn_from_anew(case, rng):
    disturbance = Disturbance((10.0, 30.0), (0.0, 0.5), (0.0, 8.0), (0.0, 10.0))
    shifts, shares = [], []
    for _ in range(200):
        points, bspm = disturbance.apply(*case, rng)
        shifts.append(np.linalg.norm(points.mean(axis=0) - case[0].mean(axis=0)))
        shares.append(np.isnan(bspm[:, 0]).mean())
    assert 0 <= min(shifts) < 0.5 and 7.5 < max(shifts) <= 8.01
    assert min(shares) == 0 and 0.45 <= max(shares) <= 0.5
    assert np.mean(shares) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"snr_db": np.nan}, ValueError, "snr_db is nan, expected finite"),
        ({"lost": 1.2}, ValueError, "lost is 1.2, expected finite numbers from 0 to 1"),
        ({"lost": (0.5, 0.1)}, ValueError, r"lost is \(0.5, 0.1\), .*low end of a range first"),
        ({"shift_mm": -1.0}, ValueError, "shift_mm is -1.0"),
        ({"turn_deg": 200.0}, ValueError, "turn_deg is 200.0, .* from 0 to 180"),
        ({"turn_deg": (1.0, 2.0, 3.0)}, TypeError, "expected a number or .low, high."),
    ],
)
def test_wrong_values_are_named(values, error, message):
    with pytest.raises(error, match=message):
        Disturbance(**values)
