"""What the training steps share: bound, schedule, checks of inputs."""

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.models import ActivationVAE
from kecgi.models.training import gaussian_kl, require_shape, squared_error

pytestmark = pytest.mark.backend


def kl(*arguments):
    return ops.convert_to_numpy(
        gaussian_kl(*(ops.convert_to_tensor(a, "float32") for a in arguments))
    )


def test_kl_of_one_distribution_with_itself_is_zero():
    mean, log_var = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(kl(mean, log_var, mean, log_var), 0, atol=1e-6)
    np.testing.assert_allclose(kl(np.zeros((3, 4)), np.zeros((3, 4))), 0, atol=1e-6)


def test_kl_from_the_standard_normal_is_the_closed_form():
    """0.5 (m^2 + s^2 - 1 - log s^2), written out for one dimension at a time."""
    value = kl([[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, np.log(4.0)]])
    np.testing.assert_allclose(value, [0.5, 2.0 + 0.5 * (4 - 1 - np.log(4))], rtol=1e-6)


def test_kl_is_the_mean_difference_of_log_densities():
    rng = np.random.default_rng(0)
    mean, log_var, prior_mean, prior_log_var = rng.normal(size=(4, 1, 3))

    def log_density(z, mean, log_var):
        return -0.5 * (log_var + (z - mean) ** 2 / np.exp(log_var)).sum(-1)

    z = mean + np.exp(0.5 * log_var) * rng.normal(size=(200_000, 3))
    difference = log_density(z, mean, log_var) - log_density(z, prior_mean, prior_log_var)
    error = difference.std() / np.sqrt(len(z))
    value = kl(mean, log_var, prior_mean, prior_log_var)
    np.testing.assert_allclose(value, difference.mean(), atol=4 * error)


def test_squared_error_is_summed_over_the_pixels_of_each_case():
    true, predicted = np.random.default_rng(0).normal(size=(2, 5, 3, 4, 2, 1)).astype("float32")
    expected = [((t - p) ** 2).sum() for t, p in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(
        ops.convert_to_numpy(squared_error(true, predicted)), expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("warmup_steps", "expected"), [(0, [3.0, 3.0, 3.0]), (4, [0.375, 1.875, 3.0])]
)
def test_beta_follows_its_schedule(warmup_steps, expected):
    """Epochs of two steps: the mean of beta at steps (0, 1), (2, 3), (4, 5)."""
    model = ActivationVAE((4, 4), filters=2, units=2, beta=3.0, warmup_steps=warmup_steps)
    model.compile("sgd")
    maps = np.zeros((8, 4, 4, 1), "float32")
    history = model.fit(maps, batch_size=4, epochs=3, verbose=0).history
    np.testing.assert_allclose(history["beta"], expected)
    assert int(model.step) == 6
    assert model.evaluate(maps, verbose=0, return_dict=True)["beta"] == 3.0
    assert int(model.step) == 6, "evaluation is no training step"


@pytest.mark.parametrize("option", [{"beta": -1.0}, {"warmup_steps": -1}])
def test_negative_options_are_refused(option):
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        ActivationVAE((4, 4), **option)


def test_penalties_of_layers_count():
    model = ActivationVAE((4, 4), filters=2, units=2)
    maps = ops.zeros((1, 4, 4, 1))
    outputs = model(maps)
    before = ops.convert_to_numpy(model.compute_loss(x=maps, y_pred=outputs))
    kernel = model.encoder.layers[1].kernel
    kernel.regularizer = keras.regularizers.L2(0.5)
    after = ops.convert_to_numpy(model.compute_loss(x=maps, y_pred=outputs))
    expected = 0.5 * (ops.convert_to_numpy(kernel) ** 2).sum()
    assert after - before == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 5, 6, 1), r"bspm must have shape \(batch, 4, 6, 1\).*each case has shape \(5, 6, 1\)"),
        ((2, 4, 6), r"has shape \(4, 6\); add the channel with x\[..., None\]"),
        ((2,), r"has shape \(\)"),
    ],
)
def test_wrong_shapes_say_what_was_expected(shape, message):
    with pytest.raises(ValueError, match=message):
        require_shape("bspm", np.zeros(shape), (4, 6, 1), "electrodes, samples")


def test_no_array_at_all_is_named():
    with pytest.raises(TypeError, match="bspm must be an array or a tensor, got list"):
        require_shape("bspm", [1.0], (4, 6, 1), "electrodes, samples")


def test_sample_weights_are_refused():
    model = ActivationVAE((4, 4), filters=2, units=2)
    maps = np.zeros((1, 4, 4, 1), "float32")
    with pytest.raises(ValueError, match="sample_weight is not used"):
        model.compute_loss(x=maps, y_pred=model(maps), sample_weight=np.ones(1))
