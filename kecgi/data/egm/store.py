"""Electrograms on disk: what is in a simulation, building a store of them, and reading it.

`build_egm` makes a store, `open_egm` opens it, and `EGMCohort.windows` and `EGMCohort.pairs` give
arrays for training, (row, time, channel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
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
from kecgi.data.egm.cohort import EGMConfig, draw_torso, simulate_rhythm, template
from kecgi.data.store import (
    BlockStore,
    Layout,
    Variable,
    content_digest,
    open_group,
    require_complete,
)
from kecgi.simulate.rhythms import RHYTHMS

FORMAT = "kecgi-egm"
FORMAT_VERSION = 1

VARIABLES = {
    "egm_mv": Variable(
        ("simulation", "window", "node", "time"), "float32", "mV", "unipolar electrograms"
    ),
    "bspm_mv": Variable(
        ("simulation", "placement", "window", "lead", "time"),
        "float32",
        "mV",
        "body-surface potentials without noise",
    ),
    "bipolar_mv": Variable(
        ("simulation", "window", "bipole", "time"), "float32", "mV", "bipolar electrograms"
    ),
    "nodes_mm": Variable(("simulation", "node", "axis"), "float32", "mm", "unipolar electrodes"),
    "bipoles_mm": Variable(
        ("simulation", "bipole", "end", "axis"), "float32", "mm", "both electrodes of each pair"
    ),
    "leads_mm": Variable(
        ("simulation", "placement", "lead", "axis"), "float32", "mm", "body-surface electrodes"
    ),
    "rhythm": Variable(("simulation",), "int32", "1", "index into the attribute `rhythms`"),
    "cycle_ms": Variable(("simulation",), "float32", "ms", "measured median cycle length"),
    "rotors": Variable(("simulation",), "float32", "1", "mean number of phase singularities"),
    "turning": Variable(
        ("simulation",), "float32", "1", "share of the time with a phase singularity"
    ),
    "speed_mm_per_ms": Variable(
        ("simulation",), "float32", "mm/ms", "conduction speed out of fibrosis"
    ),
    "fibrosis": Variable(("simulation",), "float32", "1", "share of the tissue that is fibrotic"),
    "attempts": Variable(
        ("simulation",), "int32", "1", "runs that it took to get the rhythm asked for"
    ),
}
"""Arrays with one row per simulation, in the order of the build record."""

COORDINATES = {
    "time_ms": Variable(("time",), "float64", "ms", "time after the window's start"),
    "lead_name": Variable(("lead",), "string", "1", "names of the body-surface electrodes"),
}
"""Arrays that describe the dimensions; positions are in the torso frame (LPS)."""


@dataclass(frozen=True, eq=False)
class EGMCohort(BlockStore):
    """Electrograms and body-surface potentials; `config` is an `EGMConfig`. Made by `open_egm`."""

    coordinates = COORDINATES

    @cached_property
    def rhythm(self) -> np.ndarray:
        """Rhythm of each simulation, an index into `rhythm_names`."""
        return self.read("rhythm")

    @property
    def rhythm_names(self) -> tuple[str, ...]:
        """Names of the rhythms by their index."""
        return tuple(self.attributes["rhythms"])

    @cached_property
    def lead_names(self) -> tuple[str, ...]:
        """Names of the body-surface electrodes."""
        return tuple(map(str, self.arrays["lead_name"][:]))

    @cached_property
    def time_ms(self) -> np.ndarray:
        """Sampling times of a window."""
        return self.arrays["time_ms"][:]

    def windows(self, simulations: np.ndarray | Sequence[int] | None = None) -> dict:
        """Read the electrograms of simulations, window by window, for a generator's training.

        Parameters
        ----------
        simulations : sequence of int, optional
            Sorted, such as `Split.train` of `by_rhythm`; all by default.

        Returns
        -------
        dict of ndarray
            ``egm_mv`` (n, time, node), ``bipolar_mv`` (n, time, bipole), ``rhythm``,
            ``simulation`` and ``window`` (n,).
        """
        chosen = self._chosen(simulations)
        egm, bipolar = self.read("egm_mv", chosen), self.read("bipolar_mv", chosen)
        count = self.config.windows
        return {
            "egm_mv": np.ascontiguousarray(egm.reshape(-1, *egm.shape[2:]).swapaxes(1, 2)),
            "bipolar_mv": np.ascontiguousarray(
                bipolar.reshape(-1, *bipolar.shape[2:]).swapaxes(1, 2)
            ),
            "rhythm": np.repeat(self.rhythm[chosen], count),
            "simulation": np.repeat(chosen, count),
            "window": np.tile(np.arange(count), len(chosen)),
        }

    def pairs(
        self,
        simulations: np.ndarray | Sequence[int] | None = None,
        placements: int | None = None,
    ) -> dict:
        """Read pairs of body-surface potentials and electrograms, for a reconstruction's training.

        The electrograms of a window are repeated for each torso.

        Parameters
        ----------
        simulations : sequence of int, optional
            Sorted; all by default.
        placements : int, optional
            The first so many torsos of each simulation; all by default.

        Returns
        -------
        dict of ndarray
            ``egm_mv`` (n, time, node), ``bspm_mv`` (n, time, lead), ``rhythm``, ``simulation``,
            ``placement`` and ``window`` (n,); windows turn fastest, then torsos.

        Raises
        ------
        ValueError
            Where there are not so many torsos.
        """
        count = self.config.placements if placements is None else placements
        if not 1 <= count <= self.config.placements:
            raise ValueError(f"placements is {count}, expected 1 to {self.config.placements}")
        chosen = self._chosen(simulations)
        bspm = self.read("bspm_mv", chosen)[:, :count]
        egm = np.repeat(self.read("egm_mv", chosen)[:, None], count, axis=1)
        simulation, placement, window = np.meshgrid(
            chosen, np.arange(count), np.arange(self.config.windows), indexing="ij"
        )
        return {
            "egm_mv": np.ascontiguousarray(egm.reshape(-1, *egm.shape[3:]).swapaxes(1, 2)),
            "bspm_mv": np.ascontiguousarray(bspm.reshape(-1, *bspm.shape[3:]).swapaxes(1, 2)),
            "rhythm": self.rhythm[simulation.ravel()],
            "simulation": simulation.ravel(),
            "placement": placement.ravel(),
            "window": window.ravel(),
        }

    def _chosen(self, simulations: np.ndarray | Sequence[int] | None) -> np.ndarray:
        return np.arange(len(self)) if simulations is None else np.asarray(simulations)


def build_egm(
    config: EGMConfig, path: str | Path, *, workers: int = 1, progress: bool = True
) -> Path:
    """Build a store, or finish one that was interrupted; as `kecgi.data.build`.

    Parameters
    ----------
    config : EGMConfig
        The dataset.
    path : str or Path
        Folder of the store.
    workers : int
        Processes; as in joblib, -1 takes all cores. The data don't depend on their number.
    progress : bool
        Show a bar on standard error.

    Returns
    -------
    Path
        The store, for `open_egm`.

    Raises
    ------
    FileNotFoundError, ValueError
        Where the wall of a file can't be used, or the folder holds something else.
    RhythmError
        Where a rhythm can't be had in so many attempts.
    """
    path = Path(path)
    if workers == 0:
        raise ValueError("workers is 0, expected a positive number, or -1 for all cores")
    layout = _layout(config)
    existing = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if existing:
        group = open_group(path, "r+", FORMAT, FORMAT_VERSION)
        there = EGMConfig.from_json(group.attrs["config"])
        require_same_config(asdict(there), asdict(config), path)
        if group.attrs["complete"] and not pending_blocks(group, path, layout):
            return path
        require_same_version(group.attrs, path)
    heart, _ = template(config)
    wall = content_digest(heart.mask).hex()
    if not existing:
        _create(config, path, wall)
    elif group.attrs["geometry_sha256"] != wall:
        raise ValueError(
            f"{path} was begun with another wall than there is now; delete the folder, or build "
            "at another path"
        )
    job = partial(_build_block, config, path)
    build_blocks(path, layout, job, workers=workers, progress=progress, unit="simulations")
    return path


def open_egm(path: str | Path) -> EGMCohort:
    """Open a complete store; raises as `kecgi.data.open_store` does."""
    path = Path(path)
    group = open_group(path, "r", FORMAT, FORMAT_VERSION)
    attributes = dict(group.attrs)
    config = EGMConfig.from_json(attributes["config"])
    layout = _layout(config)
    require_complete(path, group, layout)
    return EGMCohort(path, config, attributes, layout)


def _layout(config: EGMConfig) -> Layout:
    """One simulation a block: it is minutes of work and megabytes of data at full size."""
    return Layout(config.simulations, 1, 1, VARIABLES)


def _create(config: EGMConfig, path: Path, wall: str) -> None:
    leads = draw_torso(config, 0, 0)
    values = {
        "time_ms": config.time_ms,
        "lead_name": np.array(leads.names, np.dtypes.StringDType()),
    }
    create_store(
        path,
        _layout(config),
        {
            "simulation": config.simulations,
            "placement": config.placements,
            "window": config.windows,
            "node": config.nodes,
            "bipole": config.bipoles,
            "lead": len(leads),
            "time": config.samples,
            "end": 2,
            "axis": 3,
        },
        {name: (variable, values[name]) for name, variable in COORDINATES.items()},
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "title": "atrial electrograms and body-surface potentials by rhythm, simulated",
            "config": config.to_json(),
            "seed": config.seed,
            "rhythms": list(RHYTHMS),
            "geometry_sha256": wall,
        },
    )


def _build_block(config: EGMConfig, path: Path, block: int) -> None:
    # one thread: with several, BLAS sums in another order and the last bits change
    with threadpool_limits(1):
        arrays = simulate_rhythm(config, block)
    rows = {name: np.ascontiguousarray(values)[None] for name, values in arrays.items()}
    write_block(path, _layout(config), block, rows)
