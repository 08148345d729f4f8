"""How generators of electrograms are judged: sets whose answer is known."""

import numpy as np
import pytest

from kecgi.data import AmplitudeScale, EGMRecordings
from kecgi.studies import egm_review

HZ = 200.0


def recordings(simulations, seed):
    """Trains of deflections, slow and fast, that are the same in both windows of a recording."""
    rng = np.random.default_rng(seed)
    rhythm = np.arange(simulations) % 2
    cycle = np.array([0.5, 0.25])[rhythm][:, None, None]
    late = np.arange(800)[:, None] / HZ - rng.uniform(0, cycle, (simulations, 1, 9))
    late = (late + cycle / 2) % cycle - cycle / 2
    egm = -late / 0.01 * np.exp(0.5 - 0.5 * (late / 0.01) ** 2) / 2
    egm = egm.astype("float32")
    names, number = ("slow", "fast"), np.arange(simulations)
    return EGMRecordings(egm, rhythm, number, names, 400, HZ, AmplitudeScale(2.0))


@pytest.fixture(scope="module")
def known():
    return recordings(16, 1)


def test_reconstructions_stand_beside_baselines(known):
    asked = recordings(6, 2)
    noise = np.random.default_rng(0).normal(0, 0.01, asked.windows_mv.shape)
    found = egm_review.judge_reconstruction(known, asked, asked.windows_mv + noise, 20)
    assert found["correlation"] > 0.98 and set(found["by_rhythm"]) == {"slow", "fast"}
    assert all(rival["correlation"] < 0.8 for rival in found["baselines"].values())
    # what was trained on is its own nearest neighbour, and its components hold all of it
    own = egm_review.baselines(known, known, 200)
    for name in ("nearest", "pca"):
        np.testing.assert_allclose(own[name], known.windows_mv, atol=1e-3)
    np.testing.assert_allclose(own["mean"][0], own["mean"][1])


def test_copies_are_told_from_new_windows(known):
    held_out, new = recordings(12, 3), recordings(80, 4)
    rng = np.random.default_rng(0)

    def sets(source, count):
        return {n: source.of(n).windows_mv[::2][:count] for n in source.names}

    copies = {n: w + rng.normal(0, 1e-3, w.shape) for n, w in sets(known, 8).items()}
    made = {"new": sets(new, 40), "copier": copies}
    found = egm_review.judge_generated(known, held_out, made)
    assert found["copier_copied"] == 1 and found["new_copied"] < 0.3
    assert found["copier_share_plausible"] == 0 and found["new_share_plausible"] > 0.4
    assert found["new_frechet"] < 10 * found["floor_frechet"]
    assert found["new_plausible_frechet"] > 0 and found["new_nearest_frechet"] > 0
    assert found["new_nearest_likeness_generated"] > found["new_plausible_likeness_generated"]
    assert "copier_plausible_frechet" not in found  # nothing was selected
    assert "statistics" in found["features"]


def test_the_paper_s_rule_selects_as_many(known):
    slow, new = known.of("slow"), recordings(80, 4).of("slow").windows_mv[:40]
    with_copy = np.concatenate([new, slow.windows_mv[:1] + 1e-4])
    chosen = egm_review.select(slow, with_copy)
    assert len(chosen["plausible"]) == len(chosen["nearest"]) == 5  # an eighth of 41
    assert 40 in chosen["nearest"] and 40 not in chosen["plausible"]


def test_every_rhythm_has_its_figures(known):
    made = {"flow": {n: known.of(n).windows_mv[:3] for n in known.names}}
    shown = egm_review.electrogram_figures(known, known.windows_mv, made)
    assert set(shown) == {"egm_slow", "spectra_slow", "egm_fast", "spectra_fast"}
    titles = [axes.get_title(loc="left") for axes in shown["egm_fast"].axes]
    assert titles == ["real, kept out", "reconstructed", "flow"]
