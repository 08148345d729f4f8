"""Wall positions against ellipsoids, of which they are known in closed form."""

import numpy as np
import pytest

from kecgi.geometry import BiventricularShape, Heart, biventricular
from kecgi.geometry.atria import atria
from kecgi.geometry.parametric import LEFT, RIGHT
from kecgi.geometry.wall import wall_position

SHAPE = BiventricularShape(lv_radius_mm=29, lv_length_mm=50, lv_wall_mm=10, tilt_deg=10)


@pytest.fixture(scope="module")
def heart():
    return biventricular(SHAPE, (64, 64, 64), 2.0)


@pytest.fixture(scope="module")
def wall(heart):
    return wall_position(heart, SHAPE.axes())


def test_depth_runs_from_the_cavity_to_the_outside(heart, wall):
    """On the left free wall at the equator, where the distance from the long axis is the depth."""
    along = heart.voxels_mm @ SHAPE.axes().T
    free = wall.left & (np.abs(wall.angle_deg) > 150) & (np.abs(wall.height - 0.62) < 0.08)
    assert free.sum() > 50
    outward = -along[free, 0]  # away from the right ventricle
    slope, _ = np.polyfit(outward, wall.depth[free], 1)
    assert np.corrcoef(outward, wall.depth[free])[0, 1] > 0.93
    assert slope == pytest.approx(1 / SHAPE.lv_wall_mm, rel=0.2)
    assert wall.depth.min() >= 0 and wall.depth.max() <= 1


def test_both_sides_of_the_septum_are_endocardium(wall):
    septum = wall.left & (np.abs(wall.angle_deg) < 20) & (np.abs(wall.height - 0.5) < 0.1)
    assert wall.depth[septum].max() <= 0.5
    assert wall.endocardium_mm[septum].max() < 0.6 * SHAPE.lv_wall_mm
    sides = wall.faces_left[septum]
    assert 0.3 < sides.mean() < 0.7


def test_height_and_cavities(heart, wall):
    assert wall.height.min() == 0 and wall.height.max() == 1
    apex = heart.voxels_mm[np.argmin(wall.height)]
    assert apex @ SHAPE.axes()[2] == pytest.approx((heart.voxels_mm @ SHAPE.axes()[2]).max())
    # a right free wall voxel faces the right cavity, a lateral left one the left cavity
    assert not wall.faces_left[~wall.left].any()
    assert wall.faces_left[wall.left & (np.abs(wall.angle_deg) > 120)].all()


def test_hearts_without_two_ventricles_are_refused(heart):
    bare = Heart(heart.mask, heart.spacing_mm)
    with pytest.raises(ValueError, match="needs labels"):
        wall_position(bare, SHAPE.axes())
    block = np.zeros((12, 12, 12), bool)
    block[2:-2, 2:-2, 2:-2] = True
    labels = block * np.where(np.arange(12)[:, None, None] < 6, LEFT, RIGHT)
    with pytest.raises(ValueError, match="0 cavities within its hull"):
        wall_position(Heart(block, 2.0, labels=labels), np.eye(3))


def test_atria_lie_on_the_base_and_apart_from_the_ventricles(heart):
    chambers = atria(heart, SHAPE.axes())
    long_axis = SHAPE.axes()[2]
    assert (chambers.voxels_mm @ long_axis).max() < (heart.voxels_mm @ long_axis).min()
    labels = chambers.labels[chambers.mask]
    right, left = (chambers.voxels_mm[labels == side].mean(axis=0) for side in (RIGHT, LEFT))
    assert (right - left) @ SHAPE.axes()[0] > 25
    # two spherical shells of 20 and 22 mm, 1.5 mm thick, less what they share
    shells = 4 / 3 * np.pi * (20**3 - 18.5**3 + 22**3 - 20.5**3) / 1000
    assert 0.75 * shells < chambers.volume_ml < shells
    with pytest.raises(ValueError, match="left_radius_mm is 5"):
        atria(heart, SHAPE.axes(), left_radius_mm=5.0)
