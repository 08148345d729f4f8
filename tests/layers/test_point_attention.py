"""Attention between points: what it may depend on, and how far it looks."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial.transform import Rotation

from kecgi.layers import PointAttention, squared_distances

pytestmark = pytest.mark.backend


@pytest.fixture
def rng():
    return np.random.default_rng(6)


@pytest.fixture
def points(rng):
    """Features and positions of a batch of two."""
    features = rng.normal(size=(2, 9, 8)).astype("float32")
    return features, rng.normal(size=(2, 9, 3)).astype("float32")


def attend(layer, features, positions):
    return ops.convert_to_numpy(layer(features, squared_distances(positions, positions)))


def test_squared_distances_of_near_points(rng):
    """The binomial formula would lose these in single precision."""
    a = rng.normal(size=(2, 5, 3)).astype("float32") + 100
    b = (a[:, ::-1] + 1e-3 * rng.normal(size=a.shape)).astype("float32")
    expected = np.sum((a[:, :, None].astype(float) - b[:, None]) ** 2, axis=-1)
    distances = ops.convert_to_numpy(squared_distances(a, b))
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_it_is_the_formula(points):
    """One head against NumPy, from the layer's own weights."""
    features, positions = points
    layer = PointAttention(8, heads=1, narrowest=0.7)
    out = attend(layer, features, positions)
    layer.log_width.assign([0.3])
    out = attend(layer, features, positions)
    get = ops.convert_to_numpy

    def dense(part, x):
        return x @ get(part.kernel) + get(part.bias)

    def normed(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def gelu(x):
        return get(ops.gelu(x.astype("float32"), approximate=False))

    query, key, value = np.split(dense(layer.project, normed(features)), 3, axis=-1)
    squared = np.sum((positions[:, :, None] - positions[:, None]) ** 2, axis=-1)
    score = query @ np.swapaxes(key, 1, 2) / np.sqrt(8) - squared / (0.7 * np.exp(0.3)) ** 2
    weight = np.exp(score)
    weight /= weight.sum(axis=-1, keepdims=True)
    middle = features + dense(layer.merge, weight @ value)
    expected = middle + dense(layer.narrow, gelu(dense(layer.widen, normed(middle))))
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_points_have_no_order(points, rng):
    features, positions = points
    layer = PointAttention(8, heads=4)
    order = rng.permutation(9)
    np.testing.assert_allclose(
        attend(layer, features[:, order], positions[:, order]),
        attend(layer, features, positions)[:, order],
        atol=1e-5,
    )


def test_only_distances_count(points, rng):
    features, positions = points
    layer = PointAttention(8, heads=4)
    turn = Rotation.random(rng=rng).as_matrix()
    moved = (positions @ turn.T - [3, 1, 2]).astype("float32")
    np.testing.assert_allclose(
        attend(layer, features, moved), attend(layer, features, positions), atol=1e-4
    )
    assert np.abs(attend(layer, features, 2 * moved) - attend(layer, features, moved)).max() > 1e-2


def test_narrow_heads_see_neighbours_alone_and_wide_ones_all(points):
    features, _ = points
    positions = np.zeros((2, 9, 3), "float32")
    positions[..., 0] = np.arange(9)
    changed = features.copy()
    changed[:, 8] *= -1

    def influence(width):
        layer = PointAttention(8, heads=2, narrowest=width, widest=width)
        moved = np.abs(attend(layer, changed, positions) - attend(layer, features, positions))
        return moved.max(axis=(0, 2))[:8]

    # weights fall as exp(-distance² / width²)
    assert np.all(influence(0.25) < 1e-5)
    assert np.all(influence(100.0) > 1e-4)


def test_one_geometry_serves_many_features(points):
    features, positions = points
    layer = PointAttention(8, heads=2)
    shared = attend(layer, features, positions[:1])
    apart = attend(layer, features, np.repeat(positions[:1], 2, axis=0))
    np.testing.assert_allclose(shared, apart, atol=1e-6)


def test_save_and_load(points, tmp_path):
    features, positions = points
    shapes = [keras.Input(features.shape[1:]), keras.Input((9, 9))]
    model = keras.Model(shapes, PointAttention(8, 2, narrowest=0.3, widest=2.0)(*shapes))
    squared = ops.convert_to_numpy(squared_distances(positions, positions))
    model.layers[-1].log_width.assign([0.1, -0.2])
    model.save(tmp_path / "attention.keras")
    again = keras.models.load_model(tmp_path / "attention.keras")
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    inputs = [features, squared]
    np.testing.assert_array_equal(
        again.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
    )


def test_units_must_be_shared_by_the_heads():
    with pytest.raises(ValueError, match="units must be a multiple of heads=3, got 8"):
        PointAttention(8, heads=3)
