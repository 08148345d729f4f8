"""The whole way: a front on a sphere, seen from a larger sphere, inverted."""

import numpy as np
import pytest

from kecgi.data.noise import add_noise
from kecgi.evaluate import pearson
from kecgi.geometry.surfaces import icosphere
from kecgi.inverse import ClassicalInverse, InverseMethod, transfer_matrix

TIMES = np.arange(0.0, 120.0, 1.0)


@pytest.fixture(scope="module")
def beat():
    heart, torso = icosphere(40.0, 2), icosphere(80.0, 2)
    transfer = transfer_matrix(heart, torso)
    times = 30 + 40 * np.arccos(heart.points_mm[:, 2] / 40.0) / 2.0
    potentials = -5 * np.tanh((TIMES - times[:, None]) / 4)
    potentials -= potentials.mean(axis=0)
    bspm = add_noise(transfer @ potentials, 30.0, np.random.default_rng(0))
    return heart, transfer, times, potentials, bspm


@pytest.mark.parametrize("penalty", ["zero", "first", "second", "tsvd"])
@pytest.mark.parametrize("rule", ["l-curve", "gcv"])
def test_potentials_and_times_come_back(beat, penalty, rule):
    heart, transfer, times, potentials, bspm = beat
    method = ClassicalInverse(transfer, heart, penalty, rule, (25.0, 100.0))
    assert isinstance(method, InverseMethod)
    estimate = method.activation(bspm, TIMES)
    assert estimate.draws_ms is None
    assert np.median(pearson(potentials, estimate.potentials_mv, axis=-2)[35:88]) > 0.9
    assert np.abs(estimate.mean_ms - times).mean() < 3
    spread = np.abs(times - np.median(times)).mean()
    assert spread > 10


def test_names_differ(beat):
    heart, transfer, *_ = beat
    names = {
        ClassicalInverse(transfer, heart, p, r).name
        for p in ("zero", "first", "second", "tsvd")
        for r in ("l-curve", "gcv")
    }
    assert len(names) == 8 and "tikhonov-zero l-curve" in names


def test_the_window_alone_chooses_the_parameter(beat):
    heart, transfer, _, _, bspm = beat
    spoiled = bspm.copy()
    spoiled[:, 110:] += 50 * np.random.default_rng(1).standard_normal((len(bspm), 10))
    method = ClassicalInverse(transfer, heart, window_ms=(25.0, 100.0))
    assert method.strength(bspm, TIMES) == method.strength(spoiled, TIMES)
    whole = ClassicalInverse(transfer, heart)
    assert whole.strength(spoiled, TIMES) > 2 * whole.strength(bspm, TIMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(transfer=np.ones((5, 7))), r"shape \(5, 7\), expected \(electrodes, 162\)"),
        (dict(penalty="third"), "penalty is 'third'"),
        (dict(rule="eye"), "rule is 'eye'"),
    ],
)
def test_wrong_fields_are_named(beat, arguments, message):
    heart, transfer, *_ = beat
    with pytest.raises(ValueError, match=message):
        ClassicalInverse(**(dict(transfer=transfer, heart=heart) | arguments))


def test_wrong_signals_are_named(beat):
    heart, transfer, _, _, bspm = beat
    with pytest.raises(ValueError, match=r"shape \(162, 119\), expected \(162, 120\)"):
        ClassicalInverse(transfer, heart).activation(bspm[:, 1:], TIMES)
