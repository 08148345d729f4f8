"""Metrics of generated electrograms on signals whose answer is known."""

import numpy as np
import pytest
from scipy import stats

from kecgi.evaluate import egm

HZ = 200.0


def beats(rate_hz, windows=3, channels=6, samples=400, seed=0, size=1.0):
    """Trains of deflections, a rise and a fall of 20 ms each, at a rate."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / HZ
    late = time - rng.uniform(0, 1 / rate_hz, (windows, channels, 1))
    late = (late + 0.5 / rate_hz) % (1 / rate_hz) - 0.5 / rate_hz
    return size * -late / 0.01 * np.exp(0.5 - 0.5 * (late / 0.01) ** 2)


@pytest.mark.parametrize("rate", [1.5, 3.0, 6.0])
def test_rate_and_dominant_frequency_are_found(rate):
    x = beats(rate)
    np.testing.assert_allclose(egm.dominant_frequency_hz(x, HZ), rate, rtol=0.07)
    counts = egm.deflection_counts(x, HZ)
    assert np.abs(counts - 2 * rate).max() <= 1
    np.testing.assert_allclose(egm.activation_rate_hz(x, HZ), rate, atol=0.5)


def test_a_silent_channel_has_no_deflections():
    np.testing.assert_array_equal(egm.deflection_counts(np.zeros((1, 2, 50)), HZ), 0)


def test_coherence_of_known_signals():
    rng = np.random.default_rng(0)
    same = np.repeat(rng.normal(size=(1, 1, 400)), 5, axis=1) * [[[1], [2], [-1], [3], [0.5]]]
    noise = rng.normal(size=(1, 5, 400))
    np.testing.assert_allclose(egm.coherence(np.concatenate([same, noise])), [1, 0], atol=0.08)


def test_fidelity_of_a_scaled_copy():
    x = beats(3.0) + np.random.default_rng(0).normal(0, 0.1, (3, 6, 400))
    summary = egm.summarise_egm(x, np.e * x, HZ)
    assert summary["correlation"] == pytest.approx(1)
    assert summary["lsd_band"] == pytest.approx(1, abs=0.01)
    assert egm.summarise_egm(x, np.zeros_like(x), HZ)["correlation"] == 0


def test_mmd_by_its_definition():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(5, 2)), rng.normal(1, 1, size=(4, 2))

    def kernel(x, y):
        return np.exp(-((x - y) ** 2).sum() / (2 * 1.5**2))

    within = np.mean([kernel(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
    within += np.mean([kernel(b[i], b[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert egm.mmd_squared(a, b, 1.5) == pytest.approx(within - 2 * across)


def test_mmd_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(2)
    same = [egm.mmd_squared(*rng.normal(size=(2, 15, 3))) for _ in range(200)]
    assert abs(stats.ttest_1samp(same, 0).statistic) < 3.5
    shifted = egm.mmd_squared(rng.normal(size=(15, 3)), rng.normal(2, 1, (15, 3)))
    assert shifted > np.max(same)
    with pytest.raises(ValueError, match=r"shapes \(1, 3\) and \(2, 3\), expected two rows"):
        egm.mmd_squared(np.zeros((1, 3)), np.zeros((2, 3)))


def test_features_do_not_depend_on_the_order_of_channels():
    x = beats(3.0)
    features = egm.egm_statistics(HZ).function
    np.testing.assert_allclose(features(x), features(x[:, ::-1]), atol=1e-9)
    assert features(x).shape == (3, 21)


def test_distances_of_sets_order_rhythms():
    features, train = egm.egm_statistics(HZ), beats(3.0, 40, seed=1)
    real = beats(3.0, 30, seed=2)
    near = egm.set_distances(real, train, features, reference=train)
    far = egm.set_distances(real, beats(6.0, 30, seed=3), features, reference=train)
    assert near["full_rank"] and far["mmd2"] > 10 * abs(near["mmd2"])
    assert far["frechet"] > 3 * near["frechet"]


def test_likeness_by_its_definition():
    rng = np.random.default_rng(0)
    windows, recordings = rng.normal(size=(3, 2, 20)), rng.normal(size=(2, 2, 33))
    pieces = [r[:, s : s + 20].ravel() for r in recordings for s in range(14)]
    for window, found in zip(windows, egm.likeness(windows, recordings), strict=True):
        flat = window.ravel()
        cosines = [flat @ p / np.linalg.norm(flat) / np.linalg.norm(p) for p in pieces]
        assert found == pytest.approx(max(cosines))
    with pytest.raises(ValueError, match="expected as many channels and no less time"):
        egm.likeness(recordings, windows)


def test_copies_are_found_whatever_their_size_and_beginning():
    train, real = beats(3.0, 30, seed=1, samples=600), beats(3.0, 20, seed=2)
    found = egm.memorisation(real, 0.1 * train[:10, :, 77:477], train)
    assert found["copied"] == 1 and found["p_value"] < 1e-3
    assert found["likeness_generated"] == pytest.approx(1)
    new = egm.memorisation(real, beats(3.0, 20, seed=3), train)
    assert new["copied"] < 0.3 and new["p_value"] > 0.01
    assert new["likeness_held_out"] < 0.9


def test_nearest_of_other_simulations_only():
    train = beats(3.0, 4)
    different = ~np.eye(4, dtype=bool)
    assert egm.nearest_rmse_mv(train, train).max() == 0
    away = egm.nearest_rmse_mv(train, train, different)
    by_hand = min(np.sqrt(np.mean((train[0] - train[k]) ** 2)) for k in (1, 2, 3))
    assert away[0] == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="expected one size"):
        egm.nearest_rmse_mv(train, train[:, :3])


def test_gaps_are_in_their_units():
    x = beats(3.0, 10)
    gaps = egm.distribution_gaps(x, 2 * x, HZ)
    assert gaps["amplitude_mv"] == pytest.approx(np.ptp(x, axis=-1).mean())
    assert gaps["dominant_hz"] == gaps["deflections"] == 0
    assert egm.distribution_gaps(x, beats(6.0, 10), HZ)["dominant_hz"] == pytest.approx(3, rel=0.1)
