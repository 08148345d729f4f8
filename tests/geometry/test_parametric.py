"""The biventricular family: what a seed gives, and whether it is what was asked for."""

import numpy as np
import pytest
from scipy import ndimage

from kecgi.geometry import BiventricularShape, biventricular
from kecgi.geometry.parametric import LEFT, RANGES, RIGHT

GRID = (92, 92, 92)
"""Voxels of 2 mm that hold every heart of the family."""


def test_two_hundred_seeds_are_hearts():
    volumes, walls = [], []
    for seed in range(200):
        shape = BiventricularShape.draw(np.random.default_rng(seed))
        heart = biventricular(shape, GRID)  # one component that fits, or it raises
        assert set(np.unique(heart.labels)) == {0, LEFT, RIGHT}
        np.testing.assert_array_equal(heart.labels > 0, heart.mask)
        np.testing.assert_allclose(heart.centroid_mm, shape.shift_mm, atol=0.4)
        # thin walls don't fall apart
        assert heart.mask.sum() > 0.998 * (heart.fraction >= 0.5).sum()
        volumes.append(heart.volume_ml)
        walls.append(shape.lv_wall_mm)
    assert 50 < min(volumes) < max(volumes) < 300  # myocardium of adults, small to dilated
    assert np.corrcoef(volumes, walls)[0, 1] > 0.3


def test_most_hearts_fit_the_usual_grid():
    fit = 0
    for seed in range(60):
        try:
            biventricular(BiventricularShape.draw(np.random.default_rng(seed)))
        except ValueError:
            continue
        fit += 1
    assert fit > 40


def test_a_warp_moves_the_surface_by_its_root_mean_square():
    """Tissue fractions change where the surface moves: by its area times the distance, on average.

    The RMS across the surface is 1 / sqrt(3) of the RMS, its mean size sqrt(2 / pi) of that.
    """
    plain = biventricular(grid=GRID)
    area_mm2 = np.abs(np.gradient(plain.fraction)).sum() * 4  # of faces along the axes
    changed = []
    for seed in range(12):
        warped = biventricular(BiventricularShape(warp_mm=1.0, warp_seed=seed), GRID)
        changed.append(np.abs(warped.fraction - plain.fraction).sum() * 8)
    normal = area_mm2 / 1.5  # an isotropic surface shows 1.5 times its area to the three axes
    assert np.mean(changed) == pytest.approx(normal * np.sqrt(2 / (3 * np.pi)), rel=0.25)


def test_ventricles_have_the_semi_axes_and_bases_asked_for():
    shape = BiventricularShape(lv_depth=1.15, lv_apex=0.5, rv_depth=0.9, base=0.1, rv_base=0.5)
    heart = biventricular(shape, (160, 160, 160), 1.0)
    own = (heart.voxels_mm - heart.centroid_mm) @ shape.axes().T
    left, right = (own[heart.labels[heart.mask] == label] for label in (LEFT, RIGHT))
    r, length = shape.lv_radius_mm, shape.lv_length_mm
    assert np.ptp(left[:, 1]) == pytest.approx(2 * 1.15 * r, abs=2)
    assert np.ptp(right[:, 1]) == pytest.approx(2 * 0.9 * r, abs=2)
    assert np.ptp(left[:, 2]) == pytest.approx(1.1 * length, abs=2)
    # the right ventricle's base lies higher by 0.4 of the length
    assert left[:, 2].min() - right[:, 2].min() == pytest.approx(0.4 * length, abs=2)
    # the wall at the apex is half as thick as at the equator
    axis = left[np.hypot(left[:, 0] - left[:, 0].min() - r, left[:, 1] - np.median(left[:, 1])) < 2]
    assert np.ptp(axis[:, 2]) == pytest.approx(0.5 * shape.lv_wall_mm, abs=1.5)


def test_same_seed_same_heart():
    a, b, c = (
        biventricular(BiventricularShape.draw(np.random.default_rng(seed))) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(a.fraction, b.fraction)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert not np.array_equal(a.mask, c.mask)


def test_drawn_values_span_their_ranges():
    shapes = [BiventricularShape.draw(np.random.default_rng(seed)) for seed in range(400)]
    for name, (low, high) in RANGES.items():
        values = np.array([getattr(s, name) for s in shapes])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


@pytest.mark.parametrize("seed", range(4))
def test_volume_and_place_do_not_depend_on_the_grid(seed):
    shape = BiventricularShape.draw(np.random.default_rng(seed))
    fine, coarse = (biventricular(shape, (n, n, n), step) for n, step in ((184, 1.0), (62, 3.0)))
    heart = biventricular(shape, GRID)
    for other in (fine, coarse):
        assert heart.volume_ml == pytest.approx(other.volume_ml, rel=0.005)
        np.testing.assert_allclose(heart.centroid_mm, other.centroid_mm, atol=0.35)
    inside = fine.fraction.reshape(92, 2, 92, 2, 92, 2).mean(axis=(1, 3, 5))
    assert np.abs(inside - heart.fraction).mean() < 2e-3


@pytest.mark.parametrize(("lv", "rv"), [(8.0, 4.0), (12.0, 6.0)])
def test_walls_are_as_thick_as_asked(lv, rv):
    """Tissue along rays across the left ventricle's equator and through the right free wall."""
    shape = BiventricularShape(lv_wall_mm=lv, rv_wall_mm=rv, rv_offset=0.9)
    heart = biventricular(shape, (128, 128, 128), 1.0)
    to_right, third, apex = shape.axes()
    # the left ventricle's centre: the middle of its wall on the equator, across the third axis
    inside = (heart.voxels_mm @ apex)[heart.labels[heart.mask] == LEFT]
    tip = inside.max()
    level = tip - shape.lv_length_mm
    left = heart.voxels_mm[heart.labels[heart.mask] == LEFT]
    ring = left[np.abs(left @ apex - level) < 1]
    centre = level * apex + (ring @ third).mean() * third
    centre = centre + ((ring @ to_right).min() + shape.lv_radius_mm) * to_right

    def tissue_along(direction, start):
        distance = np.arange(start, 80, 0.1)
        at = (centre + distance[:, None] * direction - heart.origin_mm) / heart.spacing_mm
        return 0.1 * ndimage.map_coordinates(heart.fraction, at.T, order=1).sum()

    for direction in (third, -third, -to_right):
        assert tissue_along(direction, 0) == pytest.approx(lv, abs=0.5)
    assert tissue_along(to_right, shape.lv_radius_mm + 3) == pytest.approx(rv, abs=0.5)


def test_axes_turn_by_the_angles():
    straight = BiventricularShape().axes()
    np.testing.assert_allclose(straight @ straight.T, np.eye(3), atol=1e-12)
    spun = BiventricularShape(spin_deg=20).axes()
    np.testing.assert_allclose(spun[2], straight[2], atol=1e-12)
    assert spun[0] @ straight[0] == pytest.approx(np.cos(np.radians(20)))
    tilted = BiventricularShape(tilt_deg=-15).axes()
    np.testing.assert_allclose(tilted[0], straight[0], atol=1e-12)
    assert tilted[2] @ straight[2] == pytest.approx(np.cos(np.radians(15)))
    # the apex points to the patient's left, to the front and down; the right ventricle to the right
    assert straight[2][0] > 0 > straight[2][1] and straight[2][2] < 0
    assert straight[0][0] < 0


def test_a_heart_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"reaches the border of the \(40, 40, 40\) grid at 2"):
        biventricular(grid=(40, 40, 40))
    with pytest.raises(ValueError, match="reaches the border"):
        biventricular(BiventricularShape(shift_mm=(30.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(lv_wall_mm=30.0), "lv_wall_mm is 30.0, .*30.0 mm: else no cavity is left"),
        (dict(lv_wall_mm=0.0), "lv_wall_mm is 0.0, expected more than 0"),
        (dict(rv_wall_mm=-1.0), "rv_wall_mm is -1.0, expected more than 0"),
        (dict(rv_wall_mm=20.0, rv_length=0.3), "rv_wall_mm is 20.0, .*14.7 mm"),
        (dict(lv_radius_mm=-5.0), "lv_wall_mm is 10.0"),
        (dict(tilt_deg=np.nan), "tilt_deg is nan, expected finite"),
        (dict(shift_mm=(0.0, np.inf, 0.0)), "shift_mm is .*expected finite"),
        (dict(shift_mm=(0.0, 1.0)), "shift_mm is .*expected 3 numbers"),
    ],
)
def test_wrong_shapes_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        BiventricularShape(**values)
