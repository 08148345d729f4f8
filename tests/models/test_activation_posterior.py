"""The posterior over activation maps: what `test_every_model` doesn't ask of it."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kecgi.evaluate import coverage
from kecgi.geometry import vest
from kecgi.models import ActivationPosterior

pytestmark = pytest.mark.backend

BLOCKS = {"condition_blocks": 1, "generator_blocks": 1}
SMALL = {"tokens": 12, "units": 16, "heads": 2, "latent_dim": 3, "channels": 4} | BLOCKS


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture
def model():
    return ActivationPosterior(10, **SMALL, seed=1)


@pytest.fixture
def certain(model):
    """Return a model whose code changes nothing, so that its points' distributions are known."""
    model.from_code.kernel.assign(ops.zeros((3, 16)))
    return model


def inputs(rng, cases=3, points=20, electrodes=7):
    return {
        "points_mm": rng.normal(0, 30, (cases, points, 3)).astype("float32"),
        "electrodes_mm": rng.normal(0, 150, (cases, electrodes, 3)).astype("float32"),
        "bspm_mv": rng.normal(size=(cases, electrodes, 10)).astype("float32"),
    }


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (None, TypeError, "inputs must be a dict of arrays, got ndarray"),
        ({"bspm_mv": None}, ValueError, r"inputs lack \['bspm_mv'\]; they hold .*points_mm"),
        ({"points_mm": [[0, 0, 0]]}, TypeError, "points_mm must be an array, got list"),
        (
            {"points_mm": np.zeros((3, 20, 2))},
            ValueError,
            r"points_mm must have shape \(cases, points, 3 coordinates\), got \(3, 20, 2\)",
        ),
        ({"points_mm": np.zeros((20, 3))}, ValueError, r"points_mm .*, got \(20, 3\)"),
        ({"points_mm": np.zeros((3, 11, 3))}, ValueError, "has 11 points .* least the 12 tokens"),
        (
            {"electrodes_mm": np.zeros((2, 7, 3))},
            ValueError,
            r"electrodes_mm must have shape \(3 cases, electrodes, 3 coordinates\), got \(2, 7, 3",
        ),
        (
            {"bspm_mv": np.zeros((3, 10, 7))},
            ValueError,
            r"bspm_mv must have shape \(3 cases, 7 electrodes, 10 samples\), got \(3, 10, 7\)",
        ),
        (
            {"activation_ms": np.zeros((3, 20, 1))},
            ValueError,
            r"activation_ms must have shape \(3 cases, 20 points\), got \(3, 20, 1\)",
        ),
    ],
)
def test_wrong_input_is_named(model, rng, change, error, message):
    wrong = np.zeros((3, 20, 3))
    if change is not None:
        wrong = {k: v for k, v in (inputs(rng) | change).items() if v is not None}
    with pytest.raises(error, match=message):
        model.predict(wrong)
    with pytest.raises(error, match=message):
        model.sample(wrong)


def test_training_needs_the_times(model, rng):
    model.compile("sgd")
    with pytest.raises(ValueError, match='the inputs must hold "activation_ms"'):
        model.fit(inputs(rng), verbose=0)


def test_hearts_and_electrodes_may_change_from_call_to_call(model, rng):
    for points, electrodes in ((20, 7), (12, 9)):
        x = inputs(rng, points=points, electrodes=electrodes)
        assert model.predict(x, verbose=0)["location_ms"].shape == (3, points)


def test_points_are_read_where_they_are_whatever_their_order(model, rng):
    x = inputs(rng)
    order = np.concatenate([np.arange(12), 12 + rng.permutation(8)])
    mixed = x | {"points_mm": x["points_mm"][:, order]}
    maps = model.sample(x, draws=4, seed=0)
    np.testing.assert_allclose(model.sample(mixed, 4, seed=0), maps[..., order], atol=1e-3)
    # and a point is the same alone or among others
    fewer = x | {"points_mm": x["points_mm"][:, :13]}
    np.testing.assert_allclose(model.sample(fewer, 4, seed=0), maps[..., :13], atol=1e-3)


def test_the_reference_of_the_recording_does_not_matter(model, rng):
    x = inputs(rng)
    moved = x | {"bspm_mv": x["bspm_mv"] + rng.normal(size=(3, 1, 10)).astype("float32")}
    np.testing.assert_allclose(model.sample(moved, 4, 0), model.sample(x, 4, 0), atol=0.05)


def test_lost_electrodes_are_as_good_as_absent(model, rng):
    x = inputs(rng, electrodes=9)
    x["bspm_mv"][:, [2, 5]] = np.nan
    kept = [0, 1, 3, 4, 6, 7, 8]
    fewer = x | {name: x[name][:, kept] for name in ("electrodes_mm", "bspm_mv")}
    maps = model.sample(x, draws=3, seed=0)
    assert np.isfinite(maps).all()
    np.testing.assert_allclose(maps, model.sample(fewer, 3, seed=0), atol=0.05)


def test_draws_of_a_case_do_not_depend_on_the_cases_after_it(model, rng):
    x = inputs(rng)
    maps = model.sample(x, draws=4, seed=3)
    alone = model.sample({k: v[:1] for k, v in x.items()}, draws=4, seed=3)
    np.testing.assert_array_equal(alone, maps[:, :1])
    # equal cases get different draws
    twice = model.sample({k: v[[0, 0]] for k, v in x.items()}, draws=4, seed=3)
    assert np.abs(twice[:, 0] - twice[:, 1]).mean() > 0.1


def test_draws_have_the_distribution_that_is_predicted(certain, rng):
    x = inputs(rng, cases=1)
    x["points_mm"][0, -1] = x["points_mm"][0, -2]
    certain.scale_factor.assign(1.7)
    predicted = certain.predict(x, verbose=0)
    maps = certain.sample(x, draws=3000, seed=0)[:, 0]
    for point in range(20):
        location, scale = (predicted[name][0, point] for name in ("location_ms", "scale_ms"))
        assert stats.kstest(maps[:, point], stats.laplace(location, scale).cdf).pvalue > 1e-4
    # residuals are smooth in space: the same at one place, unrelated at tokens far apart
    np.testing.assert_allclose(maps[:, -1], maps[:, -2], atol=1e-4)
    distance = np.linalg.norm(x["points_mm"][0, :12] - x["points_mm"][0, 0], axis=1)
    far = int(np.argmax(distance))
    assert abs(stats.spearmanr(maps[:, 0], maps[:, far]).statistic) < 0.08


def test_the_code_moves_maps_too(model, certain, rng):
    x = inputs(rng, cases=1)
    model.from_code.kernel.assign(np.zeros((3, 16)))
    residuals = model.sample(x, draws=200, seed=0).std(axis=0)
    model.from_code.kernel.assign(np.tile(np.linspace(-1, 1, 16), (3, 1)))
    both = model.sample(x, draws=200, seed=0).std(axis=0)
    assert np.median(both) > 1.2 * np.median(residuals)
    certain.scale_factor.assign(0.0)  # no deviations: the map of the mean code
    assert certain.sample(x, draws=4, seed=0).std(axis=0).max() < 1e-3


def test_the_bound_is_that_of_laplace_and_a_learned_prior(model, rng):
    times, location = rng.normal(100, 30, (2, 4, 20)).astype("float32")
    scale = rng.uniform(1, 20, (4, 20)).astype("float32")
    mean, log_var, prior_mean, prior_log_var = rng.normal(size=(4, 4, 3)).astype("float32")
    likelihood, kl = model.elbo_terms(
        {"activation_ms": times},
        {
            "location_ms": ops.convert_to_tensor(location),
            "scale_ms": ops.convert_to_tensor(scale),
            "mean": ops.convert_to_tensor(mean),
            "log_var": ops.convert_to_tensor(log_var),
            "prior_mean": ops.convert_to_tensor(prior_mean),
            "prior_log_var": ops.convert_to_tensor(prior_log_var),
        },
    )
    expected = -stats.laplace(location, scale).logpdf(times).mean(axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(likelihood), expected, rtol=1e-4)
    # the divergence by its definition, an integral
    grid = np.linspace(-30, 30, 6001)[:, None, None]
    q = stats.norm(mean, np.exp(log_var / 2))
    p = stats.norm(prior_mean, np.exp(prior_log_var / 2))
    integral = np.sum(q.pdf(grid) * (q.logpdf(grid) - p.logpdf(grid)), axis=0) * 0.01
    np.testing.assert_allclose(ops.convert_to_numpy(kl), integral.sum(axis=1), rtol=1e-3)


def test_the_code_comes_from_the_times_where_they_are_known(model, rng):
    x = inputs(rng)
    prior = model.predict(x, verbose=0)
    np.testing.assert_array_equal(prior["mean"], prior["prior_mean"])
    times = rng.uniform(0, 150, (3, 20)).astype("float32")
    known = model.predict(x | {"activation_ms": times}, verbose=0)
    np.testing.assert_allclose(known["prior_mean"], prior["prior_mean"], atol=1e-5)
    assert np.abs(known["mean"] - prior["mean"]).max() > 1e-2


@pytest.mark.parametrize(("factor", "power"), [(0.5, 1.0), (3.0, 0.7)])
def test_calibration_finds_scale_and_shape(certain, rng, factor, power):
    x = inputs(rng, cases=60)
    certain.scale_factor.assign(factor)
    certain.tail_power.assign(power)
    times = certain.sample(x, draws=39, seed=1)[0]
    certain.scale_factor.assign(0.01)  # where it starts doesn't matter
    certain.tail_power.assign(1.9)
    found = certain.calibrate(x, times)
    assert found == pytest.approx(factor, rel=0.25)
    assert float(ops.convert_to_numpy(certain.scale_factor)) == pytest.approx(found)
    assert float(ops.convert_to_numpy(certain.tail_power)) == pytest.approx(power, rel=0.2)
    # nominal with other draws; 60 hearts hold about 720 values that vary freely
    drawn = certain.sample(x, draws=39, seed=5)
    assert coverage(drawn, times, 0.9) == pytest.approx(0.9, abs=0.04)
    assert coverage(drawn, times, 0.5) == pytest.approx(0.5, abs=0.05)


def test_calibration_needs_enough_draws(model, rng):
    with pytest.raises(ValueError, match="18 draws have no central 90 % interval"):
        model.calibrate(inputs(rng), np.zeros((3, 20)), draws=18)


def test_calibration_checks_the_times(model, rng):
    with pytest.raises(ValueError, match=r"activation_ms must have shape \(3 cases, 20 points\)"):
        model.calibrate(inputs(rng), np.zeros((3, 19)))


def test_a_scale_beyond_its_bound_finds_back(model, rng):
    """With a plain clip there would be no gradient: models have stayed at the bound for good."""
    x = inputs(rng) | {"activation_ms": rng.normal(100, 9, (3, 20)).astype("float32")}
    model.readout.correct.bias.assign([0.0, 20.0])
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(x, verbose=0).history
    np.testing.assert_allclose(history["reconstruction"], 5 + np.log(2), atol=1)  # at exp(5) ms
    assert ops.convert_to_numpy(model.readout.correct.bias)[1] < 20 - 0.01


def plane_waves(rng, cases):
    """Plane waves through random hearts, and the potentials of their fronts' dipoles."""
    points = rng.uniform(-1, 1, (cases, 16, 3)) * [40, 35, 45] + rng.normal(0, 10, (cases, 1, 3))
    direction = rng.normal(size=(cases, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    speed = rng.uniform(0.5, 1.0, cases)
    centre = points.mean(axis=1, keepdims=True)
    times = 100 + np.einsum("cpx,cx->cp", points - centre, direction) / speed[:, None]
    electrodes = np.repeat(vest(4, 6).positions_mm[None], cases, axis=0)
    away = (electrodes[:, :, None] - points[:, None]) / 100
    field = np.einsum("cepx,cx->cep", away, direction) / np.linalg.norm(away, axis=-1) ** 3
    front = np.exp(-0.5 * ((np.arange(0, 200, 20) - times[..., None]) / 15) ** 2)
    return {
        "points_mm": points.astype("float32"),
        "electrodes_mm": electrodes.astype("float32"),
        "bspm_mv": (field @ front).astype("float32"),
        "activation_ms": times.astype("float32"),
    }


def test_it_learns_plane_waves(rng):
    model = ActivationPosterior(10, **SMALL | {"units": 32, "heads": 4, "channels": 8})
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 450)))
    train, test = plane_waves(rng, 400), plane_waves(rng, 30)
    model.fit(train, epochs=9, batch_size=8, verbose=0)
    true = test.pop("activation_ms")
    maps = model.sample(test, draws=10, seed=0)
    error = maps.mean(axis=0) - true
    assert 1 - np.mean(error**2) / true.var() > 0.5
    # the mean is a better guess than a draw
    assert np.mean(error**2) < 0.8 * np.mean((maps - true) ** 2)


def test_it_learns_where_a_heart_is_that_lies_elsewhere(rng):
    options = SMALL | {"units": 32, "heads": 4, "channels": 8, "alignments": 1}
    model = ActivationPosterior(10, **options, seed=1)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 500)))
    train, test = plane_waves(rng, 400), plane_waves(rng, 60)
    for data in (train, test):
        data["true_points_mm"] = data["points_mm"]
        shift = rng.normal(0, 30, (len(data["points_mm"]), 1, 3))
        data["points_mm"] = (data["points_mm"] + shift).astype("float32")
    model.fit(train, epochs=10, batch_size=8, verbose=0)
    there = test.pop("true_points_mm")[:, :12]
    placed = model.predict(test, verbose=0)["placed_mm"]
    away = np.linalg.norm([placed - there, test["points_mm"][:, :12] - there], axis=-1)
    assert away[0].mean() < 0.75 * away[1].mean()
    # the truth is for training alone
    maps = model.sample(test, draws=3, seed=0)
    again = model.sample(test | {"true_points_mm": test["points_mm"]}, draws=3, seed=0)
    np.testing.assert_array_equal(again, maps)
