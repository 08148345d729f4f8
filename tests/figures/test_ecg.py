"""ECG paper: true size, the standard layout, and the signal where it belongs."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from kecgi.figures.ecg import ecg_beside, ecg_completion, ecg_paper
from kecgi.geometry.electrodes import LEADS_12

HZ = 500
ECG = 0.1 * np.arange(12)[:, None] * np.sin(2 * np.pi * np.arange(5000) / HZ)


def signals(axes, samples):
    """Lines of the page that show so many samples, from top to bottom and left to right."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == samples]
    return sorted(lines, key=lambda line: (-round(line.get_ydata()[0]), line.get_xdata()[0]))


def names(axes):
    return [text.get_text() for text in axes.texts]


def test_page_is_in_true_size():
    figure = ecg_paper(ECG, HZ, title="SR, simulated")
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    box = axes.get_position().bounds
    width_mm, height_mm = figure.get_size_inches() * 25.4
    # one unit of the axes is one mm of the page, and 10 s of paper are 250 mm
    assert box[2] * width_mm == pytest.approx(axes.get_xlim()[1])
    assert box[3] * height_mm == pytest.approx(axes.get_ylim()[1])
    assert axes.get_ylim()[1] == 100
    assert 250 < width_mm < 265
    assert "25 mm/s   10 mm/mV" in names(axes)
    assert figure.texts[0].get_text() == "SR, simulated"


def test_layout_is_three_rows_of_four_and_a_rhythm_strip():
    (axes,) = ecg_paper(ECG, HZ).axes
    quarters, (strip,) = signals(axes, 1250), signals(axes, 5000)
    assert len(quarters) == 12
    order = ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6"]
    assert [n for n in names(axes) if n in LEADS_12] == [*order, "II"]
    for place, (name, line) in enumerate(zip(order, quarters, strict=True)):
        row, column = divmod(place, 4)
        shown = slice(1250 * column, 1250 * (column + 1))
        zero = 87.5 - 25 * row
        expected = zero + 10 * ECG[LEADS_12.index(name), shown]
        np.testing.assert_allclose(line.get_ydata(), expected)
    step = np.diff(strip.get_xdata())
    np.testing.assert_allclose(step * HZ, 25)
    np.testing.assert_allclose(strip.get_ydata(), 12.5 + 10 * ECG[1])


def test_calibration_pulse_is_a_millivolt():
    (axes,) = ecg_paper(ECG, HZ).axes
    pulses = [line for line in axes.lines if len(line.get_xdata()) == 6]
    assert len(pulses) == 4
    assert all(np.ptp(p.get_ydata()) == 10 and np.ptp(p.get_xdata()) == 6 for p in pulses)


def test_two_pages_beside_each_other():
    figure = ecg_beside(ECG, 2 * ECG, HZ, ("Real", "Generated"))
    first, second = figure.axes
    assert [t.get_text() for t in figure.texts] == ["Real", "Generated"]
    size = [np.ptp(signals(axes, 5000)[0].get_ydata()) for axes in (first, second)]
    assert size[1] == pytest.approx(2 * size[0])
    assert first.get_position().x1 <= second.get_position().x0


def test_completion_marks_the_given_leads():
    figure = ecg_completion(ECG, ECG + 0.1, HZ)
    (axes,) = figure.axes
    assert {"II (given)", "V1 (given)", "V5 (given)", "V6"} <= set(names(axes))
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1250]
    assert len(lines) == 24
    np.testing.assert_allclose(lines[1].get_ydata() - lines[0].get_ydata(), 1.0)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["true", "completed"]


def test_wrong_input():
    with pytest.raises(ValueError, match=r"expected \(12, time\)"):
        ecg_paper(ECG.T, HZ)
    with pytest.raises(ValueError, match="'V7' is unknown"):
        ecg_paper(ECG, HZ, rhythm="V7")
    with pytest.raises(ValueError, match="sampling_hz is 0"):
        ecg_paper(ECG, 0)
    with pytest.raises(ValueError, match="expected one"):
        ecg_completion(ECG, ECG[:, :100], HZ)
    with pytest.raises(ValueError, match="1 titles"):
        ecg_beside(ECG, ECG, HZ, ["Real"])
