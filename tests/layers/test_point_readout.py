"""Reading values at any point from places nearby."""

import keras
import numpy as np
import pytest
from keras import ops

from kecgi.layers import PlaneReadout, PointReadout

pytestmark = pytest.mark.backend


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def geometry(rng):
    """Points and places of a batch of two."""
    return tuple(rng.uniform(-1, 1, (2, n, 3)).astype("float32") for n in (11, 6))


def built(geometry, size=5, **kwargs):
    layer = PointReadout(units=8, **{"outputs": 2} | kwargs)
    layer.build(*(x.shape for x in geometry), (2, geometry[1].shape[1], size))
    return layer


def read(layer, *inputs):
    return ops.convert_to_numpy(layer(*inputs))


def test_an_affine_field_is_read_exactly(geometry, rng):
    """Features are the places themselves; weights make each offer the same two planes."""
    points, places = geometry
    slope, level = rng.normal(size=(2, 3)).astype("float32"), np.float32([0.5, -2])
    layer = built(geometry, size=3)
    kernel, bias = np.zeros((3, 2, 4), "float32"), np.zeros((2, 4), "float32")
    # the value at a place is slope . x + level, its gradient is slope
    kernel[:, :, 0], bias[:, 0], bias[:, 1:] = slope.T, level, slope
    layer.planes.plane.kernel.assign(kernel.reshape(3, 8))
    layer.planes.plane.bias.assign(bias.ravel())
    layer.correct.kernel.assign(np.zeros((8, 2)))
    np.testing.assert_allclose(
        read(layer, points, places, places), points @ slope.T + level, atol=1e-5
    )


def test_weights_are_a_partition_of_unity(geometry):
    layer = built(geometry, widths=(0.1, 0.4))
    layer.log_width.assign([0.2, -0.1])
    weights = layer.weights_of(*map(ops.convert_to_tensor, geometry))
    weights = ops.convert_to_numpy(weights)
    assert weights.shape == (2, 11, 2, 6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    points, places = geometry
    squared = np.sum((points[:, :, None] - places[:, None]).astype(float) ** 2, axis=-1)
    for head, width in enumerate((0.1 * np.exp(0.2), 0.4 * np.exp(-0.1))):
        expected = np.exp(-0.5 * (squared - squared.min(-1, keepdims=True)) / width**2)
        expected /= expected.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(weights[:, :, head], expected, atol=1e-4)


def test_far_from_all_places_there_are_still_values(geometry, rng):
    points, places = geometry
    features = rng.normal(size=(2, 6, 5)).astype("float32")
    assert np.isfinite(read(built(geometry), points + 100, places, features)).all()


def test_values_depend_on_the_order_of_neither_points_nor_places(geometry, rng):
    points, places = geometry
    features = rng.normal(size=(2, 6, 5)).astype("float32")
    layer = built(geometry)
    out = read(layer, points, places, features)
    order, other = rng.permutation(11), rng.permutation(6)
    mixed = read(layer, points[:, order], places[:, other], features[:, other])
    np.testing.assert_allclose(mixed, out[:, order], atol=1e-5)


def test_one_geometry_serves_many_features(geometry, rng):
    features = rng.normal(size=(4, 6, 5)).astype("float32")
    layer = built(geometry)
    first = [x[:1] for x in geometry]
    apart = read(layer, *(np.repeat(x, 4, axis=0) for x in first), features)
    assert apart.shape == (4, 11, 2)
    np.testing.assert_allclose(read(layer, *first, features), apart, atol=1e-5)


def test_planes_of_one_geometry_are_those_of_many(geometry, rng):
    features = rng.normal(size=(4, 6, 5)).astype("float32")
    layer, planes = built(geometry), PlaneReadout(3)
    first = [ops.convert_to_tensor(x[:1]) for x in geometry]
    weights = layer.weights_of(*first)
    planes.build(*(x.shape for x in first), features.shape)
    many = [ops.repeat(x, 4, axis=0) for x in (*first, weights)]
    apart = planes(*many[:2], features, many[2])
    assert tuple(apart.shape) == (4, 11, 3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(planes(*first, features, weights)),
        ops.convert_to_numpy(apart),
        atol=1e-5,
    )


def test_save_and_load(geometry, rng, tmp_path):
    inputs = [*geometry, rng.normal(size=(2, 6, 5)).astype("float32")]
    shapes = [keras.Input(x.shape[1:]) for x in inputs]
    model = keras.Model(shapes, PointReadout(1, units=4, widths=(0.2, 0.9))(*shapes))
    model.layers[-1].log_width.assign([0.1, -0.2])
    model.save(tmp_path / "readout.keras")
    again = keras.models.load_model(tmp_path / "readout.keras")
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        again.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
    )


def test_values_are_single_precision_under_mixed_precision(geometry, rng):
    layer = built(geometry, dtype="mixed_float16")
    features = rng.normal(size=(2, 6, 5)).astype("float32")
    values = layer(*geometry, features)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    exact = built(geometry)
    exact.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(values), read(exact, *geometry, features), atol=0.05
    )
