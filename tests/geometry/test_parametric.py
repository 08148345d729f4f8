"""The biventricular family: what a seed gives, and whether it is what was asked for."""

import numpy as np
import pytest
from scipy import ndimage

from kecgi.geometry import BiventricularShape, biventricular
from kecgi.geometry.parametric import LEFT, RANGES, RIGHT


def test_two_hundred_seeds_fit_the_usual_grid():
    volumes, walls = [], []
    for seed in range(200):
        shape = BiventricularShape.draw(np.random.default_rng(seed))
        heart = biventricular(shape)  # one component that fits, or it raises
        assert set(np.unique(heart.labels)) == {0, LEFT, RIGHT}
        np.testing.assert_array_equal(heart.labels > 0, heart.mask)
        np.testing.assert_allclose(heart.centroid_mm, shape.shift_mm, atol=0.4)
        volumes.append(heart.volume_ml)
        walls.append(shape.lv_wall_mm)
    assert 50 < min(volumes) < max(volumes) < 200  # myocardium of adults
    assert np.corrcoef(volumes, walls)[0, 1] > 0.3


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
    fine, coarse = (biventricular(shape, (n, n, n), step) for n, step in ((128, 1.0), (44, 3.0)))
    heart = biventricular(shape)
    for other in (fine, coarse):
        assert heart.volume_ml == pytest.approx(other.volume_ml, rel=0.005)
        np.testing.assert_allclose(heart.centroid_mm, other.centroid_mm, atol=0.35)
    inside = fine.fraction.reshape(64, 2, 64, 2, 64, 2).mean(axis=(1, 3, 5))
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
