"""Mixture of discretised logistics: golden values, normalisation, and draws."""

import numpy as np
import pytest
from keras import backend, ops

from kecgi.layers import logistic_mixture

EXACT = 1e-6 if backend.backend() != "jax" else 2e-5  # JAX computes in single precision here


def tensor(array):
    return ops.convert_to_tensor(array, dtype="float64" if backend.backend() != "jax" else None)


def golden_inputs():
    c, t = np.meshgrid(np.arange(66), np.arange(3), indexing="ij")
    parameters = np.sin(0.7 * c + 1.3 * t + 0.5)
    lead, t = np.meshgrid(np.arange(8), np.arange(3), indexing="ij")
    x = 0.5 + 0.45 * np.sin(0.9 * lead + 0.4 * t)
    x[0, 0], x[7, 2] = 0.0, 1.0
    return x.T[None], parameters.T[None]


def one_component(log_scale=-2.0, seed=0, cases=1):
    """Parameters (cases, 1, 66) whose second component never matters."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [rng.uniform(-0.3, 0.3, 8), np.full(8, log_scale), rng.normal(0, 0.3, 16)]
    )
    channels = np.concatenate([[50.0, -50.0], np.repeat(rows, 2)])
    return rows, np.tile(channels, (cases, 1, 1))


@pytest.mark.backend
@pytest.mark.parametrize(
    ("lowered", "expected"),
    [
        (0, [-48.16101810, -54.31594355, -46.25010634]),
        (6, [-2896.91224605, -4088.08596452, -3234.70270601]),
    ],
)
def test_golden_values(lowered, expected):
    x, parameters = golden_inputs()
    parameters[..., 18:34] -= lowered
    found = ops.convert_to_numpy(logistic_mixture.log_likelihood(tensor(x), tensor(parameters)))
    np.testing.assert_allclose(found[0], expected, rtol=EXACT)


def test_the_bins_of_a_lead_sum_to_one():
    """Whatever V6's own parameters are, its 256 bins sum to the density of the other leads.

    Away from the upper end: as in the published code, all bins above 0.99 reach to infinity.
    """
    v = (2.0 * np.arange(256) - 255.0) / 255.0
    x = np.full((256, 1, 8), 0.5)
    x[:, 0, :7] = np.linspace(0.3, 0.7, 7)
    x[:, 0, 7] = (v + 1.0) / 2.0
    sums = []
    for mean, log_scale in ((0.1, -4.0), (-0.4, -3.5), (-0.9, -3.0)):
        _, parameters = one_component(cases=256)
        parameters[..., 2 + 2 * 7 : 2 + 2 * 8] = mean
        parameters[..., 2 + 2 * 15 : 2 + 2 * 16] = log_scale
        log_p = logistic_mixture.log_likelihood(tensor(x), tensor(parameters))
        sums.append(np.exp(ops.convert_to_numpy(log_p)).sum())
    np.testing.assert_allclose(sums, sums[0], rtol=1e-3)


@pytest.mark.parametrize("dependency", ["value", "mean"])
def test_expected_leads_follow_the_table(dependency):
    rows, parameters = one_component()
    mean, alpha = rows[:8], np.tanh(rows[16:])
    of = np.zeros(8)  # what the coefficients multiply, as the paper's and the code's tables say
    values = []
    terms = [[], [0], [], [2], [2, 3], [2, 3, 4], [2, 3, 4, 5], [2, 3, 4, 5, 6]]
    used = 0
    for lead, parents in enumerate(terms):
        value = mean[lead] + alpha[used : used + len(parents)] @ of[parents]
        used += len(parents)
        values.append(np.clip(value, -1, 1))
        of[lead] = values[-1] if dependency == "value" else mean[lead]
    found = logistic_mixture.expected(tensor(parameters), dependency)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found)[0, 0], (np.array(values) + 1) / 2, rtol=1e-6
    )


def test_draws_have_the_logistic_s_moments_and_follow_the_temperature():
    cases, log_scale = 4000, -4.0
    rows, parameters = one_component(log_scale, cases=cases)
    parameters, uniform = tensor(parameters), np.random.default_rng(1).random((cases, 1, 10))
    expected = ops.convert_to_numpy(logistic_mixture.expected(parameters))[:, 0]
    for temperature in (1.0, 0.5):
        drawn = logistic_mixture.draw(parameters, tensor(uniform), 1.0, temperature)
        drawn = ops.convert_to_numpy(drawn)[:, 0]
        sigma = 0.5 * temperature * np.exp(log_scale) * np.pi / np.sqrt(3)
        for lead in (0, 2):  # those that depend on no other
            assert drawn[:, lead].std() == pytest.approx(sigma, rel=0.05)
        np.testing.assert_allclose(drawn.mean(0), expected[0], atol=4 * sigma / cases**0.5 * 3)
        slope = np.polyfit(drawn[:, 0], drawn[:, 1], 1)[0]
        assert slope == pytest.approx(np.tanh(rows[16]), abs=0.1)


def test_components_are_chosen_by_their_weights():
    parameters = np.zeros((2000, 1, 66))
    parameters[..., :2] = [np.log(3.0), 0.0]
    parameters[..., 2:18:2], parameters[..., 3:18:2] = -0.5, 0.5
    parameters[..., 18:34] = -7.0
    uniform = np.random.default_rng(0).random((2000, 1, 10))
    for temperature, share in ((1.0, 0.75), (0.5, 0.9)):
        drawn = logistic_mixture.draw(tensor(parameters), tensor(uniform), temperature)
        low = (ops.convert_to_numpy(drawn)[:, 0, 0] < 0.5).mean()
        assert low == pytest.approx(share, abs=0.03)


def test_wrong_arguments_are_named():
    x, parameters = golden_inputs()
    with pytest.raises(ValueError, match="multiple of 33 channels, got 65"):
        logistic_mixture.expected(tensor(parameters[..., :65]))
    with pytest.raises(ValueError, match="dependency must be .*, got 'both'"):
        logistic_mixture.log_likelihood(tensor(x), tensor(parameters), "both")
