"""From a cohort's config to a store on disk: in blocks, resumable, on any number of cores."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path

import joblib
import numpy as np
import zarr
from threadpoolctl import threadpool_limits

import kecgi
from kecgi.data.cohort import CohortConfig, draw_anatomy, draw_case, require_valid
from kecgi.data.store import (
    COORDINATES,
    FORMAT,
    FORMAT_VERSION,
    VARIABLES,
    Layout,
    content_digest,
    open_group,
)
from kecgi.data.zarr_files import COMPRESSORS, progress_bar, write_attributes
from kecgi.geometry import Electrodes, Heart, by_name
from kecgi.simulate import (
    TissueGraph,
    action_potential,
    body_surface_potentials,
    lead_field,
    solve,
)

EMPTY = {"float32": np.nan, "int32": -1, "bool": False}
"""Fill values. Zarr doesn't write a chunk of nothing else; no block of any array is that."""


def build(
    config: CohortConfig, path: str | Path, *, workers: int = 1, progress: bool = True
) -> Path:
    """Build a cohort's store, or finish one that was interrupted.

    A block of cases is recorded only after its data is on disk, so an interruption at any time
    costs at most the blocks under way. The data doesn't depend on the number of workers. A store
    that is complete is left as it is; blocks with lost or truncated files are built again.

    Parameters
    ----------
    config : CohortConfig
        The cohort.
    path : str or Path
        Folder of the store.
    workers : int
        Processes; as in joblib, -1 takes all cores. `joblib.parallel_config` may carry the work
        to a cluster.
    progress : bool
        Show a bar on standard error.

    Returns
    -------
    Path
        The store, for `kecgi.data.open_store`.

    Raises
    ------
    ValueError
        Where the heart or the electrodes can't be used, or the folder holds something else: no
        kecgi dataset, another config, or blocks of another version of kecgi.
    """
    path = Path(path)
    if workers == 0:
        raise ValueError("workers is 0, expected a positive number, or -1 for all cores")
    existing = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if existing:
        group = open_group(path, "r+")
        _require_same(dict(group.attrs), config, path)
        if group.attrs["complete"] and not _pending(group, path, Layout.of(group, config)):
            return path
    electrodes = require_valid(config)
    heart = None if config.geometry is None else draw_anatomy(config, 0)
    if not existing:
        _create(config, electrodes, path, _anatomy_digest(heart))
        group = open_group(path, "r+")
    _require_same_work(dict(group.attrs), path, _anatomy_digest(heart))
    layout = Layout.of(group, config)
    pending = _pending(group, path, layout)
    with progress_bar(progress, path, config.cases) as advance:
        advance(config.cases - sum(_count(layout, b) for b in pending))
        jobs = (joblib.delayed(_build_block)(config, path, b, heart) for b in pending)
        for block in joblib.Parallel(workers, return_as="generator_unordered")(jobs):
            advance(_count(layout, block))
    digest = hashlib.sha256(group["build/sha256"][:].tobytes()).hexdigest()
    if group.attrs["complete"] and group.attrs["digest"] != digest:
        raise ValueError(
            f"{path}: the rebuilt blocks differ from the ones that were lost, so the simulator has "
            "changed; delete the folder and build it again"
        )
    write_attributes(path, {"complete": True, "digest": digest})
    return path


def simulate_anatomy(
    config: CohortConfig, index: int, cases: range | None = None, heart: Heart | None = None
) -> dict[str, np.ndarray]:
    """Simulate cases of one anatomy.

    Parameters
    ----------
    config : CohortConfig
        The cohort.
    index : int
        The anatomy.
    cases : range, optional
        Cases of this anatomy, counted through the cohort; all of them by default.
    heart : Heart, optional
        The anatomy itself where it is at hand.

    Returns
    -------
    dict of ndarray
        One array for each name in `kecgi.data.store.VARIABLES`: those of cases with a row per
        case, those of anatomies without that axis.
    """
    if cases is None:
        cases = range(index * config.cases_per_anatomy, (index + 1) * config.cases_per_anatomy)
    heart = draw_anatomy(config, index) if heart is None else heart
    electrodes = by_name(config.electrodes)
    graph = TissueGraph.from_heart(heart)
    field = lead_field(heart, electrodes, graph=graph)
    template = action_potential()
    time_ms, tissue, count = config.time_ms, np.flatnonzero(heart.mask), len(cases)
    activation = np.full((count, heart.mask.size), np.nan, np.float32)
    bspm = np.empty((count, len(electrodes), config.samples), np.float32)
    onsets = np.full((count, config.max_onsets, 3), np.nan, np.float32)
    start = np.full((count, config.max_onsets), np.nan, np.float32)
    speed = np.empty(count, np.float32)
    for row, case in enumerate(cases):
        plan = draw_case(config, graph.positions_mm, case)
        times = solve(graph, plan.onsets_mm, plan.speed_mm_per_ms, plan.start_ms)
        # what an electrode sees of a voxel is the mean over the time the front takes to cross it
        crossing = template.averaged(config.spacing_mm / plan.speed_mm_per_ms)
        activation[row, tissue] = times
        bspm[row] = body_surface_potentials(field, times, time_ms, crossing)
        onsets[row, : len(plan.onsets_mm)] = plan.onsets_mm
        start[row, : len(plan.start_ms)] = plan.start_ms
        speed[row] = plan.speed_mm_per_ms
    return {
        "activation_ms": activation.reshape(count, *heart.mask.shape),
        "bspm_mv": bspm,
        "anatomy": np.full(count, index, np.int32),
        "onsets_mm": onsets,
        "start_ms": start,
        "speed_mm_per_ms": speed,
        "mask": heart.mask,
        "electrodes_mm": electrodes.positions_mm.astype(np.float32),
    }


def _build_block(config: CohortConfig, path: Path, block: int, heart: Heart | None) -> int:
    """Simulate a block, write it and, once it is on disk, record it."""
    group = zarr.open_group(path, mode="r+")
    layout, per = Layout.of(group, config), config.cases_per_anatomy
    cases = layout.rows(block, "activation_ms")
    parts = []
    # one thread: with several, BLAS sums in another order and the last bits change
    with threadpool_limits(1):
        for index in range(cases.start // per, (cases.stop - 1) // per + 1):
            own = range(max(cases.start, index * per), min(cases.stop, (index + 1) * per))
            parts.append((own.start == index * per, simulate_anatomy(config, index, own, heart)))
    sizes = np.zeros(len(VARIABLES), np.int64)
    digests = np.zeros((len(VARIABLES), 32), np.uint8)
    for column, (name, variable) in enumerate(VARIABLES.items()):
        if variable.dims[0] == "case":
            values = [part[name] for _, part in parts]
            values = values[0] if len(values) == 1 else np.concatenate(values)
        else:
            # an anatomy is written by the block in which it begins
            values = np.array([part[name] for begins, part in parts if begins])
        if not len(values):
            continue
        group[name][layout.rows(block, name)] = values
        digests[column] = np.frombuffer(content_digest(values), np.uint8)
        sizes[column] = _flush(path / layout.chunk_file(block, name))
    group["build/sha256"][block] = digests
    group["build/nbytes"][block] = sizes  # last: this is what makes the block count as built
    return block


def _flush(file: Path) -> int:
    """Wait until a file is on disk and return its size."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
        return os.fstat(handle.fileno()).st_size


def _create(config: CohortConfig, electrodes: Electrodes, path: Path, anatomy: str | None) -> None:
    """Make a store without blocks. It appears at its path as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = Layout.new(config)
    axes = [config.spacing_mm * (np.arange(n) - (n - 1) / 2) for n in config.shape]
    coordinates = {
        **dict(zip("xyz", axes, strict=True)),
        "time_ms": config.time_ms,
        "electrode_name": np.array(electrodes.names, np.dtypes.StringDType()),
    }
    sizes = {
        "case": config.cases,
        "anatomy_index": config.anatomies,
        "electrode": len(electrodes),
        "time": config.samples,
        "onset": config.max_onsets,
        "axis": 3,
        **dict(zip("xyz", config.shape, strict=True)),
    }
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        group = zarr.create_group(
            temporary,
            attributes={
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "title": "activation maps and body-surface potentials, simulated",
                "config": config.to_json(),
                "seed": config.seed,
                "kecgi_version": kecgi.__version__,
                "geometry_sha256": anatomy,
                "complete": False,
                "digest": None,
                "coordinates": " ".join(n for n in COORDINATES if n not in sizes),
            },
        )
        for name, variable in VARIABLES.items():
            shape = tuple(sizes[d] for d in variable.dims)
            rows = layout.chunk_rows(name)
            group.create_array(
                name,
                shape=shape,
                chunks=(rows, *shape[1:]),
                dtype=variable.dtype,
                fill_value=EMPTY[variable.dtype],
                compressors=COMPRESSORS,
                dimension_names=variable.dims,
                attributes={"units": variable.units, "description": variable.description},
            )
        for name, variable in COORDINATES.items():
            group.create_array(
                name,
                data=coordinates[name],
                dimension_names=variable.dims,
                attributes={"units": variable.units, "description": variable.description},
            )
        record = group.create_group("build", attributes={"arrays": list(VARIABLES)})
        for name, dtype, extra in (("nbytes", "int64", ()), ("sha256", "uint8", (32,))):
            record.create_array(
                name,
                shape=(layout.blocks, len(VARIABLES), *extra),
                chunks=(1, len(VARIABLES), *extra),
                dtype=dtype,
                fill_value=0,
                dimension_names=("block", "array", "byte")[: 2 + len(extra)],
            )
        write_attributes(temporary, {})
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _pending(group: zarr.Group, path: Path, layout: Layout) -> list[int]:
    """Blocks that are not built, or whose files have been lost."""
    sizes = group["build/nbytes"][:]
    return [b for b in range(layout.blocks) if not sizes[b, 0] or layout.damaged(path, b, sizes[b])]


def _require_same(attributes: dict, config: CohortConfig, path: Path) -> None:
    there, wanted = asdict(CohortConfig.from_json(attributes["config"])), asdict(config)
    differing = [
        f"{k} {there[k]!r} there, {wanted[k]!r} here" for k in wanted if there[k] != wanted[k]
    ]
    if differing:
        raise ValueError(
            f"{path} holds another cohort: {'; '.join(differing)}; "
            "give the config of that cohort or another path"
        )


def _require_same_work(attributes: dict, path: Path, anatomy: str | None) -> None:
    """Refuse to mix blocks of two versions, or of two hearts under one file name."""
    if attributes["kecgi_version"] != kecgi.__version__:
        raise ValueError(
            f"{path} was begun by kecgi {attributes['kecgi_version']}, this is "
            f"{kecgi.__version__}; delete the folder, or build at another path"
        )
    if attributes["geometry_sha256"] != anatomy:
        raise ValueError(
            f"{path} was begun with another heart than the one the geometry file holds now; "
            "delete the folder, or build at another path"
        )


def _anatomy_digest(heart: Heart | None) -> str | None:
    if heart is None:
        return None
    share = heart.mask if heart.fraction is None else heart.fraction
    return hashlib.sha256(content_digest(heart.mask) + content_digest(share)).hexdigest()


def _count(layout: Layout, block: int) -> int:
    rows = layout.rows(block, "activation_ms")
    return rows.stop - rows.start
