"""How predicted maps are judged and shown."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text

from kecgi.data import CohortConfig, Disturbance, build, coarsen, open_store, slice_index
from kecgi.studies import review

SCALE = (0.0, 200.0)
NOISE = Disturbance(snr_db=25.0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four hearts of eight cases on a coarse grid."""
    config = CohortConfig(
        anatomies=4,
        cases_per_anatomy=8,
        shape=(32, 32, 32),
        spacing_mm=4.0,
        electrodes="standard_12",
        samples=24,
        sampling_hz=80.0,
        seed=1,
    )
    folder = tmp_path_factory.mktemp("review")
    return open_store(build(config, folder / "cohort.zarr", progress=False))


@pytest.fixture
def rng():
    return np.random.default_rng(9)


@pytest.fixture
def rows(rng):
    """Return true times of 30 hearts of 40 to 60 voxels, NaN-padded."""
    true = rng.normal(100, 30, (30, 60)).astype(np.float32)
    true[np.arange(60) >= rng.integers(40, 61, 30)[:, None]] = np.nan
    return true


@pytest.mark.parametrize("space", [(5, 6), (4, 5, 3)])
def test_voxels_and_grid(rng, space):
    masks = rng.random((3, *space)) < 0.5
    maps = rng.normal(size=(3, *space)).astype(np.float32)
    maps[~masks] = np.nan
    rows = review.on_voxels(maps, masks)
    sizes = masks.reshape(3, -1).sum(axis=1)
    assert rows.shape == (3, sizes.max())
    for row, mask, one, size in zip(rows, masks, maps, sizes, strict=True):
        np.testing.assert_array_equal(row[:size], one[mask])
        assert np.isnan(row[size:]).all()
    np.testing.assert_array_equal(review.on_grid(rows, masks), maps)
    # what lies outside the tissue doesn't count; draws come first
    draws = np.stack([np.nan_to_num(maps, nan=7.0), 2 * maps])
    np.testing.assert_array_equal(review.on_voxels(draws, masks), np.stack([rows, 2 * rows]))


def test_a_coarse_map_is_read_on_the_fine_grid(cohort):
    times, mask = cohort.case(5)["activation_ms"], cohort.case(5)["mask"]
    fine = review.refined(coarsen(times, 2)[None], 2)[0]
    assert fine.shape == times.shape
    assert np.isfinite(fine[mask]).all()
    # neighbours of 4 mm: an error of about a quarter of the time to cross two voxels
    assert np.abs(fine - times)[mask].mean() < 4.0 / 0.35
    np.testing.assert_array_equal(coarsen(fine, 2), coarsen(times, 2))


def test_slices_are_of_the_cases_asked_for(cohort):
    cases = np.array([2, 17, 30])
    rows = review.slices_of(cohort, cases, every=3)
    every = slice_index(cohort.read("mask"), cohort.anatomy, cases)
    assert set(rows[:, 0]) == set(cases) and np.all(rows[:, 1] % 3 == 0)
    np.testing.assert_array_equal(rows, [row for row in every if row[1] % 3 == 0])


def test_slices_of_whole_maps(cohort):
    cases = np.array([2, 17, 30])
    rows = review.slices_of(cohort, cases, every=3)
    masks = np.stack([cohort.case(c)["mask"][:, :, z] for c, z in rows])
    volumes = cohort.read("activation_ms", cases)
    cut = review.sliced({"a": volumes, "b": -volumes}, cases, rows, masks)
    expected = [cohort.case(c)["activation_ms"][:, :, z] for c, z in rows]
    np.testing.assert_array_equal(review.on_grid(cut["a"], masks), expected)
    np.testing.assert_array_equal(cut["b"], -cut["a"])


def test_masks_are_those_of_the_cases(cohort):
    masks = review.masks_of(cohort, np.array([3, 31]))
    np.testing.assert_array_equal(masks, [cohort.case(3)["mask"], cohort.case(31)["mask"]])


def test_baselines_predict_every_voxel(cohort):
    train, test = np.arange(24), np.arange(24, 32)
    maps = review.baseline_maps(cohort, train, test, 30.0, seed=0)
    assert set(maps) == {"mean", "nearest", "regression"}
    masks = review.masks_of(cohort, test)
    for predicted in maps.values():
        np.testing.assert_array_equal(np.isfinite(predicted), masks)
    assert np.all(maps["mean"] == maps["mean"][:1], where=masks)
    again = review.baseline_maps(cohort, train, test, 30.0, seed=0)
    np.testing.assert_array_equal(again["regression"], maps["regression"])


def test_the_nearest_neighbour_of_a_known_case_is_itself(cohort, monkeypatch):
    cases = np.arange(8)
    maps = review.baseline_maps(cohort, cases, cases, 60.0, seed=0)
    true = cohort.read("activation_ms", cases)
    np.testing.assert_allclose(maps["nearest"], true, atol=1e-3)
    # fitted to a part of the training where it is large
    monkeypatch.setattr(review, "MOST_BASELINE_CASES", 5)
    maps = review.baseline_maps(cohort, cases, cases, 60.0, seed=0)
    same = np.isclose(maps["nearest"], true, atol=1e-3, equal_nan=True).all(axis=(1, 2, 3))
    assert same.sum() == 5


class Echo:
    """A model whose draws are what it was given: the places' coordinates, the noise, the seed."""

    tokens = 5

    def __init__(self):
        self.seen = {}

    def sample(self, condition, draws, seed):
        assert set(condition) == {"points_mm", "electrodes_mm", "bspm_mv"}
        self.seen[seed] = condition
        return np.stack([condition["points_mm"][..., 0], condition["points_mm"][..., 2]])[:draws]


@pytest.mark.backend
def test_draws_belong_to_the_voxels_and_cases_asked_for(cohort):
    cases, model = np.array([3, 9, 12, 30]), Echo()
    true, drawn = review.posterior_on_voxels(model, cohort, cases, NOISE, draws=2, seed=40)
    masks = review.masks_of(cohort, cases)
    expected = review.on_voxels(cohort.read("activation_ms", cases), masks)
    np.testing.assert_array_equal(true, expected)
    places = np.stack(np.meshgrid(*cohort.coordinates_mm, indexing="ij"))
    for draw, axis in ((0, 0), (1, 2)):
        grid = np.where(masks, places[axis], np.nan)
        np.testing.assert_allclose(drawn[draw], review.on_voxels(grid, masks), atol=1e-4)
    # a heart's draws and noise don't depend on which other hearts are judged
    assert sorted(model.seen) == [40, 41, 43]
    alone = Echo()
    review.posterior_on_voxels(alone, cohort, cases[1:3], NOISE, draws=2, seed=40)
    np.testing.assert_array_equal(alone.seen[41]["bspm_mv"], model.seen[41]["bspm_mv"])
    assert np.abs(alone.seen[41]["bspm_mv"] - cohort.read("bspm_mv", cases[1:3])).max() > 0


def judged(true, draws, **baselines):
    mean = np.full_like(true, np.nanmean(true))
    return review.judge(true, draws, {"mean": mean} | baselines, SCALE, np.arange(len(true)), 0)


def test_a_perfect_posterior(rows, rng):
    sure = np.stack([rows] * 20)
    figures = judged(rows, sure)
    for name in ("mae_ms", "mse", "mse_per_draw"):
        assert figures[name] == pytest.approx(0, abs=1e-4)
    for name in ("r2", "correlation"):
        assert figures[name] == pytest.approx(1)
    assert figures["coverage90"] == 1
    # truth and draws from one distribution
    sd = 8.0
    centre = rows + rng.normal(0, sd, rows.shape)
    draws = centre + rng.normal(0, sd, (39, *rows.shape))
    figures = judged(rows, draws.astype(np.float32))
    voxels = np.isfinite(rows).sum()
    assert figures["coverage90"] == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / voxels))
    assert figures["coverage50"] == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / voxels))
    assert figures["sd_ms"] == pytest.approx(sd, rel=0.05)
    assert figures["mae_ms"] == pytest.approx(sd * np.sqrt(2 / np.pi), rel=0.1)
    # 200 ms are 2 on the scale; a draw errs by its own spread and by that of its centre
    assert figures["mse"] == pytest.approx((sd / 100) ** 2, rel=0.15)
    assert figures["mse_per_draw"] == pytest.approx(2 * (sd / 100) ** 2, rel=0.15)


def test_a_posterior_that_knows_the_mean_alone(rows, rng):
    mean = np.full_like(rows, np.nanmean(rows))
    noise = rng.normal(0, 1, (20, *rows.shape))
    draws = mean + noise - noise.mean(axis=0)
    figures = judged(rows, draws)
    assert figures["r2"] == pytest.approx(0, abs=1e-6)
    assert figures["mae_ms"] == pytest.approx(figures["baselines"]["mean"]["mae_ms"], rel=1e-5)
    assert figures["coverage90"] < 0.2


def test_the_headline_is_json_with_every_key(rows):
    figures = judged(rows, np.stack([rows, rows + 1]), nearest=rows + 9, regression=rows - 3)
    read = json.loads(json.dumps(figures, allow_nan=False))
    assert {"mae_ms", "r2", "mse", "mse_scale", "coverage50", "coverage90", "crps_ms"} <= set(read)
    assert read["mse_scale"] == "[-1, 1]" and read["mse_scale_ms"] == [0.0, 200.0]
    assert {name: set(values) for name, values in read["baselines"].items()} == {
        name: set(review.COMPARED) for name in ("mean", "nearest", "regression")
    }
    assert read["baselines"]["nearest"]["mae_ms"] == pytest.approx(9)
    assert read["baselines"]["regression"]["mae_ms"] == pytest.approx(3)
    assert read["baselines"]["mean"]["r2"] == pytest.approx(0)


def test_further_hearts_are_judged_against_their_own_mean(rows):
    figures = review.judge_apart(rows, np.stack([rows + 1, rows + 3]))
    assert figures["mae_ms"] == pytest.approx(2, rel=1e-5)
    assert figures["r2"] == pytest.approx(1 - 4 / np.nanvar(rows), rel=1e-4)
    assert figures["draws"] == 2 and "coverage90" in figures
    low, high = figures["mae_ms_interval"]
    assert low <= figures["mae_ms"] <= high


def test_exact_maps_are_localised_within_a_voxel(cohort):
    cases = np.arange(32)
    masks = review.masks_of(cohort, cases)
    true = review.on_voxels(cohort.read("activation_ms", cases), masks)
    figures = review.localisation(cohort, cases, true, masks)
    assert figures["localisation_mm_median"] < 4.0
    assert figures["localisation_mm_upper_quartile"] < 8.0
    late = review.localisation(cohort, cases, -true, masks)
    assert late["localisation_mm_median"] > 30


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_map_figures_show_the_usual_and_the_bad(cohort, rng):
    cases = np.arange(11)
    masks = review.masks_of(cohort, cases)
    true = review.on_voxels(cohort.read("activation_ms", cases), masks)
    errors = rng.permutation(11) + 1.0
    draws = true + errors[:, None] + rng.normal(0, 1, (20, *true.shape))
    names = [f"case{i}" for i in range(11)]
    figures = review.map_figures(true, draws, masks, (4.0,) * 3, names, seed=0)
    assert set(figures) == {"maps", "reliability", "sd_against_error"}
    shown = words(figures["maps"])
    ranked = [names[i] for i in np.argsort(errors)]
    assert [w for w in shown if w.startswith("case")] == [ranked[2], ranked[5], ranked[9]]
    # the figure itself says how large their errors are, once
    assert sum("MAE" in word for word in shown) == 3
    assert any("MAE 6.0 ms" in word for word in shown)


def test_figures_of_slices_and_of_few_cases(rows):
    masks = np.zeros((30, 8, 8), bool)
    for mask, row in zip(masks, rows, strict=True):
        mask.ravel()[: np.isfinite(row).sum()] = True
    few = slice(0, 2)
    draws = np.stack([rows, rows + 2, rows - 1])
    figures = review.map_figures(rows[few], draws[:, few], masks[few], (2.0, 2.0), ["a", "b"], 0)
    assert {"a", "b"} & set(words(figures["maps"]))


def test_figures_of_the_set_up(cohort):
    history = SimpleNamespace(
        history={
            name: [3.0, 2.0, 1.0]
            for name in ("loss", "val_loss", "kl", "val_kl", "beta", "val_beta", "mae_ms")
        }
    )
    baseline = {"mae_ms": 9.0, "r2": 0.1, "mae_ms_interval": [8, 10], "r2_interval": [0, 0.2]}
    headline = {"model": "the model", **baseline, "baselines": {"mean": baseline}}
    figures = review.set_up_figures(cohort, history, headline)
    assert set(figures) == {"electrodes", "training", "comparison"}
    assert len(figures["training"].axes) == 3  # beta is a setting
    shown = words(figures["training"])
    assert "MAE (ms)" in shown and "KL divergence (nats)" in shown
    assert any("the model" in word for word in words(figures["comparison"]))
