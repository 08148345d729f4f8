"""Residual cells: what they add, what they cost."""

import math

import numpy as np
import pytest
from keras import ops

from kecgi.layers.residual_cell import LargestGain, ResidualCell


def parameters(layer):
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def conv(a, b, k):
    return a * b * k + 2 * b


def gate(c):
    hidden = max(c // 16, 4)
    return c * hidden + hidden + hidden * c + c


def expected_parameters(direction, c):
    """Count by the closed form: two normalisations and convolutions, the gate, the skip."""
    wide = {"same": c, "down": 2 * c, "up": c // 2}[direction]
    skip = {"same": 0, "down": 2 * conv(c, c, 1), "up": c * wide + wide}[direction]
    return 2 * c + conv(c, wide, 3) + 2 * wide + conv(wide, wide, 3) + gate(wide) + skip


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("direction", ["same", "down", "up"])
def test_parameters_and_shapes(direction, norm):
    for channels in (4, 12, 80):
        cell = ResidualCell(direction, norm=norm)
        y = cell(np.zeros((2, 6, channels), "float32"))
        assert parameters(cell) == expected_parameters(direction, channels)
        assert tuple(y.shape) == cell.compute_output_shape((2, 6, channels))


def test_a_cell_adds_a_tenth_to_its_input():
    x = np.random.default_rng(0).normal(size=(3, 8, 12)).astype("float32")
    cell = ResidualCell()
    y = ops.convert_to_numpy(cell(x, training=True))
    assert 0 < np.abs(y - x).max() < 0.5
    cell.second.log_length.assign(np.full(12, -30.0))
    cell.second.bias.assign(np.zeros(12))
    np.testing.assert_allclose(ops.convert_to_numpy(cell(x, training=True)), x, atol=1e-6)


def test_group_normalisation_does_the_same_in_training():
    x = np.random.default_rng(0).normal(3, 2, size=(3, 8, 12)).astype("float32")
    group, batch = ResidualCell(norm="group"), ResidualCell(norm="batch")
    np.testing.assert_array_equal(group(x, training=True), group(x, training=False))
    difference = ops.convert_to_numpy(batch(x, training=True) - batch(x, training=False))
    assert np.abs(difference).max() > 1e-3


def test_the_largest_gains_are_punished():
    cell = ResidualCell(norm_penalty=0.01)
    cell.build((None, 6, 4))
    assert sum(map(float, cell.losses)) == pytest.approx(0.02)
    cell.first_norm.gamma.assign([1.0, -5.0, 2.0, 0.0])
    assert sum(map(float, cell.losses)) == pytest.approx(0.06)
    assert LargestGain(0.5).get_config() == {"strength": 0.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "left"}, "direction must be .*, got 'left'"),
        ({"norm": "layer"}, "norm must be .*, got 'layer'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ResidualCell(**options)


def test_odd_channels_cannot_be_halved():
    with pytest.raises(ValueError, match="give an even number, not 3"):
        ResidualCell("up").build((None, 4, 3))
