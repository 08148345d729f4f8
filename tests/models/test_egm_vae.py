"""VAE-S, VAE-C and the flow: what `test_every_model` doesn't ask of them."""

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.models import EGMVAE, EGMFlow

NODES = np.random.default_rng(0).normal(0, 20, (12, 3))
SMALL = {"tokens": 4, "units": 8, "heads": 2, "filters": 4, "sampling_hz": 200.0}


def waves(cases, seed, samples=64, cycle=(20, 40)):
    """Deflections that come again and again and cross the nodes along one axis."""
    rng = np.random.default_rng(seed)
    start, period = rng.uniform(0, 40, (cases, 1, 1)), rng.uniform(*cycle, (cases, 1, 1))
    late = np.arange(samples)[:, None] - start - NODES[:, 0] / 10
    late = (late + period / 2) % period - period / 2
    return (-late / 2 * np.exp(0.5 - 0.5 * (late / 2) ** 2)).astype("float32")


def points(latent_dim=32, **options):
    return EGMVAE(64, 12, layout="points", positions_mm=NODES, latent_dim=latent_dim,
                  **SMALL, **options)  # fmt: skip


def mean_correlation(true, predicted):
    return np.mean(
        [
            np.corrcoef(t, p)[0, 1]
            for a, b in zip(true, predicted, strict=True)
            for t, p in zip(a.T, b.T, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def learned():
    """Return a VAE-C that has learned slow and fast waves, and what it has seen."""
    keras.utils.set_random_seed(0)
    model = points(rhythms=("slow", "fast"), beta=1e-3, free_bits=1.0, seed=1)
    slow, fast = waves(200, 1, cycle=(36, 40)), waves(200, 2, cycle=(18, 20))
    rhythm = np.eye(2, dtype="float32")[np.repeat([0, 1], 200)]
    model.compile(keras.optimizers.Adam(5e-3))
    data = {"egm": np.concatenate([slow, fast]), "rhythm": rhythm}
    model.fit(data, batch_size=16, epochs=12, verbose=0)
    return model, data


def test_it_learns_waves_that_it_has_not_seen(learned):
    model, _ = learned
    unseen = waves(30, 5, cycle=(36, 40))
    rhythm = model.one_hot("slow", 30)
    mean, log_var = model.encode({"egm": unseen, "rhythm": rhythm})
    assert mean.shape == log_var.shape == (30, 32)
    assert mean_correlation(unseen, model.decode(mean, rhythm)) > 0.8
    assert model.term_trackers[0].name == "mse"


def test_priors_of_rhythms_are_learned(learned):
    """They lie where the codes of their rhythm are, though every dimension has free bits."""
    model, data = learned
    codes, _ = model.encode(data)
    centres = np.stack([codes[data["rhythm"][:, i] == 1].mean(axis=0) for i in range(2)])
    priors = ops.convert_to_numpy(model.prior_mean)
    apart = np.abs(centres[0] - centres[1]) > 0.3
    assert apart.any()
    np.testing.assert_array_less(np.abs(priors - centres)[:, apart].mean(), 0.2)
    slow = model.generate("slow", 3, seed=1)
    assert slow.shape == (3, 64, 12) and slow.dtype == np.float32
    np.testing.assert_array_equal(slow, model.generate("slow", 3, seed=1))
    assert (slow != model.generate("fast", 3, seed=1)).any()
    still = model.generate("slow", 3, temperature=0.0, seed=1)
    np.testing.assert_allclose(still, np.broadcast_to(still[:1], still.shape), atol=1e-6)


def test_the_flow_draws_codes_as_the_posteriors_have(learned, tmp_path):
    model, data = learned
    keras.utils.set_random_seed(0)
    code, _ = model.encode(data)
    flow = EGMFlow(model, units=64, blocks=2, seed=1)
    flow.adapt(code)
    flow.compile(keras.optimizers.Adam(2e-3))
    before = model.get_weights()
    losses = flow.fit(
        {"code": code, "rhythm": data["rhythm"]}, batch_size=32, epochs=30, verbose=0
    ).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    for after, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(after, weight)
    # rates: a deflection is a crossing of -0.5 downwards
    windows = {name: flow.generate(name, 40, seed=2) for name in ("slow", "fast")}
    beats = {
        name: np.mean((w[:, :-1] > -0.5) & (w[:, 1:] <= -0.5)) * 63 for name, w in windows.items()
    }
    assert beats["fast"] > 1.3 * beats["slow"]
    path = tmp_path / "flow.keras"
    flow.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(
        loaded.generate("slow", 2, seed=3), flow.generate("slow", 2, seed=3), atol=1e-6
    )
    with pytest.raises(ValueError, match="rhythm is 'flutter', expected one of"):
        flow.generate("flutter")
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        flow.generate("slow", steps=0)


@pytest.mark.backend
def test_the_flow_trains_on_every_backend():
    model = points(rhythms=("slow", "fast"))
    flow = EGMFlow(model, units=8, blocks=1, seed=0)
    code = np.random.default_rng(0).normal(3, 2, (8, 32)).astype("float32")
    flow.adapt(code)
    flow.compile("adam")
    start = flow.get_weights()
    flow.fit({"code": code, "rhythm": model.one_hot("slow", 8)}, batch_size=4, epochs=2, verbose=0)
    assert any((a != b).any() for a, b in zip(start, flow.get_weights(), strict=True))
    assert flow.generate("fast", 2, seed=0, steps=2).shape == (2, 64, 12)


def test_the_image_layout_is_the_paper_s():
    model = EGMVAE()
    assert (model.samples, model.nodes, model.latent_dim) == (400, 2048, 250)
    convolutions = [
        (la.filters, tuple(la.kernel_size), tuple(la.strides))
        for la in model.encoder.layers
        if isinstance(la, keras.layers.Conv2D)
    ]
    assert convolutions == [(32, (5, 15), (2, 4)), (64, (5, 15), (2, 4)), (10, (3, 5), (2, 2))]
    shapes = [tuple(la.output.shape[1:]) for la in model.decoder.layers]
    assert (25, 16, 32) in shapes and (200, 512, 32) in shapes and shapes[-1] == (400, 2048)
    assert model.loss_weights["decorrelation"] == 0.5 and sum(model.loss_weights.values()) == 1.5
    optimizer = model.paper_optimizer(10)
    assert optimizer.global_clipnorm == 1.0
    rate = optimizer.get_config()["learning_rate"]["config"]
    assert (rate["initial_learning_rate"], rate["decay_rate"], rate["staircase"]) == (1e-3, 0.95, 1)


@pytest.mark.parametrize("layout", ["points", "image"])
def test_a_conditional_model_begins_as_one_of_a_single_rhythm(layout):
    size = {"layout": layout, "positions_mm": NODES, "latent_dim": 8, **SMALL}
    alone, model = EGMVAE(64, 12, **size, seed=1), EGMVAE(64, 12, ("sinus", "af"), **size, seed=2)
    model.start_from(alone)
    code, x = np.random.default_rng(0).normal(size=(2, 8)), {"egm": waves(2, 1)}
    for name in model.rhythms:
        decoded = model.decode(code, model.one_hot(name, 2))
        np.testing.assert_allclose(decoded, alone.decode(code), atol=1e-6)
    np.testing.assert_allclose(model.encode(x)[0], alone.encode(x)[0], atol=1e-6)
    with pytest.raises(ValueError, match="expected a model that differs in knowing fewer rhythms"):
        alone.start_from(model)
    larger = EGMVAE(64, 12, **size | {"latent_dim": 16})
    with pytest.raises(ValueError, match="is of another size, layout or set of rhythms"):
        model.start_from(larger)


@pytest.mark.parametrize("nodes", [1, 5, 16, 20, 64, 300])
def test_the_image_layout_takes_any_number_of_nodes(nodes):
    model = EGMVAE(50, nodes, latent_dim=3)
    assert model.generate("sinus", 2, seed=0).shape == (2, 50, nodes)


def test_points_are_known_by_place_not_by_order():
    """With all nodes tokens, an encoder with nodes in another order is the same encoder."""
    model = EGMVAE(64, 12, layout="points", positions_mm=NODES, latent_dim=8,
                   **SMALL | {"tokens": 3}, seed=1)  # fmt: skip
    order = np.r_[0:3, 3 + np.random.default_rng(1).permutation(9)]
    other = EGMVAE(64, 12, layout="points", positions_mm=NODES[order], latent_dim=8,
                   **SMALL | {"tokens": 3}, seed=1)  # fmt: skip
    other.set_weights(model.get_weights())
    x = waves(2, 3)
    np.testing.assert_allclose(
        other.encode({"egm": x[..., order]})[0], model.encode({"egm": x})[0], atol=1e-5
    )
    code = np.random.default_rng(2).normal(size=(2, 8))
    np.testing.assert_allclose(other.decode(code), model.decode(code)[..., order], atol=1e-5)


def test_a_part_of_the_code_stands_for_the_whole_window():
    """What comes first in a code changes all times; what comes next, those around its own."""
    model = EGMVAE(160, 12, layout="points", positions_mm=NODES, latent_dim=24, whole=4,
                   **SMALL, seed=1)  # fmt: skip
    code = np.zeros((3, 24), "float32")
    code[1, 0] = code[2, 4] = 3.0  # of the whole window; of the first of ten steps
    still, whole, step = model.decode(code)
    late = slice(96, 160)
    assert np.abs(whole - still)[late].max() > 1e-4 and np.abs(step - still).max() > 1e-4
    np.testing.assert_allclose(step[late], still[late], atol=1e-6)
    x = waves(2, 4, samples=160)
    mean, _ = model.encode({"egm": x})
    x[:, :8] += 1.0
    moved = np.abs(model.encode({"egm": x})[0] - mean)
    assert moved[:, :6].min() > 1e-6
    np.testing.assert_allclose(moved[:, 16:], 0, atol=1e-6)


def test_free_bits_cost_nothing():
    model = points(free_bits=0.5, beta=1.0)
    pair = {name: np.zeros((4, 32), "float32") for name in ("prior_mean", "prior_log_var")}
    shifted = np.zeros((4, 32), "float32")
    shifted[:, 0], shifted[:, 1] = 3.0, 0.4  # 4.5 nats, 0.08 nats
    x = waves(4, 1)
    _, kl = model.elbo_terms(
        {"egm": x}, {"egm": ops.convert_to_tensor(x), "mean": ops.convert_to_tensor(shifted),
                     "log_var": ops.zeros((4, 32))}
        | {k: ops.convert_to_tensor(v) for k, v in pair.items()},
    )  # fmt: skip
    np.testing.assert_allclose(ops.convert_to_numpy(kl), 4.5 + 31 * 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rhythms": ()}, "rhythms is .*, expected different names"),
        ({"rhythms": "sinus"}, "expected different names"),
        ({"layout": "mesh"}, "layout is 'mesh', expected 'image' or 'points'"),
        ({"layout": "points"}, "positions_mm has shape"),
        ({"layout": "points", "positions_mm": NODES, "latent_dim": 33}, "a multiple of 4"),
        ({"layout": "points", "positions_mm": NODES, "latent_dim": 32, "whole": 32}, "whole is 32"),
        ({"free_bits": -1}, "free_bits must not be negative, got -1"),
        ({"loss_weights": {"mae": 1.0}}, "loss_weights names 'mae', expected"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        EGMVAE(64, 12, **options)


def test_wrong_inputs_are_named():
    model = points(rhythms=("a", "b"))
    x = {"egm": waves(2, 1), "rhythm": model.one_hot("a", 2)}
    with pytest.raises(TypeError, match="inputs must be a dict of arrays, got ndarray"):
        model.predict(x["egm"])
    with pytest.raises(ValueError, match="inputs lack 'rhythm'; they hold"):
        model.predict({"egm": x["egm"]})
    with pytest.raises(ValueError, match=r"egm must have shape \(batch, 64, 12\), but .*\(63, 12"):
        model.predict({**x, "egm": x["egm"][:, 1:]})
    with pytest.raises(ValueError, match=r"rhythm has shape \(1, 2\), expected \(2, 2\)"):
        model.decode(np.zeros((2, 32)), x["rhythm"][:1])
