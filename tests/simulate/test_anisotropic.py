"""Anisotropic activation against the exact solution, the isotropic solver and itself turned."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kecgi.geometry import Heart, biventricular, keep_largest
from kecgi.simulate import stencils
from kecgi.simulate.anisotropic import (
    AnisotropicTissue,
    anisotropic_times,
    conduction_tensors,
    solve_anisotropic,
    solve_many,
)
from kecgi.simulate.eikonal import TissueGraph, activation_times, solve

SPEEDS = np.array([0.65, 0.30, 0.20])


def block(size, spacing=1.0):
    return TissueGraph.from_heart(Heart(np.ones(size, bool), spacing))


def tensor(speeds=SPEEDS, seed=0):
    turn = Rotation.random(random_state=seed).as_matrix()
    return turn @ np.diag(np.square(speeds)) @ turn.T


def everywhere(graph, matrix):
    return AnisotropicTissue.of(graph, np.broadcast_to(matrix, (len(graph), *matrix.shape)))


def exact(graph, onset, matrix):
    way = graph.positions_mm - onset
    return np.sqrt(np.einsum("ni,ij,nj->n", way, np.linalg.inv(matrix), way))


def mean_error(size, matrix, spacing=1.0):
    graph = block(size, spacing)
    onset = np.array([0.3, -0.2, 0.4])[: len(size)] * spacing
    truth = exact(graph, onset, matrix)
    return np.mean(np.abs(solve_anisotropic(everywhere(graph, matrix), onset) / truth - 1))


# --- the exact solution -----------------------------------------------------------------------


@pytest.mark.parametrize("speeds", [(0.65, 0.51, 0.48), (0.6, 0.3, 0.2), (0.9, 0.3, 0.3)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_homogeneous_anisotropy_of_any_direction(speeds, seed):
    assert mean_error((40, 40, 40), tensor(speeds, seed)) < 0.0045


def test_error_falls_with_the_grid_step():
    errors = []
    for n in (24, 36, 54):
        graph, onset = block((n,) * 3), np.array([0.3, -0.2, 0.4])
        truth = exact(graph, onset, tensor(seed=4))
        far = np.linalg.norm(graph.positions_mm, axis=1) > n / 3
        times = solve_anisotropic(everywhere(graph, tensor(seed=4)), onset)
        errors.append(np.mean(np.abs(times / truth - 1)[far]))
    assert errors[2] < 0.003 and errors[0] > 1.2 * errors[1] > 1.2**2 * errors[2]


def test_plane_and_uneven_steps():
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    flat = turn @ np.diag([0.49, 0.06]) @ turn.T
    assert mean_error((80, 80), flat) < 0.006
    assert mean_error((40, 30, 24), tensor(), (1.0, 1.4, 1.9)) < 0.007


def test_the_ball_around_an_onset_is_exact():
    graph = block((15, 15, 15))
    onset = np.array([0.2, 0.4, -0.3])
    truth = exact(graph, onset, tensor())
    near = np.linalg.norm(graph.positions_mm - onset, axis=1) < 4
    times = solve_anisotropic(everywhere(graph, tensor()), onset, 7.0)
    np.testing.assert_allclose(times[near], 7 + truth[near], rtol=1e-6)


@pytest.mark.parametrize("degrees", [0, 10, 22.5, 33, 45])
@pytest.mark.parametrize("along", [0.0, 0.5, 1.2])
def test_front_in_a_thin_oblique_slab_is_not_held_up(degrees, along):
    """Three voxels thick; fibres lie in it: paths are straight, and the staircase may not delay."""
    angle = np.radians(degrees)
    normal = np.array([np.sin(angle), np.cos(angle) * np.sin(0.5), np.cos(angle) * np.cos(0.5)])
    u = np.cross(normal, [0, 0, 1.0])
    u /= np.linalg.norm(u)
    fibre = np.cos(along) * u + np.sin(along) * np.cross(normal, u)
    frame = np.stack([fibre, np.cross(normal, fibre), normal])
    matrix = frame.T @ np.diag([0.36, 0.09, 0.04]) @ frame
    grid = Heart(np.ones((40, 40, 40), bool), 1.0)
    inside = np.abs(grid.voxels_mm @ normal - 0.2) <= 1.5
    graph = TissueGraph.from_heart(Heart(keep_largest(inside.reshape(40, 40, 40)), 1.0))
    onset = graph.positions_mm[np.argmin(np.linalg.norm(graph.positions_mm - 0.2 * normal, axis=1))]
    truth = exact(graph, onset, matrix)
    far = np.linalg.norm(graph.positions_mm - onset, axis=1) > 8
    times = solve_anisotropic(everywhere(graph, matrix), onset)
    assert abs(np.mean(times[far] / truth[far]) - 1) < 0.013


# --- other solvers and symmetries -------------------------------------------------------------


def test_equal_speeds_give_the_isotropic_solver_s_times():
    heart = biventricular(grid=(40, 40, 40), spacing_mm=3.2)
    graph = TissueGraph.from_heart(heart)
    speed = np.random.default_rng(0).uniform(0.4, 0.8, len(graph))
    onsets = graph.positions_mm[[50, 2000]]
    tissue = AnisotropicTissue.of(graph, speed[:, None, None] ** 2 * np.eye(3))
    np.testing.assert_allclose(
        solve_anisotropic(tissue, onsets, [0.0, 12.0]),
        solve(graph, onsets, speed, [0.0, 12.0]),
        atol=1e-8,
    )


def test_curved_fibres_shorten_the_way_around():
    """In a ring with fibres around it, the front follows them; radially it is slow."""
    n = 61
    x, y = np.meshgrid(*(np.arange(n) - 30.0,) * 2, indexing="ij")
    radius = np.hypot(x, y)
    mask = (radius > 18) & (radius < 28)
    fibres = np.stack([-y, x], axis=-1) / np.maximum(radius, 1)[..., None]
    heart = Heart(mask, 1.0, fibres=fibres)
    times = anisotropic_times(heart, [23.0, 0.0], 0.9, 0.3)
    # speeds of 0.9 around and 0.3 across: geodesics are those of a cone of a third of the angle
    place = heart.voxels_mm
    angle = np.abs(np.arctan2(place[:, 1], place[:, 0])) / 3
    r = radius[mask]
    direct = angle < np.arccos(18.5 / 23) * 0.9
    cone = np.sqrt(r**2 + 23**2 - 2 * r * 23 * np.cos(angle)) / 0.3
    error = np.abs(times[mask] - cone)[direct & (cone > 5)] / cone[direct & (cone > 5)]
    assert error.mean() < 0.02
    assert np.nanmax(times) < np.nanmax(activation_times(heart, [23.0, 0.0], 0.6))


def test_quarter_turns_and_reflections_turn_the_map_alike():
    rng = np.random.default_rng(2)
    heart = biventricular(grid=(26, 28, 30), spacing_mm=4.6)
    fibres = rng.normal(size=(*heart.mask.shape, 3)) + [3.0, 1.0, 0.5]
    fibres /= np.linalg.norm(fibres, axis=-1, keepdims=True)
    at = np.argwhere(heart.mask)[300]
    times = anisotropic_times(
        Heart(heart.mask, 4.6, fibres=fibres), heart.voxels_mm[300], 0.6, 0.25
    )
    for turn, matrix in (
        (lambda a: a[::-1], np.diag([-1, 1, 1])),
        (lambda a: np.transpose(a, (2, 0, 1, *range(3, a.ndim))), np.eye(3)[[2, 0, 1]]),
        (lambda a: np.rot90(a, axes=(0, 1)), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])),
    ):
        marked = np.zeros(heart.mask.shape, bool)
        marked[tuple(at)] = True
        turned = Heart(turn(heart.mask), 4.6, fibres=turn(fibres) @ matrix.T)
        onset = np.argwhere(turn(marked)) * 4.6 + turned.origin_mm
        found = anisotropic_times(turned, onset, 0.6, 0.25)
        np.testing.assert_allclose(found, turn(times), atol=1e-6)


def test_slits_are_not_jumped_over():
    """Offsets are long in strong anisotropy; a wall one voxel thick stops them all the same."""
    n = 31
    mask = np.ones((n, n, 3), bool)
    mask[n // 2, :24] = False
    graph = TissueGraph.from_heart(Heart(mask, 1.0))
    for direction in ([1.0, 0.2, 0], [1, 0.7, 0], [1, -0.4, 0.1]):
        fibre = np.array(direction) / np.linalg.norm(direction)
        matrix = 0.04 * np.eye(3) + (1 - 0.04) * np.outer(fibre, fibre)
        times = solve_anisotropic(everywhere(graph, matrix), [-4.0, -8.0, 0.0])
        x, y, _ = graph.positions_mm.T
        beyond = (x > 1) & (y < 3)
        inverse = np.linalg.inv(matrix)

        def long(way, inverse=inverse):
            return np.sqrt(np.einsum("...i,ij,...j->...", way, inverse, way))

        ends = np.stack([np.zeros(28), np.linspace(8.5, 15, 28), np.zeros(28)], axis=1)
        ways = long(ends - [-4.0, -8.0, 0.0])[:, None] + long(graph.positions_mm - ends[:, None])
        around = ways.min(axis=0)
        assert np.all(np.abs(times / around - 1)[beyond] < 0.04)


def test_many_cases_in_threads_are_each_alone():
    heart = biventricular(grid=(32, 32, 32), spacing_mm=4.0)
    graph = TissueGraph.from_heart(heart)
    tissue = everywhere(graph, tensor())
    onsets = [graph.positions_mm[i] for i in range(0, len(graph), len(graph) // 7)]
    together = solve_many(tissue, onsets, threads=3)
    assert together.shape == (len(onsets), len(graph))
    for onset, times in zip(onsets, together, strict=True):
        np.testing.assert_array_equal(times, solve_anisotropic(tissue, onset))
    with pytest.raises(ValueError, match="start times of 1 cases for onsets of"):
        solve_many(tissue, onsets, [0.0])


# --- stencils ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.5, 3.0)])
def test_decomposition_restores_the_tensor(spacing):
    rng = np.random.default_rng(1)
    turns = Rotation.random(300, random_state=3).as_matrix()
    squares = rng.uniform(0.1, 1, (300, 3)) ** 2
    tensors = turns @ (squares[:, :, None] * turns.transpose(0, 2, 1))
    weights, offsets = stencils.decompose(tensors, np.array(spacing))
    steps = offsets * np.array(spacing)
    restored = np.einsum("nk,nki,nkj->nij", weights, steps, steps)
    np.testing.assert_allclose(restored, tensors, atol=1e-5)
    assert weights.min() >= 0 and np.all(np.diff(weights, axis=1) <= 1e-12)


def test_inverse_and_ratio():
    rng = np.random.default_rng(1)
    for ndim in (2, 3):
        a = rng.normal(size=(100, ndim, ndim))
        tensors = a @ a.transpose(0, 2, 1) + 0.1 * np.eye(ndim)
        tensors[0] = 0
        inverse, ratio = stencils.invert(tensors)
        values = np.linalg.eigvalsh(tensors[1:])
        np.testing.assert_allclose(
            inverse[1:] @ tensors[1:], np.eye(ndim)[None].repeat(99, 0), atol=1e-9
        )
        np.testing.assert_allclose(ratio[1:], np.sqrt(values[:, -1] / values[:, 0]), rtol=1e-6)
        assert not inverse[0].any() and ratio[0] == 1


def test_tensors_have_the_speeds_along_their_axes():
    frame = Rotation.random(5, random_state=0).as_matrix()
    f, s, n = frame[:, 0], frame[:, 1], frame[:, 2]
    tensors = conduction_tensors(f, 0.65, np.full(5, 0.4), 0.2, sheets=s)
    for axis, speed in ((f, 0.65), (s, 0.4), (n, 0.2)):
        np.testing.assert_allclose(
            np.einsum("nij,nj->ni", tensors, axis), speed**2 * axis, atol=1e-12
        )
    np.testing.assert_allclose(
        conduction_tensors(f, 0.65, 0.2), conduction_tensors(f, 0.65, 0.2, 0.2, s), atol=1e-12
    )


# --- wrong input ------------------------------------------------------------------------------

F = np.tile([1.0, 0, 0], (8, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conduction_tensors(2 * F, 0.6, 0.3), "fibres have lengths in"),
        (lambda: conduction_tensors(F[0], 0.6, 0.3), r"shape \(3,\), expected \(n, 2\) or"),
        (lambda: conduction_tensors(F, 0.6, 0.3, 0.2), "which needs sheets"),
        (lambda: conduction_tensors(F, 0.6, 0.3, 0.2, F), "aren't orthogonal"),
        (lambda: conduction_tensors(F, -0.6, 0.3), r"fibre_speed lies in \[-0.6, -0.6\]"),
        (lambda: conduction_tensors(F, np.ones(3), 0.3), "expected a number or"),
        (lambda: everywhere(block((2, 2, 2)), np.diag([1.0, 1, -1])), "8 tensors are not finite"),
        (lambda: everywhere(block((2, 2, 2)), np.diag([1.0, 1, 1e-3])), "factor of 31.6"),
        (lambda: everywhere(block((2, 2, 2)), np.eye(2)), r"expected \(8, 3, 3\)"),
        (
            lambda: anisotropic_times(Heart(np.ones((3, 3, 3), bool), 1.0), [0, 0, 0], 0.6, 0.3),
            "heart has no fibres",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_onsets_are_named():
    tissue = everywhere(block((6, 6, 6)), tensor())
    with pytest.raises(ValueError, match="mm is 37.5 mm away"):
        solve_anisotropic(tissue, [40.0, 0.5, 0.5])
    with pytest.raises(ValueError, match="2 start times for 1 onsets"):
        solve_anisotropic(tissue, [0.5, 0.5, 0.5], [0.0, 1.0])
