"""Twelve leads from three."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.evaluate import LeadRegression
from kecgi.models import WearECG

SMALL = {"length": 32, "width": 16, "latent_channels": 4, "depth": 1}


def parameters(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def residual(a, b):
    skip = 0 if a == b else a * b + b
    return 2 * a + 3 * a * b + b + 2 * b + 3 * b * b + b + skip


def closed_form(width, latent, depth):
    """Count parameters from the architecture's table."""
    w, z, top = width, latent, 4 * width
    attention = 2 * top + 4 * (top * top + top)

    def conv(a, b, k=3):
        return a * b * k + b

    encoder, channels = conv(12, w), w
    for level in (w, 2 * w, top):
        encoder += residual(channels, level) + (depth - 1) * residual(level, level)
        encoder += conv(level, level)
        channels = level
    encoder += (depth + 2) * residual(top, top) + attention
    encoder += 2 * top + conv(top, 2 * z) + conv(2 * z, 2 * z, 1)
    decoder = conv(z, z, 1) + conv(z, top) + (depth + 3) * residual(top, top) + attention
    decoder += 3 * conv(top, top) + 2 * (depth + 1) * residual(top, top)
    decoder += residual(top, 2 * w) + depth * residual(2 * w, 2 * w)
    return encoder + decoder + 2 * 2 * w + conv(2 * w, 12)


def test_the_published_sizes():
    assert closed_form(128, 4, 2) == 34_495_344
    assert closed_form(128, 64, 2) == 34_792_524


@pytest.mark.study
def test_the_published_models():
    assert parameters(WearECG()) == 34_495_344
    assert parameters(WearECG.from_preset("paper_64")) == 34_792_524


@pytest.mark.parametrize(("width", "latent", "depth"), [(8, 2, 1), (24, 4, 1), (8, 3, 2)])
def test_small_models_have_the_closed_form_s_parameters(width, latent, depth):
    model = WearECG(16, width, latent, depth)
    assert parameters(model) == closed_form(width, latent, depth)


def linear_records(cases, seed, samples=32):
    """Make records whose unknown leads are fixed mixtures of the known ones."""
    mix = np.random.default_rng(7).normal(0, 0.6, (3, 12))
    mix[:, [1, 6, 10]] = np.eye(3)
    rng = np.random.default_rng(seed)
    time = np.arange(samples)[:, None] / samples
    phase, gain = rng.uniform(0, 2 * np.pi, (2, cases, 1, 3))
    given = np.sin(2 * np.pi * np.array([1, 2, 3]) * time + phase) * np.cos(gain)
    return (given @ mix).astype("float32")


def test_it_completes_mixtures_of_the_known_leads():
    keras.utils.set_random_seed(1)
    model = WearECG(**SMALL, seed=1)
    steps = 40 * 256 // 32
    model.compile(keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(5e-3, steps)))
    model.fit(linear_records(256, 0), batch_size=32, epochs=40, verbose=0)
    unseen = linear_records(64, 1)
    completed = model.reconstruct(unseen[..., [1, 6, 10]])
    missing = np.setdiff1d(np.arange(12), model.given)
    error = np.square(completed - unseen)[..., missing].mean()
    assert error < 0.1 * unseen[..., missing].var()


@pytest.mark.backend
def test_networks_add_to_the_linear_regression():
    """A regression with neighbours in time, as `kecgi.evaluate` fits it, is taken as it is."""
    ecg = linear_records(8, 0)
    ecg[..., 3] = np.roll(ecg[..., 6], 1, axis=1)
    regression = LeadRegression.fit(ecg.swapaxes(1, 2), reach=2)
    plain = WearECG(**SMALL, seed=1)
    model = WearECG(**SMALL, seed=1, linear=regression.coefficients)
    at_first = model.reconstruct(ecg)
    model.set_weights(plain.get_weights())
    expected = regression.predict(ecg.swapaxes(1, 2)).swapaxes(1, 2)
    expected[..., [1, 6, 10]] = ecg[..., [1, 6, 10]]
    np.testing.assert_allclose(at_first, expected, atol=1e-4)
    added = model.reconstruct(ecg) - plain.reconstruct(ecg)
    np.testing.assert_allclose(added, expected, atol=1e-4)
    again = WearECG.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.reconstruct(ecg), model.reconstruct(ecg))
    drawn = model.sample(ecg, 2, seed=3) - plain.sample(ecg, 2, seed=3)
    np.testing.assert_allclose(drawn, np.stack([expected] * 2), atol=1e-4)
    with pytest.raises(ValueError, match=r"linear must have shape \(taps \* 3 \+ 1, 12\)"):
        WearECG(**SMALL, linear=regression.coefficients[1:])


def test_unknown_leads_are_not_looked_at():
    model = WearECG(**SMALL, seed=1)
    ecg = linear_records(3, 0)
    hidden = np.full_like(ecg, np.nan)
    hidden[..., [1, 6, 10]] = ecg[..., [1, 6, 10]]
    completed = model.reconstruct(ecg)
    assert completed.shape == ecg.shape and completed.dtype == np.float32
    np.testing.assert_array_equal(model.reconstruct(hidden), completed)
    np.testing.assert_array_equal(model.reconstruct(ecg[..., [1, 6, 10]]), completed)
    other = ecg.copy()
    other[..., 0] += 1
    np.testing.assert_array_equal(
        model.predict(ecg, verbose=0)["mean"], model.predict(other, verbose=0)["mean"]
    )


def test_the_loss_is_the_paper_s():
    """Mean squared error over twelve leads; divergence summed over channels, averaged over time."""
    model = WearECG(**SMALL, seed=1)
    rng = np.random.default_rng(0)
    x, ecg = rng.normal(size=(2, 4, 32, 12)).astype("float32")
    mean, log_var = rng.normal(size=(2, 4, 4, 4)).astype("float32")
    outputs = {"ecg": ecg, "mean": mean, "log_var": log_var}
    outputs = {name: ops.convert_to_tensor(array) for name, array in outputs.items()}
    error, kl = model.elbo_terms(x, outputs)
    error, kl = ops.convert_to_numpy(error), ops.convert_to_numpy(kl)
    np.testing.assert_allclose(error, ((x - ecg) ** 2).mean((1, 2)), rtol=1e-5)
    divergence = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)
    np.testing.assert_allclose(kl, divergence.sum(2).mean(1), rtol=1e-4)
    assert model.beta == 1e-4


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="length must be a multiple of 8, got 30"):
        WearECG(30)
    with pytest.raises(ValueError, match=r"given must be some of the leads 0 to 11, got \(12,\)"):
        WearECG(32, given=(12,))
    with pytest.raises(ValueError, match="preset must be one of"):
        WearECG.from_preset("large")
    model = WearECG(**SMALL)
    with pytest.raises(ValueError, match=r"ecg must have shape \(batch, 32, 3\)"):
        model.reconstruct(np.zeros((2, 32, 4)))
    with pytest.raises(ValueError, match="inputs lack 'ecg'"):
        model.check_inputs({"bspm": 0})
