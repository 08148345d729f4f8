"""Training of generators and of the network that names rhythms, on waves made here."""

import keras
import numpy as np
import pytest

from kecgi import egm_training
from kecgi.data import AmplitudeScale, EGMRecordings

NODES = np.random.default_rng(0).normal(0, 20, (12, 3))
SMALL = {"layout": "points", "positions_mm": NODES, "tokens": 4, "units": 8, "heads": 2,
         "filters": 4, "latent_dim": 16, "beta": 1e-3, "free_bits": 1.0}  # fmt: skip


@pytest.fixture(scope="module")
def waves():
    """Return recordings in mV of waves that cross the nodes one way or the other."""
    rng = np.random.default_rng(1)
    way = np.repeat([0, 1], 30)
    start = rng.uniform(0, 30, (60, 1, 1))
    late = np.arange(96)[:, None] - start - (2 * way - 1)[:, None, None] * NODES[:, 0] / 8
    late = (late + 15) % 30 - 15
    egm = (-late / 2 * np.exp(0.5 - 0.5 * (late / 2) ** 2)).astype("float32")
    return EGMRecordings(egm, way, np.arange(60), ("left", "right"), 64, 200.0, AmplitudeScale(3.0))


def test_generated_waves_go_as_asked(waves):
    keras.utils.set_random_seed(0)
    vae, history = egm_training.train_vae(
        waves, epochs=10, repeats=4, learning_rate=5e-3, validation=waves, **SMALL
    )
    assert vae.rhythms == ("left", "right") and vae.warmup_steps == 100
    losses = history.history["val_decorrelation"]
    assert losses[-1] < 0.5 * losses[0]
    flow = egm_training.train_flow(vae, waves, epochs=12, every=8)
    classifier = egm_training.train_classifier(waves, epochs=4, repeats=4, learning_rate=5e-3)
    real = {name: waves.of(name).windows_mv for name in waves.names}
    assert min(egm_training.right_labels(classifier, waves, real).values()) > 0.95
    made = egm_training.generate(flow, waves, 20, seed=3)
    assert {name: w.shape for name, w in made.items()} == dict.fromkeys(waves.names, (20, 12, 64))
    assert np.abs(made["left"]).max() > 1.5  # mV, of 3
    assert min(egm_training.right_labels(classifier, waves, made).values()) > 0.8
    again = egm_training.generate(flow, waves, 20, seed=3)
    np.testing.assert_array_equal(again["right"], made["right"])


def test_one_rhythm_has_no_condition(waves):
    vae, _ = egm_training.train_vae(waves.of("left"), epochs=1, **SMALL)
    assert vae.rhythms == ("left",) and not vae.conditional
    flow = egm_training.train_flow(vae, waves.of("left"), epochs=1, every=16)
    assert flow.generate("left", 2, seed=0).shape == (2, 64, 12)
