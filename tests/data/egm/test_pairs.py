import numpy as np
import pytest

from kecgi.data.egm.pair_batches import PairCrops
from kecgi.data.egm.pairs import EGMPairs, PairScale


@pytest.fixture
def pairs():
    """Return potentials of three sources, one of them hardly seen."""
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((20, 50, 3)).cumsum(axis=1)
    leads = rng.standard_normal((3, 6)) * np.array([[1.0], [1.0], [0.02]])
    egm = sources @ rng.standard_normal((3, 4)) ** 3
    return EGMPairs(sources @ leads + 4, egm - 2, np.zeros(20, int), np.arange(20))


def test_units_and_offsets_don_t_matter(pairs):
    scale = PairScale.fit(pairs)
    found = scale.apply(pairs)
    other = EGMPairs(7 * pairs.bspm_mv + 1, 0.3 * pairs.egm_mv, pairs.rhythm, pairs.simulation)
    for name, values in scale.apply(other).items():
        np.testing.assert_allclose(values, found[name], atol=2e-5)
    assert found["egm"].std() == pytest.approx(1, abs=0.3)


def test_whitening_lifts_what_is_hardly_seen(pairs):
    def shares(signals):
        flat = signals.reshape(-1, 6) - signals.reshape(-1, 6).mean(axis=0)
        values = np.linalg.eigvalsh(flat.T @ flat)[::-1]
        return values / values.sum()

    before, after = shares(pairs.bspm_mv), shares(PairScale.fit(pairs, 1e-6).bspm(pairs.bspm_mv))
    assert before[2] < 1e-3 and after[2] > 0.2
    floored = shares(PairScale.fit(pairs, 0.1).bspm(pairs.bspm_mv))
    assert floored[2] < 0.02
    whitening = PairScale.fit(pairs).whitening
    np.testing.assert_allclose(whitening, whitening.T, atol=1e-5)


def test_compression_keeps_ranks_and_is_undone(pairs):
    scale = PairScale.fit(pairs)
    egm = scale.apply(pairs)["egm"]
    order = np.argsort(pairs.egm_mv, axis=1)
    assert np.all(np.diff(np.take_along_axis(egm, order, axis=1), axis=1) >= 0)
    back = scale.signals(egm)
    centred = pairs.egm_mv - np.median(pairs.egm_mv, axis=1, keepdims=True)
    size = np.sqrt(np.mean(centred**2, axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(back, centred / size, rtol=1e-4, atol=1e-4)


def test_pieces_are_of_one_pair_and_all_pairs_are_drawn():
    ramp = 1000 * np.arange(10)[:, None, None] + np.arange(30)[:, None] + np.zeros(2)
    data = {"bspm": ramp, "egm": ramp + 0.5}
    crops = PairCrops(data, 8, 5, 4, seed=3)
    batches = [crops[i][0] for i in range(len(crops))]
    assert len(crops) == 4 and batches[0]["bspm"].shape == (5, 8, 2)
    for batch in batches:
        np.testing.assert_array_equal(batch["egm"] - batch["bspm"], 0.5)
        np.testing.assert_array_equal(np.diff(batch["bspm"], axis=1), 1)
    drawn = np.concatenate([b["bspm"][:, 0, 0] // 1000 for b in batches]).astype(int)
    np.testing.assert_array_equal(np.bincount(drawn), 2)
    again = PairCrops(data, 8, 5, 4, seed=3)
    np.testing.assert_array_equal(again[2][0]["egm"], batches[2]["egm"])
    with pytest.raises(ValueError, match="samples is 31, expected 1 to 30"):
        PairCrops(data, 31, 5, 4)
