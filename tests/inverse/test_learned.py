"""A learned posterior as an inverse method: what it is told, and what comes back."""

import numpy as np
import pytest

from kecgi.geometry import Electrodes, biventricular, vest
from kecgi.geometry.torso import torso_through
from kecgi.inverse import InverseMethod, LearnedInverse
from kecgi.simulate import lead_field
from kecgi.simulate.bem import insulated_lead_field

HEART = biventricular(grid=(32, 32, 32), spacing_mm=4.0)


class Plane:
    """Stands for a model: a front along x whose delay is the first electrode's mean potential."""

    tokens, samples, sampling_hz = 8, 21, 200.0

    def sample(self, condition, draws, seed):
        """Keep the condition; draws differ by their number."""
        self.seen = condition
        delay = np.nanmean(condition["bspm_mv"][:, 0], axis=1)
        times = condition["points_mm"][..., 0] + delay[:, None]
        return (times + np.arange(draws)[:, None, None]).astype(np.float32)


@pytest.fixture
def method():
    return LearnedInverse(Plane(), HEART, vest(4, 5), draws=5)


def test_places_are_the_heart_s_voxels(method):
    assert isinstance(method, InverseMethod)
    estimate = method.activation(np.full((20, 30), 3.0), np.linspace(0, 200, 30))
    x = HEART.voxels_mm[:, 0]
    np.testing.assert_allclose(estimate.mean_ms, x + 3 + 2, atol=1e-4)
    np.testing.assert_allclose(estimate.sd_ms, np.sqrt(2), atol=1e-4)
    np.testing.assert_allclose(estimate.quantile_ms([0, 1])[1], x + 3 + 4, atol=1e-4)
    points = method.model.seen["points_mm"][0]
    np.testing.assert_allclose(points[8:], HEART.voxels_mm, atol=1e-4)
    # tokens are voxels
    assert np.abs(points[:8, None] - HEART.voxels_mm).sum(axis=-1).min(axis=1).max() < 1e-3


def test_potentials_are_put_on_the_model_s_clock(method):
    time = np.linspace(-10, 80, 451)
    row = np.arange(20)[:, None]
    method.activation(np.sin(time / 20 + row), time)
    own = np.arange(21) * 5.0
    expected = np.where(own <= 80, np.sin(own / 20 + row), 0)
    np.testing.assert_allclose(method.model.seen["bspm_mv"][0], expected, atol=1e-3)


def test_an_electrode_with_a_gap_is_lost(method):
    bspm = np.ones((20, 10))
    bspm[3, 4], bspm[5, 0] = np.nan, np.inf
    method.activation(bspm, np.arange(10) * 20.0)
    lost = np.isnan(method.model.seen["bspm_mv"][0])
    assert lost[[3, 5]].all() and lost.any(axis=1).sum() == 2


def test_the_torso_s_boundary_is_taken_away():
    electrodes = vest()
    torso = torso_through(electrodes)
    signals = {
        kind: field.T @ np.linspace(0, 1, field.shape[0])[:, None] * np.ones(5)
        for kind, field in {
            "air": insulated_lead_field(HEART, electrodes, torso),
            "free": lead_field(HEART, electrodes),
        }.items()
    }
    method = LearnedInverse(Plane(), HEART, electrodes, torso_through(electrodes, 120.0), draws=2)
    method.activation(signals["air"], np.arange(5) * 25.0)
    seen = method.model.seen["bspm_mv"][0][:, 0]
    expected = signals["free"][:, 0] - signals["free"][:, 0].mean()
    assert np.linalg.norm(seen - expected) < 0.05 * np.linalg.norm(expected)
    with pytest.raises(ValueError, match="not the first nodes of the torso"):
        LearnedInverse(Plane(), HEART, vest(4, 5), torso)


def test_electrodes_in_the_heart_are_named():
    inside = Electrodes(("a", "b"), np.array([[200.0, 0, 0], HEART.voxels_mm[40]]))
    with pytest.raises(ValueError, match="b"):
        LearnedInverse(Plane(), HEART, inside)


@pytest.mark.parametrize(
    ("shape", "time", "message"),
    [
        ((19, 4), np.arange(4), r"shape \(19, 4\) .*expected \(20, times\)"),
        ((20, 4), np.arange(5), r"time_ms \(5,\), expected"),
        ((20, 4), np.array([0, 1, 1, 2]), "time_ms doesn't increase"),
    ],
)
def test_wrong_shapes_are_named(method, shape, time, message):
    with pytest.raises(ValueError, match=message):
        method.activation(np.ones(shape), time)


def test_no_signal_at_all(method):
    with pytest.raises(ValueError, match="no electrode has a signal"):
        method.activation(np.full((20, 4), np.nan), np.arange(4))


def test_one_map_has_no_uncertainty():
    from kecgi.inverse import Estimate

    with pytest.raises(ValueError, match="it has no uncertainty"):
        _ = Estimate(np.zeros(3)).sd_ms
