"""Atrial electrograms and body-surface potentials by rhythm: the config, and one simulation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kecgi.data.cohort import require_integer, require_number
from kecgi.data.config import DatasetConfig
from kecgi.geometry import Electrodes, Heart, load_heart, spread_points, vest
from kecgi.geometry.atrium import AtrialShape, atrial_wall, matching_voxels
from kecgi.geometry.readers import IMAGES
from kecgi.simulate import TissueGraph, lead_field
from kecgi.simulate.electrograms import bipolar_pairs, near_field, resample
from kecgi.simulate.monodomain import STEP_MS
from kecgi.simulate.rhythms import (
    FRAME_MS,
    RHYTHMS,
    Episode,
    RhythmError,
    RhythmPlan,
    draw_plan,
    play,
)

LEAD_RINGS, LEADS_PER_RING = 8, 8
"""The vest's electrodes: 64 leads."""

_RUN, _TORSO, _BIPOLES = 0, 1, 2  # first element of the spawn keys


@dataclass(frozen=True)
class EGMConfig(DatasetConfig):
    """What a dataset of electrograms consists of. Equal configs give equal data.

    Parameters
    ----------
    simulations_per_rhythm : int
        Simulations of each rhythm, each in atria of its own; 17 of four rhythms are the paper's 68.
    rhythms : tuple of str
        Rhythms to simulate, from `kecgi.simulate.rhythms.RHYTHMS`.
    placements : int
        Torsos of each simulation: sizes of the vest and places of the atria in it.
    windows : int
        Windows of each simulation, one after the other.
    window_ms : float
        Length of a window.
    sampling_hz : float
        Sampling rate of all signals.
    nodes : int
        Unipolar electrodes on the wall, spread evenly. Node k is at the same place of the atria in
        each simulation, and any first few nodes are spread evenly as well.
    bipoles : int
        Bipolar pairs on the wall, at places drawn anew in each simulation.
    bipole_mm : float
        Distance of the two electrodes in a pair.
    height_mm : float
        Height of these electrodes above the wall.
    spacing_mm : float
        Grid step.
    step_ms : float
        Time step of the monodomain solver, a whole number of which makes 1 ms.
    geometry : str, optional
        Path of an atrial wall for `kecgi.geometry.load_heart`, to simulate everything in; an image
        keeps its own grid. Drawn from the family of `kecgi.geometry.atrium` if absent.
    keep_largest : bool
        Take the largest component of `geometry` where it has several; a few stray voxels are
        dropped with a warning anyway.
    right : bool
        Whether the family's atria have a right one.
    fronts : {"monodomain", "eikonal"}
        Solver of the paced rhythms, see `kecgi.simulate.rhythms.play`.
    attempts : int
        Runs that are drawn, at the most, until one is in the rhythm asked for.
    seed : int
        Root of every random draw.

    Raises
    ------
    TypeError, ValueError
        Where a field is not of its type or lies out of its range.
    """

    simulations_per_rhythm: int = 17
    rhythms: tuple[str, ...] = RHYTHMS
    placements: int = 10
    windows: int = 1
    window_ms: float = 2000.0
    sampling_hz: float = 200.0
    nodes: int = 2048
    bipoles: int = 32
    bipole_mm: float = 4.0
    height_mm: float = 1.5
    spacing_mm: float = 1.0
    step_ms: float = STEP_MS
    geometry: str | None = None
    keep_largest: bool = False
    right: bool = True
    fronts: str = "monodomain"
    attempts: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        least = dict.fromkeys(
            ("simulations_per_rhythm", "placements", "windows", "nodes", "bipoles", "attempts"), 1
        )
        for name, low in {**least, "seed": 0}.items():
            require_integer(name, getattr(self, name), low)
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in (
            "window_ms", "sampling_hz", "bipole_mm", "height_mm", "spacing_mm", "step_ms",
        ):  # fmt: skip
            require_number(name, getattr(self, name))
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
            object.__setattr__(self, name, float(getattr(self, name)))
        rhythms = tuple(self.rhythms)
        if not rhythms or len(set(rhythms)) < len(rhythms) or not set(rhythms) <= set(RHYTHMS):
            raise ValueError(
                f"rhythms is {self.rhythms!r}, expected different names out of {list(RHYTHMS)}"
            )
        object.__setattr__(self, "rhythms", rhythms)
        if self.fronts not in ("monodomain", "eikonal"):
            raise ValueError(f"fronts is {self.fronts!r}, expected 'monodomain' or 'eikonal'")
        if self.geometry is not None and not isinstance(self.geometry, str):
            raise TypeError(f"geometry is {self.geometry!r}, expected the path of a file as a str")
        for name in ("right", "keep_largest"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} is {getattr(self, name)!r}, expected True or False")
        if self.keep_largest and self.geometry is None:
            raise ValueError("keep_largest is for a wall from a file; give geometry as well")
        if self.sampling_hz * FRAME_MS > 1000:
            raise ValueError(f"sampling_hz is {self.sampling_hz}, expected at most 1000")
        samples = self.window_ms * self.sampling_hz / 1000
        if abs(samples - round(samples)) > 1e-6 or self.window_ms % FRAME_MS:
            raise ValueError(
                f"window_ms is {self.window_ms}, expected whole ms that hold a whole number of "
                f"samples at {self.sampling_hz} Hz, not {samples:g}"
            )

    @property
    def simulations(self) -> int:
        """Number of simulations."""
        return self.simulations_per_rhythm * len(self.rhythms)

    @property
    def samples(self) -> int:
        """Samples in a window."""
        return round(self.window_ms * self.sampling_hz / 1000)

    @property
    def time_ms(self) -> np.ndarray:
        """Sampling times of a window."""
        return np.arange(self.samples) * (1000.0 / self.sampling_hz)

    def rhythm(self, simulation: int) -> str:
        """Rhythm of a simulation: they take turns."""
        return self.rhythms[simulation % len(self.rhythms)]


@lru_cache(maxsize=2)
def template(config: EGMConfig) -> tuple[Heart, np.ndarray]:
    """Return the wall on which a config's nodes are chosen, and their voxels.

    Raises
    ------
    ValueError
        Where the wall can't be used, or has fewer voxels than nodes are asked for.
    """
    if config.geometry is None:
        heart = atrial_wall(AtrialShape(right=config.right), config.spacing_mm)
    else:
        mesh = not config.geometry.lower().endswith(IMAGES)
        heart = load_heart(
            config.geometry,
            keep_largest=config.keep_largest,
            spacing_mm=config.spacing_mm if mesh else None,
        )
        heart = heart.centred(AtrialShape.shift_mm)
        require_leads(config, heart)
    count = int(heart.mask.sum())
    if config.nodes > count:
        raise ValueError(
            f"nodes is {config.nodes}, expected at most {count}, the voxels of {heart.name} at "
            f"{heart.spacing_mm} mm"
        )
    return heart, spread_points(heart.voxels_mm, config.nodes)


def require_leads(config: EGMConfig, heart: Heart) -> None:
    """Raise ValueError where an electrode of a torso lies in the atria."""
    for placement in range(config.placements):
        draw_torso(config, 0, placement).require_outside(heart)


def draw_torso(config: EGMConfig, simulation: int, placement: int) -> Electrodes:
    """Draw the electrodes of one torso: its size, and where the heart lies in it."""
    rng = _rng(config, _TORSO, simulation, placement)
    torso = vest(
        LEAD_RINGS,
        LEADS_PER_RING,
        half_width_mm=rng.uniform(135, 170),
        half_depth_mm=rng.uniform(95, 120),
        height_mm=rng.uniform(260, 330),
        heart_offset_mm=(rng.uniform(20, 40), rng.uniform(-45, -25)),
    )
    return torso.moved((0, 0, rng.uniform(-20, 20)))


@dataclass(frozen=True, eq=False)
class AtrialRun:
    """A run in the rhythm that was asked for.

    Parameters
    ----------
    heart : Heart
        The atria.
    plan : RhythmPlan
        What was run.
    episode : Episode
        Voltages and what was measured.
    attempts : int
        Runs that it took, this one included.
    """

    heart: Heart
    plan: RhythmPlan
    episode: Episode
    attempts: int


def run_simulation(config: EGMConfig, simulation: int) -> AtrialRun:
    """Draw atria and run, again and again until the rhythm is the one of a simulation.

    Raises
    ------
    RhythmError
        Where no attempt is in that rhythm.
    """
    rhythm = config.rhythm(simulation)
    for attempt in range(config.attempts):
        heart, rng = _draw_atria(config, simulation, attempt)
        plan = draw_plan(rhythm, heart, rng)
        try:
            duration = config.windows * config.window_ms
            episode = play(heart, plan, duration, fronts=config.fronts, step_ms=config.step_ms)
            return AtrialRun(heart, plan, episode, attempt + 1)
        except RhythmError as error:
            last = error
    raise RhythmError(
        f"simulation {simulation}: none of {config.attempts} runs is in the rhythm; the last: "
        f"{last}; allow for more attempts, or give larger atria",
        last.report,
    )


def lead_fields(
    config: EGMConfig, simulation: int, attempts: int, placements: int | None = None
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Make the lead fields of a simulation again, without running it.

    Parameters
    ----------
    config : EGMConfig
        The dataset.
    simulation : int
        Which simulation.
    attempts : int
        Runs that it took, as the dataset says.
    placements : int, optional
        The first so many torsos; all by default.

    Returns
    -------
    positions_mm : ndarray, shape (voxels, 3)
        Voxels of the wall.
    near_field : ndarray, shape (voxels, nodes)
        From their voltages to the unipolar electrograms.
    fields : list of ndarray, shape (voxels, leads)
        And to the body surface, torso by torso.
    """
    heart, _ = _draw_atria(config, simulation, attempts - 1)
    graph = TissueGraph.from_heart(heart)
    nodes = matching_voxels(heart, *template(config))
    torsos = range(config.placements if placements is None else placements)
    near = near_field(heart, graph.positions_mm[nodes], height_mm=config.height_mm, graph=graph)
    far = [lead_field(heart, draw_torso(config, simulation, p), graph=graph) for p in torsos]
    return graph.positions_mm, near, far


def simulate_rhythm(config: EGMConfig, simulation: int) -> dict[str, np.ndarray]:
    """Simulate one row of the dataset.

    Parameters
    ----------
    config : EGMConfig
        The dataset.
    simulation : int
        Which simulation.

    Returns
    -------
    dict of ndarray
        One array for each name in `kecgi.data.egm.store.VARIABLES`, without the first axis.

    Raises
    ------
    RhythmError
        Where no attempt is in the rhythm asked for.
    """
    run = run_simulation(config, simulation)
    heart, report = run.heart, run.episode.report
    graph = TissueGraph.from_heart(heart)
    at = graph.positions_mm
    nodes = matching_voxels(heart, *template(config))
    rng = _rng(config, _BIPOLES, simulation)
    pairs = bipolar_pairs(at, rng.integers(len(at), size=config.bipoles), config.bipole_mm)
    torsos = [draw_torso(config, simulation, p) for p in range(config.placements)]

    def on_wall(voxels):
        return near_field(heart, at[voxels], height_mm=config.height_mm, graph=graph)

    def signals(field):
        """Windows of the signals that a lead field sees, (window, channel, time)."""
        values = resample(run.episode.frames @ field, 1000 / FRAME_MS, config.sampling_hz)
        return values.reshape(config.windows, config.samples, -1).transpose(0, 2, 1)

    return {
        "egm_mv": signals(on_wall(nodes)),
        "bspm_mv": np.stack([signals(lead_field(heart, t, graph=graph)) for t in torsos]),
        "bipolar_mv": signals(on_wall(pairs[:, 0]) - on_wall(pairs[:, 1])),
        "nodes_mm": at[nodes].astype(np.float32),
        "bipoles_mm": at[pairs].astype(np.float32),
        "leads_mm": np.stack([t.positions_mm for t in torsos]).astype(np.float32),
        "rhythm": np.int32(RHYTHMS.index(run.plan.rhythm)),
        "cycle_ms": np.float32(report.cycle_ms),
        "rotors": np.float32(report.rotors),
        "turning": np.float32(report.turning),
        "speed_mm_per_ms": np.float32(run.plan.speed_mm_per_ms),
        "fibrosis": np.float32(run.plan.fibrosis),
        "attempts": np.int32(run.attempts),
    }


def _draw_atria(
    config: EGMConfig, simulation: int, attempt: int
) -> tuple[Heart, np.random.Generator]:
    """Atria of one attempt, and the generator that what is run in them is drawn from."""
    rng = _rng(config, _RUN, simulation, attempt)
    if config.geometry is not None:
        return template(config)[0], rng
    return atrial_wall(AtrialShape.draw(rng, config.right), config.spacing_mm), rng


def _rng(config: EGMConfig, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))
