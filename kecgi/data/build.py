"""From a cohort's config to a store on disk: in blocks, resumable, on any number of cores."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from kecgi.data.blocks import (
    build_blocks,
    create_store,
    pending_blocks,
    require_same_config,
    require_same_version,
    write_block,
)
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
from kecgi.geometry import Electrodes, Heart, by_name
from kecgi.geometry.torso import torso_through
from kecgi.simulate import (
    TissueGraph,
    action_potential,
    body_surface_potentials,
    lead_field,
    solve,
)
from kecgi.simulate.anisotropic import solve_anisotropic
from kecgi.simulate.bem import insulated_lead_field
from kecgi.simulate.conduction import fibre_tissue


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
        Processes; as in joblib, -1 takes all cores. The same call builds on a Dask cluster that
        sees the same disk, inside ``joblib.parallel_config("dask", client=client)``.
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
        there = CohortConfig.from_json(group.attrs["config"])
        require_same_config(asdict(there), asdict(config), path)
        if group.attrs["complete"] and not pending_blocks(group, path, Layout.of(group, config)):
            return path
    electrodes = require_valid(config)
    heart = None if config.geometry is None else draw_anatomy(config, 0)
    if not existing:
        _create(config, electrodes, path, _anatomy_digest(heart))
        group = open_group(path, "r+")
    require_same_version(group.attrs, path)
    if group.attrs["geometry_sha256"] != _anatomy_digest(heart):
        raise ValueError(
            f"{path} was begun with another heart than the one the geometry file holds now; "
            "delete the folder, or build at another path"
        )
    layout = Layout.of(group, config)
    job = partial(_build_block, config, path, heart, layout)
    build_blocks(path, layout, job, workers=workers, progress=progress)
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
    if config.torso == "insulated":
        field = insulated_lead_field(heart, electrodes, torso_through(electrodes), graph=graph)
    else:
        field = lead_field(heart, electrodes, graph=graph)
    template = action_potential()
    fibred = (
        None
        if config.isotropic
        else fibre_tissue(heart, graph, config.across_fibre, config.fast_layer)
    )
    time_ms, tissue, count = config.time_ms, np.flatnonzero(heart.mask), len(cases)
    activation = np.full((count, heart.mask.size), np.nan, np.float32)
    bspm = np.empty((count, len(electrodes), config.samples), np.float32)
    onsets = np.full((count, config.max_onsets, 3), np.nan, np.float32)
    start = np.full((count, config.max_onsets), np.nan, np.float32)
    speed = np.empty(count, np.float32)
    for row, case in enumerate(cases):
        plan = draw_case(config, graph.positions_mm, case)
        speed_along = plan.speed_mm_per_ms
        if fibred is None:
            times = solve(graph, plan.onsets_mm, speed_along, plan.start_ms)
        else:
            starts = speed_along * plan.start_ms
            times = solve_anisotropic(fibred, plan.onsets_mm, starts) / speed_along
        # what an electrode sees of a voxel is the mean over the time the front takes to cross it,
        # with fibres at the mean of its speeds
        mean_speed = speed_along * config.across_fibre ** (2 / 3)
        crossing = template.averaged(config.spacing_mm / mean_speed)
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


def _build_block(
    config: CohortConfig, path: Path, heart: Heart | None, layout: Layout, block: int
) -> None:
    """Simulate a block and write it."""
    per = config.cases_per_anatomy
    cases = layout.rows(block, "activation_ms")
    parts = []
    # one thread: with several, BLAS sums in another order and the last bits change
    with threadpool_limits(1):
        for index in range(cases.start // per, (cases.stop - 1) // per + 1):
            own = range(max(cases.start, index * per), min(cases.stop, (index + 1) * per))
            parts.append((own.start == index * per, simulate_anatomy(config, index, own, heart)))
    arrays = {}
    for name in VARIABLES:
        if layout.counts_cases(name):
            values = [part[name] for _, part in parts]
            arrays[name] = values[0] if len(values) == 1 else np.concatenate(values)
        else:
            # an anatomy is written by the block in which it begins
            arrays[name] = np.array([part[name] for begins, part in parts if begins])
    write_block(path, layout, block, arrays)


def _create(config: CohortConfig, electrodes: Electrodes, path: Path, anatomy: str | None) -> None:
    """Make a store without blocks."""
    axes = [config.spacing_mm * (np.arange(n) - (n - 1) / 2) for n in config.shape]
    values = {
        **dict(zip("xyz", axes, strict=True)),
        "time_ms": config.time_ms,
        "electrode_name": np.array(electrodes.names, np.dtypes.StringDType()),
    }
    create_store(
        path,
        Layout.new(config),
        {
            "case": config.cases,
            "anatomy_index": config.anatomies,
            "electrode": len(electrodes),
            "time": config.samples,
            "onset": config.max_onsets,
            "axis": 3,
            **dict(zip("xyz", config.shape, strict=True)),
        },
        {name: (variable, values[name]) for name, variable in COORDINATES.items()},
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "title": "activation maps and body-surface potentials, simulated",
            "config": config.to_json(),
            "seed": config.seed,
            "geometry_sha256": anatomy,
        },
    )


def _anatomy_digest(heart: Heart | None) -> str | None:
    if heart is None:
        return None
    share = heart.mask if heart.fraction is None else heart.fraction
    return hashlib.sha256(content_digest(heart.mask) + content_digest(share)).hexdigest()
