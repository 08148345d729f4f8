import numpy as np
import pytest
from matplotlib.colors import to_hex

from kecgi.figures import bspm_image, bspm_traces
from kecgi.figures.style import INPUT, OUTPUT

TIME = np.arange(50) * 4.0


@pytest.fixture
def signals():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(5, 50))
    return true, true + 0.1 * rng.normal(size=true.shape)


def test_traces_are_red_in_and_blue_out(signals):
    true, predicted = signals
    figure = bspm_traces(true, predicted, TIME, list("abcde"))
    assert [axes.get_title("left") for axes in figure.axes] == list("abcde")
    for i, axes in enumerate(figure.axes):
        lines = {to_hex(line.get_color()): line for line in axes.lines}
        np.testing.assert_array_equal(lines[INPUT].get_ydata(), true[i])
        np.testing.assert_array_equal(lines[OUTPUT].get_ydata(), predicted[i])
    assert figure.axes[0].get_ylim() == figure.axes[-1].get_ylim()
    assert figure.axes[0].get_ylabel() == "Potential (mV)"
    # The lowest panel of each column has the label, also where the last row is not full.
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "", "Time (ms)", "Time (ms)"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Input", "Output"]


def test_images_of_input_and_output_share_a_scale(signals):
    true, predicted = signals
    figure = bspm_image(true, predicted, TIME)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["Input", "Output", "Output − input"]
    limits = [axes.images[0].get_clim() for axes in panels]
    assert limits[0] == limits[1]
    assert limits[0][0] == -limits[0][1]
    assert limits[0][1] >= np.abs(true).max()
    np.testing.assert_allclose(panels[2].images[0].get_array(), predicted - true)
    bars = [axes.get_ylabel() for axes in figure.axes[3:]]
    assert bars == ["Potential (mV)", "Difference (mV)"]


def test_wrong_input_is_named(signals):
    true, predicted = signals
    with pytest.raises(ValueError, match="as many times"):
        bspm_traces(true, predicted, TIME[:-1], list("abcde"))
    with pytest.raises(ValueError, match="2 names for 5 signals"):
        bspm_traces(true, predicted, TIME, ["a", "b"])
    with pytest.raises(ValueError, match="one shape"):
        bspm_image(true, predicted[:2], TIME)
