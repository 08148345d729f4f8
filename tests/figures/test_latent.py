import numpy as np
import pytest

from kecgi.figures import bspm_traversal, map_traversal


@pytest.mark.parametrize("ndim", [2, 3])
def test_map_traversal_is_a_grid_on_one_scale(ndim):
    mask = np.ones((12,) * ndim, dtype=bool)
    mask[4:8, 4:8] = False
    maps = np.random.default_rng(0).uniform(0, 100, (3, 5, *mask.shape))
    figure = map_traversal(maps, np.linspace(-2, 2, 5), mask, (2.0,) * ndim)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 15
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    assert [axes.get_title() for axes in panels[:5]] == [
        "z = −2",
        "z = −1",
        "z = 0",
        "z = 1",
        "z = 2",
    ]
    assert [axes.texts[0].get_text() for axes in panels[::5]] == ["z1", "z2", "z3"]
    assert figure.axes[-1].get_xlabel().startswith("Activation time (ms)")


def test_bspm_traversal_is_a_grid_on_one_scale():
    bspm = np.random.default_rng(0).normal(size=(2, 3, 10, 20))
    figure = bspm_traversal(bspm, [-1, 0, 1], np.arange(20.0), names=["a", "b"])
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    np.testing.assert_array_equal(panels[4].images[0].get_array(), bspm[1, 1])
    assert [axes.get_ylabel() for axes in panels[::3]] == ["a", "b"]
    assert figure.axes[-1].get_ylabel() == "Potential (mV)"
    assert figure.get_supxlabel() == "Time (ms)"


def test_wrong_input_is_named():
    maps, mask = np.zeros((3, 5, 4, 4)), np.ones((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="as many values"):
        map_traversal(maps, [0, 1], mask, (1.0, 1.0))
    with pytest.raises(ValueError, match="does not fit"):
        map_traversal(maps, range(5), mask[:2], (1.0, 1.0))
    with pytest.raises(ValueError, match="1 names for 3 dimensions"):
        map_traversal(maps, range(5), mask, (1.0, 1.0), names=["a"])
    with pytest.raises(ValueError, match="as many times"):
        bspm_traversal(maps, range(5), np.arange(3))
