"""Surface maps and L-curves by what they contain."""

import numpy as np
import pytest

from kecgi.figures import l_curve, surface_maps
from kecgi.geometry.surfaces import icosphere

SPHERE = icosphere(30.0, 1)


def panels(figure):
    return [axes for axes in figure.axes if hasattr(axes, "get_zlim")]


def test_rows_columns_and_views():
    z = SPHERE.points_mm[:, 2]
    rows = {f"{t} ms": {"true": z * t, "found": 0.5 * z * t} for t in (10, 20, 30)}
    figure = surface_maps(SPHERE.points_mm, SPHERE.triangles, rows, label="V (mV)", signed=True)
    assert len(panels(figure)) == 3 * 2 * 2
    bars = [axes for axes in figure.axes if axes not in panels(figure)]
    assert [axes.get_ylabel() for axes in bars] == ["V (mV)"] * 3
    for axes, t in zip(bars, (10, 20, 30), strict=True):
        assert axes.get_ylim() == pytest.approx((-z.max() * t, z.max() * t))
    titles = [axes.get_title() for axes in panels(figure)[:4]]
    assert titles == ["true\nalong y", "\nagainst y", "found\nalong y", "\nagainst y"]
    figure.canvas.draw()
    assert all(len(axes.collections[0].get_facecolor()) == 80 for axes in panels(figure))


def test_early_is_bright_and_late_is_dark():
    times = {"a": {"map": SPHERE.points_mm[:, 2] + 30}}
    figure = surface_maps(SPHERE.points_mm, SPHERE.triangles, times, label="AT (ms)")
    figure.canvas.draw()
    colours = panels(figure)[0].collections[0]._facecolor3d[:, :3].sum(axis=1)
    height = SPHERE.points_mm[SPHERE.triangles].mean(axis=1)[:, 2]
    assert colours[height < -20].mean() > 1.5 * colours[height > 20].mean()


def test_wrong_maps_are_named():
    flat = np.zeros(len(SPHERE))
    with pytest.raises(ValueError, match=r"row 'b' has columns \['y'\], expected \['x'\]"):
        surface_maps(
            SPHERE.points_mm, SPHERE.triangles, {"a": {"x": flat}, "b": {"y": flat}}, label=""
        )
    with pytest.raises(ValueError, match=r"map 'x' of row 'a' has shape \(3,\), expected \(42,\)"):
        surface_maps(SPHERE.points_mm, SPHERE.triangles, {"a": {"x": flat[:3]}}, label="")


def test_l_curve_marks_the_chosen():
    strengths = np.geomspace(1e-4, 1, 50)
    residual, size = 1 + strengths, 1 / strengths
    figure = l_curve(strengths, residual, size, {"gcv": 0.01, "l-curve": 0.1}, strengths * 3)
    left, right = figure.axes
    marks = [line for line in left.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([m.get_ydata()[0] for m in marks], [100, 10], rtol=0.02)
    assert [t.get_text() for t in left.get_legend().get_texts()] == [
        "gcv: λ = 0.01", "l-curve: λ = 0.1",
    ]  # fmt: skip
    assert right.get_xlim()[1] == pytest.approx(0.5, rel=0.2)
    assert len(l_curve(strengths, residual, size, {"gcv": 0.01}).axes) == 1
