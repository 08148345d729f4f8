"""The eikonal solver against exact travel times, symmetries and an independent solver."""

import numpy as np
import pytest

from kecgi.geometry import Heart, biventricular, keep_largest
from kecgi.simulate import TissueGraph, activation_times, solve

SPEED = 0.6


def plate(shape, spacing_mm=1.0):
    return Heart(np.ones(shape, bool), spacing_mm)


def relative_error(times, exact):
    """Mean relative error, without the onset's own voxel."""
    far = exact > 0
    return float(np.mean(np.abs(times[far] - exact[far]) / exact[far]))


def straight(graph, onset, speed=SPEED):
    return np.linalg.norm(graph.positions_mm - onset, axis=1) / speed


# --- accuracy ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "bar"), [((64, 64), 0.004), ((128, 128), 0.0025), ((64, 64, 64), 0.005)]
)
def test_error_on_a_homogeneous_domain_keeps_the_bars(shape, bar):
    graph = TissueGraph.from_heart(plate(shape))
    half = (np.array(shape) - 1) / 2
    rng = np.random.default_rng(0)
    onsets = [
        np.full(len(shape), 0.5),  # a voxel's centre
        np.zeros(len(shape)),  # a corner between voxels
        -half,  # the grid's corner
        *rng.uniform(-half, half, (8 if len(shape) == 2 else 3, len(shape))),
    ]
    for onset in onsets:
        assert relative_error(solve(graph, onset, SPEED), straight(graph, onset)) <= bar


def test_error_falls_with_the_grid_step():
    errors = []
    for n in (64, 128, 256):
        graph = TissueGraph.from_heart(plate((n, n), 64 / n))
        onset = np.array([3.1, -7.3])
        errors.append(np.mean(np.abs(solve(graph, onset, SPEED) - straight(graph, onset))))
    # the ball shrinks with the grid, so a point source costs one order: at least 0.8 is left
    ratios = np.divide(errors[:-1], errors[1:])
    assert np.all(ratios > 2**0.8), ratios


def test_values_near_the_source_are_exact():
    graph = TissueGraph.from_heart(plate((21, 21, 21)))
    onset = np.array([0.3, -0.4, 0.1])
    exact = straight(graph, onset)
    near = exact * SPEED < 4
    np.testing.assert_allclose(solve(graph, onset, SPEED)[near], exact[near], rtol=1e-12)


def test_speed_that_grows_linearly():
    """For v = v0 + g x rays are circles and T is known."""
    graph = TissueGraph.from_heart(plate((100, 80)))
    slope, onset = 0.008, np.array([-20.0, 4.2])
    x = graph.positions_mm[:, 0]
    speed = 0.6 + slope * x
    squared = ((graph.positions_mm - onset) ** 2).sum(axis=1)
    exact = np.arccosh(1 + slope**2 * squared / (2 * speed * (0.6 + slope * onset[0]))) / slope
    assert relative_error(solve(graph, onset, speed), exact) < 0.005


def test_two_layers_obey_snell_with_head_waves():
    slow, fast = 0.4, 1.0
    graph = TissueGraph.from_heart(plate((100, 60), 0.5))
    onset = np.array([-5.3, -6.1])  # the interface is y = 0
    x, y = graph.positions_mm.T
    times = solve(graph, onset, np.where(y < 0, slow, fast))
    crossing = np.linspace(-25, 25, 2001)
    down = np.hypot(crossing - onset[0], onset[1]) / slow
    exact = np.empty(len(graph))
    for i in range(len(graph)):
        if y[i] > 0:
            exact[i] = np.min(down + np.hypot(x[i] - crossing, y[i]) / fast)
        else:  # straight, or down to the fast layer, along it and up again at the critical angle
            sine = slow / fast
            depth = -onset[1] - y[i]
            head = abs(x[i] - onset[0]) / fast + depth * np.sqrt(1 - sine**2) / slow
            direct = np.hypot(x[i] - onset[0], y[i] - onset[1]) / slow
            reached = abs(x[i] - onset[0]) >= depth * sine / np.sqrt(1 - sine**2)
            exact[i] = min(direct, head) if reached else direct
    assert np.mean(exact[y < 0] < np.hypot(x - onset[0], y - onset[1])[y < 0] / slow - 1e-9) > 0.2
    assert relative_error(times, exact) < 0.02


def test_anisotropic_spacing():
    graph = TissueGraph.from_heart(plate((40, 30, 20), (1.0, 1.5, 2.5)))
    onset = np.array([2.2, -3.1, 4.0])
    assert relative_error(solve(graph, onset, SPEED), straight(graph, onset)) < 0.006


# --- paths stay in the tissue -----------------------------------------------------------------


def around_disc(p, q, radius):
    """Length of the shortest way from p to points q around a disc: tangent, arc, tangent."""
    a, b = np.linalg.norm(p), np.maximum(np.linalg.norm(q, axis=1), radius)
    angle = np.arccos(np.clip(q @ p / (a * np.linalg.norm(q, axis=1).clip(1e-9)), -1, 1))
    arc = angle - np.arccos(radius / a) - np.arccos(radius / b)
    bent = np.sqrt(a**2 - radius**2) + np.sqrt(b**2 - radius**2) + radius * arc
    return np.where(arc > 0, bent, np.linalg.norm(q - p, axis=1))


def annulus(inner, outer, step, shift):
    n = int(np.ceil(2 * outer / step)) + 4
    first = -0.5 * (n - 1) * step + np.array(shift) * step
    x, y = np.meshgrid(*(f + step * np.arange(n) for f in first), indexing="ij")
    radius = np.hypot(x, y)
    return Heart(keep_largest((radius >= inner) & (radius <= outer)), step, first)


@pytest.mark.parametrize("angle", [0.0, 0.4])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, 0.15)])
@pytest.mark.parametrize(("inner", "outer"), [(20, 28), (20, 40), (40, 48)])
def test_way_around_a_cavity(inner, outer, shift, angle):
    onset = (inner + outer) / 2 * np.array([np.cos(angle), np.sin(angle)])
    for step, mean, largest in ((2.0, 1.2, 3.6), (1.0, 0.6, 2.0), (0.5, 0.35, 1.4)):
        graph = TissueGraph.from_heart(annulus(inner, outer, step, shift))
        error = solve(graph, onset, SPEED) * SPEED - around_disc(onset, graph.positions_mm, inner)
        assert np.abs(np.mean(error)) < mean
        assert np.abs(error).max() < largest


@pytest.mark.parametrize("degrees", [10, 22.5, 33, 45])
def test_front_along_a_thin_oblique_wall_is_not_held_up(degrees):
    """A strip of 3 voxels: with the staircase's own distance it would be up to 4 % late."""
    angle = np.radians(degrees)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    grid = plate((80, 80))
    u, v = grid.voxels_mm @ along, grid.voxels_mm @ across
    inside = (np.abs(u) < 36) & (np.abs(v - 0.2) <= 1.5)
    graph = TissueGraph.from_heart(Heart(keep_largest(inside.reshape(80, 80)), 1.0))
    onset = -33 * along + 0.2 * across
    exact = np.linalg.norm(graph.positions_mm - onset, axis=1)
    far = exact > 20
    assert abs(np.mean(solve(graph, onset, 1.0)[far] / exact[far]) - 1) < 0.01


@pytest.mark.parametrize("diagonal", [False, True])
def test_slit_is_not_crossed(diagonal):
    """A wall one voxel thick, with a way around its end: also where its voxels touch by corners."""
    n = 41
    i, j = np.indices((n, n))
    wall = (i == j) if diagonal else (i == n // 2)
    heart = Heart(~(wall & (j < 30)), 1.0)
    position = heart.voxels_mm
    other = (position[:, 0] > position[:, 1]) if diagonal else (position[:, 0] > 0)
    end = np.array([10.0, 10.0]) if diagonal else np.array([0.0, 10.0])
    other &= position[:, 1] < (5 if not diagonal else 0)
    for onset in ([-2.0, -1.0], [-1.0, 0.0], [-9.0, -8.0]):
        times = activation_times(heart, onset, 1.0)[heart.mask]
        shortest = np.linalg.norm(np.array(onset) - end) + np.linalg.norm(position - end, axis=1)
        assert np.all(times[other] > 0.9 * shortest[other] - 1)


def test_way_through_a_maze_one_voxel_wide_is_its_length():
    mask = np.zeros((12, 9, 5), bool)
    mask[1:11, 1, 2] = mask[10, 1:8, 2] = mask[10, 7, 2:5] = True
    heart = Heart(mask, 1.5)
    times = activation_times(heart, heart.voxels_mm[0], 0.5)
    # between the voxels' centres and the shortest way through their cubes, which cuts corners
    assert (8.5 + 5 + 1.5) * 1.5 / 0.5 < times[10, 7, 4] <= (9 + 6 + 2) * 1.5 / 0.5
    np.testing.assert_allclose(times[1:9, 1, 2], np.arange(8) * 3, rtol=1e-12)
    assert np.array_equal(np.isnan(times), ~mask)


# --- onsets, speeds and symmetries ------------------------------------------------------------


def test_two_onsets_give_the_earlier_front():
    graph = TissueGraph.from_heart(plate((60, 60)))
    onsets, starts = np.array([[-20.3, 4.0], [11.0, -6.6]]), np.array([0.0, 14.0])
    exact = np.min([s + straight(graph, o) for o, s in zip(onsets, starts, strict=True)], axis=0)
    times = solve(graph, onsets, SPEED, starts)
    far = exact > 8
    assert np.mean(np.abs(times[far] / exact[far] - 1)) < 0.005
    assert np.abs(times - exact).max() < 1


def test_an_overrun_onset_changes_nothing():
    graph = TissueGraph.from_heart(plate((50, 50)))
    first, late = np.array([-10.3, 0.2]), np.array([10.0, 3.0])
    alone = solve(graph, first, SPEED)
    np.testing.assert_allclose(solve(graph, [first, late], SPEED, [0, 60]), alone, atol=1e-9)


def test_times_scale_with_speed_step_and_start():
    heart = biventricular(grid=(40, 40, 40), spacing_mm=3.2)
    onset = heart.voxels_mm[700]
    times = activation_times(heart, onset, 0.5)
    assert np.nanmin(times) == 0
    np.testing.assert_allclose(activation_times(heart, onset, 1.0), times / 2, rtol=1e-9)
    np.testing.assert_allclose(activation_times(heart, onset, 0.5, 7.0), times + 7, rtol=1e-9)
    wider = Heart(heart.mask, 6.4, 2 * np.array(heart.origin_mm))
    np.testing.assert_allclose(activation_times(wider, 2 * onset, 0.5), times * 2, rtol=1e-9)


def test_reflections_and_quarter_turns_turn_the_map_alike():
    rng = np.random.default_rng(2)
    heart = biventricular(grid=(30, 32, 34), spacing_mm=4.0)
    speed = rng.uniform(0.5, 0.7, heart.mask.shape)
    onset = np.argwhere(heart.mask)[300]
    times = activation_times(heart, heart.voxels_mm[300], speed)
    for turn in (
        lambda a: a[::-1],
        lambda a: a[:, :, ::-1],
        lambda a: np.rot90(a, axes=(0, 1)),
        lambda a: np.transpose(a, (2, 0, 1)),
    ):
        marked = np.zeros(heart.mask.shape, bool)
        marked[tuple(onset)] = True
        turned = Heart(turn(heart.mask), 4.0)
        at = np.argwhere(turn(marked)) * 4.0 + turned.origin_mm
        np.testing.assert_allclose(
            activation_times(turned, at, np.ascontiguousarray(turn(speed))), turn(times), atol=1e-9
        )


@pytest.mark.parametrize("away", [0.5, 0.9])
@pytest.mark.parametrize("side", [-1, 1])
def test_an_onset_beside_the_tissue_starts_at_its_side(side, away):
    heart = plate((20, 20))
    edge = np.array([side * 9.5, side * 2.5])
    times = activation_times(heart, edge + [side * away, 0], 1.0)
    assert np.nanmin(times) == times[heart.mask][np.all(heart.voxels_mm == edge, axis=1)]
    exact = np.linalg.norm(heart.voxels_mm - edge - [side * 0.5, 0], axis=1)
    assert np.nanmin(times) == pytest.approx(0.5)
    assert np.abs(times[heart.mask] - exact).max() < 0.15
    corner = activation_times(heart, [side * 10.0, side * 10.0], 1.0)
    assert np.nanmin(corner) == pytest.approx(np.sqrt(0.5))


def test_a_scar_is_walked_around():
    heart = plate((61, 61))
    x, y = heart.coordinates_mm()
    radius = np.hypot(x[:, None], y)
    speed = np.where(radius < 10, 0.0, 1.0)
    times = activation_times(heart, [-25.0, 0.0], speed, unreached="inf")
    scar = radius < 10
    assert np.all(np.isinf(times[scar])) and np.all(np.isfinite(times[~scar]))
    exact = around_disc(np.array([-25.0, 0.0]), heart.voxels_mm, 10.0).reshape(61, 61)
    assert np.abs(times - exact)[~scar].max() < 1
    with pytest.raises(ValueError, match=f"{scar.sum()} of 3721 tissue voxels are not reached"):
        activation_times(heart, [-25.0, 0.0], speed)
    with pytest.raises(ValueError, match="doesn't conduct"):
        activation_times(heart, [0.0, 0.0], speed)


def test_graph_lists_voxels_and_neighbours():
    heart = biventricular(grid=(24, 25, 26), spacing_mm=5.5)
    graph = TissueGraph.from_heart(heart)
    assert len(graph) == heart.mask.sum()
    np.testing.assert_array_equal(graph.positions_mm, heart.voxels_mm)
    numbers = graph.to_grid(np.arange(len(graph)), outside=len(graph))
    np.testing.assert_array_equal(numbers < len(graph), heart.mask)
    padded = np.pad(numbers, 1, constant_values=len(graph))
    for axis in range(3):
        for side, step in enumerate((1, -1)):
            shifted = np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1][heart.mask]
            np.testing.assert_array_equal(graph.neighbours[:, 2 * axis + side], shifted)
    grid = graph.to_grid(np.ones(len(graph)))
    assert np.array_equal(np.isnan(grid), ~heart.mask)


# --- an independent solver --------------------------------------------------------------------


def test_agrees_with_scikit_fmm():
    skfmm = pytest.importorskip("skfmm")
    heart = plate((48, 48, 48))
    rng = np.random.default_rng(5)
    coarse = rng.uniform(0.4, 0.8, (6, 6, 6))
    speed = np.kron(coarse, np.ones((8, 8, 8)))
    onset = heart.voxels_mm[60000]
    distance = np.linalg.norm(heart.voxels_mm - onset, axis=1).reshape(48, 48, 48)
    local = speed.ravel()[60000]
    theirs = skfmm.travel_time(distance - 3.0, speed, order=2) + 3.0 / local
    ours = activation_times(heart, onset, speed)
    far = distance > 5
    assert np.mean(np.abs(ours[far] / theirs[far] - 1)) < 0.01


def test_agrees_with_scikit_fmm_in_a_heart():
    skfmm = pytest.importorskip("skfmm")
    heart = biventricular(grid=(128, 128, 128), spacing_mm=1.0)
    onset = heart.voxels_mm[30000]
    distance = np.full(heart.mask.shape, np.nan)
    distance[heart.mask] = np.linalg.norm(heart.voxels_mm - onset, axis=1)
    level = np.ma.MaskedArray(np.nan_to_num(distance) - 3.0, ~heart.mask)
    theirs = skfmm.travel_time(level, np.full(heart.mask.shape, SPEED), order=2) + 3.0 / SPEED
    difference = (np.asarray(theirs) - activation_times(heart, onset, SPEED))[heart.mask]
    # theirs is later: it is held up at the staircase of the wall
    assert -0.1 < np.median(difference) < 1.5
    assert np.percentile(np.abs(difference), 95) < 3


# --- wrong input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(onsets_mm=[40.0, 0.0]), r"onset at \[40.0, 0.0\] mm is 30.5 mm away"),
        (dict(onsets_mm=[0.0, 0.0, 0.0]), r"shape \(3,\), expected \(k, 2\)"),
        (dict(onsets_mm=np.empty((0, 2))), r"shape \(0, 2\), expected \(k, 2\)"),
        (dict(onsets_mm=[np.nan, 0.0]), "not finite"),
        (dict(start_ms=[0.0, 1.0]), "2 start times for 1 onsets"),
        (dict(start_ms=np.inf), "not finite"),
        (dict(speed_mm_per_ms=0.0), r"lies in \[0.0, 0.0\], expected positive"),
        (dict(speed_mm_per_ms=-1.0), "expected positive"),
        (dict(speed_mm_per_ms=np.nan), "expected positive"),
        (dict(speed_mm_per_ms=np.ones((3, 3))), r"shape \(3, 3\), expected a number or \(20, 20\)"),
        (dict(unreached="ignore"), "unreached is 'ignore', expected 'raise' or 'inf'"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    arguments = dict(onsets_mm=[0.5, 0.5], speed_mm_per_ms=1.0) | arguments
    with pytest.raises(ValueError, match=message):
        activation_times(plate((20, 20)), **arguments)


def test_wrong_speed_of_a_graph_is_named():
    graph = TissueGraph.from_heart(plate((5, 5)))
    with pytest.raises(ValueError, match=r"shape \(24,\), expected a number or \(25,\)"):
        solve(graph, [0.0, 0.0], np.ones(24))
