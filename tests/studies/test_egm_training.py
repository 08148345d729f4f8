"""Training of generators and of the network that names rhythms, on waves made here."""

import keras
import numpy as np
import pytest

from kecgi.data import AmplitudeScale, EGMRecordings
from kecgi.studies import egm_training

NODES = np.random.default_rng(0).normal(0, 20, (6, 3))
SMALL = {"layout": "points", "positions_mm": NODES, "tokens": 3, "units": 8, "heads": 2,
         "filters": 4, "latent_dim": 8, "beta": 1e-3, "free_bits": 1.0}  # fmt: skip


@pytest.fixture(scope="module")
def waves():
    """Return recordings of waves that cross the nodes one way or the other."""
    rng = np.random.default_rng(1)
    way = np.repeat([0, 1], 30)
    start = rng.uniform(0, 15, (60, 1, 1))
    late = np.arange(48)[:, None] - start - (2 * way - 1)[:, None, None] * NODES[:, 0] / 6
    late = (late + 8) % 16 - 8
    egm = (-late / 2 * np.exp(0.5 - 0.5 * (late / 2) ** 2)).astype("float32")
    names = ("left", "right")
    return EGMRecordings(egm, way, np.arange(60), names, 32, 200.0, AmplitudeScale(3.0))


def test_the_network_that_names_rhythms_learns_them(waves):
    keras.utils.set_random_seed(0)
    classifier = egm_training.train_classifier(waves, epochs=3, repeats=6, learning_rate=1e-2)
    real = {name: waves.of(name).windows_mv for name in waves.names}
    assert min(egm_training.right_labels(classifier, waves, real).values()) > 0.95
    wrong = {"left": real["right"], "right": real["left"]}
    assert max(egm_training.right_labels(classifier, waves, wrong).values()) < 0.05


def test_generators_of_all_rhythms_are_trained_and_asked(waves):
    keras.utils.set_random_seed(0)
    vae, history = egm_training.train_vae(
        waves, epochs=5, repeats=4, learning_rate=1e-2, validation=waves, **SMALL
    )
    assert vae.rhythms == ("left", "right") and vae.warmup_steps == 50  # of 150 steps
    losses = history.history["val_decorrelation"]
    assert losses[-1] < 0.97 * losses[0]
    flow = egm_training.train_flow(vae, waves, epochs=1, every=8)
    # unit spread of codes, from windows at three beginnings
    assert np.asarray(flow.code_scale).max() > 1e-3
    made = egm_training.generate(flow, waves, 3, seed=3)
    assert {name: w.shape for name, w in made.items()} == dict.fromkeys(waves.names, (3, 6, 32))
    raw = flow.generate("right", 3, seed=4)
    np.testing.assert_allclose(made["right"], 3 * raw.swapaxes(1, 2), rtol=1e-5)
