"""Views of the small cohort as points; what all views share is in test_batches."""

import numpy as np
import pytest

from kecgi.data import Disturbance, MapScale, SignalScale, slice_index
from kecgi.data.batches import ConditionalBatches
from kecgi.data.point_batches import PointBatches
from kecgi.geometry import spread_points

pytestmark = pytest.mark.backend

NOISE = Disturbance(snr_db=20.0)


def voxels(cohort, anatomy):
    """Positions of a heart's voxels, in the order of its mask."""
    index = np.argwhere(cohort.read("mask")[anatomy])
    return np.stack([cohort.coordinates_mm[a][index[:, a]] for a in range(3)], axis=1)


def test_all_voxels_follow_the_tokens(cohort):
    cases = np.array([64, 66, 90])
    batch = PointBatches(cohort, cases, 2, tokens=10).all()
    places = voxels(cohort, 2)
    chosen = spread_points(places.astype(np.float32), 10)
    maps = cohort.read("activation_ms", cases)[:, cohort.read("mask")[2]]
    for row in range(3):
        np.testing.assert_allclose(batch["points_mm"][row, 10:], places, atol=1e-4)
        np.testing.assert_allclose(batch["points_mm"][row, :10], places[chosen], atol=1e-4)
    np.testing.assert_array_equal(batch["activation_ms"][:, 10:], maps)
    np.testing.assert_array_equal(batch["activation_ms"][:, :10], maps[:, chosen])
    np.testing.assert_allclose(batch["electrodes_mm"], cohort.read("electrodes_mm")[[2, 2, 2]])
    np.testing.assert_array_equal(batch["bspm_mv"], cohort.read("bspm_mv", cases))


def test_hearts_of_different_size_share_a_batch(cohort):
    cases = np.array([3, 40, 100, 170])
    masks = cohort.read("mask")[cohort.anatomy[cases]]
    assert len({mask.sum() for mask in masks}) == 4
    batch = PointBatches(cohort, cases, 4, tokens=8, points=50)[0]
    assert {name: array.shape for name, array in batch.items()} == {
        "points_mm": (4, 58, 3),
        "activation_ms": (4, 58),
        "electrodes_mm": (4, 9, 3),
        "bspm_mv": (4, 9, 16),
    }
    assert {array.dtype for array in batch.values()} == {np.dtype("float32")}
    # every point has the time of the voxel where it lies
    origin = np.array([axis[0] for axis in cohort.coordinates_mm])
    for row, case in enumerate(cases):
        index = np.rint((batch["points_mm"][row] - origin) / cohort.config.spacing_mm).astype(int)
        expected = cohort.case(case)["activation_ms"][tuple(index.T)]
        np.testing.assert_array_equal(batch["activation_ms"][row], expected)


def test_random_points_are_new_in_each_epoch_of_a_training_alone(cohort):
    for training in (True, False):
        view = PointBatches(cohort, np.arange(8), 8, tokens=5, points=30, training=training)
        order = [view._epoch_order(0)]
        epochs = [view[0]]
        view.on_epoch_end()
        order.append(view._epoch_order(view.epoch))
        epochs.append(view[0])
        one, other = (e["points_mm"][np.argsort(o)] for e, o in zip(epochs, order, strict=True))
        np.testing.assert_array_equal(one[:, :5], other[:, :5])
        assert training == (np.abs(one[:, 5:] - other[:, 5:]).max() > 0)


@pytest.mark.parametrize("points", [None, 12])
def test_models_are_judged_on_the_same_noise(cohort, points):
    """A case has the noise that it has in the views of the other models."""
    cases, scale = np.array([5, 9, 30]), SignalScale(3.0)
    one = PointBatches(cohort, cases, 3, tokens=6, points=points, seed=4, disturbance=NOISE)
    rows = slice_index(cohort.read("mask"), cohort.anatomy, cases, least_voxels=20)
    other = ConditionalBatches(cohort, rows, 7, MapScale(0, 200), scale, snr_db=20.0, seed=4).all()
    first = np.unique(rows[:, 0], return_index=True)[1]
    np.testing.assert_allclose(
        one[0]["bspm_mv"], scale.invert(other["bspm"][first, ..., 0]), atol=1e-5
    )
    assert np.abs(one[0]["bspm_mv"] - cohort.read("bspm_mv", cases)).max() > 0.003


def test_a_heart_must_have_the_tokens(cohort):
    few = int(cohort.read("mask")[0].sum())
    with pytest.raises(ValueError, match=f"count is {few + 1}, expected 1 to {few}"):
        PointBatches(cohort, np.arange(2), 2, tokens=few + 1, points=3)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": np.array([[0, 2], [0, 3]])}, "expected cases: points are taken from whole"),
        ({"items": np.array([3, 40])}, "2 hearts, which differ in their number of voxels"),
        ({"tokens": 0}, "tokens is 0, expected at least 1"),
        ({"points": 0}, "points is 0, expected at least 1"),
    ],
)
def test_wrong_input(cohort, change, message):
    options = {"items": np.arange(4), "batch_size": 2, "tokens": 5} | change
    with pytest.raises(ValueError, match=message):
        PointBatches(cohort, **options)
