import numpy as np
import pytest
from scipy import linalg

from kecgi.evaluate import FeatureMap, frechet, frechet_distance, signal_statistics


def test_one_dimension_in_closed_form():
    """(m1 - m2)² + (s1 - s2)²."""
    first, second = np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0])
    expected = (2 - 1.5) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first[:, None], second[:, None]) == pytest.approx(expected)


def test_against_the_matrix_square_root():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6))
    second = rng.standard_normal((150, 6)) @ rng.standard_normal((6, 6)) + 0.3
    one, two = np.cov(first.T), np.cov(second.T)
    gap = first.mean(axis=0) - second.mean(axis=0)
    root = linalg.sqrtm(one @ two).real
    expected = gap @ gap + np.trace(one + two - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_nothing_to_itself_and_a_shift_to_its_square():
    values = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32)
    assert frechet_distance(values, values) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(values, values + 2) == pytest.approx(8 * 4, rel=1e-5)
    # more dimensions than signals: singular, and still no NaN
    wide = np.random.default_rng(2).standard_normal((5, 30))
    assert frechet_distance(wide, wide[::-1]) == pytest.approx(0, abs=1e-6)


def ecgs(seed, size=1.0, n=150):
    rng = np.random.default_rng(seed)
    return size * np.cumsum(rng.standard_normal((n, 12, 300)), axis=-1) / 17


def test_score_names_its_features_and_grows_with_the_difference():
    features = signal_statistics(100)
    same = frechet(ecgs(0), ecgs(1), features)
    other = frechet(ecgs(0), ecgs(1, 1.5), features)
    assert other["distance"] > 3 * same["distance"] > 0
    assert same["features"] == "signal statistics" and same["version"] == "1"
    assert same["preprocessing"] == "none, mV at 100 Hz"
    assert (same["dimensions"], same["real"], same["generated"]) == (96, 150, 150)
    assert same["full_rank"]
    assert not frechet(ecgs(0, n=20), ecgs(1), features)["full_rank"]


def test_own_feature_maps():
    means = FeatureMap("means", "a1b2", "mean over time", lambda x: x.mean(axis=-1))
    found = frechet(ecgs(0), ecgs(0) + 1, means)
    assert found["distance"] == pytest.approx(12, rel=1e-6) and found["version"] == "a1b2"
    broken = FeatureMap("broken", "1", "none", lambda x: x)
    with pytest.raises(ValueError, match="broken gave features of shape"):
        frechet(ecgs(0), ecgs(1), broken)
    with pytest.raises(ValueError, match=r"expected \(n, features\)"):
        frechet_distance(np.zeros((4, 2)), np.zeros((4, 3)))
