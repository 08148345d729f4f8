"""The augmentation study's parts, on sources made here and on a small dataset."""

import dataclasses
import json

import numpy as np
import pytest

from kecgi.data import AmplitudeScale, EGMConfig, EGMRecordings, build_egm, open_egm
from kecgi.data.egm.cohort import lead_fields, run_simulation
from kecgi.data.egm.pairs import EGMPairs, PairScale
from kecgi.evaluate.gains import paired_gains
from kecgi.studies import augmentation
from kecgi.studies.augmentation import Arm, Learner, ScoreTable


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    config = EGMConfig(
        3, ("sinus", "ectopic"), 2, 2, 600.0, nodes=40, bipoles=2, spacing_mm=2.0,
        fronts="eikonal",
    )  # fmt: skip
    return open_egm(build_egm(config, tmp_path_factory.mktemp("egm") / "store", progress=False))


def test_lead_fields_are_those_that_the_dataset_was_made_with(cohort):
    config = dataclasses.replace(cohort.config, sampling_hz=1000.0)
    frames = run_simulation(config, 3).episode.frames[5::5]
    _, near, far = lead_fields(cohort.config, 3, int(cohort.read("attempts")[3]))
    for matrix, stored in (
        (near, cohort.read("egm_mv", [3])[0]), (far[1], cohort.read("bspm_mv", [3])[0, 1]),
    ):  # fmt: skip
        signals = (frames @ matrix).T
        joined = np.concatenate(list(stored), axis=1)[:, 1:]
        # the dataset's passed a low-pass filter before every fifth sample was taken
        assert np.corrcoef(signals.ravel(), joined.ravel())[0, 1] > 0.97


def test_projection_and_tikhonov_on_a_dataset(cohort):
    simulations = np.array([0, 1])
    matrices = augmentation.projections(cohort, simulations, 2)
    assert matrices.shape == (2, 2, 64, 40)
    fidelity = augmentation.projection_fidelity(cohort, simulations, matrices)
    assert set(fidelity) == {"sinus", "ectopic"} and min(fidelity.values()) > 0.6
    pairs = EGMPairs.read(cohort, simulations, 2)
    zero, smooth = (
        augmentation.classical_scores(cohort, pairs, 2, penalty) for penalty in ("zero", "smooth")
    )
    assert zero["spearman"].shape == (2,) and np.all(smooth["pearson"] > zero["pearson"] + 0.1)
    # a real window, projected at its own place, is near its own potentials
    egm = np.swapaxes(pairs.egm_mv[:1], 1, 2)
    own = augmentation.projected(egm, np.array([0]), matrices[:1], 0)
    assert own.bspm_mv.shape == (2, 120, 64) and own.simulation[0] == -1
    assert np.corrcoef(own.bspm_mv[0].ravel(), pairs.bspm_mv[0].ravel())[0, 1] > 0.7


def moving(rng, n, kinds):
    """Windows of sources that pass, seen by 16 leads and 5 nodes; each kind has its own nodes."""
    fixed = np.random.default_rng(0)
    leads, nodes = fixed.uniform(-1, 1, (4, 16)), fixed.uniform(-1, 1, (4, 5))
    late = np.arange(24)[:, None] - rng.uniform(2, 22, (n, 1, 4))
    course = np.exp(-0.5 * (late / 1.5) ** 2) * np.isin(np.arange(4), kinds)
    return EGMPairs(course @ leads, course @ nodes, np.zeros(n, int), np.arange(n))


@pytest.fixture(scope="module")
def study():
    """Train with nothing added, with sources never seen, and with what is there already."""
    rng = np.random.default_rng(1)
    real, asked = moving(rng, 12, (0, 1)), moving(rng, 16, (2, 3))
    more = {"new": moving(rng, 24, (2, 3)), "old": moving(rng, 24, (0, 1))}
    scale = PairScale.fit(real)
    known, scores = scale.apply(real), {}
    for seed in range(2):
        learner = Learner(
            5, seed, samples=12, batch_size=16, steps=24, learning_rate=1e-2, lead_rings=4,
            leads_per_ring=4, filters=4, lstm_units=12, beta=1e-4,
        )  # fmt: skip
        for name in ("none", "new", "old", "again"):
            pairs = known
            if name in more:
                new = scale.apply(more[name])
                pairs = {k: np.concatenate([x, new[k]]) for k, x in known.items()}
            model = learner.train(pairs)
            scores[name, seed] = augmentation.scores_of(model, scale, asked)["pearson"]
    return scores


def test_a_study_finds_the_gain_that_is_there_and_no_other(study):
    arms = np.array([[study[name, s] for s in range(2)] for name in ("new", "old")])
    baseline = np.array([study["none", s] for s in range(2)])
    found = paired_gains(arms, baseline, rng=np.random.default_rng(0))
    assert found.low_all[0] > 0.1
    assert found.low_all[1] < 0.05


def test_a_linear_regression_reads_what_is_linear():
    rng = np.random.default_rng(4)
    some, asked = moving(rng, 30, (0, 1)), moving(rng, 10, (0, 1, 2, 3))
    scale = PairScale.fit(asked, 1e-6)
    first, more = (
        augmentation.linear_moments(scale.apply(p)) for p in (some, moving(rng, 30, (2, 3)))
    )
    before, after = (augmentation.linear_scores(m, scale, asked) for m in (first, first + more))
    assert after["pearson"].shape == (10,) and after["pearson"].mean() > 0.8
    assert before["pearson"].mean() < after["pearson"].mean() - 0.2


def test_every_arm_begins_anew(study):
    """Trained again after others, a set gives the same network."""
    for seed in range(2):
        np.testing.assert_allclose(study["again", seed], study["none", seed], atol=1e-5)
    assert not np.allclose(study["none", 0], study["none", 1], atol=1e-3)


def test_scores_are_kept_and_computed_once(tmp_path):
    table = ScoreTable(tmp_path, {"steps": 3})
    arm = Arm("vae", "nearest", 5, 1)
    first = table.get(arm, lambda: {"spearman": np.array([0.25, 0.5])})
    again = ScoreTable(tmp_path, {"steps": 3})
    assert again.get(arm, lambda: pytest.fail("computed twice")) == first
    with again.path.open("a") as file:
        file.write('\n{"arm": {"generator": "vae", "ru')  # cut while it was written
    resumed = ScoreTable(tmp_path, {"steps": 3})
    assert list(resumed.scores) == [arm]
    other = Arm("flow", "none", 5, 1)
    resumed.get(other, lambda: {"spearman": np.array([0.1])})
    assert set(ScoreTable(tmp_path, {"steps": 3}).scores) == {arm, other}
    assert not ScoreTable(tmp_path, {"steps": 4}).scores
    assert json.loads(table.path.read_text().splitlines()[1])["scores"] == first


def test_selections_are_nested_and_take_turns():
    rng = np.random.default_rng(2)
    time = np.arange(80) / 100

    def waves(n, hz):
        phase = rng.uniform(0, 6, (n, 1, 1))
        return np.sin(2 * np.pi * hz * time[:, None] + phase + np.arange(3)) + 0.05 * (
            rng.standard_normal((n, 80, 3))
        )

    egm = np.concatenate([waves(8, 3.0), waves(8, 7.0)]).astype("f4")
    known = EGMRecordings(
        egm, np.repeat([0, 1], 8), np.arange(16), ("slow", "fast"), 80, 100.0, AmplitudeScale(1.0)
    )
    made = {
        name: np.swapaxes(np.concatenate([waves(6, hz), egm[at : at + 2], 9 * waves(2, hz)]), 1, 2)
        for name, hz, at in (("slow", 3.0, 0), ("fast", 7.0, 8))
    }
    plausible = augmentation.plausibility(known)
    for rule in augmentation.RULES:
        windows, rhythm = augmentation.select(rule, made, plausible, 5)
        np.testing.assert_array_equal(rhythm, [0, 1, 0, 1, 0])
        fewer, _ = augmentation.select(rule, made, plausible, 3)
        np.testing.assert_array_equal(fewer, windows[:3])
    copies = augmentation.select("nearest", made, plausible, 4)[0]
    np.testing.assert_allclose(copies[0], np.swapaxes(egm[:1], 1, 2)[0], atol=1e-6)
    # copies and windows of nine times the size are not plausible
    assert len(augmentation.select("plausible", made, plausible, 20)[0]) <= 12
    assert len(augmentation.select("none", made, plausible, 20)[0]) == 20
    with pytest.raises(ValueError, match="rule is 'best', expected one of"):
        augmentation.select("best", made, plausible, 3)


def test_what_is_best_leaves_the_control_out():
    kinds = [("vae", "none", 5), ("real", "none", 5), ("flow", "none", 5)]
    table = type("Table", (), {})()
    table.scores = {
        Arm(*kind, seed): {"spearman": [0.4 + gain, 0.6 + gain]}
        for kind, gain in zip([*kinds, ("none", "none", 0)], (0.01, 0.3, 0.02, 0.0), strict=True)
        for seed in range(2)
    }
    gains = augmentation.compare(table, kinds, range(2), "spearman")
    found = augmentation.best(gains, kinds)
    assert found["best"] == "flow/none/5" and found["best_gain"] == pytest.approx(0.02)
    panels = augmentation.by_panel(gains, kinds, [5, 10])
    np.testing.assert_allclose(panels["none"]["real"]["gain"], [0.3, np.nan])
