import numpy as np
import pytest

from kecgi.data import coarsen, slice_index


def test_slices_with_enough_tissue():
    mask = np.zeros((2, 4, 5, 6), bool)
    mask[0, :2, :3, 1:4] = True  # 6 voxels in axial slices 1 to 3
    mask[1, :, :, 5] = True  # 20 in slice 5
    mask[1, 0, 0, 2] = True  # 1 in slice 2
    anatomy = np.array([0, 1, 0])
    found = slice_index(mask, anatomy, least_voxels=6)
    assert found.tolist() == [[0, 1], [0, 2], [0, 3], [1, 5], [2, 1], [2, 2], [2, 3]]
    assert slice_index(mask, anatomy, np.array([1]), least_voxels=1).tolist() == [[1, 2], [1, 5]]
    assert slice_index(mask, anatomy, np.array([0]), axis=0, least_voxels=9).tolist() == [
        [0, 0],
        [0, 1],
    ]
    with pytest.raises(ValueError, match="least_voxels=21"):
        slice_index(mask, anatomy, least_voxels=21)


def test_coarse_voxels_average_their_tissue():
    fine = np.random.default_rng(0).uniform(0, 100, (4, 6, 8)).astype(np.float32)
    fine[np.random.default_rng(1).random(fine.shape) < 0.7] = np.nan
    fine[:2, :2, :2] = np.nan
    coarse = coarsen(fine, 2)
    assert coarse.shape == (2, 3, 4) and coarse.dtype == np.float32
    for i in np.ndindex(coarse.shape):
        cube = fine[tuple(slice(2 * n, 2 * n + 2) for n in i)]
        if np.isnan(cube).all():
            assert np.isnan(coarse[i])
        else:
            assert coarse[i] == pytest.approx(np.nanmean(cube), rel=1e-5)
    assert np.isnan(coarse[0, 0, 0])


def test_factor_one_changes_nothing_and_others_must_divide():
    fine = np.ones((4, 6))
    assert coarsen(fine, 1) is fine
    with pytest.raises(ValueError, match=r"divisor of the map's shape \(4, 6\)"):
        coarsen(fine, 4)
