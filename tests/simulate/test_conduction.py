"""Speeds per voxel, and what they do to activation."""

import numpy as np
import pytest

from kecgi.geometry import Heart
from kecgi.simulate.anisotropic import AnisotropicTissue, conduction_tensors, solve_anisotropic
from kecgi.simulate.conduction import Speeds
from kecgi.simulate.eikonal import TissueGraph

SLAB = Heart(np.ones((60, 12, 8), bool), 1.0)
GRAPH = TissueGraph.from_heart(SLAB)
Z = GRAPH.positions_mm[:, 2] - GRAPH.positions_mm[:, 2].min() + 1
X = GRAPH.positions_mm[:, 0] - GRAPH.positions_mm[:, 0].min()


def activation(speeds, **kwargs):
    fibres = np.tile([0.0, 1.0, 0.0], (len(GRAPH), 1))
    sheets = np.tile([1.0, 0.0, 0.0], (len(GRAPH), 1))
    tensors = conduction_tensors(fibres, speeds.fibre, speeds.sheet, speeds.normal, sheets)
    start = GRAPH.positions_mm[np.argmin(X + 10 * np.abs(Z - 4.5))]
    return solve_anisotropic(AnisotropicTissue.of(GRAPH, tensors), start, **kwargs)


def test_a_fast_layer_carries_the_front():
    plain = Speeds.uniform(len(GRAPH))
    fast = plain.with_fast_layer(Z, 2.0, speed=2.6)
    np.testing.assert_allclose(fast.fibre[Z <= 2], 2.6)
    np.testing.assert_allclose(fast.sheet[Z <= 2] / fast.fibre[Z <= 2], 0.51 / 0.65)
    np.testing.assert_allclose(fast.normal[Z > 2], 0.48)
    slow, quick = activation(plain), activation(fast)
    assert np.all(quick <= slow + 0.5)
    # along the layer (sheet direction) four times as fast: 40 mm between two places in it
    at = (Z == 1) & (np.abs(GRAPH.positions_mm[:, 1]) < 1)
    there = [quick[at & (X == x)].mean() for x in (15, 55)]
    assert there[1] - there[0] == pytest.approx(40 / (4 * 0.51), rel=0.03)
    # and the far wall is reached from the layer, not along itself
    assert quick[(X == 55) & (Z == 8)].mean() < 0.5 * slow[(X == 55) & (Z == 8)].mean()


def test_a_layer_lowers_no_speed():
    fast = Speeds.uniform(len(GRAPH), 3.0, 1.0, 1.0)
    np.testing.assert_array_equal(fast.with_fast_layer(Z, 2.0, 2.0).fibre, fast.fibre)


def test_scar_delays_or_blocks():
    plain = Speeds.uniform(len(GRAPH))
    band = (X >= 20) & (X < 30)
    before, slow = activation(plain), activation(plain.with_scar(band, 0.25))
    far = X > 45
    np.testing.assert_allclose(slow[X < 18], before[X < 18], rtol=1e-6)
    assert np.mean((slow - before)[far]) == pytest.approx(10 / 0.51 * 3, rel=0.05)
    silent = activation(plain.with_scar(band, 0.0), unreached="inf")
    assert np.all(np.isinf(silent[X >= 20])) and np.all(np.isfinite(silent[X < 20]))
    with pytest.raises(ValueError, match=f"{np.sum(X >= 20)} of {len(GRAPH)} tissue voxels"):
        activation(plain.with_scar(band, 0.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: Speeds.uniform(5, fibre=0.0), "fibre speed is 0.0 mm/ms"),
        (lambda s: s.with_scar(np.ones(3, bool)), r"scar has shape \(3,\)"),
        (lambda s: s.with_scar(Z > 3, 1.5), "factor is 1.5"),
        (lambda s: s.with_fast_layer(Z, 0.5), "the nearest is 1.00 mm away"),
        (lambda s: s.with_fast_layer(Z, 2.0, -1.0), "speed is -1.0"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        change(Speeds.uniform(len(GRAPH)))
