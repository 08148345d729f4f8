"""The dual-branch network from body-surface potentials to electrograms."""

import keras
import numpy as np
import pytest

from kecgi.models import BSPMToEGM
from kecgi.models.bspm_egm import unfolding


def test_unfolding_interpolates_and_closes():
    # the vest's leads: every other ring is turned by half a step
    angle = (np.arange(8) + 0.5 * (np.arange(8) % 2)[:, None]) * (2 * np.pi / 8)
    leads = np.arange(8)[:, None] + np.cos(angle)
    grid = (unfolding(8, 8) @ leads.ravel()).reshape(12, 32)
    np.testing.assert_allclose(grid.mean(axis=1), np.linspace(0, 7, 12), atol=1e-5)
    fine = np.cos(2 * np.pi * np.arange(32) / 32)
    np.testing.assert_allclose(grid - grid.mean(axis=1, keepdims=True) - fine, 0, atol=0.08)
    assert grid[0, 31] == pytest.approx(0.25 * leads[0, 7] + 0.75 * leads[0, 0])
    # what was unfolded folds back
    np.testing.assert_allclose(
        np.linalg.pinv(unfolding(8, 8)) @ grid.ravel(), leads.ravel(), atol=1e-4
    )


def sources(cases, seed):
    """Make two moving sources, seen by 16 leads and 5 nodes through fixed matrices."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    time = np.arange(12)[:, None]
    late = time - rng.uniform(2, 10, (cases, 1, 2))
    course = np.exp(-0.5 * (late / 1.5) ** 2)
    leads, nodes = fixed.uniform(-1, 1, (2, 16)), fixed.uniform(-1, 1, (2, 5))
    return {"bspm": (course @ leads).astype("f4"), "egm": (course @ nodes).astype("f4")}


@pytest.mark.backend
def test_it_learns_what_a_linear_map_can(tmp_path):
    keras.utils.set_random_seed(0)
    model = BSPMToEGM(5, None, 4, 4, filters=4, lstm_units=16, beta=1e-4, seed=1)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(sources(160, 1), batch_size=16, epochs=12, verbose=0).history
    test = sources(30, 2)
    found = model.predict({"bspm": test["bspm"]}, verbose=0)
    for name in ("egm", "bspm"):
        assert 1 - np.mean((found[name] - test[name]) ** 2) / test[name].var() > 0.6, name
    longer = np.concatenate([test["bspm"], test["bspm"]], axis=1)
    twice = model.predict({"bspm": longer}, verbose=0)["egm"]
    # a longer window begins as the shorter one, but for what is seen ahead
    apart = np.sqrt(np.mean((twice[:, :8] - found["egm"][:, :8]) ** 2))
    assert apart < 0.1 * found["egm"].std()
    terms = history["bspm_mse"][-1] + 10 * history["egm_mse"][-1]
    assert history["reconstruction"][-1] == pytest.approx(terms, rel=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for saved, weight in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, weight)


def test_the_code_is_the_paper_s():
    model = BSPMToEGM(2048, samples=7)
    assert model.encoder.output.shape[1:] == (7, 3, 4, 8)  # mean and log variance of 4 channels
    assert model.egm_decoder.output.shape[1:] == (7, 2048)
    assert model.bspm_decoder.output.shape[1:] == (7, 12, 32, 1)
    assert model.egm_weight == 10


def test_wrong_inputs_are_named():
    model = BSPMToEGM(5, 12, 4, 4)
    x = sources(2, 1)
    with pytest.raises(TypeError, match="inputs must be a dict of arrays, got ndarray"):
        model.predict(x["bspm"])
    with pytest.raises(ValueError, match=r"inputs lack 'bspm'; they hold \['egm'\]"):
        model.predict({"egm": x["egm"]})
    with pytest.raises(ValueError, match=r"bspm must have shape \(batch, 12, 16\), but .*\(11, 16"):
        model.predict({"bspm": x["bspm"][:, 1:]})
