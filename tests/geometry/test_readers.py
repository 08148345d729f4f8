"""Hearts from files: exact shapes written here, every bad input, and the real anatomies."""

import gzip
import itertools
import os
from pathlib import Path

import meshio
import nibabel
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from kecgi.geometry.readers import load_heart

# ---------------------------------------------------------------- shapes with a known volume


def ball_surface(radius=20.0, centre=(3.0, -40.0, 900.0), turns=48, rings=24):
    """Make closed triangles on a sphere; the poles lie on the z axis."""
    lat = np.linspace(0, np.pi, rings + 1)[1:-1]
    lon = np.arange(turns) * 2 * np.pi / turns
    lat, lon = np.meshgrid(lat, lon, indexing="ij")
    ring_points = np.stack([np.sin(lat) * np.cos(lon), np.sin(lat) * np.sin(lon), np.cos(lat)], -1)
    points = np.concatenate([ring_points.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]])
    index = np.arange((rings - 1) * turns).reshape(rings - 1, turns)
    right = np.roll(index, -1, axis=1)
    north, south = len(points) - 2, len(points) - 1
    triangles = [
        np.stack([index[:-1], index[1:], right[1:]], -1).reshape(-1, 3),
        np.stack([index[:-1], right[1:], right[:-1]], -1).reshape(-1, 3),
        np.stack([np.full(turns, north), index[0], right[0]], -1),
        np.stack([np.full(turns, south), right[-1], index[-1]], -1),
    ]
    return points * radius + np.array(centre), np.concatenate(triangles)


def enclosed_ml(points, triangles):
    """Volume inside a closed surface, by the divergence theorem."""
    a, b, c = (points[triangles[:, i]] - points.mean(0) for i in range(3))
    return abs(np.einsum("ij,ij->", a, np.cross(b, c))) / 6000


def box_tetrahedra(size=(30.0, 20.0, 24.0), corner=(5.0, 6.0, 7.0), cells=(6, 4, 3)):
    """Fill a box with tetrahedra, six to a cell."""
    nodes = np.arange(np.prod(np.array(cells) + 1)).reshape(np.array(cells) + 1)
    axes = [np.linspace(o, o + s, n + 1) for o, s, n in zip(corner, size, cells, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    tetrahedra = []
    for cell in itertools.product(*map(range, cells)):
        for order in itertools.permutations(range(3)):
            at, walk = list(cell), [nodes[cell]]
            for axis in order:
                at[axis] += 1
                walk.append(nodes[tuple(at)])
            tetrahedra.append(walk)
    return points, np.array(tetrahedra)


def write(path, points, cells, kind="triangle", **cell_data):
    mesh = meshio.Mesh(points, [(kind, cells)], cell_data={k: [v] for k, v in cell_data.items()})
    meshio.write(path, mesh)
    return path


def block(shape=(20, 16, 12), margin=2):
    """Make a box of tissue with one corner cut, so that no flip or swap of axes looks the same."""
    mask = np.zeros(shape, bool)
    mask[(slice(margin, -margin),) * 3] = True
    mask[margin : margin + 5, margin : margin + 4, margin : margin + 3] = False
    return mask


def write_nifti(path, values, affine=None, spacing=2.0):
    affine = np.diag([spacing, spacing, spacing, 1.0]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def fails(path, *words, error=ValueError, **options):
    """Check that reading fails and the message has all the words."""
    with pytest.raises(error) as caught:
        load_heart(path, **options)
    for word in words:
        assert str(word) in str(caught.value), f"{word!r} is not in: {caught.value}"


# ---------------------------------------------------------------- npz


def test_npz_round_trip(tmp_path):
    mask = block()
    labels = np.where(mask, 1 + (np.arange(mask.shape[0]) > 9)[:, None, None], 0)
    fibres = np.where(mask[..., None], np.float32([0, 0.6, 0.8]), 0)
    np.savez(
        tmp_path / "mine.npz",
        mask=mask,
        spacing=[1.0, 2.0, 3.0],
        origin=[-4.0, 5.0, 6.0],
        labels=labels,
        fibres=fibres,
    )
    heart = load_heart(tmp_path / "mine.npz")
    assert heart.name == "mine"
    assert heart.spacing_mm == (1, 2, 3) and heart.origin_mm == (-4, 5, 6)
    np.testing.assert_array_equal(heart.mask, mask)
    np.testing.assert_array_equal(heart.labels, labels)
    np.testing.assert_array_equal(heart.fibres, fibres)
    picked = load_heart(tmp_path / "mine.npz", label=2)
    np.testing.assert_array_equal(picked.mask, labels == 2)


def test_npz_of_a_slice_with_one_spacing(tmp_path):
    np.savez(tmp_path / "slice.npz", mask=block()[:, :, 6], spacing=1.5)
    assert load_heart(tmp_path / "slice.npz").spacing_mm == (1.5, 1.5)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"wall": block(), "spacing": 2.0}, ["'mask'", "wall"]),
        ({"mask": block()}, ["'spacing'", "mm"]),
        ({"mask": block(), "spacing": 0.0}, ["spacing", "0.0", "positive"]),
        ({"mask": block(), "spacing": [1.0, np.nan, 1.0]}, ["spacing", "nan", "positive"]),
        ({"mask": block(), "spacing": [1.0, 2.0]}, ["spacing", "one number or 3"]),
        ({"mask": block(), "spacing": "2 mm"}, ["spacing", "2 mm"]),
        ({"mask": np.zeros((9, 9, 9), bool), "spacing": 2.0}, ["empty"]),
        ({"mask": block() * 2 + 1, "spacing": 2.0}, ["labels [1, 3]", "label=1"]),
        ({"mask": block() * 600.5 - 100, "spacing": 2.0}, ["-100", "500.5", "not a segmentation"]),
        ({"mask": np.where(block(), 1.0, np.nan), "spacing": 2.0}, ["NaN"]),
        ({"mask": block(), "labels": block()[1:] * 1, "spacing": 2.0}, ["differ in shape"]),
        ({"mask": block().astype("U1"), "spacing": 2.0}, ["expected numbers"]),
        ({"mask": block(), "spacing": 0.002}, ["0.032", "metres", "1000"]),
        ({"mask": block(), "spacing": 50.0}, ["800", "400 mm"]),
    ],
)
def test_bad_npz_is_named(tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    fails(tmp_path / "bad.npz", "bad", *words)


def test_pickled_npz_is_refused(tmp_path):
    np.savez(tmp_path / "p.npz", mask=np.array([{"a": 1}, None], dtype=object), spacing=1.0)
    fails(tmp_path / "p.npz", "p.npz", "pickled")


def test_components(tmp_path):
    mask = block()
    mask[-1, :, :] = True
    labels = mask.astype(int)
    np.savez(tmp_path / "two.npz", mask=mask, spacing=2.0, labels=labels)
    fails(tmp_path / "two.npz", "two", "2 separate components", "keep_largest=True")
    heart = load_heart(tmp_path / "two.npz", keep_largest=True)
    np.testing.assert_array_equal(heart.mask, block())
    assert not heart.labels[-1].any()


def test_stray_voxels_are_dropped_with_a_warning(tmp_path):
    clean = np.zeros((12, 12, 12), bool)
    clean[2:9, 2:9, 2:9] = True
    mask = clean.copy()
    mask[11, 11, 11] = mask[0, 11, 11] = True
    np.savez(tmp_path / "stray.npz", mask=mask, spacing=2.0)
    with pytest.warns(UserWarning, match="dropped 2 stray voxels in 2 pieces"):
        heart = load_heart(tmp_path / "stray.npz")
    np.testing.assert_array_equal(heart.mask, clean)


# ---------------------------------------------------------------- NIfTI


def nifti_positions(mask, affine):
    """Tissue voxels in LPS, by the definition of the format: RAS = affine @ index."""
    ras = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return ras * [-1, -1, 1]


def ordered(points):
    return points[np.lexsort(np.round(points, 4).T)]


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_affine_with_flips_and_swaps(tmp_path, extension, axes, signs):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (axis, sign, step) in enumerate(zip(axes, signs, (1.5, 2.0, 3.0), strict=True)):
        affine[axis, column] = sign * step
    affine[:3, 3] = [10.0, -200.0, 35.0]
    path = write_nifti(tmp_path / f"seg{extension}", block().astype(np.uint8), affine)
    heart = load_heart(path)
    assert heart.name == "seg"
    np.testing.assert_allclose(
        ordered(heart.voxels_mm), ordered(nifti_positions(block(), affine)), atol=1e-4
    )


def test_silhouette_axes_rise_with_left_back_head(tmp_path):
    """An image stored in RAS order comes out reversed along x and y."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    assert aff2axcodes(affine) == ("R", "A", "S")
    heart = load_heart(write_nifti(tmp_path / "a.nii", block().astype(np.uint8), affine))
    np.testing.assert_array_equal(heart.mask, block()[::-1, ::-1])
    assert heart.origin_mm == (-2.0 * 19, -2.0 * 15, 0.0)


def test_oblique_image_is_interpolated(tmp_path):
    a, b = np.deg2rad([35.0, 20.0])
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ np.diag([1.0, 1.0, 2.0])
    affine[:3, 3] = [5, 6, 7]
    labels = np.zeros((40, 30, 20), np.uint8)
    labels[5:20, 6:22, 4:16], labels[20:35, 6:22, 4:16] = 1, 2
    heart = load_heart(write_nifti(tmp_path / "o.nii.gz", labels, affine), label=(1, 2))
    assert heart.spacing_mm == (1, 1, 1)
    assert heart.volume_ml == pytest.approx(np.count_nonzero(labels) * 2 / 1000, rel=0.01)
    np.testing.assert_allclose(
        heart.centroid_mm, nifti_positions(labels > 0, affine).mean(0), atol=0.1
    )
    for region in (1, 2):
        found = np.argwhere(heart.labels == region) + np.array(heart.origin_mm)
        expected = nifti_positions(labels == region, affine).mean(0)
        np.testing.assert_allclose(found.mean(0), expected, atol=0.15)


def test_labels_and_probabilities(tmp_path):
    labels = block() * np.int16(7)
    labels[0] = 205
    path = write_nifti(tmp_path / "labels.nii.gz", labels)
    fails(path, "labels.nii.gz", "[7, 205]", "label=7")
    fails(path, "labels.nii.gz", "no label [3]", "[7, 205]", label=(7, 3))
    heart = load_heart(path, label=7)
    assert heart.mask.sum() == block().sum() and heart.labels is None

    floats = write_nifti(tmp_path / "floats.nii", labels.astype(np.float32))
    np.testing.assert_array_equal(load_heart(floats, label=7).mask, heart.mask)

    p = write_nifti(tmp_path / "p.nii", np.where(block(), 0.6, 0.4).astype(np.float32))
    np.testing.assert_array_equal(load_heart(p).mask, heart.mask)
    fails(p, "probabilities", label=1)


@pytest.mark.parametrize("label", [0, -1, 1.5, (), "wall", True])
def test_bad_label(tmp_path, label):
    fails(write_nifti(tmp_path / "a.nii", block() * 1.0), "label is", repr(label), label=label)


def test_bad_nifti(tmp_path):
    mask = block().astype(np.uint8)
    fails(write_nifti(tmp_path / "4d.nii", np.stack([mask] * 5, -1)), "4d.nii", "4-D", "(20, 16")
    intensities = np.random.default_rng(0).integers(-1000, 1000, mask.shape).astype(np.int16)
    fails(write_nifti(tmp_path / "ct.nii", intensities), "ct.nii", "intensities")
    fails(write_nifti(tmp_path / "none.nii", 0 * mask), "none", "empty")

    nibabel.save(nibabel.Nifti1Image(mask, None), tmp_path / "bare.nii")
    fails(tmp_path / "bare.nii", "bare.nii", "no spacing", "sform", "qform")

    path = write_nifti(tmp_path / "ok.nii.gz", intensities.astype(np.float32))
    (tmp_path / "cut.nii.gz").write_bytes(path.read_bytes()[:1000])
    fails(tmp_path / "cut.nii.gz", "cut.nii.gz", "cut off")
    raw = gzip.decompress(path.read_bytes())
    (tmp_path / "cut.nii").write_bytes(raw[: len(raw) // 2])
    fails(tmp_path / "cut.nii", "cut.nii", "cut off")
    fails(write_nifti(tmp_path / "mm.nii", mask), "has a spacing of its own", spacing_mm=2.0)


def test_metres_declared_in_nifti_are_converted(tmp_path):
    image = nibabel.Nifti1Image(block().astype(np.uint8), np.diag([0.002, 0.002, 0.002, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "m.nii")
    assert load_heart(tmp_path / "m.nii").spacing_mm == pytest.approx((2, 2, 2))
    # without the declaration the extent gives it away
    fails(write_nifti(tmp_path / "u.nii", block() * 1.0, spacing=0.002), "0.032", "metres")


# ---------------------------------------------------------------- files that aren't what they say

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4


@pytest.mark.parametrize("name", ["a.npz", "a.nii", "a.nii.gz", "a.obj", "a.stl", "a.vtk", "a.vtu"])
@pytest.mark.parametrize("content", ["png", "empty"])
def test_mislabelled_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(PNG if content == "png" else b"")
    fails(tmp_path / name, name)
    if content == "png" and name != "a.obj":  # OBJ has no signature: "no triangles" is as good
        fails(tmp_path / name, "PNG")


def test_missing_unknown_and_ambiguous(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails("nowhere.npz", "nowhere.npz", tmp_path, error=FileNotFoundError)
    (tmp_path / "heart.mat").write_bytes(b"MATLAB")
    fails("heart.mat", "heart.mat", ".npz, .nii, .nii.gz, .obj, .stl, .vtk, .vtu")
    fails(tmp_path, "no heart in folder", "heart.mat", error=FileNotFoundError)
    fails([], "empty")
    np.savez(tmp_path / "one.npz", mask=block(), spacing=2.0)
    assert load_heart(tmp_path).name == tmp_path.name
    np.savez(tmp_path / "two.npz", mask=block(), spacing=2.0)
    fails(tmp_path, "one.npz, two.npz", "name one")
    fails(["one.npz", "two.npz"], "one.npz", "only surfaces")


# ---------------------------------------------------------------- surfaces


@pytest.mark.parametrize("name", ["b.obj", "b.stl", "b.vtk", "b.vtu"])
def test_volume_of_a_sphere(tmp_path, name):
    points, triangles = ball_surface()
    heart = load_heart(write(tmp_path / name, points, triangles))
    expected = enclosed_ml(points, triangles)
    assert expected == pytest.approx(4 / 3 * np.pi * 8, rel=0.02)  # the polyhedron is inscribed
    assert heart.spacing_mm == (1.5, 1.5, 1.5)
    assert heart.volume_ml == pytest.approx(expected, rel=0.003)
    assert heart.mask.sum() * 1.5**3 / 1000 == pytest.approx(expected, rel=0.02)
    np.testing.assert_allclose(heart.centroid_mm, [3, -40, 900], atol=0.1)
    distance = np.linalg.norm(heart.voxels_mm - [3, -40, 900], axis=1)
    assert distance.max() < 20 + 0.75 * np.sqrt(3)


def test_rays_through_edges_and_vertices_do_not_leak(tmp_path):
    """A box whose corners, edges and diagonals lie on sample points, filled to the last sample."""
    corners = np.array(list(itertools.product([0.0, 12.0], repeat=3)))
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    heart = load_heart(write(tmp_path / "box.obj", corners, quads, "quad"), spacing_mm=3.0)
    # half-open: of a sample on two opposite faces one counts, so the volume is exact
    assert heart.volume_ml == pytest.approx(12**3 / 1000, rel=1e-6)


def test_spacing_for_meshes(tmp_path):
    path = write(tmp_path / "b.stl", *ball_surface())
    assert load_heart(path, spacing_mm=(2, 3, 4)).spacing_mm == (2, 3, 4)
    for bad in (0, -1.0, np.nan, (1.0, 2.0)):
        fails(path, "spacing_mm is", "positive", spacing_mm=bad)
    fails(path, "0.01", "larger spacing_mm", spacing_mm=0.01)
    fails(path, "smaller spacing_mm", spacing_mm=200.0)
    fails(path, "no regions", label=1)


def test_surfaces_that_are_no_hearts(tmp_path):
    points, triangles = ball_surface()
    opened = write(tmp_path / "open.stl", points, triangles[:-48])  # without the south cap
    fails(opened, "open.stl", "open", "48 boundary edges in 1 hole", "880.2")
    fails(write(tmp_path / "m.obj", points / 1000, triangles), "m.obj", "0.04 ×", "metres", "1000")
    fails(write(tmp_path / "big.obj", points * 1000, triangles), "big.obj", "400 mm")
    fails(write(tmp_path / "line.vtk", points, triangles[:, :2], "line"), "no triangles")
    hexahedra = np.arange(8)[None]
    fails(write(tmp_path / "hex.vtu", points, hexahedra, "hexahedron"), "hex.vtu", "hexahedron")
    points[7] = np.nan
    fails(write(tmp_path / "nan.vtu", points, triangles), "nan.vtu", "1 points with NaN")


@pytest.mark.parametrize("name", ["a.obj", "a.stl", "a.vtk", "a.vtu"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_cut_off_mesh(tmp_path, name, share):
    whole = write(tmp_path / name, *ball_surface()).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    fails(tmp_path / name, name)


def test_list_of_cells_cut_off(tmp_path):
    """An ASCII list that ends early, which meshio reads without complaint."""
    points, cells = box_tetrahedra()
    meshio.vtk.write(
        tmp_path / "a.vtk", meshio.Mesh(points, [("tetra", cells)]), "4.2", binary=False
    )
    whole = (tmp_path / "a.vtk").read_bytes()
    assert load_heart(tmp_path / "a.vtk").mask.any()
    (tmp_path / "a.vtk").write_bytes(whole[:-40])
    fails(tmp_path / "a.vtk", "a.vtk", "cut off", "declares 432 cells")


def polydata(points, triangles, version, binary):
    """Write the legacy format as VTK does, by its documentation."""

    def values(array, dtype):
        if binary:
            return np.asarray(array, dtype).tobytes() + b"\n"
        return (" ".join(map(str, np.ravel(array).tolist())) + "\n").encode()

    n, m = len(points), len(triangles)
    head = f"# vtk DataFile Version {version}\nvtk output\n{'BINARY' if binary else 'ASCII'}\n"
    head += f"DATASET POLYDATA\nPOINTS {n} float\n"
    body = head.encode() + values(points, ">f4")
    if version == "5.1":
        body += b"METADATA\nINFORMATION 0\n\n"
        body += f"POLYGONS {m + 1} {3 * m}\nOFFSETS vtktypeint64\n".encode()
        body += values(3 * np.arange(m + 1), ">i8")
        return body + b"CONNECTIVITY vtktypeint64\n" + values(triangles, ">i8")
    body += f"POLYGONS {m} {4 * m}\n".encode()
    return body + values(np.column_stack([np.full(m, 3), triangles]), ">i4")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("version", ["3.0", "5.1"])
def test_legacy_polydata(tmp_path, version, binary):
    points, triangles = ball_surface()
    content = polydata(points, triangles, version, binary)
    (tmp_path / "a.vtk").write_bytes(content)
    heart = load_heart(tmp_path / "a.vtk")
    expected = enclosed_ml(points, triangles)
    assert heart.volume_ml == pytest.approx(expected, rel=0.003)
    for share in (0.3, 0.98):
        (tmp_path / "cut.vtk").write_bytes(content[: int(share * len(content))])
        fails(tmp_path / "cut.vtk", "cut.vtk")
    (tmp_path / "strips.vtk").write_bytes(content.replace(b"POLYGONS", b"TRIANGLE_STRIPS"))
    fails(tmp_path / "strips.vtk", "triangle strips")


def test_wall_between_surfaces(tmp_path):
    """Two nested spheres; then both cut open along the same rim, as at a valve."""
    outer, inner = ball_surface(24), ball_surface(18)
    files = [
        write(tmp_path / "p_EPICARDIAL_000.obj", *outer),
        write(tmp_path / "p_LV_ENDOCARDIAL_000.obj", *inner),
    ]
    expected = enclosed_ml(*outer) - enclosed_ml(*inner)
    assert load_heart(files).volume_ml == pytest.approx(expected, rel=0.005)
    assert load_heart(tmp_path).name == tmp_path.name

    points, triangles = inner
    cap = np.unique(triangles[-48:])
    points[cap] = outer[0][cap]  # the endocardium meets the epicardium at the rim of the south cap
    files = [
        write(tmp_path / "p_EPICARDIAL_000.obj", outer[0], triangles[:-48]),
        write(tmp_path / "p_LV_ENDOCARDIAL_000.obj", points, triangles[:-48]),
    ]
    expected = enclosed_ml(*outer) - enclosed_ml(points, triangles)
    assert load_heart(files).volume_ml == pytest.approx(expected, rel=0.005)
    fails(files[:1], "48 boundary edges", "endocardium")


def test_surfaces_that_do_not_belong_together(tmp_path):
    for frame in ("000", "012"):
        write(tmp_path / f"p_EPICARDIAL_{frame}.obj", *ball_surface(24))
        write(tmp_path / f"p_LV_ENDOCARDIAL_{frame}.obj", *ball_surface(18))
    fails(tmp_path, "000: p_EPI", "012: p_EPI", "time frames")
    mixed = [tmp_path / "p_EPICARDIAL_000.obj", tmp_path / "p_LV_ENDOCARDIAL_012.obj"]
    fails(mixed, "000", "012", "time frames")
    fails([mixed[0], mixed[0]], "twice")
    far = write(tmp_path / "far_000.obj", *ball_surface(18, (80, 0, 900)))
    fails([tmp_path / "p_LV_ENDOCARDIAL_000.obj", far], "encloses the others", "epicardium")
    tets = write(tmp_path / "tets_000.vtu", *box_tetrahedra(), "tetra")
    ball = write(tmp_path / "ball_000.vtu", *ball_surface(20, (20, 16, 19)))
    fails([ball, tets], "tets_000.vtu", "tetrahedra")


# ---------------------------------------------------------------- tetrahedra


@pytest.mark.parametrize("name", ["b.vtk", "b.vtu"])
def test_volume_of_a_box_of_tetrahedra(tmp_path, name):
    points, cells = box_tetrahedra()
    path = write(tmp_path / name, points, cells, "tetra")
    heart = load_heart(path, spacing_mm=2.0)
    assert heart.volume_ml == pytest.approx(30 * 20 * 24 / 1000, rel=1e-6)
    fine = load_heart(path, spacing_mm=0.7)
    assert fine.volume_ml == pytest.approx(30 * 20 * 24 / 1000, rel=0.02)
    np.testing.assert_allclose(fine.centroid_mm, [20, 16, 19], atol=0.35)
    assert fine.labels is None and fine.fibres is None
    inside = (fine.voxels_mm > [5.5, 6.5, 7.5]) & (fine.voxels_mm < [34.5, 25.5, 30.5])
    core = inside.all(1)
    assert np.all(fine.fraction[fine.mask][core] == 1)  # no gap between tetrahedra


def test_regions_and_fibres(tmp_path):
    points, cells = box_tetrahedra()
    centre = points[cells].mean(1)
    region = np.where(centre[:, 0] < 20, 3, 8)
    fibre = np.column_stack([np.zeros(len(cells)), 3 * np.ones(len(cells)), centre[:, 0] - 20])
    counter = np.arange(len(cells))
    path = write(
        tmp_path / "b.vtu", points, cells, "tetra", elemTag=region, fiber=fibre, counter=counter
    )
    heart = load_heart(path, spacing_mm=1.0)
    x = heart.coordinates_mm()[0][:, None, None]
    clear = heart.mask & (np.abs(x - 20) > 1e-6)
    expected = np.where(x < 20, 3, 8) * np.ones(heart.mask.shape, int)
    np.testing.assert_array_equal(heart.labels[clear], expected[clear])
    assert np.all(heart.labels[~heart.mask] == 0)
    np.testing.assert_allclose(np.linalg.norm(heart.fibres[heart.mask], axis=-1), 1, rtol=1e-5)
    slope = heart.fibres[..., 2] / np.where(heart.mask, heart.fibres[..., 1], 1)
    error = np.abs(slope - (x - 20) / 3)[heart.mask]
    assert error.max() < 5 / 3  # a cell is 5 mm wide and its fibre constant

    right = load_heart(path, label=8)
    assert right.labels is None
    assert right.voxels_mm[:, 0].min() > 19
    assert right.fibres[right.mask][:, 2].min() > 0
    fails(path, "b.vtu", "no region [4]", "[3, 8]", label=4)
    both = load_heart(path, label=(3, 8), spacing_mm=1.0)
    np.testing.assert_array_equal(both.labels, heart.labels)

    zero = write(tmp_path / "zero.vtu", points, cells, "tetra", region=region - 3)
    fails(zero, "zero.vtu", "[0, 5]", "label=")
    assert load_heart(zero, label=5).mask.any()
    plain = write(tmp_path / "plain.vtu", points, cells, "tetra", speed=fibre[:, 2])
    fails(plain, "plain.vtu", "speed", "label=(1,)", label=1)


def test_voxel_with_its_centre_in_a_gap_follows_its_neighbour(tmp_path):
    left = box_tetrahedra(size=(14.9, 20.0, 24.0))
    right = box_tetrahedra(size=(14.9, 20.0, 24.0), corner=(20.1, 6.0, 7.0))
    points = np.concatenate([left[0], right[0]])
    cells = np.concatenate([left[1], right[1] + len(left[0])])
    region = np.repeat([3, 8], [len(left[1]), len(right[1])])
    region[-1] = 9
    path = write(tmp_path / "gap.vtu", points, cells, "tetra", region=region)
    heart = load_heart(path, spacing_mm=1.0)
    at = int(np.argmin(np.abs(heart.coordinates_mm()[0] - 20)))
    assert heart.mask[at].any()
    assert set(heart.labels[at][heart.mask[at]].tolist()) <= {3, 8}


def test_placeholder_fibres_are_left_out(tmp_path):
    points, cells = box_tetrahedra()
    same = np.tile([0.0, 0.0, 1.0], (len(cells), 1))
    path = write(tmp_path / "b.vtu", points, cells, "tetra", fiber=same)
    with pytest.warns(UserWarning, match="placeholder"):
        assert load_heart(path).fibres is None
    same[5] = 0
    path = write(tmp_path / "c.vtu", points, cells, "tetra", fiber=same)
    with pytest.warns(UserWarning, match="without a direction"):
        assert load_heart(path).fibres is None


def test_separate_solids_need_keep_largest(tmp_path):
    points, cells = box_tetrahedra()
    more, cells_too = box_tetrahedra(size=(15.0, 20.0, 24.0), corner=(60.0, 6.0, 7.0))
    both = np.concatenate([points, more]), np.concatenate([cells, cells_too + len(points)])
    path = write(tmp_path / "two.vtu", *both, "tetra")
    fails(path, "two", "2 separate components", "keep_largest")
    fails(path, "smaller spacing_mm")
    heart = load_heart(path, keep_largest=True)
    assert heart.volume_ml == pytest.approx(load_heart(write_box(tmp_path)).volume_ml)


def write_box(folder):
    return write(folder / "box.vtu", *box_tetrahedra(), "tetra")


# ---------------------------------------------------------------- real anatomies


@pytest.fixture
def data_folder():
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("KECGI_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data folder {folder}; KECGI_DATA names it")
    return folder


def reference(path):
    with np.load(path) as arrays:
        return arrays["mask"], arrays["origin"], float(arrays["spacing"])


def dice(heart, path):
    mask, origin, spacing = reference(path)
    np.testing.assert_allclose(heart.origin_mm, origin, atol=1e-3)
    assert heart.spacing_mm == (spacing,) * 3
    return 2 * np.sum(heart.mask & mask) / (heart.mask.sum() + mask.sum())


def test_biventricular_surfaces(data_folder):
    folder = data_folder / "human_biv_mri_bivme"
    parts = ("EPICARDIAL", "LV_ENDOCARDIAL", "RV_ENDOCARDIAL")
    heart = load_heart([folder / f"patient1_{part}_000.obj" for part in parts])
    assert dice(heart, folder / "bivme_patient1_ED_1.5mm.npz") > 0.995
    assert heart.volume_ml == pytest.approx(177.8, rel=0.005)
    fails(folder, "time frames", "000", "012")
    fails(folder / "patient1_EPICARDIAL_000.obj", "144 boundary edges in 4 hole")
    fails([folder / f"patient1_{part}_000.obj" for part in parts[1:]], "epicardium is missing")


def test_biventricular_mask_has_crumbs(data_folder):
    path = data_folder / "human_biv_mri_bivme" / "bivme_patient1_ED_1.5mm.npz"
    with pytest.warns(UserWarning, match="dropped 6 stray voxels in 6 pieces"):
        assert load_heart(path).mask.sum() == 52665
    assert load_heart(path, keep_largest=True).mask.sum() == 52665


@pytest.mark.parametrize(
    ("mesh", "mask", "tetrahedra_ml", "least_dice"),
    [
        ("human_biv_llnl/heart_mesh.vtk", "human_biv_llnl/llnl_biv_1.5mm.npz", 108.95, 0.999),
        (
            "human_ct_hearts/la_input.vtu",
            "human_ct_hearts/masks/strocchi01_la_1.0mm.npz",
            25.65,
            0.985,
        ),
        (
            "human_ct_hearts/ra_input.vtu",
            "human_ct_hearts/masks/strocchi01_ra_1.0mm.npz",
            27.69,
            0.985,
        ),
    ],
)
def test_tetrahedral_hearts(data_folder, mesh, mask, tetrahedra_ml, least_dice):
    heart = load_heart(data_folder / mesh, spacing_mm=reference(data_folder / mask)[2])
    assert dice(heart, data_folder / mask) > least_dice
    assert heart.volume_ml == pytest.approx(tetrahedra_ml, rel=0.006)
    assert heart.labels is None and heart.fibres is None


def test_left_ventricle_with_placeholder_fibres(data_folder):
    folder = data_folder / "human_ct_hearts"
    with pytest.warns(UserWarning, match="'fiber' is the same vector in every cell"):
        heart = load_heart(folder / "heart_model.vtu")
    assert dice(heart, folder / "masks" / "rodero01_lv_1.5mm.npz") > 0.999
    assert heart.volume_ml == pytest.approx(164.79, rel=0.002)  # triangles in the file don't count
    assert heart.labels is None and heart.fibres is None


def test_silhouette_from_a_scanner_pipeline(data_folder):
    heart = load_heart(data_folder / "ct_heart_silhouette_totalseg" / "heart.nii.gz")
    assert heart.mask.shape == (233, 167, 191) and heart.mask.sum() == 198176
    assert heart.spacing_mm == (1.5, 1.5, 1.5)
    np.testing.assert_allclose(heart.origin_mm, [-179.658, -275.158, 540.2], atol=1e-3)
