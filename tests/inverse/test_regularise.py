"""Regularisation against normal equations, closed forms and problems of known noise."""

import numpy as np
import pytest
from scipy import linalg

from kecgi.inverse.regularise import StandardForm


def problem(noise=0.0, times=3, seed=0):
    """Deblurring of smooth signals on a ring of 60 places, seen at 40."""
    rng = np.random.default_rng(seed)
    place = np.arange(60)
    distance = np.abs(place[:40, None] * 1.5 - place)
    matrix = np.exp(-((np.minimum(distance, 60 - distance) / 5) ** 1.5))
    truth = np.sin(2 * np.pi * (place[:, None] / 60 + np.linspace(0, 0.3, times))) + 0.5
    truth += np.exp(-((place[:, None] - 20.0) ** 2) / 8)
    data = matrix @ truth
    return matrix, truth, data + noise * rng.standard_normal(data.shape)


def penalties():
    step = np.roll(np.eye(60), 1, axis=1) - np.eye(60)
    bend = np.roll(np.eye(60), 1, axis=1) + np.roll(np.eye(60), -1, axis=1) - 2 * np.eye(60)
    return {"zero": None, "first": step.T @ step, "second": bend.T @ bend}


@pytest.mark.parametrize("order", ["zero", "first", "second"])
@pytest.mark.parametrize("strength", [0.03, 2.0])
def test_solves_the_normal_equations(order, strength):
    matrix, _, data = problem(0.01)
    penalty = penalties()[order]
    normal = matrix.T @ matrix + strength**2 * (np.eye(60) if penalty is None else penalty)
    expected = linalg.solve(normal, matrix.T @ data)
    np.testing.assert_allclose(
        StandardForm.of(matrix, penalty).solve(data, strength), expected, atol=1e-7
    )


def test_a_constant_is_free_for_gradients():
    matrix, _, _ = problem()
    form = StandardForm.of(matrix, penalties()["first"])
    np.testing.assert_allclose(form.solve(matrix @ np.full(60, 3.0), 1e6), 3, atol=1e-9)
    zero = StandardForm.of(matrix).solve(matrix @ np.full(60, 3.0), 1e6)
    assert np.abs(zero).max() < 1e-6


def test_truncated_svd_is_the_pseudo_inverse_of_the_truncated_matrix():
    matrix, _, data = problem(0.01)
    u, s, vt = linalg.svd(matrix, full_matrices=False)
    expected = linalg.pinv((u[:, :7] * s[:7]) @ vt[:7]) @ data
    np.testing.assert_allclose(StandardForm.of(matrix).solve(data, 7, "tsvd"), expected, atol=1e-8)


@pytest.mark.parametrize("order", ["zero", "first"])
def test_l_curve_and_curvature(order):
    matrix, _, data = problem(0.02)
    penalty = penalties()[order]
    form = StandardForm.of(matrix, penalty)
    strengths = np.geomspace(1e-3, 3, 25)
    residual, size = form.l_curve(data, strengths)
    for i in (3, 12, 20):
        solution = form.solve(data, strengths[i])
        assert residual[i] == pytest.approx(np.linalg.norm(matrix @ solution - data))
        weighted = solution if penalty is None else penalty @ solution
        assert size[i] == pytest.approx(np.sqrt(np.sum(solution * weighted)))
    # differences of ln residual and ln size over a fine grid of ln lambda
    fine = np.geomspace(0.01, 1, 4001)
    x, y = (np.log(v) for v in form.l_curve(data, fine))
    x1, y1 = np.gradient(x), np.gradient(y)
    numeric = (x1 * np.gradient(y1) - y1 * np.gradient(x1)) / (x1**2 + y1**2) ** 1.5
    np.testing.assert_allclose(
        form.curvature(data, fine)[5:-5], numeric[5:-5], rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("kind", ["tikhonov", "tsvd"])
@pytest.mark.parametrize("rule", ["l-curve", "gcv"])
@pytest.mark.parametrize("order", ["zero", "first", "second"])
def test_chosen_parameter_is_near_the_best(order, rule, kind):
    matrix, truth, data = problem(0.02, times=10)
    form = StandardForm.of(matrix, penalties()[order])

    def error(strength):
        return np.linalg.norm(form.solve(data, strength, kind) - truth) / np.linalg.norm(truth)

    tried = form.strengths() if kind == "tikhonov" else np.arange(1, len(form.singular))
    errors = [error(s) for s in tried]
    chosen = error(form.choose(data, rule, kind))
    assert chosen < 2 * min(errors) < 0.2 * max(errors)


def test_more_noise_wants_more_regularisation():
    chosen = {}
    for noise in (0.001, 0.01, 0.1):
        matrix, _, data = problem(noise, times=20)
        form = StandardForm.of(matrix)
        chosen[noise] = [form.choose(data, rule) for rule in ("l-curve", "gcv")]
    assert np.all(np.diff(list(chosen.values()), axis=0) > 0)


def test_gcv_is_leave_one_out_for_equal_leverage():
    """With a circulant matrix every datum has the same leverage, and GCV is cross-validation."""
    rng = np.random.default_rng(3)
    n = 24
    place = np.arange(n)
    gap = np.abs(place[:, None] - place)
    matrix = np.exp(-(np.minimum(gap, n - gap) ** 2) / 6.0)
    data = matrix @ np.sin(2 * np.pi * place / n) + 0.05 * rng.standard_normal(n)
    form = StandardForm.of(matrix)

    def left_out(strength):
        total = 0.0
        for i in range(n):
            rest = np.delete(matrix, i, axis=0)
            normal = rest.T @ rest + strength**2 * np.eye(n)
            total += (data[i] - matrix[i] @ linalg.solve(normal, rest.T @ np.delete(data, i))) ** 2
        return total

    tried = form.strengths()[::10]
    best = tried[np.argmin([left_out(s) for s in tried])]
    assert form.choose(data, "gcv") == pytest.approx(best, rel=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(3),), "2-D and finite"),
        ((np.ones((3, 4)), np.eye(3)), r"shape \(3, 3\), expected \(4, 4\)"),
        ((np.ones((3, 2)), np.array([[1.0, 2], [0, 1]])), "isn't symmetric"),
        ((np.ones((3, 2)), np.diag([1.0, -1])), "negative eigenvalue"),
        ((np.diag([1.0, 0]), np.diag([1.0, 0])), "say nothing about what the penalty leaves free"),
    ],
)
def test_wrong_problems_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StandardForm.of(*arguments)


def test_wrong_choices_are_named():
    matrix, _, data = problem()
    form = StandardForm.of(matrix)
    with pytest.raises(ValueError, match="expected 'l-curve' or 'gcv'"):
        form.choose(data, "guess")
    with pytest.raises(ValueError, match="strength is 0"):
        form.solve(data, 0)
    for rule in ("l-curve", "gcv"):
        with pytest.raises(ValueError, match="data are zero"):
            form.choose(0 * data, rule)
