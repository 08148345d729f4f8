import numpy as np
import pytest

from kecgi.geometry import AtrialShape, Electrodes, atrial_wall, spread_points, vest
from kecgi.inverse.wall_sources import WallSources
from kecgi.simulate import TissueGraph, lead_field, near_field


def few_voxels(leads=14, voxels=6, nodes=4):
    """Make lead fields that see each voxel and no constant."""
    rng = np.random.default_rng(0)
    fields = [rng.standard_normal((voxels, n)) for n in (nodes, leads)]
    return rng.uniform(0, 30, (voxels, 3)), *(f - f.mean(axis=0) for f in fields)


def test_without_noise_many_leads_give_the_electrograms():
    rng = np.random.default_rng(0)
    near, far, v = (rng.standard_normal((6, n)) for n in (4, 14, 30))
    # lambda goes down to the least singular value, here that of a voxel that is hardly seen
    near[-1], far[-1] = 0, 1e-4 * far[-1]
    found = WallSources.of(np.zeros((6, 3)), near, far).electrograms(far.T @ v)
    np.testing.assert_allclose(found, near.T @ v, atol=1e-3 * np.abs(near.T @ v).max())


def test_order_zero_is_the_least_squares_solution():
    """Fewer leads than voxels, and noise: compare with the stacked system at the same lambda."""
    at, near, far = few_voxels(leads=5, voxels=40)
    rng = np.random.default_rng(2)
    bspm = far.T @ rng.standard_normal((40, 20)) + 0.3 * rng.standard_normal((5, 20))
    sources = WallSources.of(at, near, far)
    strength = sources.form.choose(bspm, "gcv")
    stacked = np.concatenate([far.T, strength * np.eye(40)])
    v = np.linalg.lstsq(stacked, np.concatenate([bspm, np.zeros((40, 20))]), rcond=None)[0]
    np.testing.assert_allclose(sources.electrograms(bspm), near.T @ v, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("penalty", ["zero", "smooth"])
def test_what_was_measured_is_projected_onto_itself(penalty):
    at, near, _ = few_voxels(voxels=30)
    sources = WallSources.of(at, near, near, penalty)
    np.testing.assert_allclose(sources.projection(1e-7), np.eye(4), atol=1e-3)


def test_smooth_sources_carry_a_front_to_the_body_surface_and_back():
    wall = atrial_wall(AtrialShape(right=False), 2.0)
    graph = TissueGraph.from_heart(wall)
    at, torso = graph.positions_mm, vest(6, 6)
    near = near_field(wall, at[spread_points(at, 60)], graph=graph)
    far = lead_field(wall, torso, graph=graph)
    front = at[:, 0] - at[:, 0].min() - np.linspace(0, 40, 30)[:, None]
    v = 1 / (1 + np.exp(front))
    egm, bspm = (v @ near).T, (v @ far).T

    def alike(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    smooth, zero = (WallSources.of(at, near, far, p) for p in ("smooth", "zero"))
    assert alike(smooth.projection() @ egm, bspm) > 0.95
    assert alike(smooth.electrograms(bspm), egm) > alike(zero.electrograms(bspm), egm) + 0.1
    some = smooth.of_leads(slice(6, 20))
    fewer = Electrodes(torso.names[6:20], torso.positions_mm[6:20])
    expected = WallSources.of(at, near, lead_field(wall, fewer, graph=graph), "smooth")
    np.testing.assert_allclose(some.body, expected.body, rtol=1e-3, atol=1e-6 * some.body.max())
    np.testing.assert_allclose(some.projection(), expected.projection(), rtol=1e-2, atol=1e-6)


def test_wrong_input_is_named():
    at, near, far = few_voxels()
    with pytest.raises(ValueError, match="penalty is 'first', expected one of"):
        WallSources.of(at, near, far, "first")
    with pytest.raises(ValueError, match="6 voxels, but lead fields of 5 and 6"):
        WallSources.of(at, near[1:], far)
    sources = WallSources.of(at, near, far)
    with pytest.raises(ValueError, match=r"shape \(3, 4\), expected \(14, times\)"):
        sources.electrograms(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="noise is 0, expected a positive number"):
        sources.projection(0)
