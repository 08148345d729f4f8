"""Heart: what it accepts, measures, and how it moves to another grid."""

import numpy as np
import pytest

from kecgi.geometry import Heart, biventricular, keep_largest


def shell(shape=(40, 42, 44), step=2.0, inner=22.0, outer=32.0, **fields):
    grid = [step * (np.arange(n) - (n - 1) / 2) for n in shape]
    radius = np.sqrt(sum(c**2 for c in np.meshgrid(*grid, indexing="ij")))
    return Heart((radius >= inner) & (radius <= outer), step, name="shell", **fields)


def test_positions_follow_the_mask_in_c_order():
    mask = np.zeros((4, 5, 6), bool)
    mask[1, 2, 3] = mask[1, 2, 4] = mask[2, 2, 3] = True
    heart = Heart(mask, (1.0, 2.0, 3.0), (10.0, 20.0, 30.0))
    np.testing.assert_array_equal(heart.voxels_mm, [[11, 24, 39], [11, 24, 42], [12, 24, 39]])
    np.testing.assert_allclose(heart.centroid_mm, [34 / 3, 24, 40])
    low, high = heart.box_mm
    np.testing.assert_array_equal([low, high], [[10.5, 23, 37.5], [12.5, 25, 43.5]])
    assert heart.volume_ml == pytest.approx(3 * 6 / 1000)
    x, y, z = heart.coordinates_mm()
    np.testing.assert_array_equal(y, [20, 22, 24, 26, 28])


def test_grid_is_centred_by_default():
    heart = Heart(np.ones((4, 7), bool), (2.0, 3.0))
    assert heart.origin_mm == (-3.0, -9.0)
    np.testing.assert_allclose(heart.centroid_mm, 0, atol=1e-12)


def test_centred_moves_the_centroid_alone():
    heart = Heart(np.ones((4, 7), bool), 2.0, (50.0, -20.0))
    np.testing.assert_allclose(heart.centred().centroid_mm, 0, atol=1e-12)
    moved = heart.centred((1.0, 2.0))
    np.testing.assert_allclose(moved.centroid_mm, (1, 2))
    np.testing.assert_array_equal(moved.mask, heart.mask)


def test_keep_largest():
    mask = np.zeros((6, 6, 3), bool)
    mask[0, 0, 0] = mask[4:, 1:4, 1] = mask[3, 4, 1] = True  # the last touches by an edge only
    kept = keep_largest(mask)
    assert kept.sum() == 6 and kept[4:, 1:4, 1].all()
    np.testing.assert_array_equal(keep_largest(kept), kept)
    assert not keep_largest(np.zeros((3, 3), bool)).any()


# --- resampling -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "step"),
    [((64, 64, 64), 1.5), ((32, 32, 32), 3.0), ((25, 40, 30), (4.0, 2.0, 3.0)), ((90,) * 3, 0.9)],
)
def test_resampling_keeps_volume_centroid_and_place(shape, step):
    heart = shell().centred((3.0, -4.0, 1.5))
    other = heart.resampled(shape, step)
    assert other.mask.shape == shape
    assert other.volume_ml == pytest.approx(heart.volume_ml, rel=1e-5)
    assert other.mask.sum() * np.prod(other.spacing_mm) / 1000 == pytest.approx(
        heart.volume_ml, rel=0.03
    )
    np.testing.assert_allclose(other.centroid_mm, heart.centroid_mm, atol=0.15)
    share = other.fraction / other.fraction.sum()
    at = [
        np.sum(share.sum(axis=tuple({0, 1, 2} - {a})) * other.coordinates_mm()[a]) for a in range(3)
    ]
    np.testing.assert_allclose(at, heart.centroid_mm, atol=0.01)


def test_resampling_onto_the_same_grid_changes_nothing():
    heart = biventricular()
    same = heart.resampled(heart.mask.shape, heart.spacing_mm, heart.origin_mm)
    np.testing.assert_array_equal(same.mask, heart.mask)
    np.testing.assert_allclose(same.fraction, heart.fraction, atol=1e-6)
    np.testing.assert_array_equal(same.labels, heart.labels)


def test_halving_the_grid_averages_blocks():
    rng = np.random.default_rng(0)
    fraction = rng.uniform(0.4, 1, (8, 8)).astype(np.float32)
    heart = Heart(np.ones((8, 8), bool), 1.0, fraction=fraction)
    coarse = heart.resampled((4, 4), 2.0)
    np.testing.assert_allclose(
        coarse.fraction, fraction.reshape(4, 2, 4, 2).mean(axis=(1, 3)), rtol=1e-6
    )


def test_labels_and_fibres_follow():
    plain = shell()
    position = np.stack(np.meshgrid(*plain.coordinates_mm(), indexing="ij"), axis=-1)
    radial = position / np.linalg.norm(position, axis=-1, keepdims=True).clip(1e-9)
    heart = shell(
        labels=np.where(plain.mask, np.where(position[..., 0] < 0, 1, 2), 0),
        fibres=np.where(plain.mask[..., None], radial, 0).astype(np.float32),
    )
    other = heart.resampled((50, 50, 50), 1.6)
    x = other.voxels_mm[:, 0]
    labels = other.labels[other.mask]
    assert np.all(labels[x < -1.7] == 1) and np.all(labels[x > 1.7] == 2)
    assert np.all(other.labels[~other.mask] == 0)
    fibres = other.fibres[other.mask]
    np.testing.assert_allclose(np.linalg.norm(fibres, axis=1), 1, atol=1e-5)
    outward = other.voxels_mm / np.linalg.norm(other.voxels_mm, axis=1, keepdims=True)
    assert np.min(np.sum(fibres * outward, axis=1)) > 0.98


def test_tissue_that_would_be_cut_off_is_named():
    heart = shell().centred((40.0, 0.0, 0.0))
    message = r"shell: tissue spans 8…72 × -32…32 × -32…32 mm but the grid only -40…40"
    with pytest.raises(ValueError, match=message):
        heart.resampled((40, 40, 40), 2.0)
    heart.centred().resampled((40, 40, 40), 2.0)


def test_a_wall_that_breaks_is_named():
    mask = np.zeros((60, 60), bool)
    mask[5:25, 5:25] = mask[35:55, 35:55] = True
    mask[15, 24:46] = mask[15:36, 45] = True  # a bridge one voxel wide
    heart = Heart(mask, 1.0, name="dumbbell")
    with pytest.raises(ValueError, match=r"dumbbell: .*2 separate components .* finer step"):
        heart.resampled((12, 12), 5.0)
    with pytest.raises(ValueError, match="the wall falls into 0 separate components"):
        shell(inner=28.0).resampled((8, 8, 8), 20.0)


def test_wrong_grids_are_named():
    with pytest.raises(ValueError, match=r"shape is \(40, 40\), expected 3 axes"):
        shell().resampled((40, 40), 2.0)
    with pytest.raises(ValueError, match="spacing_mm is .*, expected positive"):
        shell().resampled((40, 40, 40), 0.0)
    with pytest.raises(ValueError, match="origin_mm has 2 values, expected 1 or 3"):
        shell().resampled((40, 40, 40), 2.0, (0.0, 0.0))


# --- wrong input ------------------------------------------------------------------------------

CUBE = np.ones((3, 3, 3), bool)
TWO = np.array([[1, 1, 0, 1]] * 3, bool)


@pytest.mark.parametrize(
    ("mask", "fields", "message"),
    [
        (np.ones(5, bool), {}, "test: the mask has 1 dimensions, expected 2 or 3"),
        (np.zeros((4, 4), bool), {}, r"test: the mask of shape \(4, 4\) is empty"),
        (TWO, {}, r"test: the mask has 2 separate components of 6, 3 voxels, .*keep_largest"),
        (CUBE * 2, {}, "values other than 0 and 1, from 2 to 2; pass a comparison"),
        (CUBE * np.nan, {}, "values other than 0 and 1"),
        (CUBE, {"spacing_mm": None}, "test: spacing_mm is missing"),
        (CUBE, {"spacing_mm": (1, 2)}, "test: spacing_mm has 2 values, expected 1 or 3"),
        (CUBE, {"spacing_mm": (1, -2, 1)}, r"spacing_mm is \(1.0, -2.0, 1.0\), expected positive"),
        (CUBE, {"spacing_mm": np.nan}, r"spacing_mm is \[nan\], expected finite numbers in mm"),
        (CUBE, {"origin_mm": (0, np.inf, 0)}, "origin_mm is .*, expected finite numbers in mm"),
        (CUBE, {"fraction": np.ones((3, 3))}, r"fraction has shape \(3, 3\), expected \(3, 3, 3\)"),
        (CUBE, {"fraction": CUBE * 1.2}, r"fraction lies in \[1.2, 1.2\], expected \[0, 1\]"),
        (CUBE, {"fraction": CUBE * np.nan}, r"expected \[0, 1\]"),
        (CUBE, {"labels": CUBE * 0.5}, "labels must be integers, got float64"),
        (CUBE, {"labels": CUBE * 0}, "27 tissue voxels have a label below 1"),
        (CUBE, {"labels": np.ones((3, 3), int)}, "labels has shape"),
        (keep_largest(TWO), {"labels": TWO * 1}, "3 voxels outside the mask have a label"),
        (CUBE, {"fibres": np.ones((3, 3, 3, 2))}, r"fibres has shape .*expected \(3, 3, 3, 3\)"),
    ],
)
def test_wrong_fields_are_named(mask, fields, message):
    with pytest.raises(ValueError, match=message):
        Heart(mask, **{"spacing_mm": 1.0, "name": "test"} | fields)


def test_masks_of_zero_and_one_are_taken():
    heart = Heart(CUBE.astype(np.uint8), 1.0)
    assert heart.mask.dtype == bool
    assert Heart(CUBE.astype(float), 1.0).mask.all()
