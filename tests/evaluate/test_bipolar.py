import numpy as np
import pytest

from kecgi.evaluate.bipolar import bipolar_features, bipolar_measures
from kecgi.evaluate.egm import set_distances

HZ = 200.0


def deflections(rng, n, interval_ms, width_ms):
    """Biphasic deflections at even intervals that begin by chance, with some noise."""
    time = np.arange(400) * 5.0
    since = (time - rng.uniform(0, interval_ms, (n, 1))) % interval_ms
    since = since - np.where(since > interval_ms / 2, interval_ms, 0)
    x = -since / width_ms * np.exp(0.5 - 0.5 * (since / width_ms) ** 2)
    x = x + 0.02 * rng.standard_normal(x.shape)
    return x / x.std(axis=1, keepdims=True)


def test_rate_width_and_spectrum_of_deflections_that_are_known():
    rng = np.random.default_rng(0)
    slow, wide = deflections(rng, 20, 250, 8), deflections(rng, 20, 250, 24)
    first, second = bipolar_measures(slow, HZ), bipolar_measures(wide, HZ)
    np.testing.assert_allclose(first["dominant_hz"], 4, atol=0.15)
    np.testing.assert_allclose(first["deflections"], 4, atol=0.6)
    assert np.median(second["width_ms"]) > 1.7 * np.median(first["width_ms"])
    assert np.median(first["kurtosis"]) > np.median(second["kurtosis"])
    assert np.median(first["log_18_45_hz"]) > np.median(second["log_18_45_hz"]) + 1
    sine = np.sin(2 * np.pi * 5.0 * np.arange(400) / HZ)[None]
    found = bipolar_measures(sine, HZ)
    assert found["log_3_8_hz"][0] == pytest.approx(0, abs=0.01)
    assert found["active"][0] > 0.9


def test_distances_tell_what_differs_and_not_the_unit():
    rng = np.random.default_rng(1)
    real, same, fast = (deflections(rng, 60, t, 8) for t in (250, 250, 150))
    features = bipolar_features(HZ)
    near, far = (set_distances(real, x, features, reference=real)["mmd2"] for x in (same, fast))
    assert near < 0.02 < 0.3 < far
    np.testing.assert_allclose(features.function(real), features.function(7 * real), rtol=1e-6)


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(n, time\)"):
        bipolar_measures(np.zeros(3), HZ)
