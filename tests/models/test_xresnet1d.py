"""The classifier of ECGs."""

import math

import keras
import numpy as np
import pytest

from kecgi.models import xresnet1d101


def parameters(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def test_the_published_size():
    model = xresnet1d101(8)
    assert parameters(model) == 1_809_800
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 104
    assert sum(not np.asarray(norm.get_weights()[0]).any() for norm in norms) == 33
    assert sum(math.prod(w.shape) for w in model.non_trainable_weights) >= 27_136
    # a K of 1 differs in the dense layer alone
    assert 1_809_800 - 1_806_209 == 7 * (512 + 1)
    pools = [
        x.output.shape[1] for x in model.layers if isinstance(x, keras.layers.AveragePooling1D)
    ]
    assert pools == [625, 313, 157]


@pytest.mark.backend
def test_the_last_window_of_an_odd_length_is_one_sample():
    x = np.arange(7.0, dtype="float32").reshape(1, 7, 1)
    y = keras.layers.AveragePooling1D(2, 2, padding="same")(x)
    np.testing.assert_allclose(np.array(keras.ops.convert_to_numpy(y))[0, :, 0], [0.5, 2.5, 4.5, 6])


def test_it_separates_two_classes():
    rng = np.random.default_rng(0)
    label = np.arange(128) % 2
    cycles = np.where(label == 0, 3, 5)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (128, 1, 1))
    x = np.sin(2 * np.pi * cycles * np.arange(64)[:, None] / 64 + phase)
    x = (x + rng.normal(0, 0.5, (128, 64, 12))).astype("float32")
    model = xresnet1d101(1, 64, depths=(1, 1), width=8, dropout=0.1)
    model.compile(keras.optimizers.AdamW(5e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(x[:96], label[:96], batch_size=16, epochs=12, verbose=0)
    logit = model.predict(x[96:], verbose=0)[:, 0]
    assert ((logit > 0) == label[96:]).mean() >= 0.9


def test_no_classes_are_refused():
    with pytest.raises(ValueError, match="classes must be at least 1, got 0"):
        xresnet1d101(0)
