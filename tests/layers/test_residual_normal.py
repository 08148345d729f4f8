"""Clamped normals: golden values, and the divergence against numbers drawn."""

import numpy as np
import pytest
from keras import backend, ops

from kecgi.layers import residual_normal

DOUBLE = backend.backend() != "jax"


def tensor(values):
    return ops.convert_to_tensor(np.array(values), dtype="float64" if DOUBLE else "float32")


@pytest.mark.backend
def test_golden_values():
    q = residual_normal.normal(tensor([0.3, -2, 7]), tensor([0.1, -1, -9]))
    p = residual_normal.normal(tensor([0.0, 1, -3]), tensor([0.0, 0.5, 2]))
    expected = {
        "q mean": (q.mean, [0.29964052, -1.89974481, 4.42675824]),
        "q sigma": (q.sigma, [1.11515618, 0.38273909, 0.01879097]),
        "p mean": (p.mean, [0, 0.98687660, -2.68524783]),
        "p sigma": (p.sigma, [1.01, 1.65598662, 6.69418850]),
        "kl": (residual_normal.normal_kl(q, p), [0.05449853, 2.51078168, 5.93998526]),
    }
    for name, (found, values) in expected.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), values, rtol=1e-6 if DOUBLE else 1e-5, err_msg=name
        )


def test_the_sum_is_clamped_not_the_change():
    prior, posterior = residual_normal.residual(
        (tensor([8.0]), tensor([0.0])), (tensor([-8.0]), tensor([1.0]))
    )
    assert float(prior.mean[0]) == pytest.approx(5 * np.tanh(8 / 5))
    assert float(posterior.mean[0]) == 0.0
    assert float(posterior.sigma[0]) == pytest.approx(np.exp(5 * np.tanh(1 / 5)) + 0.01)


def test_the_divergence_is_the_mean_log_ratio():
    q = residual_normal.normal(tensor([0.5]), tensor([-0.7]))
    p = residual_normal.normal(tensor([-0.2]), tensor([0.3]))
    noise = np.random.default_rng(0).standard_normal(200_000)
    z = ops.convert_to_numpy(q.draw(tensor(noise)))

    def log_density(z, normal):
        mean, sigma = (float(value[0]) for value in normal)
        return -0.5 * ((z - mean) / sigma) ** 2 - np.log(sigma)

    estimate = (log_density(z, q) - log_density(z, p)).mean()
    assert float(residual_normal.normal_kl(q, p)[0]) == pytest.approx(estimate, abs=0.01)
