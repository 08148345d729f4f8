"""The convolutional stacks against the paper's description."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kecgi.layers import conv_decoder, conv_encoder
from kecgi.layers.convolution import grid_levels

pytestmark = pytest.mark.backend

GRIDS = [(20, 12), (13, 10), (5, 7, 9)]


def encoder(shape):
    return conv_encoder(shape, 1, 6, filters=16, units=8, activation="relu")


def decoder(shape, **options):
    return conv_decoder(
        shape, 6, filters=16, activation="relu", output_activation="sigmoid", **options
    )


def of(kind, model):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("shape", GRIDS)
def test_any_grid_keeps_its_shape(shape):
    assert [head.shape for head in encoder(shape).outputs] == [(None, 6), (None, 6)]
    assert decoder(shape).output.shape == (None, *shape, 1)
    assert decoder(shape, condition_channels=2).output.shape == (None, *shape, 1)


def test_levels_round_up():
    assert grid_levels((64, 50)) == [(64, 50), (32, 25), (16, 13)]


def test_encoder_is_the_paper_s():
    model = encoder((20, 12))
    convolutions = of(layers.Conv2D, model)
    assert [(c.filters, c.kernel_size, c.strides) for c in convolutions] == [
        (16, (3, 3), (2, 2)),
        (16, (3, 3), (2, 2)),
    ]
    hidden, *heads = of(layers.Dense, model)
    assert [layer.activation.__name__ for layer in (*convolutions, hidden)] == ["relu"] * 3
    assert [head.activation.__name__ for head in heads] == ["linear"] * 2


def test_decoder_is_the_paper_s():
    model = decoder((20, 12))
    assert len(of(layers.Dense, model)) == 1
    found = [
        (layer.filters, layer.kernel_size, layer.strides, layer.activation.__name__)
        for layer in of(layers.Conv2DTranspose, model)
    ]
    hidden = (16, (3, 3), (2, 2), "relu")
    assert found == [hidden, hidden, (1, (3, 3), (1, 1), "sigmoid")]


def test_condition_joins_the_output_of_each_hidden_convolution():
    model = decoder((20, 12), condition_channels=2)
    channels = [layer.input.shape[1:] for layer in of(layers.Conv2DTranspose, model)]
    assert channels == [(5, 3, 16), (10, 6, 16 + 2), (20, 12, 16 + 2)]


def test_only_nearby_pixels_see_a_pixel_of_the_condition():
    """A shifted or flipped level of the condition would spread further or elsewhere."""
    model = decoder((21, 22), condition_channels=1)
    code = np.zeros((1, 6), "float32")
    condition = np.random.default_rng(0).normal(size=(1, 21, 22, 1)).astype("float32")
    changed = condition.copy()
    changed[0, 14, 5] += 10.0
    before, after = (ops.convert_to_numpy(model([code, c])) for c in (condition, changed))
    rows, columns = np.nonzero((before != after)[0, :, :, 0])
    assert {14, 5} <= {*rows, *columns}
    assert 12 <= rows.min() and rows.max() <= 17
    assert 2 <= columns.min() and columns.max() <= 8


def test_a_line_is_no_grid():
    with pytest.raises(ValueError, match=r"two or three positive sizes, got \(64,\)"):
        encoder((64,))


def test_heads_are_float32_under_mixed_precision():
    policy = keras.DTypePolicy("mixed_float16")
    options = {"filters": 4, "activation": "tanh", "dtype": policy}
    heads = conv_encoder((8, 8), 1, 2, units=4, **options)
    image = conv_decoder((8, 8), 2, output_activation="tanh", **options)
    assert {output.dtype for output in (*heads.outputs, image.output)} == {"float32"}
    assert of(layers.Conv2D, heads)[0].compute_dtype == "float16"
