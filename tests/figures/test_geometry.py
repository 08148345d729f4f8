import numpy as np
import pytest

from kecgi.figures import electrode_view

MASK = np.zeros((14, 12, 10), dtype=bool)
MASK[3:9, 3:9, 3:7] = True


def view(points, names):
    return electrode_view(MASK, (5.0, 5.0, 6.0), (-30.0, -30.0, -30.0), points, names)


def test_projections_show_heart_and_electrodes_in_mm():
    points = np.array([[100.0, -60, 20], [-90, -70, 10], [10, 80, -120]])
    figure = view(points, ["V1", "V2", "V3"])
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["From the front", "From the left", "From the feet", "In space"]
    for title, pair in (
        ("From the front", [0, 2]),
        ("From the left", [1, 2]),
        ("From the feet", [0, 1]),
    ):
        axes = panels[title]
        np.testing.assert_array_equal(axes.collections[-1].get_offsets(), points[:, pair])
        assert axes.get_xlabel() == f"{'xyz'[pair[0]]} (mm)"
        assert axes.get_aspect() == 1
        outline = axes.collections[0].get_paths()[0].vertices
        low = np.array([-30.0, -30, -30]) + np.array([2.5, 2.5, 2.5]) * [5, 5, 6]
        assert outline.min(axis=0) == pytest.approx(low[pair])
    names = [text.get_text() for text in panels["From the front"].texts]
    assert names == ["V1", "V2", "V3"]
    assert np.diff(panels["From the feet"].get_ylim())[0] < 0  # the front is up


def test_many_electrodes_are_not_named():
    points = np.random.default_rng(0).uniform(100, 150, (40, 3))
    figure = view(points, [str(i) for i in range(40)])
    assert not figure.axes[0].texts


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="as many names as electrodes"):
        view(np.zeros((3, 3)), ["a"])
    with pytest.raises(ValueError, match="3-D mask"):
        electrode_view(MASK[0], (1, 1), (0, 0), np.zeros((1, 3)), ["a"])
