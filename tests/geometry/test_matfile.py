"""MATLAB files, those with SCIRun's tags included."""

import io
import struct

import numpy as np
import pytest
from scipy import io as scipy_io

from kecgi.geometry.matfile import read_mat, read_surface, with_signed_names
from kecgi.geometry.surfaces import icosphere

SPHERE = icosphere(60.0, 1)
CONTENT = {
    "scirunfield": {
        "node": SPHERE.points_mm.T,
        "face": SPHERE.triangles.T + 1,
        "property": {"Name": "Tank"},
        "parts": np.array([np.arange(3.0), "text"], object),
    }
}


def mat_file(path, content, compressed=False):
    scipy_io.savemat(path, content, do_compression=compressed)
    return path


def as_scirun(data):
    """Tag names of arrays as miUINT8: those of the first array, and its fields' names."""
    patched = bytearray(data)
    (dimensions,) = struct.unpack_from("<I", patched, 128 + 8 + 16 + 4)
    name = 128 + 8 + 16 + 8 + dimensions + (-dimensions) % 8
    tag, size = struct.unpack_from("<2I", patched, name)
    assert tag == 1
    struct.pack_into("<I", patched, name, 2)
    fields = name + 8 + size + (-size) % 8 + 8
    assert struct.unpack_from("<I", patched, fields) == (1,)
    struct.pack_into("<I", patched, fields, 2)
    return bytes(patched)


def test_scirun_s_tags_are_read(tmp_path):
    path = mat_file(tmp_path / "tank.mat", CONTENT)
    path.write_bytes(as_scirun(path.read_bytes()))
    with pytest.raises(TypeError, match="miINT8"):
        scipy_io.loadmat(path)
    before = path.read_bytes()
    surface = read_surface(path)
    np.testing.assert_array_equal(surface.points_mm, SPHERE.points_mm)
    np.testing.assert_array_equal(surface.triangles, SPHERE.triangles)
    assert surface.name == "tank"
    assert read_mat(path)["scirunfield"]["property"]["Name"] == "Tank"
    assert path.read_bytes() == before


@pytest.mark.parametrize("compressed", [False, True])
def test_proper_files_stay_as_they_are(tmp_path, compressed):
    data = mat_file(tmp_path / "a.mat", CONTENT, compressed).read_bytes()
    assert with_signed_names(data) == data


def test_compressed_arrays_are_patched_too(tmp_path):
    import zlib

    plain = as_scirun(mat_file(tmp_path / "a.mat", CONTENT).read_bytes())
    packed = zlib.compress(plain[128:])
    data = plain[:128] + struct.pack("<2I", 15, len(packed)) + packed
    content = scipy_io.loadmat(io.BytesIO(with_signed_names(data)), simplify_cells=True)
    np.testing.assert_array_equal(content["scirunfield"]["node"], SPHERE.points_mm.T)


def test_other_names_and_orders_of_a_surface(tmp_path):
    content = {"pts": SPHERE.points_mm, "fac": SPHERE.triangles[:, ::-1] + 1}
    surface = read_surface(mat_file(tmp_path / "sock.mat", content))
    assert surface.volume_ml == pytest.approx(SPHERE.volume_ml)


def test_what_is_no_surface_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*absent.mat"):
        read_mat(tmp_path / "absent.mat")
    with pytest.raises(ValueError, match=r"holds no surface.*found \['x'\]"):
        read_surface(mat_file(tmp_path / "x.mat", {"x": 1.0}))
    (tmp_path / "text.mat").write_text("hello")
    with pytest.raises(ValueError, match="no MATLAB file of level 5"):
        read_mat(tmp_path / "text.mat")
    good = mat_file(tmp_path / "y.mat", CONTENT).read_bytes()
    (tmp_path / "short.mat").write_bytes(good[:2000])
    with pytest.raises(ValueError, match="damaged"):
        read_mat(tmp_path / "short.mat")


def test_real_tank_and_sock(data_folder):
    folder = data_folder / "utah_sock_tank_uq"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    tank, sock = (
        read_surface(folder / "Full_tank_771.mat"),
        read_surface(folder / "capped_sock.mat"),
    )
    assert (len(tank), len(tank.triangles)) == (771, 1538)
    assert (len(sock), len(sock.triangles)) == (328, 652)
    assert tank.volume_ml == pytest.approx(15490, abs=1)
    assert sock.volume_ml == pytest.approx(187.9, abs=0.1)
    tank.require_around(sock)
