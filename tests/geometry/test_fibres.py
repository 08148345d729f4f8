"""Chambers and rule-based fibres on shells whose axes are known, and on real ventricles."""

import numpy as np
import pytest
from scipy import ndimage

from kecgi.geometry import BiventricularShape, Heart, biventricular, keep_largest, load_heart
from kecgi.geometry.chambers import BASE, find_chambers
from kecgi.geometry.fibres import rule_based, wall_axes
from kecgi.geometry.parametric import LEFT, RIGHT

UP = np.array([0.48, -0.6, 0.64])
RADIUS, WALL, LENGTH = 28.0, 10.0, 48.0


def shell(step=2.0):
    """Half of a long ellipsoid's shell, open towards `UP`, with its exact axes at each voxel."""
    n = int(100 / step)
    grid = (np.indices((n,) * 3) - (n - 1) / 2) * step
    points = np.moveaxis(grid, 0, -1)
    high = points @ UP
    across = points - high[..., None] * UP
    radius = np.linalg.norm(across, axis=-1)
    outer = (radius / RADIUS) ** 2 + (high / LENGTH) ** 2
    inner = (radius / (RADIUS - WALL)) ** 2 + (high / (LENGTH - WALL)) ** 2
    heart = Heart(keep_largest((outer <= 1) & (inner >= 1) & (high < 12)), step, name="shell")
    place = heart.voxels_mm
    high = place @ UP
    across = place - high[:, None] * UP
    radius = np.linalg.norm(across, axis=1)
    normal = across / RADIUS**2 + (high / LENGTH**2)[:, None] * UP
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    around = np.cross(UP, across)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    return heart, high, radius, normal, around


@pytest.fixture(scope="module")
def axes_of_shell():
    heart, high, radius, normal, around = shell()
    middle = (np.abs(high) < 10) & (high > -30)
    return heart, wall_axes(heart), middle, high, radius, normal, around


def degrees(a, b):
    return np.degrees(np.arccos(np.clip(np.abs(np.einsum("ni,ni->n", a, b)), 0, 1)))


def test_the_shell_s_cavity_and_base_are_found():
    heart, *_ = shell()
    chambers = find_chambers(heart)
    assert np.degrees(np.arccos(chambers.to_base @ UP)) < 3
    assert not chambers.biventricular
    r, length = RADIUS - WALL, LENGTH - WALL
    top = 12 / length
    exact = np.pi * r**2 * length * (2 / 3 + top - top**3 / 3) / 1000
    assert np.sum(chambers.beside == LEFT) * 8 / 1000 == pytest.approx(exact, rel=0.08)
    assert np.array_equal(chambers.beside == -1, heart.mask)
    assert np.any(chambers.beside == BASE)


def test_depth_follows_the_wall(axes_of_shell):
    heart, axes, middle, high, radius, *_ = axes_of_shell
    inside = (RADIUS - WALL) * np.sqrt(
        1 - (high / (LENGTH - WALL)) ** 2, where=middle, out=0 * high
    )
    outside = RADIUS * np.sqrt(1 - (high / LENGTH) ** 2, where=middle, out=0 * high)
    linear = (radius - inside)[middle] / (outside - inside)[middle]
    # between cylinders the potential is logarithmic, a little deeper than linear in the middle
    assert np.abs(axes.depth[middle] - linear).mean() < 0.06
    assert np.corrcoef(axes.depth[middle], linear)[0, 1] > 0.98
    assert axes.depth.min() >= 0 and axes.depth.max() <= 1
    np.testing.assert_allclose(axes.from_cavity_mm[middle], (radius - inside)[middle] + 1, atol=2.5)


def test_axes_are_those_of_the_shell(axes_of_shell):
    heart, axes, middle, _, _, normal, around = axes_of_shell
    frame = np.stack([axes.outward, axes.around, axes.upward], axis=1)
    np.testing.assert_allclose(
        frame @ frame.transpose(0, 2, 1), np.eye(3)[None].repeat(len(frame), 0), atol=1e-9
    )
    assert np.median(degrees(axes.outward, normal)[middle]) < 6
    assert np.median(degrees(axes.around, around)[middle]) < 4
    assert np.all(np.einsum("ni,ni->n", axes.outward, normal)[middle] > 0.8)
    assert np.all(np.einsum("ni,ni->n", axes.around, around)[middle] > 0.8)
    assert np.mean(axes.upward[middle] @ UP) > 0.95
    along = np.corrcoef(axes.height[middle], (heart.voxels_mm @ UP)[middle])[0, 1]
    assert along > 0.95 and axes.height.max() <= 1 + 1e-6


def test_helix_angle_turns_with_depth(axes_of_shell):
    """+60 at the endocardium is a right-handed helix; 0 in the middle; -60 outside."""
    heart, axes, middle, _, _, normal, around = axes_of_shell
    fibres = axes.fibres()
    np.testing.assert_allclose(np.linalg.norm(fibres, axis=1), 1, atol=1e-9)
    climb = np.cross(normal, around)  # towards the base
    angle = np.degrees(
        np.arctan2(np.einsum("ni,ni->n", fibres, climb), np.einsum("ni,ni->n", fibres, around))
    )[middle]
    expected = 60 - 120 * axes.depth[middle]
    assert np.median(np.abs(angle - expected)) < 4
    assert np.percentile(np.abs(angle - expected), 95) < 15
    inner, outer = axes.depth[middle] < 0.15, axes.depth[middle] > 0.85
    assert 40 < angle[inner].mean() < 62 and -62 < angle[outer].mean() < -40
    assert np.abs(np.einsum("ni,ni->n", fibres, normal)[middle]).mean() < 0.12
    flat = axes.fibres(0.0, 0.0)
    assert np.median(degrees(flat, around)[middle]) < 4


def test_both_ventricles_and_the_septum():
    heart = biventricular()
    chambers = find_chambers(heart)
    apex_to_base = -BiventricularShape().axes()[2]
    assert np.degrees(np.arccos(chambers.to_base @ apex_to_base)) < 10
    assert chambers.biventricular
    axes = wall_axes(heart, chambers)
    assert np.mean(axes.ventricle == heart.labels[heart.mask]) > 0.93
    fibred = rule_based(heart)
    length = np.linalg.norm(fibred.fibres, axis=-1)
    np.testing.assert_allclose(length[heart.mask], 1, atol=1e-5)
    assert not length[~heart.mask].any()
    # neighbours have like fibres (as lines), but for the few where the walls meet
    f = fibred.fibres
    both = heart.mask[1:] & heart.mask[:-1]
    alike = np.abs(np.sum(f[1:] * f[:-1], axis=-1))[both]
    assert np.median(alike) > 0.85 and np.mean(alike > 0.5) > 0.85
    # the septum's depth runs from the left to the right cavity
    at_right = (axes.ventricle == LEFT) & (axes.from_cavity_mm < 3) & (axes.depth > 0.5)
    assert at_right.sum() > 50
    right = axes.ventricle == RIGHT
    assert axes.depth[right].min() < 0.3 and axes.depth[right].max() > 0.7


def test_what_has_no_ventricle_is_refused():
    block = Heart(np.ones((20, 20, 20), bool), 2.0, name="block")
    with pytest.raises(ValueError, match="block has no cavity"):
        find_chambers(block)
    hollow = np.ones((24, 24, 24), bool)
    hollow[6:-6, 6:-6, 6:-6] = False
    with pytest.raises(ValueError, match="cavities are closed"):
        find_chambers(Heart(hollow, 2.0))
    with pytest.raises(ValueError, match="2-D"):
        find_chambers(Heart(np.ones((9, 9), bool), 2.0))


def test_wrong_angles_are_refused(axes_of_shell):
    with pytest.raises(ValueError, match="endocardium_deg is 100, expected an angle"):
        axes_of_shell[1].fibres(100, -60)


@pytest.mark.parametrize(
    ("file", "step_mm", "left_ml", "right_ml"),
    [
        ("human_biv_mri_bivme/bivme_patient1_ED_1.5mm.npz", 3.0, 181, 184),
        ("human_biv_llnl/heart_mesh.vtk", 2.0, 90, 75),
    ],
)
@pytest.mark.filterwarnings("ignore:.*dropped .* stray voxels")
def test_real_ventricles(data_folder, file, step_mm, left_ml, right_ml):
    if not (data_folder / file).is_file():
        pytest.skip(f"no file {data_folder / file}")
    heart = load_heart(data_folder / file).centred()
    heart = heart.resampled((60, 60, 60), step_mm)
    chambers = find_chambers(heart)
    voxel = np.prod(heart.spacing_mm) / 1000
    assert np.sum(chambers.beside == LEFT) * voxel == pytest.approx(left_ml, rel=0.15)
    assert np.sum(chambers.beside == RIGHT) * voxel == pytest.approx(right_ml, rel=0.15)
    fibres = rule_based(heart).fibres
    np.testing.assert_allclose(np.linalg.norm(fibres[heart.mask], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_both_cavities_of_the_family(seed):
    """Cavities joined over the septum come apart; the right one lies at the right ventricle."""
    shape = BiventricularShape.draw(np.random.default_rng([7, seed]))
    heart = biventricular(shape, (56, 56, 56), 3.0)
    beside = find_chambers(heart).beside
    share = {}
    for kind in (LEFT, RIGHT):
        rim = ndimage.binary_dilation(beside == kind) & heart.mask
        share[kind] = np.mean(heart.labels[rim] == RIGHT)
    assert share[LEFT] < 0.15 < 0.3 < share[RIGHT]
