"""What a classifier is trained on, with and without synthetic records."""

import numpy as np
import pytest
from scipy.stats import norm

from kecgi.evaluate import compare_auroc
from kecgi.studies.downstream import (
    Labelled,
    Ledger,
    enriched,
    enrichment,
    fraction_of_groups,
    rows_to_balance,
    rows_to_even,
    transfer,
)

LABELS = np.array([[1, 0, 0]] * 6 + [[0, 1, 0]] * 2 + [[0, 1, 1]])


def numbered(labels, first=0, group=None):
    """Make records that are their own numbers."""
    ecg = np.arange(first, first + len(labels))[:, None, None] * np.ones((1, 4, 2))
    return Labelled(ecg, np.asarray(labels), group)


def test_a_share_of_the_available_ones_is_added():
    real, pool = numbered(LABELS), numbered(np.eye(3)[[0, 1] * 10], 100)
    rng = np.random.default_rng(0)
    both = enriched(real, pool, 0.5, None, rng)
    assert len(both) == 9 + 10 and len(np.unique(both.ecg_mv[:, 0, 0])) == 19
    np.testing.assert_array_equal(both.ecg_mv[:9], real.ecg_mv)
    alone = enriched(real, pool, 0.5, 1, rng)
    assert len(alone) == 9 + 5 and alone.labels[9:, 1].all()
    # records keep their labels
    numbers = both.ecg_mv[9:, 0, 0].astype(int) - 100
    np.testing.assert_array_equal(both.labels[9:], pool.labels[numbers])
    np.testing.assert_array_equal(enriched(real, pool, 0, None, rng).labels, LABELS)
    assert both.only(1).labels.shape == (19, 1)
    with pytest.raises(ValueError, match="proportion is 1.5"):
        enriched(real, pool, 1.5, None, rng)


def test_labels_are_brought_to_balance():
    rng = np.random.default_rng(1)
    rows = rows_to_even(LABELS, 2, rng)
    np.testing.assert_array_equal(rows, [[0, 1, 1]] * 7)
    assert LABELS[:, 2].sum() + len(rows) == len(LABELS) - LABELS[:, 2].sum()
    assert len(rows_to_even(LABELS, 0, rng)) == 0
    # 6, 3 and 1 records: 0, 3 and 5 more, each drawn among those with the class
    rows = rows_to_balance(LABELS, rng)
    assert len(rows) == 8 and not rows[:, 0].any()
    np.testing.assert_array_equal(rows[3:], [[0, 1, 1]] * 5)
    # all three are used before one comes twice
    assert rows[:3, 2].sum() == 1
    assert rows_to_balance(LABELS[:0], rng).shape == (0, 3)


def test_a_fraction_takes_whole_hearts():
    group = np.repeat(np.arange(10), 3)
    records = numbered(np.ones((30, 1)), group=group)
    part = fraction_of_groups(records, 0.3, np.random.default_rng(2))
    assert len(part) == 9 and np.all(np.unique(part.group, return_counts=True)[1] == 3)
    left = np.setdiff1d(group, part.group)
    assert not set(left) & set(part.group) and len(left) == 7
    assert len(fraction_of_groups(records, 0.001, np.random.default_rng(2))) == 3
    with pytest.raises(ValueError, match="fraction is 0"):
        fraction_of_groups(records, 0, np.random.default_rng(2))


def test_what_is_done_is_not_done_again(tmp_path):
    calls = []

    def compute(value):
        def result():
            calls.append(value)
            return {"scores": np.full((2, 2), value)}

        return result

    ledger = Ledger(tmp_path / "results", {"data": "a1"})
    for _ in range(2):
        found = ledger.result({"proportion": 0.5, "seed": 0}, compute(3))
    np.testing.assert_array_equal(found["scores"], np.full((2, 2), 3))
    # as after a cut, in a new process
    again = Ledger(tmp_path / "results", {"data": "a1"})
    assert again.result({"seed": 0, "proportion": 0.5}, compute(4))["scores"][0, 0] == 3
    assert again.result({"seed": 1, "proportion": 0.5}, compute(5))["scores"][0, 0] == 5
    # other data, other results
    other = Ledger(tmp_path / "results", {"data": "b2"})
    assert other.result({"proportion": 0.5, "seed": 0}, compute(6))["scores"][0, 0] == 6
    assert calls == [3, 5, 6]


def test_a_cut_leaves_nothing_behind(tmp_path):
    ledger = Ledger(tmp_path, {})

    def cut():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.result({"seed": 0}, cut)
    assert not any(tmp_path.iterdir())
    assert ledger.result({"seed": 0}, lambda: {"scores": np.ones(1)})["scores"] == 1


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="records and labels have shapes"):
        Labelled(np.zeros((3, 4, 2)), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="expected one"):
        numbered(LABELS).joined(Labelled(np.zeros((1, 5, 2)), np.zeros((1, 3))))


class ClassMeans:
    """A judge without a network: which class mean is nearer, as a linear score."""

    def __init__(self):
        self.trained = []

    def train(self, ecg_mv, labels, validation, seed=0, start=None):
        self.trained.append((len(ecg_mv), seed, start))
        means = [np.stack([ecg_mv[labels[:, k] == v].mean(axis=0) for v in (0, 1)])
                 for k in range(labels.shape[1])]  # fmt: skip
        self.towards = np.stack([one - zero for zero, one in means])
        return [0.5, 0.6]

    def scores(self, ecg_mv):
        return np.einsum("ntl,ktl->nk", ecg_mv, self.towards)

    def state(self):
        return len(self.trained)


def noisy(count, seed, classes=1):
    """Make records whose k-th sample tells the k-th label, under noise; two of each heart."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, classes)) < 0.5).astype(float)
    labels[:2] = [[0] * classes, [1] * classes]
    ecg = rng.normal(0, 2.0, (count, 6, 2))
    ecg[:, :classes] += labels[..., None]
    return Labelled(ecg, labels, np.arange(count) // 2)


def test_more_of_the_same_distribution_raises_auroc_and_wrong_labels_lower_it(tmp_path):
    """In closed form: the more records, the better the class means."""
    parts, pool = (noisy(16, 0), noisy(10, 1), noisy(600, 2)), noisy(500, 3)
    pools = {"right": pool, "wrong": Labelled(pool.ecg_mv, 1 - pool.labels)}
    told, judge = [], ClassMeans()
    found = enrichment(
        judge, parts, pools, (0.0, 0.5, 1.0), 2, Ledger(tmp_path, {}),
        lambda configuration, arm: told.append(configuration),
    )  # fmt: skip
    assert set(found) == {"none", *(f"{p} {s}" for p in pools for s in ("0.5", "1"))}
    assert len(judge.trained) == len(told) == 2 * 5
    table = compare_auroc(
        parts[2].labels, found, "none", parts[2].group, rng=np.random.default_rng(0)
    )
    assert table["right 1"]["gain_low"] > 0 > table["wrong 1"]["gain_high"]
    # a limit: with the true means the AUROC of N(1, 4) against N(0, 4) in two leads
    assert table["right 1"]["auroc"] == pytest.approx(
        norm.cdf(np.sqrt(2) / 2 / np.sqrt(2)), abs=0.05
    )
    # as after a cut
    again = ClassMeans()
    for name, scores in enrichment(
        again, parts, pools, (0.0, 0.5, 1.0), 2, Ledger(tmp_path, {}), lambda *_: None
    ).items():
        np.testing.assert_array_equal(scores, found[name])
    assert again.trained == []


def test_the_source_is_learned_once_for_all_fractions(tmp_path):
    parts = noisy(40, 4, 2), noisy(10, 5, 2), noisy(30, 6, 2)
    starts = {"none": None, "real": noisy(60, 7, 2)}
    judge, ledger = ClassMeans(), Ledger(tmp_path, {})
    arguments = starts, noisy(10, 8, 2), parts, (0.5, 1.0), 2, ledger, lambda *_: None
    found = transfer(judge, *arguments)
    assert {f: {s: len(v) for s, v in ways.items()} for f, ways in found.items()} == {
        f: {"none": 2, "real": 2} for f in (0.5, 1.0)
    }
    assert found[1.0]["real"][0].shape == (30, 2)
    sizes = [(size, start is not None) for size, _, start in judge.trained]
    once = [(20, False), (40, False), (60, False), (20, True), (40, True)]
    assert sizes == 2 * once
    # one training is lost: its source is learned again, nothing else
    sorted(tmp_path.iterdir(), key=lambda p: str(np.load(p)["configuration"]))[-1].unlink()
    again = ClassMeans()
    transfer(again, *arguments)
    assert len(again.trained) == 2 and again.trained[0][0] == 60
