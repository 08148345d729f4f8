import numpy as np
import pytest
from scipy import integrate, stats

from kecgi.evaluate import latent


def test_kl_is_the_integral_of_its_definition():
    posterior, prior = stats.norm(0.7, 0.4), stats.norm(-0.2, 1.3)
    expected, _ = integrate.quad(
        lambda z: posterior.pdf(z) * (posterior.logpdf(z) - prior.logpdf(z)), -6, 6
    )
    kl = latent.kl_per_dimension([[0.7]], [[2 * np.log(0.4)]], [[-0.2]], [[2 * np.log(1.3)]])
    assert kl == pytest.approx([expected])


def test_kl_is_zero_at_the_prior_and_averages_over_cases():
    assert latent.kl_per_dimension(np.zeros((5, 3)), np.zeros((5, 3))) == pytest.approx(0)
    mean = np.array([[0.0, 2.0], [0.0, 4.0]])
    assert latent.kl_per_dimension(mean, np.zeros((2, 2))) == pytest.approx([0, 5])


def test_active_units_are_those_that_move():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(500, 4)) * [1.0, 0.2, 0.05, 0.0] + 3
    assert latent.active_units(mean).tolist() == [True, True, False, False]
    summary = latent.summarise_latent(mean - 3, np.zeros((500, 4)))
    assert summary["active_units"] == 2
    assert summary["latent_dim"] == 4
    assert summary["kl"] == pytest.approx(0.5 * (1 + 0.04 + 0.0025), rel=0.1)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="cases >= 2"):
        latent.active_units(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="mean and log_var"):
        latent.kl_per_dimension(np.zeros((5, 4)), np.zeros((5, 3)))
