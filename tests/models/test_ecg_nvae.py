"""Hierarchical conditional autoencoder of ECGs."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.layers.residual_cell import ResidualCell
from kecgi.models import ECGNVAE
from kecgi.models.ecg_nvae import PRESETS

SMALL = {
    "channels": 8,
    "pre_blocks": 1,
    "pre_cells": 1,
    "groups": (1, 1),
    "cells": 1,
    "latent_channels": 2,
    "mixtures": 2,
}


def waves(cases, seed, samples=32):
    """Make sinusoids of two classes, slow and fast, of random amplitude."""
    rng = np.random.default_rng(seed)
    label = np.arange(cases) % 2
    cycles = np.where(label == 0, 1, 3)[:, None, None]
    wave = np.sin(2 * np.pi * cycles * np.arange(samples)[:, None] / samples)
    gain = np.linspace(0.5, 1, 8) * rng.uniform(0.2, 0.4, (cases, 1, 1))
    ecg = 0.5 + gain * wave + rng.normal(0, 0.02, (cases, samples, 8))
    return {
        "ecg": ecg.clip(0, 1).astype("float32"),
        "labels": np.eye(2, dtype="float32")[label],
    }


def parameters(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def conv(a, b, k):
    return a * b * k + 2 * b


def cell(direction, c):
    wide = {"same": c, "down": 2 * c, "up": c // 2}[direction]
    hidden = max(wide // 16, 4)
    skip = {"same": 0, "down": 2 * conv(c, c, 1), "up": c * wide + wide}[direction]
    gate = 2 * wide * hidden + hidden + wide
    return 2 * c + conv(c, wide, 3) + 2 * wide + conv(wide, wide, 3) + gate + skip


def closed_form(
    classes,
    length,
    channels=12,
    pre_blocks=4,
    pre_cells=4,
    groups=(5, 10, 20),
    cells=4,
    latent_channels=5,
    mixtures=20,
    common_start=False,
    **_,
):
    """Count parameters from the architecture's table."""
    step = 2 ** (pre_blocks + len(groups) - 1)
    top, z = channels * step, latent_channels
    total = conv(8, channels, 3) + top * channels + channels  # stem and label embedding
    total += (classes + common_start) * top * (length // step)
    for block in range(pre_blocks):  # before and after the latent scales
        c = channels * 2**block
        total += (pre_cells - 1) * cell("same", c) + cell("down", c)
        total += cell("up", 2 * c) + (pre_cells - 1) * cell("same", c)
    for scale, number in enumerate(groups):
        c = top // 2**scale
        heads = conv(c, 2 * z, 3) + conv(c, 2 * z, 1)
        combiners = conv(c, c, 1) + conv(c + z, c, 1)
        total += number * (2 * cells * cell("same", c) + heads + combiners)
        if scale:
            total += cell("down", c) + cell("up", 2 * c)
    # the first group has no prior and no decoder cells; its combiner is a plain convolution
    total -= cells * cell("same", top) + conv(top, 2 * z, 1)
    return total + conv(channels, 33 * mixtures, 3)


def test_the_paper_s_number_of_parameters():
    assert closed_form(8, 5000) == 257_340_140
    assert closed_form(9, 5000) - closed_form(8, 5000) == 59_904


@pytest.mark.parametrize("changes", [{}, {"groups": (2, 1, 1), "pre_cells": 2}, {"cells": 2}])
def test_small_models_have_the_closed_form_s_parameters(changes):
    for common_start in (False, True):
        settings = SMALL | changes | {"common_start": common_start}
        model = ECGNVAE(("a", "b", "c"), 40, **settings)
        assert parameters(model) == closed_form(3, 40, **settings)
        norms = sum(weight.path.endswith("gamma") for weight in model.trainable_weights)
        assert sum(float(ops.convert_to_numpy(loss)) for loss in model.losses) == pytest.approx(
            0.01 * norms, rel=1e-4
        )


def test_presets_are_the_closed_form_s():
    model = ECGNVAE.from_preset("compact", ("a", "b"), 1000)
    assert parameters(model) == closed_form(2, 1000, **PRESETS["compact"])
    assert model.norm == "group" and model.padded_length == 1024
    with pytest.raises(ValueError, match="preset must be one of .*, got 'huge'"):
        ECGNVAE.from_preset("huge", ("a",))


@pytest.mark.study
def test_the_paper_s_model_at_its_start():
    """Needs 5 GB: size, ladder of lengths, and the first loss on uniform numbers."""
    model = ECGNVAE(tuple("abcdefgh"), seed=0)
    assert parameters(model) == 257_340_140
    cells = [layer for layer in model._flatten_layers() if isinstance(layer, ResidualCell)]
    assert len(cells) == 312
    assert sum(float(ops.convert_to_numpy(loss)) for loss in model.losses) == pytest.approx(
        6.24, rel=1e-4
    )
    lengths = {shape[1] for shape in model._noise_shapes(1)}
    assert lengths == {79, 158, 316} and model.padded_length == 5056
    x = {
        "ecg": np.random.default_rng(0).random((2, 5000, 8), "float32"),
        "labels": np.eye(8, dtype="float32")[:2],
    }
    outputs = model(x, training=True)
    assert ops.convert_to_numpy(outputs["nll"]).mean() == pytest.approx(2.51e5, rel=0.05)
    kl = ops.convert_to_numpy(outputs["kl"])
    assert kl.shape == (2, 35) and 400 < kl.sum(1).mean() < 1600


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(1)
    model = ECGNVAE(("slow", "fast"), 32, **SMALL, warmup_steps=80, seed=1)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(waves(256, 0), batch_size=32, epochs=12, verbose=0).history
    model.calibrate(np.eye(2), batches=4, batch=32, seed=0)
    return model, history


def cycles(ecg):
    """Frequency with most power in V6, in cycles a record."""
    v6 = ecg[..., 7] - ecg[..., 7].mean(axis=-1, keepdims=True)
    return np.abs(np.fft.rfft(v6, axis=-1)).argmax(axis=-1)


def test_generated_records_heed_their_labels(trained):
    model, history = trained
    assert history["reconstruction"][-1] < 0.8 * history["reconstruction"][0]
    assert history["beta"][-1] == pytest.approx(1.0)
    for name, expected in (("slow", 1), ("fast", 3)):
        ecg = model.generate(name, 40, seed=3, noise_temperature=0.5)
        assert ecg.shape == (40, 32, 8) and ecg.min() >= 0 and ecg.max() <= 1
        assert (cycles(ecg) == expected).mean() >= 0.95
        assert ecg[..., 7].std(axis=1).std() > 0.01, "amplitudes differ, as in the data"
        assert len(np.unique(ecg.reshape(40, -1), axis=0)) == 40


def test_records_are_reconstructed(trained):
    model, _ = trained
    x = waves(40, 5)
    ecg = model.predict(x, verbose=0)["ecg"]
    assert np.corrcoef(ecg.ravel(), x["ecg"].ravel())[0, 1] > 0.95
    assert model.predict(x, verbose=0)["kl"].shape == (40, 2)


def test_temperatures(trained):
    model, _ = trained
    quiet, loud = (model.generate("slow", 20, 0, noise_temperature=t) for t in (0.2, 1.0))
    roughness = [np.abs(np.diff(ecg, 2, axis=1)).mean() for ecg in (quiet, loud)]
    assert roughness[0] < 0.8 * roughness[1]
    same = model.generate("slow", 4, 0, prior_temperature=0.0, noise_temperature=0.0)
    np.testing.assert_allclose(same, same[:1].repeat(4, 0), atol=1e-5)
    assert np.ptp(model.generate("slow", 4, 0, noise_temperature=0.0), axis=0).max() > 0.01


def test_calibration_sets_the_statistics_of_generated_records(trained):
    model, _ = trained
    norm = model.decoder_cells[0].first_norm
    before, momentum = model.get_weights(), norm.momentum
    model.calibrate(np.eye(2)[:1], batches=3, batch=16, seed=1)
    first = ops.convert_to_numpy(norm.moving_mean)
    model.calibrate(np.eye(2)[:1], batches=3, batch=16, seed=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(norm.moving_mean), first)
    assert norm.momentum == momentum
    trainable = {id(weight) for weight in model.trainable_weights}
    for weight, old in zip(model.weights, before, strict=True):
        if id(weight) in trainable:
            np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
    model.set_weights(before)
    norm.gamma.assign(np.full(norm.gamma.shape, np.nan))
    with pytest.raises(FloatingPointError, match="was undone"):
        model.calibrate(np.eye(2), batches=1, batch=2, seed=1)
    assert np.isfinite(ops.convert_to_numpy(norm.moving_mean)).all()
    model.set_weights(before)


def test_labels_are_names_or_rows(trained):
    model, _ = trained
    options = {"n": 2, "seed": 1}
    both = model.generate(("slow", "fast"), **options)
    np.testing.assert_array_equal(both, model.generate([[1, 1]], **options))
    assert model.generate(np.eye(2), **options).shape == (4, 32, 8)
    with pytest.raises(ValueError, match=r"unknown classes \['AF'\]: the model knows"):
        model.generate("AF")
    with pytest.raises(ValueError, match=r"rows of 2 finite numbers"):
        model.generate([[1, 0, 0]])
    with pytest.raises(ValueError, match="mixture_temperature must be positive, got 0"):
        model.generate("slow", mixture_temperature=0)


def test_inputs_are_checked(trained):
    model, _ = trained
    x = waves(4, 0)
    for wrong, error, message in (
        (x["ecg"], TypeError, "must be a dict"),
        ({"ecg": x["ecg"]}, ValueError, r"inputs lack \['labels'\]"),
        (x | {"ecg": x["ecg"][:, 1:]}, ValueError, r"ecg must have shape \(batch, 32, 8\)"),
        (x | {"labels": x["labels"][:, :1]}, ValueError, r"labels must have shape \(batch, 2\)"),
    ):
        with pytest.raises(error, match=message):
            model.check_inputs(wrong)


def test_balance_changes_gradients_not_values():
    """While beta rises; the value stays the sum of the divergences."""
    kl = ops.convert_to_tensor(np.array([[4.0, 2.0], [8.0, 2.0]], "float32"))
    nll = ops.zeros(2)
    totals = []
    for balance in (False, True):
        model = ECGNVAE(("a", "b"), 32, **SMALL, warmup_steps=10, balance=balance)
        totals.append(ops.convert_to_numpy(model.elbo_terms(None, {"nll": nll, "kl": kl})[1]))
    np.testing.assert_allclose(totals[0], [6.0, 10.0])
    np.testing.assert_allclose(totals[1], totals[0])


def test_the_variant_by_frequencies_heeds_labels_too():
    keras.utils.set_random_seed(1)
    options = {"window": 16, "norm": "group", "warmup_steps": 80, "seed": 1}
    model = ECGNVAE(("slow", "fast"), 32, **SMALL, **options)
    assert model.grid == (8, 8) and model.padded_length == 56
    assert [shape[1:] for shape in model._noise_shapes(1)] == [(2, 2, 2), (4, 4, 2)]
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(waves(256, 0), batch_size=32, epochs=30, verbose=0)
    for name, expected in (("slow", 1), ("fast", 3)):
        ecg = model.generate(name, 40, seed=3, noise_temperature=0.5)
        assert ecg.shape == (40, 32, 8) and (cycles(ecg) == expected).mean() >= 0.8
    again = ECGNVAE.from_config(model.get_config())
    again.set_weights(model.get_weights())
    first, second = (m.generate("slow", 2, 0) for m in (model, again))
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 12}, "half a window must be a multiple of 4"),
        ({"length": 3}, "length must be 4 at least"),
        ({"classes": ()}, "classes must name one class"),
        ({"groups": (0, 1)}, "groups must be positive numbers"),
    ],
)
def test_wrong_sizes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ECGNVAE(**({"classes": ("a",), "length": 32} | SMALL | changes))
