"""Points that move as one body."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial.transform import Rotation

from kecgi.layers import RigidAlignment
from kecgi.layers.rigid_alignment import fitted_rotation, turned

pytestmark = pytest.mark.backend


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def places(rng):
    """Three hearts: PyTorch's cross product takes any axis of three, if it isn't told which."""
    return (rng.normal(0, 30, (3, 9, 3)) + [10, -20, 40]).astype("float32")


def moved(places, votes_mm):
    """Let features be the votes themselves."""
    layer = RigidAlignment(unit_mm=50.0)
    layer.build(places.shape, votes_mm.shape)
    layer.vote.kernel.assign(np.eye(3) / 50.0)
    return ops.convert_to_numpy(layer(places, votes_mm.astype("float32")))


def test_at_first_nothing_moves(places, rng):
    layer = RigidAlignment(unit_mm=50.0)
    still = layer(places, rng.normal(size=(3, 9, 5)).astype("float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(still), places, atol=1e-4)


def test_a_rotation_is_scipys(places):
    vectors = np.float32([[0.3, -0.2, 0.5], [0.0, 0.0, 0.0], [0.0, 1.5, 0.1]])
    found = ops.convert_to_numpy(
        turned(ops.convert_to_tensor(places), ops.convert_to_tensor(vectors))
    )
    for row, vector in enumerate(vectors):
        expected = Rotation.from_rotvec(vector).apply(places[row])
        np.testing.assert_allclose(found[row], expected, atol=1e-3)


def test_small_rotations_are_found_beside_votes_that_cancel(places, rng):
    arm = places - places.mean(axis=1, keepdims=True)
    vectors = np.float32([[0.02, -0.01, 0.03], [-0.01, 0.0, 0.005], [0.0, 0.0, 0.0]])
    displacement = np.cross(vectors[:, None], arm)
    # a stretch, which no rotation fits
    displacement = displacement + 0.05 * arm
    found = fitted_rotation(
        ops.convert_to_tensor(arm), ops.convert_to_tensor(displacement.astype("float32"))
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), vectors, atol=1e-4)


def test_votes_for_a_motion_are_followed(places):
    shift = np.array([3.0, -7.0, 2.0])
    centre = places.mean(axis=1, keepdims=True)
    there = np.stack([Rotation.from_rotvec([0.0, 0.06, -0.03]).apply(p) for p in places - centre])
    there = there + centre + shift
    found = moved(places, there - places)
    # to second order in the angle
    assert np.abs(found - there).max() < 0.2
    assert np.abs(places - there).max() > 5


def test_distances_stay_whatever_the_votes(places, rng):
    found = moved(places, rng.normal(0, 20, places.shape))

    def distances(points):
        return np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)

    np.testing.assert_allclose(distances(found), distances(places), atol=1e-3)


def test_points_in_a_line_do_no_harm():
    line = np.linspace(0, 1, 5)[None, :, None] * np.float32([[[10.0, 5.0, 0.0]]])
    assert np.isfinite(moved(line.astype("float32"), np.ones((1, 5, 3)))).all()


def test_save_and_load(places, tmp_path):
    features = np.ones((3, 9, 4), "float32")
    shapes = [keras.Input(x.shape[1:]) for x in (places, features)]
    model = keras.Model(shapes, RigidAlignment(30.0)(*shapes))
    model.layers[-1].vote.kernel.assign(np.full((4, 3), 0.1))
    model.save(tmp_path / "alignment.keras")
    again = keras.models.load_model(tmp_path / "alignment.keras")
    np.testing.assert_array_equal(
        again.predict([places, features], verbose=0), model.predict([places, features], verbose=0)
    )
