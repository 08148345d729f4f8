import numpy as np
import pytest
from matplotlib.colors import to_hex

from kecgi.figures import rhythm_spectra, rhythm_traces, wall_maps
from kecgi.geometry import AtrialShape, atrial_wall

TIME = 5.0 * np.arange(200)


def test_traces_share_a_scale_and_keep_their_amplitude():
    base = np.sin(2 * np.pi * TIME / 250)
    figure = rhythm_traces(
        {"sinus": np.stack([base, 2 * base]), "fibrillation": np.stack([base, 0 * base])},
        TIME,
        ["a", "b"],
        title="Electrograms",
    )
    first, second = figure.axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["sinus", "fibrillation"]
    swings = [np.ptp(line.get_ydata()) for line in first.lines]
    np.testing.assert_allclose(swings, [2, 4], rtol=0.01)
    assert first.get_ylim() == second.get_ylim()
    assert [t.get_text() for t in first.get_yticklabels()] == ["a", "b"]
    # the bar is as long as it says
    (text,) = second.texts
    bar = second.lines[-1]
    assert np.ptp(bar.get_ydata()) == pytest.approx(float(text.get_text().split()[0]))


def test_traces_need_one_shape():
    with pytest.raises(ValueError, match="expected one shape"):
        rhythm_traces({"a": np.zeros((2, 200)), "b": np.zeros((3, 200))}, TIME)
    with pytest.raises(ValueError, match="3 names for 2 channels"):
        rhythm_traces({"a": np.zeros((2, 200))}, TIME, list("abc"))


def test_spectra_peak_at_the_rhythm():
    signals = {n: 2 * np.sin(2 * np.pi * hz * TIME / 1000)[None] for n, hz in (("a", 4), ("b", 9))}
    (axes,) = rhythm_spectra(signals, 200.0).axes
    for line, hz in zip(axes.lines, (4, 9), strict=True):
        x, y = line.get_data()
        assert x[y.argmax()] == pytest.approx(hz) and y.max() == pytest.approx(2, rel=0.05)


def test_walls_are_seen_from_both_sides():
    heart = atrial_wall(AtrialShape(), 2.0)
    at = heart.voxels_mm
    labels = heart.labels[heart.mask]
    values = {"0 ms": at[:, 1], "40 ms": -at[:, 1]}
    marks = [at[[at[:, 1].argmax()]], np.empty((0, 3))]
    figure = wall_maps(at, 2.0, values, label="y (mm)", chamber=labels, marks_mm=marks)
    panels, bar = figure.axes[:4], figure.axes[4]
    assert [axes.get_title() for axes in panels] == ["0 ms", "40 ms", "", ""]
    assert bar.get_ylabel() == "y (mm)"
    front, back = panels[0].collections[0], panels[2].collections[0]
    # the nearest voxel is drawn last, in its full colour; from the back it is the other one
    assert to_hex(front.get_facecolors()[-1]) != to_hex(back.get_facecolors()[-1])
    for shown, nearest in ((front, at[:, 1].min()), (back, at[:, 1].max())):
        ahead = at[at[:, 1] == nearest][:, [0, 2]]
        assert np.isclose(ahead, shown.get_offsets()[-1]).all(axis=1).any()
    # a mark at the back is hidden from the front
    assert len(panels[2].collections) == 2
    assert len(panels[0].collections[1].get_offsets()) == 0
    assert len(panels[2].collections[1].get_offsets()) == 1
    # from the back, the right is on the right
    low, high = panels[2].get_xlim()
    assert low > high
    with pytest.raises(ValueError, match="one value a voxel"):
        wall_maps(at, 2.0, {"a": at[:5, 0]}, label="")
