"""The classical inverse against a plain one, and the symmetries of its physics."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial.transform import Rotation

from kecgi.geometry import vest
from kecgi.layers import DipoleSources

pytestmark = pytest.mark.backend

ELECTRODES = vest(5, 6).positions_mm.astype("float32")
TURN = Rotation.from_euler("xyz", [40, -25, 100], degrees=True).as_matrix().astype("float32")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def case(rng):
    """Places, electrodes and potentials of a batch of two."""
    places = rng.uniform(-40, 40, (2, 12, 3)).astype("float32")
    electrodes = np.stack([ELECTRODES, ELECTRODES + 10])
    return places, electrodes, rng.normal(size=(2, len(ELECTRODES), 7)).astype("float32")


def lifted(layer, *case):
    """Return sources (batch, places, strengths, xyz, channels) and log amplitudes."""
    sources, amplitude = layer(*case)
    shape = (*sources.shape[:2], len(layer.regularisation), 3, layer.channels)
    return np.reshape(ops.convert_to_numpy(sources), shape), ops.convert_to_numpy(amplitude)


def field(place, electrodes):
    """Potentials of three unit dipoles at a place, up to a factor: (electrodes, 3)."""
    away = electrodes.astype(float) - place
    return away / np.linalg.norm(away, axis=1, keepdims=True) ** 3


def test_it_is_tikhonov_s_solution(case):
    places, electrodes, potentials = case
    layer = DipoleSources(4, (0.1, 0.003))
    sources, log_amplitude = lifted(layer, *case)
    combine = ops.convert_to_numpy(layer.combine.kernel).astype(float)
    for b in range(2):
        matrix = np.hstack([field(place, electrodes[b]) for place in places[b]])
        matrix -= matrix.mean(axis=0)
        phi = potentials[b] - potentials[b].mean(axis=0)
        amplitude = np.sqrt(np.mean(phi**2))
        assert log_amplitude[b].item() == pytest.approx(np.log(amplitude), abs=1e-5)
        # least squares with a penalty, solved as the stacked system that defines it
        level = np.mean(np.sum(matrix**2, axis=1))
        for s, strength in enumerate(layer.regularisation):
            penalty = np.sqrt(strength * level) * np.eye(matrix.shape[1])
            right = np.vstack([phi / amplitude @ combine, np.zeros((len(penalty), 4))])
            solution = np.linalg.lstsq(np.vstack([matrix, penalty]), right, rcond=None)[0]
            # which fixes it up to one factor, the choice of unit
            expected = solution.reshape(12, 3, 4) * 3 * np.sqrt(strength * level)
            np.testing.assert_allclose(sources[b, :, s], expected, atol=2e-3 * expected.std())


def test_the_reference_of_the_recording_does_not_matter(case, rng):
    layer = DipoleSources(4)
    places, electrodes, potentials = case
    moved = potentials + rng.normal(scale=3, size=(2, 1, 7)).astype("float32")
    for one, other in zip(lifted(layer, *case), lifted(layer, *case[:2], moved), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_amplitude_is_told_apart_from_the_sources(case):
    layer = DipoleSources(4)
    places, electrodes, potentials = case
    (sources, level), (louder, higher) = lifted(layer, *case), lifted(layer, *case[:2], 7 * case[2])
    np.testing.assert_allclose(louder, sources, atol=1e-4)
    np.testing.assert_allclose(higher - level, np.log(7), atol=1e-5)


def test_sources_turn_with_the_body(case):
    layer = DipoleSources(4)
    places, electrodes, potentials = case
    sources, _ = lifted(layer, *case)
    turned, _ = lifted(layer, places @ TURN.T + 30, electrodes @ TURN.T + 30, potentials)
    expected = np.einsum("ij,bpsjc->bpsic", TURN, sources)
    np.testing.assert_allclose(turned, expected, atol=2e-3 * sources.std())


def test_the_order_of_electrodes_does_not_matter(case, rng):
    layer = DipoleSources(4)
    order = rng.permutation(len(ELECTRODES))
    sources, _ = lifted(layer, *case)
    mixed, _ = lifted(layer, case[0], case[1][:, order], case[2][:, order])
    np.testing.assert_allclose(mixed, sources, atol=2e-3 * sources.std())


def test_lost_electrodes_are_as_good_as_absent(case):
    layer = DipoleSources(4)
    places, electrodes, potentials = case
    expected = lifted(layer, places, electrodes[:, 4:], potentials[:, 4:])
    potentials[:, :3] = np.nan
    potentials[:, 3, 2] = np.inf  # one bad sample spoils the electrode
    for one, other in zip(lifted(layer, *case), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_no_electrode_at_all_says_nothing(case):
    sources, amplitude = lifted(DipoleSources(4), *case[:2], np.full((2, 30, 7), np.nan, "f4"))
    assert np.all(sources == 0) and np.isfinite(amplitude).all()


@pytest.mark.parametrize("true", [3, 31, 58])
def test_a_dipole_near_the_surface_is_found(rng, true):
    """Minimum-norm sources are drawn to the electrodes, so the places lie on a sphere."""
    places = rng.normal(size=(60, 3))
    places *= 45 / np.linalg.norm(places, axis=1, keepdims=True)
    moment = rng.normal(size=(3, 5))
    potentials = field(places[true], ELECTRODES) @ moment
    potentials += 0.01 * potentials.std() * rng.normal(size=potentials.shape)
    layer = DipoleSources(5, (1e-3,))
    layer.build((1, 60, 3), (1, 30, 3), (1, 30, 5))
    layer.combine.kernel.assign(np.eye(5))
    sources, _ = lifted(
        layer, *(x[None].astype("float32") for x in (places, ELECTRODES, potentials))
    )
    strength = np.linalg.norm(sources[0, :, 0], axis=(1, 2))
    largest = int(np.argmax(strength))
    # no further than the neighbours of the true place
    distance = np.linalg.norm(places - places[true], axis=1)
    assert distance[largest] <= np.sort(distance)[3]
    # and its moment points the way of the true one
    aligned = np.sum(sources[0, true, 0] * moment)
    assert aligned > 0.8 * np.linalg.norm(sources[0, true, 0]) * np.linalg.norm(moment)


def test_it_computes_in_single_precision_whatever_the_policy(case):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = DipoleSources(4)
        sources, _ = lifted(layer, *case)
    finally:
        keras.config.set_dtype_policy(policy)
    assert sources.dtype == np.float32 and np.isfinite(sources).all()


def test_config_round_trip():
    layer = DipoleSources.from_config(DipoleSources(4, (0.5, 0.1)).get_config())
    assert (layer.channels, layer.regularisation, layer.dtype) == (4, (0.5, 0.1), "float32")


def test_the_temporal_combinations_are_learned(case):
    layer = DipoleSources(4)
    inputs = [keras.Input(x.shape[1:]) for x in case]
    model = keras.Model(inputs, layer(*inputs)[0])
    model.compile(keras.optimizers.SGD(1e-3), loss="mse")
    before = ops.convert_to_numpy(layer.combine.kernel).copy()
    model.fit(list(case), np.ones((2, 12, 36), "float32"), verbose=0)
    assert np.all(ops.convert_to_numpy(layer.combine.kernel) != before)
