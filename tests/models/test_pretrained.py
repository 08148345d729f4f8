"""The model that comes with the package, on a heart it has never seen."""

import numpy as np
import pytest

from kecgi.data import CohortConfig, add_noise, draw_anatomy, simulate_anatomy
from kecgi.geometry import by_name
from kecgi.inverse import LearnedInverse, earliest_sites
from kecgi.models.pretrained import pretrained, pretrained_names, provenance


@pytest.mark.backend
def test_it_sees_activation_in_a_new_heart():
    made = provenance()
    config = CohortConfig(**made["cohort"] | {"anatomies": 1, "cases_per_anatomy": 3, "seed": 4321})
    heart = draw_anatomy(config, 0)
    cases = simulate_anatomy(config, 0)
    method = LearnedInverse(pretrained(), heart, by_name(config.electrodes), draws=19)
    errors, plain, onsets = [], [], []
    for row in range(3):
        true = cases["activation_ms"][row][heart.mask]
        bspm = add_noise(cases["bspm_mv"][row], 30.0, np.random.default_rng(row))
        estimate = method.activation(bspm, config.time_ms)
        errors.append(np.abs(estimate.mean_ms - true).mean())
        plain.append(np.abs(true.mean() - true).mean())
        site = earliest_sites(heart, estimate.draws_ms)[0]
        known = cases["onsets_mm"][row]
        onsets.append(np.nanmin(np.linalg.norm(known - site.centre_mm, axis=1)))
    assert np.mean(errors) < 2.5 * made["headline"]["mae_ms"]
    assert np.mean(errors) < 0.25 * np.mean(plain)
    assert np.median(onsets) < 12


def test_names():
    assert "activation-posterior" in pretrained_names()
    with pytest.raises(
        ValueError, match="no model 'unet' comes with kecgi; there are .'activation"
    ):
        pretrained("unet")
