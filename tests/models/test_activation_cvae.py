"""Conditional VAE of activation maps."""

import keras
import numpy as np
import pytest

from kecgi.models import ActivationCVAE

pytestmark = pytest.mark.backend


def waves(cases, seed):
    """Make plane waves whose direction and slowness the potentials give away, in random discs."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 10), indexing="ij")
    slowness = rng.uniform(-0.9, 0.9, (cases, 1, 1))
    centre = rng.uniform(-0.2, 0.2, (2, cases, 1, 1))
    mask = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.6
    bspm = np.broadcast_to((1 + slowness) / 2, (cases, 8, 9))
    inputs = {"activation": np.where(mask, slowness * x, np.nan), "mask": mask, "bspm": bspm}
    return {key: array[..., None].astype("float32") for key, array in inputs.items()}


@pytest.fixture
def model():
    return ActivationCVAE((12, 10), (8, 9), latent_dim=3, filters=4, units=4, seed=1)


def test_it_learns_a_map_that_the_potentials_determine():
    keras.utils.set_random_seed(1)
    train, unseen = waves(240, seed=1), waves(60, seed=2)
    model = ActivationCVAE((12, 10), (8, 9), seed=1)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(train, batch_size=10, epochs=11, verbose=0)
    mask = unseen["mask"] > 0
    draws = model.sample({key: unseen[key] for key in ("mask", "bspm")}, draws=10, seed=1)

    def error(prediction):
        return np.mean(np.square(prediction - unseen["activation"])[mask])

    assert error(draws.mean(0)) <= 0.25 * error(0.0), "the mean map of these waves is 0"
    assert np.mean([error(draw) for draw in draws]) <= 0.3 * error(0.0)


def test_it_is_the_paper_s_by_default():
    model = ActivationCVAE()
    assert (model.map_shape, model.bspm_shape, model.latent_dim) == ((64, 64), (100, 128), 16)
    assert model.beta == 5.0 and model.paper_batch_size == 1 and model.filters == 16
    optimizer = model.paper_optimizer()
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert float(optimizer.learning_rate) == pytest.approx(1e-4)
    assert model.encoder.input_shape == (None, 64, 64, 3), "map, potentials and mask"


def test_prediction_without_a_map_draws_from_the_prior(model):
    inputs = waves(4, seed=1)
    condition = {key: inputs[key] for key in ("mask", "bspm")}
    first, second = (model.predict(condition, verbose=0) for _ in range(2))
    assert (first["mean"] == 0).all() and (first["log_var"] == 0).all()
    assert (first["activation"] != second["activation"]).any()
    assert (model.predict(inputs, verbose=0)["mean"] != 0).all()


def test_draws_are_decoded_with_the_condition_of_their_case(model):
    inputs = waves(70, seed=1)
    maps = model.sample(inputs, draws=3, seed=5)
    assert maps.shape == (3, 70, 12, 10, 1) and maps.dtype == np.float32
    code = np.random.default_rng(5).standard_normal((3, 70, 3))
    for draw, case in ((0, 0), (1, 69), (2, 33)):
        one = {key: inputs[key][case : case + 1] for key in ("mask", "bspm")}
        expected = model.decode(code[draw, case][None], one)
        np.testing.assert_allclose(maps[draw, case], expected[0], atol=1e-5)
    assert (maps[:, inputs["mask"] == 0] == 0).all()


def test_code_and_both_conditions_matter(model):
    inputs = waves(2, seed=1)
    code = np.zeros((2, 3))
    base = model.decode(code, inputs)
    assert (model.decode(code + 1, inputs) != base).any()
    assert (model.decode(code, inputs | {"bspm": inputs["bspm"] + 1}) != base).any()
    mask = inputs["mask"].copy()
    mask[:, 5, 4] = 0
    seen = model.decode(code, inputs | {"mask": mask})
    both = (mask > 0) & (inputs["mask"] > 0)
    assert (seen != base)[both].any(), "the mask enters the decoder, it does not only cut out"


def test_only_the_mask_counts(model):
    inputs = waves(3, seed=1)
    other = inputs | {"activation": np.nan_to_num(inputs["activation"], nan=7.0)}
    np.testing.assert_array_equal(model.encode(inputs), model.encode(other))
    outputs = model(inputs)
    reconstruction = keras.ops.convert_to_numpy(model.elbo_terms(inputs, outputs)[0])
    predicted = keras.ops.convert_to_numpy(outputs["activation"])
    expected = np.nansum(np.square(predicted - inputs["activation"]), axis=(1, 2, 3))
    np.testing.assert_allclose(reconstruction, expected, rtol=1e-5)


def test_traversal_starts_from_posterior_or_prior(model):
    inputs = waves(2, seed=1)
    condition = {key: inputs[key] for key in ("mask", "bspm")}
    code = np.zeros((2, 3))
    code[:, 2] = 1.5
    np.testing.assert_allclose(
        model.traverse(condition, 2, [0.0, 1.5])[1], model.decode(code, condition), atol=1e-6
    )
    code = model.encode(inputs)[0]
    code[:, 2] = 1.5
    np.testing.assert_allclose(
        model.traverse(inputs, 2, [1.5])[0], model.decode(code, condition), atol=1e-6
    )


def test_wrong_inputs_say_what_is_wrong(model):
    inputs = waves(2, seed=1)
    condition = {key: inputs[key] for key in ("mask", "bspm")}
    cases = [
        (inputs["bspm"], TypeError, "inputs must be a dict of arrays, got ndarray"),
        ({"mask": inputs["mask"]}, ValueError, r"inputs lack \['bspm'\]; they hold \['mask'\]"),
        (
            inputs | {"bspm": inputs["bspm"][:, 1:]},
            ValueError,
            r"bspm must have shape \(batch, 8, 9, 1\)",
        ),
        (
            inputs | {"mask": inputs["mask"][..., 0]},
            ValueError,
            r"mask .*add the channel with x\[..., None\]",
        ),
        (
            inputs | {"activation": inputs["activation"][:, 1:]},
            ValueError,
            "activation must have shape",
        ),
    ]
    model.compile("sgd")
    for wrong, error, message in cases:
        for method in (model.fit, model.evaluate, model.predict, model.sample, model.encode):
            with pytest.raises(error, match=message):
                method(wrong)
    with pytest.raises(ValueError, match='to encode, the inputs must hold "activation"'):
        model.encode(condition)
    with pytest.raises(ValueError, match='to fit or evaluate, the inputs must hold "activation"'):
        model.fit(condition, verbose=0)
    with pytest.raises(ValueError, match="3 codes for 2 conditions"):
        model.decode(np.zeros((3, 3)), condition)
