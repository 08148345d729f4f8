"""The reparameterisation trick."""

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.layers import Sampling

pytestmark = pytest.mark.backend


def draw(layer, mean, log_var, shape=(20_000, 2)):
    full = [np.full(shape, value, "float32") for value in (mean, log_var)]
    return ops.convert_to_numpy(layer(*full))


def test_draws_have_the_mean_and_the_deviation_asked_for():
    z = draw(Sampling(seed=1), mean=2.0, log_var=np.log(9.0))
    standard_error = 3.0 / np.sqrt(z.size)
    assert abs(z.mean() - 2.0) < 4 * standard_error
    assert abs(z.std() - 3.0) < 4 * standard_error
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / np.sqrt(len(z))


def test_calls_differ_and_a_seed_repeats_the_sequence():
    one, other = Sampling(seed=1), Sampling(seed=1)
    first, second = draw(one, 0, 0), draw(one, 0, 0)
    assert np.abs(first - second).mean() > 0.5
    np.testing.assert_array_equal(draw(other, 0, 0), first)
    np.testing.assert_array_equal(draw(other, 0, 0), second)


def test_the_state_of_the_generator_is_saved():
    one, other = Sampling(seed=1), Sampling(seed=2)
    draw(one, 0, 0)
    store = {}
    one.save_own_variables(store)
    other.load_own_variables(store)
    np.testing.assert_array_equal(draw(one, 0, 0), draw(other, 0, 0))


def test_noise_is_float32_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert draw(Sampling(seed=1), np.float16(0), np.float16(0)).dtype == np.float32
    finally:
        keras.config.set_dtype_policy(policy)
