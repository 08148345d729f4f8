"""Schedules, balance and optimiser of the hierarchical autoencoder."""

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.models.nvae_training import CoupledAdamax, WarmupCosine, balance_weights, kl_weight


@pytest.mark.parametrize(
    ("step", "weight"),
    [(0, 1e-4), (1000, 0.0141594), (34500, 0.4996667), (69000, 0.9996667), (69023, 1.0)],
)
def test_golden_weights_of_the_divergence(step, weight):
    assert float(kl_weight(step, 69000)) == pytest.approx(weight, rel=5e-6)


def test_golden_learning_rates():
    schedule = WarmupCosine(steps_per_epoch=460)
    expected = {
        25: 1e-3,
        26: 9.999945e-4,
        100: 9.697438e-4,
        250: 7.698625e-4,
        400: 5.519141e-4,
        499: 5e-4,
    }
    for epoch, rate in expected.items():
        for step in (460 * epoch, 460 * epoch + 459):
            assert float(schedule(step)) == pytest.approx(rate, rel=2e-6), epoch
    assert float(schedule(0)) == 0.0
    assert float(schedule(460 * 5)) == pytest.approx(2e-4, rel=1e-5)
    assert float(WarmupCosine.from_config(schedule.get_config())(460 * 100)) == pytest.approx(
        9.697438e-4, rel=2e-6
    )


def test_balance_follows_divergence_and_size():
    """Three scales of 5, 10 and 20 groups weigh 1, 2 and 4."""
    kl = ops.convert_to_tensor(np.full(35, 3.0, "float32"))
    weights = ops.convert_to_numpy(balance_weights(kl, (5, 10, 20)))
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(weights[[0, 5, 15]] / weights[-1], [4, 2, 1], rtol=1e-5)
    kl = np.full(35, 3.0, "float32")
    kl[0] = 6.0
    doubled = ops.convert_to_numpy(balance_weights(ops.convert_to_tensor(kl), (5, 10, 20)))
    assert doubled[0] / doubled[1] == pytest.approx(2.0, rel=1e-5)


@pytest.mark.backend
def test_the_optimiser_is_pytorch_s():
    """Two steps by hand, with the decay in the gradient and epsilon in the maximum."""
    start, gradients = np.array([1.0, -2.0, 0.5]), np.array([[0.1, -0.3, 0.0], [-0.2, 0.4, 1e-5]])
    variable = keras.Variable(start.astype("float32"))
    optimizer = CoupledAdamax(0.01)
    w, m, u = start, 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        optimizer.apply([ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        g = gradient + 3e-4 * w
        m = 0.9 * m + 0.1 * g
        u = np.maximum(0.999 * u, np.abs(g) + 1e-3)
        w = w - 0.01 / (1 - 0.9**t) * m / u
    np.testing.assert_allclose(ops.convert_to_numpy(variable), w, rtol=1e-5)
    assert CoupledAdamax.from_config(optimizer.get_config()).decay == 3e-4
