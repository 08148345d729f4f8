import numpy as np
import pytest
from scipy import ndimage

from kecgi.geometry import AtrialShape, Heart, atrial_wall, load_heart, spread_points
from kecgi.geometry.atrium import LEFT, RIGHT, chambers_of, matching_voxels, openings, site


@pytest.fixture(scope="module")
def pair():
    return atrial_wall(AtrialShape(), 1.5)


def test_walls_have_the_volume_of_ellipsoidal_shells_less_their_holes():
    """One atrium with holes so small that they hardly count: 4/3 pi (abc - a'b'c')."""
    shape = AtrialShape(valve_mm=0.5, vein_mm=0.5, cava_mm=0.5, right=False)
    outer = 21.5 * np.array([1.08, 0.82, 1.0])
    expected = 4 / 3 * np.pi * (outer.prod() - (outer - shape.wall_mm).prod()) / 1000
    assert atrial_wall(shape, 1.0).volume_ml == pytest.approx(expected, rel=0.02)


def test_both_chambers_hang_together(pair):
    assert set(np.unique(pair.labels)) == {0, LEFT, RIGHT}
    left, right = chambers_of(pair)
    assert pair.voxels_mm[right].mean(axis=0)[0] < pair.voxels_mm[left].mean(axis=0)[0] - 25
    # without either, what is left is in one piece; together they touch at a septum
    for label in (LEFT, RIGHT):
        sizes = np.bincount(ndimage.label(pair.labels == label)[0].ravel())[1:]
        assert sizes.max() > 0.99 * sizes.sum()


def test_openings_are_where_they_were_made(pair):
    found = openings(pair)
    left = [o for o in found if np.allclose(o.centre_mm, found[0].centre_mm)]
    right = [o for o in found if not np.allclose(o.centre_mm, found[0].centre_mm)]
    assert (len(left), len(right)) == (5, 3)  # mitral and four veins; tricuspid and two
    assert left[0].direction @ [0.45, -0.76, -0.47] > 0.97
    assert right[1].direction[2] * right[2].direction[2] < -0.8  # one up, one down
    # a round hole of radius r in a distance R takes (1 - cos(asin(r / R))) / 2 of the view
    assert left[0].share == pytest.approx(0.5 * (1 - np.cos(np.arcsin(14 / 20.5))), rel=0.25)


def test_a_closed_wall_has_no_opening():
    at = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), axis=-1)
    radius = np.linalg.norm(at, axis=-1)
    assert openings(Heart((radius < 12) & (radius > 8), 1.0)) == []


def test_draws_differ_and_repeat():
    first, again, other = (
        AtrialShape.draw(np.random.default_rng(seed), right=False) for seed in (1, 1, 2)
    )
    assert first == again != other
    volumes = [
        atrial_wall(AtrialShape.draw(np.random.default_rng(s)), 2.0).volume_ml for s in range(6)
    ]
    assert max(volumes) > 1.2 * min(volumes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wall_mm": 9.0}, "wall_mm is 9.0, expected more than 0 and less than 6"),
        ({"flatness": 0.1}, "flatness is 0.1"),
        ({"shift_mm": (1.0, 2.0)}, "expected 3 numbers"),
        ({"vein_mm": np.nan}, "vein_mm is nan"),
    ],
)
def test_wrong_shapes(fields, message):
    with pytest.raises(ValueError, match=message):
        AtrialShape(**fields)


def test_a_grid_coarser_than_the_wall_is_refused():
    with pytest.raises(ValueError, match="spacing_mm is 3.0"):
        atrial_wall(AtrialShape(), 3.0)


def test_sites(pair):
    at = pair.voxels_mm - pair.centroid_mm
    node = at[site(pair, "sinus node")]
    assert node[0] < -10 and node[2] > 10  # right and up
    assert at[site(pair, "left superior pulmonary vein")][0] > 20
    assert site(pair, (0, 0, -1)) == np.argmin(at[:, 2])
    with pytest.raises(ValueError, match="'av node' is unknown"):
        site(pair, "av node")


def test_matching_voxels(pair):
    chosen = spread_points(pair.voxels_mm, 40)
    np.testing.assert_array_equal(matching_voxels(pair, pair, chosen), chosen)
    other = atrial_wall(AtrialShape(left_radius_mm=24.0, right_radius_mm=19.5, flatness=0.9), 1.5)
    matched = matching_voxels(other, pair, chosen)
    np.testing.assert_array_equal(other.labels[other.mask][matched], pair.labels[pair.mask][chosen])
    for here, there in zip(chambers_of(other), chambers_of(pair), strict=True):
        own = there[chosen]
        a = other.voxels_mm[matched[own]] - other.voxels_mm[here].mean(axis=0)
        b = pair.voxels_mm[chosen[own]] - pair.voxels_mm[there].mean(axis=0)
        cosine = np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert np.median(cosine) > 0.99
    with pytest.raises(ValueError, match="left atrium has 1 chambers, atria 2"):
        matching_voxels(atrial_wall(AtrialShape(right=False), 2.0), pair, chosen)


def test_a_patients_left_atrium(data_folder):
    file = data_folder / "human_ct_hearts" / "masks" / "strocchi01_la_1.0mm.npz"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    with pytest.warns(UserWarning, match="4 stray voxels in 4 pieces"):
        load_heart(file)
    heart = load_heart(file, keep_largest=True)
    assert 20_000 < heart.mask.sum() < 30_000
    assert len(openings(heart)) >= 4
