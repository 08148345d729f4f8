"""Evidence on a model that knows the answer, and on one that knows it only in clean recordings."""

import re
from dataclasses import replace

import numpy as np
import pytest

from kecgi import figures
from kecgi.data import CohortConfig, build, open_store
from kecgi.studies import evidence, review


class Oracle:
    """Stands for a model: true times plus noise that grows with what goes wrong."""

    tokens = 4

    def __init__(self, cohort):
        self.tissue = np.concatenate([m.ravel() for m in cohort.read("mask")])
        self.known = {}
        for case in range(len(cohort)):
            true = cohort.case(case)["activation_ms"]
            self.known[cohort.read("bspm_mv", [case])[0].tobytes()] = true[np.isfinite(true)]
        self.bspm = cohort.read("bspm_mv")
        self.keys = list(self.known)

    def sample(self, condition, draws, seed):
        rng = np.random.default_rng(seed)
        count = condition["points_mm"].shape[1]
        drawn = np.empty((draws, len(condition["bspm_mv"]), count), np.float32)
        for row, bspm in enumerate(condition["bspm_mv"]):
            heard = np.isfinite(bspm[:, 0])
            distance = np.square(self.bspm[:, heard] - bspm[heard]).sum(axis=(1, 2))
            true = self.known[self.keys[int(np.argmin(distance))]]
            wrong = 2.0 + 20 * (1 - heard.mean())
            centre = true + rng.normal(0, wrong, true.shape)
            drawn[:, row, : self.tokens] = 0
            drawn[:, row, self.tokens :] = centre + rng.normal(0, wrong, (draws, len(true)))
        return drawn


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Three hearts of six cases on a coarse grid."""
    config = CohortConfig(
        anatomies=3,
        cases_per_anatomy=6,
        shape=(30, 30, 30),
        spacing_mm=5.0,
        electrodes="standard_12",
        samples=24,
        sampling_hz=80.0,
        seed=1,
    )
    folder = tmp_path_factory.mktemp("evidence")
    return open_store(build(config, folder / "cohort.zarr", progress=False))


@pytest.fixture(scope="module")
def results(cohort):
    return evidence.robustness(Oracle(cohort), cohort, np.arange(18), draws=19, seed=0)


def test_errors_are_those_that_were_made(results):
    clean = results["leads lost (%)"]["0"]
    # the mean of many draws is off by what their centre is off: 2 ms SD
    assert clean["mae_ms"] == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.1)
    assert clean["coverage90"] == pytest.approx(0.9, abs=0.03)
    lost = [row["mae_ms"] for row in results["leads lost (%)"].values()]
    assert lost == sorted(lost) and lost[-1] > 3 * lost[0]


def test_every_condition_is_measured(results):
    assert {kind: list(levels) for kind, levels in results.items()} == {
        kind: list(levels) for kind, levels in evidence.CONDITIONS.items()
    }
    for levels in results.values():
        for row in levels.values():
            assert row["mae_ms_interval"][0] <= row["mae_ms"] <= row["mae_ms_interval"][1]


def test_other_simulations_are_of_the_same_kind_of_hearts(cohort, tmp_path, monkeypatch):
    seen = {}

    def remember(model, store, cases, disturbance, draws, seed, torso):
        config = store.config
        seen[config.spacing_mm, config.across_fibre, config.fast_layer, config.torso] = store
        return {"mae_ms": float(config.spacing_mm)}

    monkeypatch.setattr(evidence, "measured", remember)
    config = replace(cohort.config, electrodes="vest", shape=(28, 28, 28))
    results = evidence.other_simulations(None, config, 2, tmp_path, 5, 0)
    assert {kind: list(levels) for kind, levels in results.items()} == {
        "grid step (mm)": ["5", "1.5", "3"],  # its own grid first
        "tissue": ["isotropic", "fibres", "fibres,\nfast layer"],
        "torso": ["unbounded", "in air", "in air,\naccounted for"],
    }
    assert all(len(store) == 8 for store in seen.values())
    tissue = {step: store.read("mask").sum() * step**3 for (step, *_), store in seen.items()}
    assert tissue[1.5] == pytest.approx(tissue[3.0], rel=0.1)
    usual, slow = (
        seen[5.0, share, 1.0, "unbounded"].read("activation_ms") for share in (1.0, 0.74)
    )
    assert np.nanmean(slow) > 1.05 * np.nanmean(usual)
    # no torso goes through a plane
    flat = replace(cohort.config, electrodes="plane")
    monkeypatch.setattr(evidence, "SIMULATIONS", {"torso": evidence.SIMULATIONS["torso"]})
    assert evidence.other_simulations(None, flat, 2, tmp_path, 5, 0) == {}


def test_an_exact_posterior_holds_the_onset(cohort):
    cases = np.array([0, 7, 13])
    masks = review.masks_of(cohort, cases)
    true = review.on_voxels(cohort.read("activation_ms", cases), masks)
    rng = np.random.default_rng(0)
    sure = true + rng.normal(0, 0.5, (30, *true.shape)).astype(np.float32)
    vague = true + rng.normal(0, 40, (30, *true.shape)).astype(np.float32)
    one, other = (evidence.onset_coverage(cohort, cases, draws) for draws in (sure, vague))
    assert one["onset_held"] > 0.7
    assert other["onset_region_ml"] > 3 * one["onset_region_ml"]
    late = evidence.onset_coverage(cohort, cases, -sure)
    assert late["onset_held"] == 0


def test_cases_are_spread():
    np.testing.assert_array_equal(evidence.spread(100, 5), [0, 25, 50, 74, 99])
    np.testing.assert_array_equal(evidence.spread(3, 10), [0, 1, 2])


def test_the_page_says_what_was_measured(cohort, results):
    cases = np.arange(18)
    model, masks = Oracle(cohort), review.masks_of(cohort, cases)
    true, drawn = review.posterior_on_voxels(model, cohort, cases, evidence.CLEAN, 19, 0)
    headline = review.judge_apart(true, drawn, cohort.anatomy, 0)
    headline |= review.localisation(cohort, cases, drawn.mean(axis=0), masks)
    headline |= evidence.onset_coverage(cohort, cases, drawn)
    shown = review.map_figures(true, drawn, masks, (5.0,) * 3, [f"case {c}" for c in cases], 0)
    shown["worst"] = shown["maps"]
    shown |= evidence.surface_figures(cohort, cases, true, drawn)
    shown["robustness"] = figures.robustness_curves(results)
    html = evidence.page("Evidence <1>", "18 maps", headline, results, shown)
    assert "Evidence &lt;1&gt;" in html and "<title>" in html
    assert f"{headline['mae_ms']:.1f}" in html
    # self-contained: nothing is fetched
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert html.count("<img") == 9
    lost = results["leads lost (%)"]
    change = 100 * (lost["50"]["mae_ms"] / lost["0"]["mae_ms"] - 1)
    assert f"{change:+.0f} %" in html
