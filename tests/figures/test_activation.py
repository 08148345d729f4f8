import numpy as np
import pytest

from kecgi.figures import activation_maps

PANELS = ["True", "Predicted mean", "Standard deviation", "Error"]


def case(ndim, cases=2, seed=0):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(24.0)] * ndim, indexing="ij"))
    masks = []
    for i in range(cases):
        radius = np.linalg.norm(grid - 12, axis=0)
        masks.append((radius < 9 + i) & (radius > 5))
    mask = np.array(masks)
    true = np.where(mask, np.linalg.norm(grid - 4, axis=0) * 6, np.nan)
    mean = true + rng.normal(0, 4, true.shape)
    return true, mean, np.where(mask, rng.uniform(1, 9, mask.shape), np.nan), mask


def labels(figure):
    return [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]


def maps_of(figure):
    return [axes for axes in figure.axes if axes.images]


@pytest.mark.parametrize(("ndim", "rows"), [(2, 2), (3, 6)])
def test_panels_and_colour_bars(ndim, rows):
    true, mean, sd, mask = case(ndim)
    figure = activation_maps(true, mean, sd, mask, (2.0,) * ndim)
    assert len(maps_of(figure)) == 4 * rows
    assert [axes.get_title() for axes in maps_of(figure)[:4]] == PANELS
    assert labels(figure) == [
        "Activation time (ms), a line every 10 ms",
        "SD (ms)",
        "Predicted − true (ms)",
    ]
    # Nothing empty: the other axes are the colour bars.
    assert len(figure.axes) == 4 * rows + 3
    assert all(axes.patches for axes in maps_of(figure))  # the outline
    assert "20 mm" in [text.get_text() for text in figure.texts]


def test_true_and_predicted_share_a_scale_that_is_the_truths():
    true, mean, sd, mask = case(2)
    figure = activation_maps(true, 3 * mean, sd, mask, (2.0, 2.0))
    for row in np.array(maps_of(figure)).reshape(-1, 4):
        limits = [panel.images[0].get_clim() for panel in row]
        assert limits[0] == limits[1]
        assert limits[0][0] <= np.nanmin(true)
        assert np.nanmax(true) <= limits[0][1] < np.nanmax(true) + 10
        assert limits[2][0] == 0
        assert limits[3][0] == -limits[3][1]
        assert row[0].images[0].cmap.name == row[1].images[0].cmap.name


def test_panels_show_the_values_at_their_place():
    true, mean, sd, mask = case(2)
    figure = activation_maps(true, mean, sd, mask, (2.0, 3.0))
    for j, values in enumerate((true, mean, sd, mean - true)):
        image = maps_of(figure)[j].images[0]
        shown = image.get_array()[1:-1, 1:-1].T
        np.testing.assert_allclose(shown[mask[0]], values[0][mask[0]])
        left, right, bottom, top = image.get_extent()
        # Padded by a voxel all around; voxel (0, 0) has its centre at 0 mm.
        assert (left, right, bottom, top) == pytest.approx((-3, 49, -4.5, 73.5))


def test_isochrones_are_ten_ms_apart():
    true, mean, sd, mask = case(2)
    figure = activation_maps(true, mean, sd, mask, (2.0, 2.0), isochrone_ms=20)
    (contours,) = (c for c in maps_of(figure)[0].collections)
    assert np.diff(contours.levels) == pytest.approx(20)
    assert not maps_of(figure)[3].collections  # no lines on the error
    assert labels(figure)[0].endswith("a line every 20 ms")


def test_rows_are_named_with_their_error():
    true, mean, sd, mask = case(2)
    figure = activation_maps(true, mean, sd, mask, (2.0, 2.0), names=["A", "B"])
    text = [t.get_text() for axes in figure.axes for t in axes.texts]
    mae = np.nanmean(np.abs(mean - true)[1])
    assert {"A", "B"} <= set(text)
    assert any(f"MAE {mae:.1f} ms" in t for t in text)


def test_without_sd_its_column_is_left_out():
    true, mean, _, mask = case(2)
    figure = activation_maps(true, mean, None, mask, (2.0, 2.0))
    assert [axes.get_title() for axes in maps_of(figure)[:3]] == ["True", "Predicted mean", "Error"]
    assert len(figure.axes) == 2 * 3 + 2


def test_a_constant_prediction_and_a_perfect_one_can_be_drawn():
    true, _, _, mask = case(2)
    activation_maps(true, np.full_like(true, 50), np.zeros_like(true), mask, (2.0, 2.0))
    activation_maps(true, true, np.zeros_like(true), mask, (2.0, 2.0)).draw_without_rendering()


def test_wrong_input_is_named():
    true, mean, sd, mask = case(2)
    with pytest.raises(ValueError, match="mean has shape"):
        activation_maps(true, mean[:1], sd, mask, (2.0, 2.0))
    with pytest.raises(ValueError, match="sd has shape"):
        activation_maps(true, mean, sd[:1], mask, (2.0, 2.0))
    with pytest.raises(ValueError, match="3 names for 2 cases"):
        activation_maps(true, mean, sd, mask, (2.0, 2.0), names="ABC")
