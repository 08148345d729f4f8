import numpy as np
import pytest

from kecgi.figures import slices


def shell(shape=(24, 20, 22)):
    """Return a shell, hollow at its centre as a heart is."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    radius = np.linalg.norm(grid, axis=0)
    return (radius < 0.9) & (radius > 0.6)


def test_slices_always_have_tissue():
    thin = np.zeros((9, 9, 9), dtype=bool)
    thin[1, 2, 3] = thin[7, 6, 8] = True  # no tissue at the centroid of any axis
    for mask in (shell(), thin):
        chosen = slices.views(mask, (2.0, 2.0, 3.0))
        assert [view.plane.name for view in chosen] == ["axial", "coronal", "sagittal"]
        assert all(view.mask.any() for view in chosen)


def test_views_cut_the_axes_they_name():
    mask = shell()
    axial, coronal, sagittal = slices.views(mask, (1.0, 2.0, 3.0))
    values = np.arange(mask.size).reshape(mask.shape)
    np.testing.assert_array_equal(axial.cut(values), values[:, :, axial.index])
    np.testing.assert_array_equal(coronal.cut(values), values[:, coronal.index, :])
    np.testing.assert_array_equal(sagittal.cut(values), values[sagittal.index, :, :])
    assert (axial.spacing_mm, coronal.spacing_mm, sagittal.spacing_mm) == (
        (1.0, 2.0),
        (1.0, 3.0),
        (2.0, 3.0),
    )


def test_a_view_is_cropped_to_its_tissue():
    mask = np.zeros((30, 30), dtype=bool)
    mask[10:16, 4:8] = True
    (view,) = slices.views(mask, (2.0, 3.0))
    assert view.size_mm == pytest.approx(
        [6 * 2 + 2 * slices.MARGIN_MM, 4 * 3 + 2 * slices.MARGIN_MM]
    )
    assert view.centre_mm == pytest.approx([12.5 * 2, 5.5 * 3])


def test_panels_share_one_scale_in_mm():
    rows = slices.views(shell(), (2.0, 1.0, 3.0))
    figure, axes = slices.panel_grid(rows, 2, panel_in=2.0, left_in=1.0, top_in=0.3, bottom_in=0.8)
    inches = figure.get_size_inches()
    for panel in axes.ravel():
        box = panel.get_position()
        wide = box.width * inches[0] / abs(np.subtract(*panel.get_xlim()))
        high = box.height * inches[1] / abs(np.subtract(*panel.get_ylim()))
        assert wide == pytest.approx(high)
        assert wide == pytest.approx(2.0 / max(view.size_mm[0] for view in rows))


def test_orientation_is_the_radiologists():
    axial, coronal, sagittal = slices.views(shell(), (1.0, 1.0, 1.0))
    _, axes = slices.panel_grid(
        [axial, coronal, sagittal], 1, panel_in=2.0, left_in=0, top_in=0, bottom_in=0
    )
    down = [np.diff(panel.get_ylim())[0] < 0 for panel in axes[:, 0]]
    assert down == [True, False, False]  # y grows to the back, z to the head
    assert all(np.diff(panel.get_xlim())[0] > 0 for panel in axes[:, 0])


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="mask is empty"):
        slices.views(np.zeros((5, 5), dtype=bool), (1.0, 1.0))
    with pytest.raises(ValueError, match="unknown plane 'short axis'"):
        slices.views(shell(), (1.0, 1.0, 1.0), ["short axis"])
    with pytest.raises(ValueError, match="one positive spacing an axis"):
        slices.views(shell(), (1.0, 1.0))
    with pytest.raises(ValueError, match="one plane"):
        slices.views(np.ones((5, 5), dtype=bool), (1.0, 1.0), ["axial", "coronal"])
