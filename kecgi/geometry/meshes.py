"""Hearts from meshes: closed surfaces and tetrahedra, voxelised."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse

from kecgi.geometry.images import unreadable
from kecgi.geometry.polydata import is_polydata, read_polydata
from kecgi.geometry.voxelize import fill_surface, fill_tetrahedra, grid_around

REGION_NAMES = "region regionid label tag elemtag material materialid partid part physical"
FIBRE_NAMES = "fiber fibre fiberdirection fibredirection fibervector f0"
"""Names of cell arrays, compared in lower case without punctuation and plural s."""

WELD_MM = 1e-3
"""Points closer than this are one; files repeat the points of a seam or of a shared rim."""


@dataclass(frozen=True)
class Mesh:
    """What one file holds; `cell_data` belongs to the tetrahedra."""

    path: Path
    points: np.ndarray
    triangles: np.ndarray
    tetrahedra: np.ndarray
    cell_data: dict[str, np.ndarray] = field(default_factory=dict)


def read_mesh(path: Path) -> Mesh:
    """Read triangles and tetrahedra; polygons are cut into triangles.

    Raises
    ------
    ValueError
        Where the file can't be parsed, has other kinds of cells, or refers to absent points.
    """
    import meshio  # as slow to import as the rest of the package; only meshes need it

    kind = path.suffix.lower()[1:]
    try:
        if kind == "vtk" and is_polydata(path):
            points, polygons = read_polydata(path)
            blocks, data = [("polygon", p[None]) for p in polygons], {}
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # meshio's own; what it returns is checked below
                # not meshio.read, which ends the process where a parser fails
                mesh = getattr(meshio, kind).read(path)
            points = np.asarray(mesh.points, float)[:, :3]  # OBJ may append colours
            blocks, data = [(b.type, np.asarray(b.data)) for b in mesh.cells], mesh.cell_data
    except Exception as error:  # meshio lets any error of its parsers through
        raise ValueError(unreadable(path, kind.upper(), error)) from error

    declared = _declared_cells(path) if kind == "vtk" else None
    if declared is not None and declared != sum(len(cells) for _, cells in blocks):
        raise ValueError(
            f"{path} is cut off: it declares {declared} cells and holds "
            f"{sum(len(cells) for _, cells in blocks)}"
        )
    known = {"triangle", "quad", "polygon", "tetra", "vertex", "line"}
    other = sorted({name for name, _ in blocks} - known)
    if other:
        raise ValueError(f"{path} holds cells of type {other}; expected triangles or tetrahedra")
    faces = [
        np.stack([cells[:, 0], cells[:, i], cells[:, i + 1]], 1)
        for name, cells in blocks
        if name in ("triangle", "quad", "polygon")
        for i in range(1, cells.shape[1] - 1)
    ]
    solid = [i for i, (name, _) in enumerate(blocks) if name == "tetra"]
    triangles = np.concatenate([np.empty((0, 3), int), *faces])
    tetrahedra = np.concatenate([np.empty((0, 4), int), *(blocks[i][1] for i in solid)])
    cells = tetrahedra if len(tetrahedra) else triangles
    if not len(cells):
        raise ValueError(f"{path} holds no triangles and no tetrahedra")
    if cells.min() < 0 or cells.max() >= len(points):
        raise ValueError(
            f"{path} is damaged or cut off: its cells refer to points {cells.min()} to "
            f"{cells.max()}, but it holds {len(points)}"
        )
    bad = int(np.count_nonzero(~np.isfinite(points[np.unique(cells)]).all(1)))
    if bad:
        raise ValueError(f"{path} has {bad} points with NaN or infinite coordinates")
    of_solid = {
        name: np.concatenate([np.asarray(values[i]) for i in solid])
        for name, values in data.items()
        if solid
    }
    return Mesh(path, points, triangles, tetrahedra, of_solid)


def box_of(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest coordinates (mm) of the points that cells use."""
    cells = mesh.tetrahedra if len(mesh.tetrahedra) else mesh.triangles
    used = mesh.points[np.unique(cells)]
    return used.min(0), used.max(0)


def fill_between(surfaces: Sequence[Mesh], step_mm: np.ndarray) -> dict:
    """Fields of a `Heart` inside the outermost surface and outside the cavities in it.

    Raises
    ------
    ValueError
        Where no surface encloses the others, or where all of them together aren't closed.
    """
    boxes = [box_of(s) for s in surfaces]
    low, high = np.min([b[0] for b in boxes], 0), np.max([b[1] for b in boxes], 0)
    if not any(np.all(b[0] <= low + step_mm) and np.all(b[1] >= high - step_mm) for b in boxes):
        raise ValueError(
            f"none of {_names(surfaces)} encloses the others: the epicardium is missing, or the "
            "files belong to different hearts"
        )
    points, triangles = _welded(surfaces)
    _require_closed(points, triangles, _names(surfaces))
    origin, shape = grid_around(low, high, step_mm)
    share = fill_surface(points, triangles, origin, step_mm, shape)
    return {"mask": share >= 0.5, "spacing_mm": step_mm, "origin_mm": origin, "fraction": share}


def fill_solid(mesh: Mesh, step_mm: np.ndarray, label: tuple[int, ...] | None) -> dict:
    """Fields of a `Heart` inside tetrahedra, with their regions and fibres where the file has them.

    Raises
    ------
    ValueError
        Where a picked region is absent, or regions can't serve as labels (numbers below 1).
    """
    tetrahedra, regions = mesh.tetrahedra, _regions(mesh)
    fibres = _fibres(mesh)
    if label is not None:
        if regions is None:
            raise ValueError(
                f"{mesh.path} has no cell array of regions to pick label={label} from; "
                f"its cell arrays are {sorted(mesh.cell_data)}"
            )
        missing = sorted(set(label) - set(regions.tolist()))
        if missing:
            found = np.unique(regions).tolist()
            raise ValueError(f"{mesh.path} has no region {missing}; it holds {found}")
        picked = np.isin(regions, label)
        tetrahedra, regions = tetrahedra[picked], regions[picked]
        fibres = None if fibres is None else fibres[picked]
    if regions is not None and np.unique(regions).size < 2:
        regions = None
    if regions is not None and regions.min() < 1:
        raise ValueError(
            f"{mesh.path} holds regions {np.unique(regions).tolist()}, but 0 is kept for what lies "
            "outside the tissue; pick the myocardium with label=, or number regions from 1"
        )
    points = mesh.points
    used = points[np.unique(tetrahedra)]
    origin, shape = grid_around(used.min(0), used.max(0), step_mm)
    share, owner = fill_tetrahedra(points, tetrahedra, origin, step_mm, shape)
    mask = share >= 0.5
    fields = {"mask": mask, "spacing_mm": step_mm, "origin_mm": origin, "fraction": share}
    if (regions is not None or fibres is not None) and np.any(owner >= 0):
        # a voxel can be half full while its centre is in no tetrahedron: it follows its neighbour
        nearest = ndimage.distance_transform_edt(
            owner < 0, step_mm, return_distances=False, return_indices=True
        )
        owner = owner[tuple(nearest)]
        if regions is not None:
            fields["labels"] = np.where(mask, regions[owner], 0)
        if fibres is not None:
            fields["fibres"] = np.where(mask[..., None], fibres[owner], np.float32(0))
    return fields


def _declared_cells(path: Path) -> int | None:
    """Read the number of cells from a legacy VTK file; meshio takes a short list without a word."""
    found = re.search(rb"^CELL_TYPES\s+(\d+)", path.read_bytes(), re.MULTILINE)
    return int(found[1]) if found else None


def _names(meshes: Sequence[Mesh]) -> str:
    return ", ".join(str(m.path) for m in meshes)


def _welded(surfaces: Sequence[Mesh]) -> tuple[np.ndarray, np.ndarray]:
    """All triangles on one list of points, in which points at the same place are one."""
    offsets = np.cumsum([0, *(len(s.points) for s in surfaces)])
    points = np.concatenate([s.points for s in surfaces])
    triangles = np.concatenate(
        [s.triangles + o for s, o in zip(surfaces, offsets[:-1], strict=True)]
    )
    _, first, same = np.unique(
        np.round(points / WELD_MM), axis=0, return_index=True, return_inverse=True
    )
    triangles = same.reshape(-1)[triangles]
    a, b, c = triangles.T
    return points[first], triangles[(a != b) & (b != c) & (c != a)]


def _require_closed(points: np.ndarray, triangles: np.ndarray, where: str) -> None:
    edges = np.sort(np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    rim = edges[uses % 2 == 1]
    if not len(rim):
        return
    graph = sparse.coo_matrix((np.ones(len(rim)), rim.T), shape=(len(points),) * 2)
    _, part = sparse.csgraph.connected_components(graph, directed=False)
    holes = [np.unique(rim[part[rim[:, 0]] == p]) for p in np.unique(part[rim[:, 0]])]
    widest = max((points[h] for h in holes), key=lambda p: np.ptp(p, axis=0).max())
    raise ValueError(
        f"{where}: the surface is open, {len(rim)} boundary edges in {len(holes)} hole(s), the "
        f"widest {np.ptp(widest, axis=0).max():.1f} mm around {widest.mean(0).round(1).tolist()}; "
        "close it, or give the epicardium together with every endocardium that shares its rims"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")


def _regions(mesh: Mesh) -> np.ndarray | None:
    """Region of each tetrahedron: an array with a telling name, or the only one that varies."""
    whole = {
        name: values.astype(int)
        for name, values in mesh.cell_data.items()
        if values.ndim == 1
        and values.dtype.kind in "iuf"
        and np.all(np.isfinite(values))
        and np.array_equal(values, np.rint(values))
    }
    named = [v for name, v in whole.items() if _plain(name) in REGION_NAMES.split()]
    if named:
        return named[0]
    # numbers that differ in every cell count the cells
    several = [v for v in whole.values() if 1 < np.unique(v).size < len(v)]
    return several[0] if len(several) == 1 else None


def _fibres(mesh: Mesh) -> np.ndarray | None:
    """Fibre direction in each tetrahedron, unit vectors of shape (n, 3)."""
    for name, values in mesh.cell_data.items():
        if _plain(name) not in FIBRE_NAMES.split() or values.shape[1:] != (3,):
            continue
        length = np.linalg.norm(values, axis=1, keepdims=True)
        if not np.all(np.isfinite(length)) or length.min() == 0:
            problem = "has cells without a direction"
        elif np.all(values == values[0]):
            problem = "is the same vector in every cell, a placeholder"
        else:
            return (values / length).astype(np.float32)
        warnings.warn(
            f"{mesh.path}: fibres are left out, for array {name!r} {problem}", stacklevel=5
        )
    return None
