"""VTK files: what goes in comes out, at the right place, for other readers too."""

import base64
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from kecgi.data.export import read_image, save_image, save_surface
from kecgi.geometry import Heart, biventricular
from kecgi.geometry.surfaces import icosphere


@pytest.fixture
def heart():
    mask = np.zeros((5, 6, 7), bool)
    mask[1:4, 2:5, 1:6] = True
    fibres = np.zeros((*mask.shape, 3))
    fibres[mask] = [0.6, 0.0, 0.8]
    return Heart(mask, (1.0, 1.5, 2.5), (10.0, -20.0, 30.5), fibres=fibres)


def test_round_trip_of_maps_and_draws(heart, tmp_path):
    rng = np.random.default_rng(0)
    n = int(heart.mask.sum())
    mean = rng.uniform(0, 100, heart.mask.shape)
    sd, draws = rng.uniform(1, 5, n), rng.uniform(0, 100, (12, n))
    path = save_image(
        tmp_path / "new" / "maps.vti",
        heart,
        {"mean_ms": mean, "sd_ms": sd},
        {"activation_ms": draws},
    )
    arrays, spacing, origin = read_image(path)
    np.testing.assert_array_equal(spacing, heart.spacing_mm)
    np.testing.assert_allclose(origin, heart.origin_mm)
    np.testing.assert_array_equal(arrays["tissue_1"], heart.mask)
    np.testing.assert_array_equal(arrays["mean_ms"][heart.mask], mean[heart.mask].astype("f4"))
    np.testing.assert_array_equal(arrays["sd_ms"][heart.mask], sd.astype("f4"))
    assert np.isnan(arrays["mean_ms"][~heart.mask]).all()
    for i in range(12):
        found = arrays[f"activation_draw{i:02d}_ms"][heart.mask]
        np.testing.assert_array_equal(found, draws[i].astype("f4"))
    np.testing.assert_allclose(arrays["fibres_1"], heart.fibres, atol=1e-7)
    assert len(arrays) == 2 + 2 + 12


def test_layout_is_vtk_s(heart, tmp_path):
    """Cells run through x first; points are corners, so the origin lies half a voxel before."""
    x = np.broadcast_to(np.arange(5.0)[:, None, None], heart.mask.shape)
    path = save_image(tmp_path / "x.vti", heart, {"x_1": x})
    root = ET.parse(path).getroot()
    assert root.get("type") == "ImageData" and root.get("header_type") == "UInt64"
    image = root.find("ImageData")
    assert image.get("WholeExtent") == "0 5 0 6 0 7"
    assert [float(v) for v in image.get("Origin").split()] == [9.5, -20.75, 29.25]
    element = next(e for e in image.iter("DataArray") if e.get("Name") == "x_1")
    raw = base64.b64decode(element.text)
    assert int.from_bytes(raw[:8], "little") == len(raw) - 8 == 4 * 5 * 6 * 7
    values = np.frombuffer(raw[8:], "<f4")
    cell = 2 + 5 * (3 + 6 * 4)  # (2, 3, 4)
    assert values[cell] == 2 and values[cell + 1] == 3 and np.isnan(values[0])


def test_a_whole_heart(tmp_path):
    heart = biventricular(grid=(24, 24, 24), spacing_mm=5.5)
    times = np.linspace(0, 120, int(heart.mask.sum()))
    arrays, _, _ = read_image(save_image(tmp_path / "h.vti", heart, {"activation_ms": times}))
    assert np.nanmax(arrays["activation_ms"]) == 120 and "fibres_1" not in arrays


def test_surfaces_are_read_by_meshio(tmp_path):
    meshio = pytest.importorskip("meshio")
    sphere = icosphere(30.0, 2)
    potentials = np.cos(sphere.points_mm[:, 2])
    draws = np.arange(3 * len(sphere)).reshape(3, -1) / 7
    path = save_surface(
        tmp_path / "s.vtu", sphere, {"potential_mV": potentials}, {"activation_ms": draws}
    )
    mesh = meshio.read(path)
    np.testing.assert_allclose(mesh.points, sphere.points_mm)
    np.testing.assert_array_equal(mesh.cells_dict["triangle"], sphere.triangles)
    np.testing.assert_allclose(mesh.point_data["potential_mV"], potentials)
    np.testing.assert_allclose(mesh.point_data["activation_draw02_ms"], draws[2])


def test_wrong_input_is_named(heart, tmp_path):
    sphere = icosphere(30.0, 1)
    flat = Heart(np.ones((4, 4), bool), 1.0)
    mean = np.zeros(heart.mask.shape)
    for call, message in (
        (lambda: save_image(tmp_path / "a.vtk", heart, {}), "ends in '.vtk', expected .vti"),
        (lambda: save_image(tmp_path / "a.vti", heart, {"mean": mean}), "'mean' has no unit"),
        (lambda: save_image(tmp_path / "a.vti", heart, {"a b_ms": mean}), "'a b_ms' has no unit"),
        (lambda: save_image(tmp_path / "a.vti", heart, {"m_ms": mean[1:]}), "expected the grid's"),
        (lambda: save_image(tmp_path / "a.vti", flat, {}), "2-D, expected a 3-D heart"),
        (lambda: save_surface(tmp_path / "a.vtu", sphere, {"v_mV": np.ones(3)}), "expected .42,."),
        (lambda: save_surface(tmp_path / "a.obj", sphere, {}), "expected .vtu"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert not any(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="absent.vti"):
        read_image(tmp_path / "absent.vti")
    (tmp_path / "other.vti").write_text("<VTKFile type='PolyData'><PolyData/></VTKFile>")
    with pytest.raises(ValueError, match="is no VTK image"):
        read_image(tmp_path / "other.vti")
