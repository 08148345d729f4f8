import numpy as np
import pytest

from kecgi.evaluate import BASELINES, NearestNeighbour, PCARidge, TrainingMean, mae_ms, skill
from kecgi.evaluate.baselines import truncated_svd

SPACING = {2: (2.0, 3.0), 3: (2.0, 2.5, 3.0)}


def cohort(ndim, anatomies, cases, seed=0, size=20):
    """Shells of different size and place, point sources, and a BSPM that tells where they lie."""
    rng = np.random.default_rng(seed)
    spacing = np.array(SPACING[ndim])
    grid = np.stack(np.meshgrid(*[np.arange(size)] * ndim, indexing="ij"), -1) * spacing
    lead = np.random.default_rng(99).normal(size=(ndim, 6 * 8))
    maps, bspm = [], []
    for _ in range(anatomies):
        distance = np.linalg.norm(grid - spacing * (size / 2 + rng.normal(0, 0.5, ndim)), axis=-1)
        mask = (distance < rng.uniform(15, 18)) & (distance > 9)
        tissue = grid[mask]
        for _ in range(cases):
            onset = tissue[rng.integers(len(tissue))]
            one = np.full(mask.shape, np.nan, dtype=np.float32)
            one[mask] = np.linalg.norm(tissue - onset, axis=1) / 0.6
            maps.append(one)
            bspm.append(np.tanh((onset - spacing * size / 2) @ lead / 30).reshape(6, 8))
    return np.array(bspm, dtype=np.float32), np.array(maps)


@pytest.mark.parametrize("ndim", [2, 3])
def test_mean_of_one_anatomy_is_the_mean_map(ndim):
    bspm, maps = cohort(ndim, anatomies=1, cases=12)
    predicted = TrainingMean.fit(bspm, maps, SPACING[ndim]).predict(bspm[:2], np.isfinite(maps[0]))
    assert predicted.shape == (2, *maps.shape[1:])
    np.testing.assert_allclose(predicted, np.stack([maps.mean(axis=0)] * 2), rtol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_neighbour_of_a_training_case_is_itself(ndim):
    bspm, maps = cohort(ndim, anatomies=1, cases=30)
    baseline = NearestNeighbour.fit(bspm, maps, SPACING[ndim])
    asked = bspm + 0.05
    distances = ((asked[:, None] - bspm) ** 2).sum(axis=(2, 3))
    chosen = distances[np.arange(30), baseline.neighbours(asked)]
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-4)
    np.testing.assert_allclose(
        baseline.predict(bspm, np.isfinite(maps)), maps, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("components", [5, 128])
def test_regression_is_ridge_with_the_best_gcv_score(components):
    bspm, maps = cohort(2, anatomies=1, cases=60)
    mask = np.isfinite(maps[0])
    bspm = bspm + 0.1 * np.random.default_rng(3).normal(size=bspm.shape)
    x = bspm.reshape(60, -1) - bspm.reshape(60, -1).mean(axis=0)
    y = maps[:, mask] - maps[:, mask].mean(axis=0)
    axes = np.linalg.svd(x)[2][:components].T
    x = x @ axes

    def hat(penalty):
        return x @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T) + 1 / 60

    def score(penalty):
        rest = y - hat(penalty) @ y
        return (rest**2).sum() / (1 - np.trace(hat(penalty)) / 60) ** 2

    baseline = PCARidge.fit(bspm, maps, SPACING[2], components=components)
    predicted = baseline.predict(bspm, mask)[:, mask]
    expected = hat(baseline.penalty) @ y + maps[:, mask].mean(axis=0)
    np.testing.assert_allclose(predicted, expected, atol=0.02)
    candidates = baseline.penalty * np.logspace(-1, 1, 21)  # the steps between which it chooses
    best = candidates[np.argmin([score(penalty) for penalty in candidates])]
    assert baseline.penalty == pytest.approx(best)


def test_truncated_svd_is_numpys():
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(80, 40)) * 0.8 ** np.arange(40)) @ rng.normal(size=(40, 300))
    left, values, right = truncated_svd(matrix.astype(np.float32), 10)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(values, s[:10], rtol=1e-4)
    exact = (u[:, :10] * s[:10]) @ vt[:10]
    np.testing.assert_allclose((left * values) @ right.T, exact, atol=1e-2 * s[9])


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", BASELINES)
def test_unseen_anatomies(name, ndim):
    bspm, maps = cohort(ndim, anatomies=12, cases=12)
    new_bspm, new_maps = cohort(ndim, anatomies=2, cases=6, seed=1)
    mask = np.isfinite(new_maps)
    predicted = BASELINES[name].fit(bspm, maps, SPACING[ndim]).predict(new_bspm, mask)
    np.testing.assert_array_equal(np.isfinite(predicted), mask)
    assert predicted.dtype == np.float32
    assert predicted[mask].min() > maps[np.isfinite(maps)].min() - 15
    reference = TrainingMean.fit(bspm, maps, SPACING[ndim]).predict(new_bspm, mask)
    if name == "mean":
        np.testing.assert_array_equal(predicted, reference)
    else:
        assert skill(new_maps, predicted, reference) > 0.5


def test_a_map_carried_to_its_own_heart_is_nearly_itself(monkeypatch):
    monkeypatch.setattr("kecgi.evaluate.carry.MOST_SITES", 700)  # a lattice every other voxel
    bspm, maps = cohort(3, anatomies=6, cases=5)
    baseline = NearestNeighbour.fit(bspm, maps, SPACING[3])
    assert len(baseline.sites.points) <= 700
    assert mae_ms(maps, baseline.predict(bspm, np.isfinite(maps))) < 3


def test_training_maps_may_be_read_piece_by_piece():
    bspm, maps = cohort(2, anatomies=3, cases=50)

    class Stored:
        shape = maps.shape

        def __len__(self):
            return len(maps)

        def __getitem__(self, key):
            assert isinstance(key, slice)
            assert key.stop - key.start <= 64
            return maps[key]

    stored = TrainingMean.fit(bspm, Stored(), SPACING[2])
    np.testing.assert_array_equal(stored.mean, TrainingMean.fit(bspm, maps, SPACING[2]).mean)


def test_wrong_input_is_named():
    bspm, maps = cohort(2, anatomies=1, cases=8)
    mask = np.isfinite(maps[0])
    with pytest.raises(ValueError, match="7 cases of bspm, but 8 maps"):
        TrainingMean.fit(bspm[:7], maps, SPACING[2])
    with pytest.raises(ValueError, match="2 positive numbers"):
        TrainingMean.fit(bspm, maps, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"\(cases, electrodes, time\)"):
        NearestNeighbour.fit(bspm[0], maps, SPACING[2])
    with pytest.raises(ValueError, match="case 3 has no tissue"):
        TrainingMean.fit(bspm, np.where(np.arange(8)[:, None, None] == 3, np.nan, maps), (2, 3))
    with pytest.raises(ValueError, match="nothing to regress on"):
        PCARidge.fit(np.ones_like(bspm), maps, SPACING[2])
    with pytest.raises(ValueError, match="must be finite"):
        PCARidge.fit(np.full_like(bspm, np.nan), maps, SPACING[2])
    fitted = PCARidge.fit(bspm, maps, SPACING[2])
    with pytest.raises(ValueError, match="same electrodes and time samples"):
        fitted.predict(bspm[:, :5], mask)
    with pytest.raises(ValueError, match="does not lie on the training maps' grid"):
        fitted.predict(bspm, mask[:-1])
    with pytest.raises(ValueError, match="boolean"):
        fitted.predict(bspm, mask.astype(int))
