"""The network that names rhythms."""

import keras
import numpy as np
import pytest

from kecgi.models.egm_classifier import rhythm_classifier

pytestmark = pytest.mark.backend


def test_it_learns_which_way_a_wave_goes():
    rng = np.random.default_rng(0)
    way = rng.integers(2, size=150)
    late = np.arange(40)[:, None] - rng.uniform(8, 20, (150, 1, 1))
    late = late - 2 * np.arange(6) * (2 * way - 1)[:, None, None]
    egm = np.exp(-0.5 * (late / 2) ** 2).astype("float32")
    model = rhythm_classifier(40, 6, 2, width=8)
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(True))
    model.fit(egm[:100], np.eye(2)[way[:100]], batch_size=20, epochs=8, verbose=0)
    found = model.predict(egm[100:], verbose=0).argmax(axis=1)
    assert (found == way[100:]).mean() > 0.95


def test_one_rhythm_is_nothing_to_tell_apart():
    with pytest.raises(ValueError, match="rhythms must be at least 2 to tell them apart, got 1"):
        rhythm_classifier(40, 6, 1)
