"""The classifier that judges ECGs, on rhythms that are told apart by their frequency."""

import numpy as np
import pytest

from kecgi.evaluate import auroc, frechet
from kecgi.studies.downstream import Labelled, enriched
from kecgi.studies.judge import Judge, JudgeSize

TINY = JudgeSize((1, 1), 8, 0.1, epochs=4, batch=16, learning_rate=5e-3)


def rhythms(cases, seed, noise=0.5):
    """Make sines of three or five cycles under noise; the label says which."""
    rng = np.random.default_rng(seed)
    label = np.arange(cases) % 2
    cycles = np.where(label == 0, 3, 5)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (cases, 1, 1))
    ecg = np.sin(2 * np.pi * cycles * np.arange(64)[:, None] / 64 + phase)
    return (ecg + rng.normal(0, noise, (cases, 64, 12))).astype("float32"), label[:, None]


@pytest.fixture(scope="module")
def judge():
    """One judge for all tests: it is compiled once, and each training starts anew."""
    return Judge(1, 64, TINY)


@pytest.mark.backend
def test_it_learns_and_keeps_its_best_epoch(judge):
    validation, (asked, truth) = rhythms(32, 1), rhythms(64, 2)
    history = judge.train(*rhythms(96, 0), validation, seed=1)
    assert len(history) == TINY.epochs
    kept = auroc(validation[1][:, 0], judge.scores(validation[0])[:, 0])
    assert kept == pytest.approx(max(history))
    assert auroc(truth[:, 0], judge.scores(asked)[:, 0]) > 0.9
    assert judge.scores(asked).shape == (64, 1)


def test_a_training_does_not_depend_on_those_before(judge):
    data, validation = rhythms(48, 0), rhythms(16, 1)
    first = judge.train(*data, validation, seed=3), judge.scores(validation[0])
    judge.train(*rhythms(32, 5), validation, seed=4)
    second = judge.train(*data, validation, seed=3), judge.scores(validation[0])
    other = judge.train(*data, validation, seed=4)
    assert first[0] == second[0] != other
    np.testing.assert_array_equal(first[1], second[1])


def test_it_starts_from_another_s_layers_but_the_last(judge):
    taught = Judge(2, 64, TINY)
    labels = np.eye(2)[rhythms(96, 0)[1][:, 0]]
    taught.train(rhythms(96, 0)[0], labels, (rhythms(32, 1)[0], np.eye(2)[np.arange(32) % 2]))
    # eight records are too few to learn from, unless the frequencies are known
    few, validation, (asked, truth) = rhythms(8, 6), rhythms(16, 7), rhythms(64, 2)
    judge.train(*few, validation, seed=1)
    alone = auroc(truth[:, 0], judge.scores(asked)[:, 0])
    judge.train(*few, validation, seed=1, start=taught.state())
    assert auroc(truth[:, 0], judge.scores(asked)[:, 0]) > alone + 0.1
    with pytest.raises(ValueError, match="another size"):
        judge.train(*few, validation, start=Judge(1, 64, JudgeSize((1, 1), 4)).state())


def test_synthetic_records_help_where_their_labels_are_right(judge):
    """Drawn from the very distribution they raise AUROC; with the wrong labels they lower it."""
    real, validation = Labelled(*rhythms(12, 8)), rhythms(32, 9)
    (ecg, label), (asked, truth) = rhythms(150, 10), rhythms(80, 11)
    found = {}
    for name, labels in (("none", None), ("right", label), ("wrong", 1 - label)):
        pool = Labelled(ecg, label if labels is None else labels)
        share = 0.0 if labels is None else 1.0
        data = enriched(real, pool, share, None, np.random.default_rng(0))
        judge.train(data.ecg_mv, data.labels, validation, seed=2)
        found[name] = auroc(truth[:, 0], judge.scores(asked)[:, 0])
    assert found["right"] > found["none"] + 0.03
    assert found["wrong"] < found["none"] - 0.1


def test_features_tell_sets_apart_and_are_named(judge):
    judge.train(*rhythms(96, 0), rhythms(32, 1))
    features = judge.features("sines", 100)
    one, same, other = (rhythms(n, s, k)[0].swapaxes(1, 2) for n, s, k in
                        ((64, 2, 0.5), (64, 3, 0.5), (64, 4, 2.0)))  # fmt: skip
    near, far = frechet(one, same, features), frechet(one, other, features)
    assert far["distance"] > 3 * near["distance"]
    assert near["dimensions"] == 8 * 8 and "sines" in near["features"]
    assert len(near["version"]) == 12 and near["preprocessing"] == "none, mV at 100 Hz"


def test_wrong_records_are_named(judge):
    ecg, label = rhythms(8, 0)
    with pytest.raises(ValueError, match=r"expected \(n, 64, 12\) and \(n, 1\)"):
        judge.train(ecg[:, :32], label, (ecg, label))
    with pytest.raises(ValueError, match="validation has no class"):
        judge.train(ecg, label, (ecg, np.ones_like(label)))
