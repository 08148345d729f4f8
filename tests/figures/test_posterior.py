import numpy as np
import pytest

from kecgi.figures import reliability, sd_against_error


def test_reliability_has_diagram_and_histogram():
    levels, coverages, pit = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.55, 0.93]), np.ones(8)
    left, right = reliability(levels, coverages, pit).axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), 100 * coverages)
    np.testing.assert_allclose(left.lines[1].get_xdata(), 100 * levels)
    assert left.get_xlabel() == "Nominal level of the interval (%)"
    assert left.get_ylabel() == "Truth inside the interval (%)"
    np.testing.assert_array_equal(right.patches[0].get_data().values, pit)
    assert right.get_xlabel()
    with pytest.raises(ValueError, match="coverages for"):
        reliability(levels, coverages[:2], pit)


def test_calibrated_sd_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    sd = rng.uniform(1, 10, 50_000)
    error = sd * rng.normal(size=sd.size)
    sd[:10] = np.nan
    axes = sd_against_error(sd, error).axes[0]
    curve = axes.lines[1]
    assert curve.get_ydata() == pytest.approx(curve.get_xdata(), rel=0.05)
    assert axes.get_xlabel() == "Predicted SD (ms)"
    assert axes.get_xlim() == axes.get_ylim()


def test_few_or_equal_values_can_be_drawn():
    sd_against_error(np.ones(5), np.arange(5.0)).draw_without_rendering()
    sd_against_error(np.zeros(5), np.zeros(5)).draw_without_rendering()
    with pytest.raises(ValueError, match="no voxel"):
        sd_against_error(np.full(5, np.nan), np.zeros(5))
    with pytest.raises(ValueError, match="shapes differ"):
        sd_against_error(np.zeros(5), np.zeros(4))
