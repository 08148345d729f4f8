"""Figures of the augmentation study and of measured beside simulated electrograms."""

import numpy as np
import pytest

from kecgi import figures


def line(low, high):
    return {"gain": np.full(2, (low + high) / 2), "low": np.full(2, low), "high": np.full(2, high)}


def test_gains_stand_at_their_place_and_within_the_axes():
    gains = {
        "Plausible": {"VAE": line(-0.01, 0.03)},
        "Nearest": {"VAE": line(-0.02, 0.0), "flow": {**line(0.05, 0.09), "gain": [0.07, np.nan]}},
    }
    reached = {"network": {"sinus": 0.6, "fibrillation": 0.2}, "Tikhonov": dict.fromkeys(
        ("sinus", "fibrillation"), 0.1)}  # fmt: skip
    figure = figures.augmentation_gains([5, 14], gains, reached)
    left, first, second = figure.axes
    assert [bar.get_height() for bar in left.patches] == [0.6, 0.2, 0.1, 0.1]
    assert first.get_ylim() == second.get_ylim()
    assert first.get_ylim()[0] < -0.02 and first.get_ylim()[1] > 0.09
    assert "0.400" in first.get_ylabel()  # what gains are counted from
    (vae,), (_, flow) = first.containers, second.containers
    assert vae.get_label() == "VAE" and flow.get_label() == "flow"
    np.testing.assert_allclose(vae.lines[0].get_ydata(), 0.01)
    assert len(flow.lines[0].get_ydata()) == 1  # what wasn't computed isn't drawn
    assert vae.lines[0].get_color() == second.containers[0].lines[0].get_color()


def test_spectra_and_frequencies_of_bipolar_signals():
    time = np.arange(400) / 200
    tone = np.sqrt(2) * np.sin(2 * np.pi * 20 * time + np.linspace(0, 3, 9)[:, None])
    signals = {"Real": tone, "Simulated": 3 * tone}
    figure = figures.bipolar_comparison(signals, {"Real": np.full(9, 5.2), "Simulated": [7.0]}, 200)
    *traces, spectra, rates = figure.axes if len(figure.axes) else _axes(figure)
    assert [axes.get_title(loc="left") for axes in traces] == ["Real", "Simulated"]
    # of one height, whatever the unit
    heights = [np.ptp(axes.lines[0].get_ydata()) for axes in traces]
    assert heights[0] == pytest.approx(heights[1], rel=0.02)
    for curve in spectra.lines:
        hz, density = curve.get_data()
        assert hz[np.argmax(density)] == pytest.approx(20, abs=0.5)
        assert np.sum(density) * hz[1] == pytest.approx(1)
    assert len(rates.patches) == 2
    with pytest.raises(ValueError, match="a frequency for each of"):
        figures.bipolar_comparison(signals, {"Real": [5.0]}, 200)


def _axes(figure):
    return [axes for part in figure.subfigs for axes in part.axes]
