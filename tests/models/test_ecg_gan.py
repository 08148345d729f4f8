"""Adversarial generators of ECGs."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.models import Pulse2Pulse, WaveGAN
from kecgi.models.ecg_networks import (
    Critic,
    Pulse2PulseGenerator,
    WaveGANGenerator,
    critic_lengths,
    upsampling_factors,
)

SMALL = {"length": 60, "size": 10, "critic_strides": (2, 2, 4)}


def waves(cases, seed, samples=60):
    """Make sinusoids of two classes, slow and fast, of random amplitude."""
    rng = np.random.default_rng(seed)
    label = np.arange(cases) % 2
    cycles = np.where(label == 0, 2, 6)[:, None, None]
    wave = np.sin(2 * np.pi * cycles * np.arange(samples)[:, None] / samples)
    ecg = 0.5 + np.linspace(0.5, 1, 8) * rng.uniform(0.2, 0.4, (cases, 1, 1)) * wave
    return {"ecg": ecg.astype("float32"), "labels": np.eye(2, dtype="float32")[label]}


def parameters(layer):
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def wavegan_parameters(classes, d):
    widths = [5 * d, 5 * d, 3 * d, d, d // 2, d // 5, 8]
    convolutions = sum(25 * a * b + b for a, b in zip(widths, widths[1:], strict=False))
    return classes * 2 * d + 2 * d * 10 * d + 10 * d + convolutions


def pulse2pulse_parameters(classes, length, d):
    down = [8, d // 5, d // 2, d, 3 * d, 5 * d, 5 * d]
    into = [5 * d, 10 * d, 6 * d, 2 * d, d, d // 5]
    out = [5 * d, 3 * d, d, d // 2, d // 5, 8]
    pairs = [*zip(down, down[1:], strict=False), *zip(into, out, strict=True)]
    return classes * length * 8 + sum(25 * a * b + b for a, b in pairs)


def critic_parameters(classes, length, d, strides):
    widths = [8] + [m * d for m in (1, 2, 5, 10, 20, 25, 100)[: len(strides)]]
    convolutions = sum(25 * a * b + b for a, b in zip(widths, widths[1:], strict=False))
    flat = widths[-1] * critic_lengths(length, strides)[-1]
    return convolutions + flat + 1 + classes * flat


def test_the_paper_s_numbers_of_parameters():
    assert wavegan_parameters(8, 50) == 2_778_793
    assert pulse2pulse_parameters(8, 5000, 50) == 6_937_728
    assert critic_parameters(0, 5000, 50, (2, 2, 2, 2, 4, 4, 4)) == 203_918_151


def test_the_paper_s_generators():
    assert parameters(WaveGANGenerator(8, 5000, 50)) == 2_778_793
    assert parameters(Pulse2PulseGenerator(8, 5000, 50)) == 6_937_728
    assert upsampling_factors(5000) == (5, 5, 5, 2, 5, 2)
    assert critic_lengths(5000, (2, 2, 2, 2, 4, 4, 4)) == [2499, 1249, 624, 311, 78, 19, 5]


@pytest.mark.study
def test_the_paper_s_critic():
    assert parameters(Critic(0, 5000, 50)) == 203_918_151


@pytest.mark.parametrize("length", [60, 100, 1000])
def test_small_networks_have_the_closed_form_s_parameters(length):
    strides = (2, 2, 4)
    assert parameters(WaveGANGenerator(3, length, 10)) == wavegan_parameters(3, 10)
    assert parameters(Pulse2PulseGenerator(3, length, 10)) == pulse2pulse_parameters(3, length, 10)
    for classes in (0, 3):
        critic = Critic(classes, length, 10, strides)
        assert parameters(critic) == critic_parameters(classes, length, 10, strides)
    assert 2 * math.prod(upsampling_factors(length)) == length


def labels_matter(model):
    """Share of generated records that have the frequency of their class."""
    right = []
    for name, cycles in (("slow", 2), ("fast", 6)):
        ecg = model.generate(name, 50, seed=5)
        assert len(np.unique(ecg.reshape(50, -1), axis=0)) == 50
        v6 = ecg[..., 7] - ecg[..., 7].mean(axis=1, keepdims=True)
        right.append(np.abs(np.fft.rfft(v6, axis=1)).argmax(axis=1) == cycles)
    return np.mean(right)


def test_a_conditional_critic_makes_labels_matter():
    keras.utils.set_random_seed(1)
    model = WaveGAN(("slow", "fast"), **SMALL, critic_steps=2, seed=1)
    model.compile(*(keras.optimizers.Adam(5e-4, beta_1=0.5, beta_2=0.9) for _ in range(2)))
    history = model.fit(waves(256, 0), batch_size=32, epochs=30, verbose=0).history
    assert history["gradient_penalty"][-1] < history["gradient_penalty"][0]
    assert labels_matter(model) >= 0.9


def batch(cases=8):
    rng = np.random.default_rng(0)
    return {
        "ecg": rng.random((cases, 60, 8), "float32"),
        "labels": np.eye(2, dtype="float32")[np.arange(cases) % 2],
    }


@pytest.mark.backend
@pytest.mark.parametrize(
    ("kind", "critic"), [(Pulse2Pulse, "projection"), (WaveGAN, "unconditional")]
)
def test_turns_files_and_draws(kind, critic, tmp_path):
    """The generator moves at each second step; a file restores both optimisers and the noise."""
    keras.utils.set_random_seed(0)
    model = kind(("a", "b"), **SMALL, critic=critic, critic_steps=2, seed=1)
    model.compile(*model.paper_optimizers())
    x = batch()
    moved = []
    for _ in range(3):
        before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
        logs = model.train_on_batch(x, return_dict=True)
        assert np.isfinite(list(logs.values())).all()
        after = [ops.convert_to_numpy(w) for w in model.trainable_weights]
        changed = {
            id(w): (b != a).any()
            for w, b, a in zip(model.trainable_weights, before, after, strict=True)
        }
        # the bias of the score cancels between real and generated records
        still = [w.path for w in model.critic.trainable_weights if not changed[id(w)]]
        assert all(path.endswith("score/bias") for path in still), still
        moved.append({bool(changed[id(w)]) for w in model.generator.trainable_weights})
    assert moved == [{False}, {True}, {False}]

    model.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.generate("a", 3, seed=2), model.generate("a", 3, seed=2))
    for each in (model, loaded):
        each.fit(x, batch_size=4, shuffle=False, verbose=0)
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    draws = [model.sample({"labels": x["labels"]}, 2, seed) for seed in (0, 0, 1)]
    assert draws[0].shape == (2, 8, 60, 8) and 0 <= draws[0].min() and draws[0].max() <= 1
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_the_penalty_is_that_of_the_gradient():
    """A critic that is linear in the record: the norm of its gradient is known."""
    model = WaveGAN(("a", "b"), **SMALL, seed=1)

    class Linear(keras.layers.Layer):
        shuffles = 1

        def call(self, x, labels, shifts):
            return 3.0 * x[:, 0, 0] - 4.0 * x[:, 5, 2]

    model.critic = Linear()
    terms = model.critic_terms(batch())
    assert float(terms["gradient_penalty"]) == pytest.approx((5.0 - 1.0) ** 2, rel=1e-4)
    expected = 10 * float(terms["gradient_penalty"]) - float(terms["wasserstein"])
    assert float(terms["critic_loss"]) == pytest.approx(expected, rel=1e-5)


def test_only_a_projection_sees_the_labels():
    x = 2 * batch()["ecg"] - 1
    shifts = np.zeros((8, 2), "int32")
    for classes, differs in ((2, True), (0, False)):
        critic = Critic(classes, 60, 10, (2, 2, 4))
        scores = [
            ops.convert_to_numpy(critic(x, np.tile(row, (8, 1)).astype("float32"), shifts))
            for row in np.eye(2)
        ]
        assert (scores[0] != scores[1]).all() == differs


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="length must be even and a product of 2, 3 and 5, got 98"):
        WaveGAN(("a",), 98)
    with pytest.raises(ValueError, match="size must be a multiple of 10, got 15"):
        WaveGAN(("a",), 60, size=15)
    with pytest.raises(ValueError, match=r"strides .* leave no sample"):
        WaveGAN(("a",), 60, size=10)
    with pytest.raises(ValueError, match="critic must be .*, got 'none'"):
        WaveGAN(("a",), 60, size=10, critic="none")
    model = WaveGAN(("a", "b"), **SMALL)
    model.compile(*model.paper_optimizers())
    with pytest.raises(ValueError, match=r"ecg must have shape \(batch, 60, 8\)"):
        model.fit({"ecg": np.zeros((2, 61, 8)), "labels": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="no loss to validate"):
        model.evaluate(batch(), verbose=0)
