"""Generators that are kept with their scale, and that know whom they were trained on."""

from dataclasses import replace

import numpy as np
import pytest

from kecgi.data import CNVAE_LEADS, ECGCohortConfig, LeadScale, build_ecg, open_ecg
from kecgi.data.ecg.labels import SIMULATED
from kecgi.evaluate import lead_law_error_uv
from kecgi.models import WaveGAN
from kecgi.studies.ecg_generator import ECGGenerator, whose


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Return a cohort of three hearts, one of two at another rate, and one of other hearts."""
    config = ECGCohortConfig(3, 2, 100.0, 2.0, seed=4)
    configs = (config, replace(config, hearts=2, sampling_hz=200.0), replace(config, seed=5))
    folder = tmp_path_factory.mktemp("stores")
    return [open_ecg(build_ecg(c, folder / c.identity, progress=False)) for c in configs]


@pytest.fixture(scope="module")
def generator(stores):
    scale = LeadScale(CNVAE_LEADS, np.linspace(-1, -2, 8), np.linspace(1, 3, 8))
    model = WaveGAN(SIMULATED.names, 200, size=10, critic_strides=(2, 2), seed=0)
    model.compile(*model.paper_optimizers())
    trained = whose(stores[0])[stores[0].group == 1]
    return ECGGenerator(model, scale, SIMULATED, 100.0, tuple(trained))


def test_it_comes_back_as_it_was(generator, tmp_path):
    generator.save(tmp_path / "kept")
    rows = np.eye(7)[[1, 3]]
    made = generator.generate_mv(rows, seed=1)
    assert made.shape == (2, 12, 200) and lead_law_error_uv(made)["einthoven"] < 0.1
    drawn = generator.model.sample({"labels": rows}, 1, 1)[0]
    np.testing.assert_allclose(made[:, 0], generator.scale.invert(drawn)[..., 0], rtol=1e-5)
    for path in (tmp_path / "kept", tmp_path / "kept" / "model.keras"):
        again = ECGGenerator.load(path)
        np.testing.assert_allclose(again.generate_mv(rows, seed=1), made, atol=1e-6)
        assert (again.scale, again.schema) == (generator.scale, generator.schema)
        assert set(again.trained_on) == set(generator.trained_on)
    with pytest.raises(FileNotFoundError, match="no model.keras"):
        ECGGenerator.load(tmp_path)


def test_it_knows_whom_it_saw(generator, stores):
    own, other_rate, other_hearts = stores
    for store in (own, other_rate):
        assert generator.saw(store, np.flatnonzero(store.group == 1)[:1])
        assert not generator.saw(store, np.flatnonzero(store.group != 1))
    assert not generator.saw(other_hearts, np.arange(len(other_hearts)))
