"""Atrial rhythms: what starts each, and whether it is what was asked for.

A plan says everything about one run, drawn from a generator; `play` runs it. Paced rhythms start
from rest, re-entrant ones from a phase that winds around lines (`kecgi.simulate.reentry`), or, as
in a laboratory, from rest by a premature stimulus (`induce`). Each run is measured, and one in
which the rhythm died out, organised or broke up raises `RhythmError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kecgi.geometry.atrium import chambers_of, openings, site
from kecgi.geometry.heart import Heart
from kecgi.simulate.action_potential import ActionPotential, MitchellSchaeffer
from kecgi.simulate.calibration import wall_diffusivity
from kecgi.simulate.eikonal import TissueGraph, solve
from kecgi.simulate.monodomain import (
    STEP_MS,
    Stimulus,
    Tissue,
    activations,
    simulate,
)
from kecgi.simulate.reentry import (
    line_through,
    paced_cycle,
    phase_state,
    singularities,
    voltage_phase,
    wall_squares,
    winding_phase,
)

RHYTHMS = ("sinus", "ectopic", "macro_reentry", "fibrillation")
"""Rhythms by their label, 0 to 3."""

FOCI = (
    "left superior pulmonary vein",
    "left inferior pulmonary vein",
    "right superior pulmonary vein",
    "right inferior pulmonary vein",
    "crista terminalis",
    "left appendage",
    "coronary sinus",
)
"""Where ectopic beats come from, as named in `kecgi.geometry.atrium.SITES`."""

FRAME_MS = 1.0
"""Time between the frames of an episode."""

STIMULUS_MM = 4.5
"""Radius of a stimulated patch."""

SETTLE_MS = 800.0
"""What comes before an episode in a re-entrant rhythm, for the waves to find their shape."""

PREMATURE_MM = 15.0
"""Radius of the patch that a premature stimulus depolarises."""

SILENT_MS = 60.0
"""Longest time without any activation that a re-entrant rhythm may have."""

CYCLES_MS = {
    "sinus": (600.0, 1000.0),
    "ectopic": (340.0, 520.0),
    "macro_reentry": (120.0, 450.0),
    "fibrillation": (80.0, 280.0),
}
"""Range of the cycle length: of the pacing in paced rhythms, measured in re-entrant ones."""


@dataclass(frozen=True, eq=False)
class RhythmPlan:
    """One run: rhythm, tissue, and what starts it.

    Parameters
    ----------
    rhythm : str
        One of `RHYTHMS`.
    speed_mm_per_ms : float
        Conduction speed where there is no fibrosis.
    cell : MitchellSchaeffer
        The cells.
    cycle_ms : float
        Of the pacing, or of the phase that a re-entry starts from.
    settle_ms : float
        Time that is simulated before the episode.
    site : int, optional
        Voxel that is paced.
    jitter : float
        Standard deviation of the pacing's intervals, relative to the cycle.
    lines : tuple of ndarray
        Lines that a re-entrant phase winds around, see `kecgi.simulate.reentry.line_through`.
    stimuli : tuple of Stimulus
        What starts a re-entrant rhythm from rest, where there are no lines; see `induce`.
    slowing : ndarray, shape (n_voxels,), optional
        Speed of each voxel relative to `speed_mm_per_ms`: fibrosis.
    tau_close_ms : ndarray, shape (n_voxels,), optional
        tau_close of each voxel, in place of the cell's.
    seed : int
        Of the jitter.
    """

    rhythm: str
    speed_mm_per_ms: float
    cell: MitchellSchaeffer
    cycle_ms: float
    settle_ms: float
    site: int | None = None
    jitter: float = 0.0
    lines: tuple[np.ndarray, ...] = field(default=())
    slowing: np.ndarray | None = None
    tau_close_ms: np.ndarray | None = None
    seed: int = 0
    stimuli: tuple[Stimulus, ...] = field(default=())

    @property
    def fibrosis(self) -> float:
        """Share of the tissue that is slowed."""
        return 0.0 if self.slowing is None else float(np.mean(self.slowing < 1))

    def beats_ms(self, until_ms: float) -> np.ndarray:
        """Return the times of the stimuli of a paced rhythm, the first at 0."""
        count = int(until_ms / self.cycle_ms) + 2
        noise = np.random.default_rng(self.seed).standard_normal(count).clip(-2, 2)
        times = np.cumsum(self.cycle_ms * (1 + self.jitter * noise)) - self.cycle_ms
        times = np.round(times - times[0], 1)
        return times[times < until_ms]


@dataclass(frozen=True)
class RhythmReport:
    """What was measured in an episode.

    Parameters
    ----------
    cycle_ms : float
        Median interval between two activations of a voxel; NaN where there is none.
    cycle_spread : float
        90th less 10th percentile of the intervals, relative to the median.
    reached : float
        Share of the tissue that is activated as often as the cycle says, or once less.
    silent_ms : float
        Longest time without an activation anywhere.
    rotors : float
        Mean number of phase singularities.
    turning : float
        Share of the time in which there is a phase singularity.
    """

    cycle_ms: float
    cycle_spread: float
    reached: float
    silent_ms: float
    rotors: float
    turning: float


@dataclass(frozen=True, eq=False)
class Episode:
    """A stretch of a rhythm.

    Parameters
    ----------
    frames : ndarray of float32, shape (frames, n_voxels)
        Voltage every `FRAME_MS`.
    report : RhythmReport
        What was measured.
    """

    frames: np.ndarray
    report: RhythmReport


class RhythmError(RuntimeError):
    """A run in which the rhythm isn't the one that was asked for.

    Attributes
    ----------
    report : RhythmReport
        What was measured.
    """

    def __init__(self, message: str, report: RhythmReport) -> None:
        super().__init__(message, report)  # both, so that it can be pickled
        self.report = report

    def __str__(self) -> str:
        return self.args[0]


def draw_plan(rhythm: str, heart: Heart, rng: np.random.Generator) -> RhythmPlan:
    """Draw a run of a rhythm in an atrial wall.

    Sinus rhythm is paced at the sinus node, ectopic rhythm at one of `FOCI`. Macro-re-entry turns
    around a chamber's largest opening and leaves through another (or, where there is one alone,
    around a line through it); fibrillation starts with one to four lines, each through the wall at
    two places. Half of the runs, and all in fibrillation, have patches of fibrosis in which fronts
    are slower; fibrillating tissue is remodelled, with short action potentials that vary in space.

    Parameters
    ----------
    rhythm : str
        One of `RHYTHMS`.
    heart : Heart
        The wall.
    rng : numpy.random.Generator
        Source of all draws.

    Raises
    ------
    ValueError
        Where there is no such rhythm.
    """
    if rhythm not in RHYTHMS:
        raise ValueError(f"rhythm {rhythm!r} is unknown, expected one of {list(RHYTHMS)}")
    positions = heart.voxels_mm
    seed = int(rng.integers(2**31))
    patches = int(rng.integers(1, 4)) if rhythm == "fibrillation" or rng.random() < 0.5 else 0
    slowing = draw_fibrosis(positions, patches, rng) if patches else None
    if rhythm in ("sinus", "ectopic"):
        low, high = CYCLES_MS[rhythm]
        cycle = float(rng.uniform(low, high))
        cell = MitchellSchaeffer(tau_close=float(rng.uniform(70, 110)))
        speed = float(rng.uniform(0.55, 0.8))
        place = "sinus node" if rhythm == "sinus" else FOCI[rng.integers(len(FOCI))]
        settle = cycle * (float(rng.random()) + 2 * (rhythm == "ectopic"))
        return RhythmPlan(
            rhythm, speed, cell, cycle, settle, site(heart, place), 0.03, (), slowing, None, seed
        )
    settle = SETTLE_MS + float(rng.uniform(0, 300))
    if rhythm == "macro_reentry":
        cell = MitchellSchaeffer(
            tau_close=float(rng.uniform(40, 70)), tau_open=float(rng.uniform(70, 120))
        )
        speed = float(rng.uniform(0.4, 0.6))
        lines = (_line_through_openings(heart, rng),)
        return RhythmPlan(rhythm, speed, cell, 260.0, settle, None, 0.0, lines, slowing, None, seed)
    cell = MitchellSchaeffer(
        tau_close=float(rng.uniform(45, 75)), tau_open=float(rng.uniform(90, 140))
    )
    speed = float(rng.uniform(0.35, 0.5))
    lines = tuple(_line_through_wall(heart, rng) for _ in range(rng.integers(2, 6)))
    varied = cell.tau_close * (1 + 0.2 * _smooth_field(positions, 20.0, rng))
    return RhythmPlan(rhythm, speed, cell, 220.0, settle, None, 0.0, lines, slowing, varied, seed)


def draw_fibrosis(positions_mm: np.ndarray, patches: int, rng: np.random.Generator) -> np.ndarray:
    """Draw round patches of 6 to 14 mm in which fronts have 0.4 to 0.7 of their speed.

    Returns
    -------
    ndarray, shape (n,)
        Relative speed at each position.
    """
    slowing = np.ones(len(positions_mm))
    for _ in range(patches):
        centre = positions_mm[rng.integers(len(positions_mm))]
        inside = np.linalg.norm(positions_mm - centre, axis=1) < rng.uniform(6, 14)
        slowing[inside] = rng.uniform(0.4, 0.7)
    return slowing


def play(
    heart: Heart,
    plan: RhythmPlan,
    duration_ms: float,
    *,
    fronts: str = "monodomain",
    step_ms: float = STEP_MS,
) -> Episode:
    """Run a plan.

    Parameters
    ----------
    heart : Heart
        The wall that the plan was made for.
    plan : RhythmPlan
        The plan.
    duration_ms : float
        Length of the episode.
    fronts : {"monodomain", "eikonal"}
        What paced rhythms are made by. Eikonal fronts are cheaper. In a dataset of several rhythms
        they would let a classifier tell the solver instead of the rhythm.
    step_ms : float
        Time step of the monodomain solver.

    Returns
    -------
    Episode
        Of the rhythm asked for.

    Raises
    ------
    RhythmError
        Where the rhythm is another one.
    ValueError
        Where eikonal fronts are asked for in a re-entrant rhythm.
    """
    graph = TissueGraph.from_heart(heart)
    if fronts == "eikonal":
        if plan.site is None:
            raise ValueError(
                f"an eikonal front can't re-excite, so there is no {plan.rhythm}; "
                "pass fronts='monodomain'"
            )
        frames = _eikonal_frames(heart, graph, plan, duration_ms)
    elif fronts == "monodomain":
        frames = _monodomain_frames(heart, graph, plan, duration_ms, step_ms)
    else:
        raise ValueError(f"fronts is {fronts!r}, expected 'monodomain' or 'eikonal'")
    report = measure(graph, frames)
    wrong = objection(plan, report)
    if wrong:
        raise RhythmError(f"{plan.rhythm} was asked for, but {wrong}", report)
    return Episode(frames, report)


def induce(
    heart: Heart,
    plan: RhythmPlan,
    first: int,
    second: int,
    intervals_ms: Sequence[float],
    duration_ms: float,
    *,
    step_ms: float = STEP_MS,
) -> RhythmPlan:
    """Replace what starts a re-entrant rhythm by an S1-S2 protocol.

    S1 at one place, S2 over a larger patch at another, the interval between them as in a list, one
    after the other, until the rhythm is the plan's when it has settled. Too early, S2 meets tissue
    that is refractory; too late, its wave runs to all sides; in between, the vulnerable window, it
    is blocked on one side alone and turns.

    Parameters
    ----------
    heart : Heart
        The wall.
    plan : RhythmPlan
        Of macro-re-entry or fibrillation; its lines are dropped.
    first, second : int
        Voxels about which S1 and S2 are given.
    intervals_ms : sequence of float
        Intervals to try.
    duration_ms : float
        How long it must last after the plan's settling time.
    step_ms : float
        Time step of the monodomain solver.

    Returns
    -------
    RhythmPlan
        With the stimuli of the first interval that does; `play` runs it.

    Raises
    ------
    RhythmError
        Where none does.
    ValueError
        Where the plan is of a paced rhythm, or there is no interval.
    """
    if plan.site is not None or not len(intervals_ms):
        raise ValueError(
            f"{plan.rhythm} can't be induced with the intervals {list(intervals_ms)}; expected a "
            "re-entrant rhythm, and one interval at least"
        )
    graph = TissueGraph.from_heart(heart)
    patches = _patch(graph, first), _patch(graph, second, PREMATURE_MM)
    for interval in intervals_ms:
        stimuli = tuple(Stimulus(t, p) for t, p in zip((0.0, interval), patches, strict=True))
        tried = replace(plan, lines=(), stimuli=stimuli)
        try:
            play(heart, tried, duration_ms, step_ms=step_ms)
            return tried
        except RhythmError as error:
            last = error
    raise RhythmError(
        f"no S2 between {min(intervals_ms):g} and {max(intervals_ms):g} ms after S1 induces it; "
        f"the last: {last}",
        last.report,
    )


def measure(graph: TissueGraph, frames: np.ndarray) -> RhythmReport:
    """Measure activations and phase singularities of an episode; frames every `FRAME_MS`."""
    frame, voxel = activations(frames)
    same = np.diff(voxel) == 0
    intervals = np.diff(frame)[same] * FRAME_MS
    times = np.concatenate([[-1], np.unique(frame), [len(frames) - 1]])
    silent = float(np.diff(times).max()) * FRAME_MS
    cycle, spread, reached = float("nan"), float("nan"), 0.0
    if intervals.size:
        low, cycle, high = map(float, np.percentile(intervals, [10, 50, 90]))
        spread = (high - low) / cycle
        expected = int(len(frames) * FRAME_MS / cycle) - 1
        reached = float(np.mean(np.bincount(voxel, minlength=len(graph)) >= max(expected, 1)))
    found = singularities(graph, voltage_phase(frames, every=10), wall_squares(graph))
    count = np.array([len(places) for places in found])
    return RhythmReport(
        cycle, spread, reached, silent, float(count.mean()), float(np.mean(count > 0))
    )


def objection(plan: RhythmPlan, report: RhythmReport) -> str | None:
    """Say what speaks against an episode's label, or None."""
    low, high = CYCLES_MS[plan.rhythm]
    if plan.site is not None:
        if not abs(report.cycle_ms / plan.cycle_ms - 1) <= 0.1:
            return f"the cycle is {report.cycle_ms:.0f} ms, paced every {plan.cycle_ms:.0f} ms"
        if report.reached < 0.95:
            return f"fronts reach {100 * report.reached:.0f} % of the tissue alone"
        if report.turning > 0.2:
            return f"a rotor turns for {100 * report.turning:.0f} % of the time"
        return None
    if report.silent_ms > SILENT_MS:
        return f"it died out: nothing activates for {report.silent_ms:.0f} ms"
    if not low <= report.cycle_ms <= high:
        return f"the cycle is {report.cycle_ms:.0f} ms, expected {low:.0f} to {high:.0f} ms"
    if plan.rhythm == "macro_reentry":
        if report.turning > 0.2:
            return f"it broke up: a rotor turns for {100 * report.turning:.0f} % of the time"
        if report.cycle_spread > 0.15:
            return f"it is irregular: cycles vary by {100 * report.cycle_spread:.0f} %"
    elif report.turning < 0.9:
        return f"it organised: a rotor turns for {100 * report.turning:.0f} % of the time alone"
    return None


def _monodomain_frames(heart, graph, plan, duration_ms, step_ms) -> np.ndarray:
    slowing = 1.0 if plan.slowing is None else np.square(plan.slowing)
    tissue = Tissue.from_heart(
        heart,
        wall_diffusivity(heart, plan.speed_mm_per_ms, plan.cell, step_ms) * slowing,
        plan.cell,
        tau_close_ms=plan.tau_close_ms,
        step_ms=step_ms,
    )
    stimuli = list(plan.stimuli)
    if plan.lines:
        phase = sum(winding_phase(graph.positions_mm, line) for line in plan.lines)
        state = tissue.state(*phase_state(phase, plan.cell, plan.cycle_ms))
    else:
        state = tissue.state()
    if plan.site is not None:
        patch = _patch(graph, plan.site)
        stimuli = [Stimulus(t, patch) for t in plan.beats_ms(plan.settle_ms + duration_ms)]
    simulate(tissue, state, round(plan.settle_ms), stimuli, FRAME_MS)
    return simulate(tissue, state, duration_ms, stimuli, FRAME_MS)


def _eikonal_frames(heart, graph, plan, duration_ms) -> np.ndarray:
    slowing = 1.0 if plan.slowing is None else plan.slowing
    arrival = solve(graph, graph.positions_mm[plan.site], plan.speed_mm_per_ms * slowing)
    v, _ = paced_cycle(plan.cell, plan.cycle_ms)
    template = ActionPotential(0.0, plan.cycle_ms / len(v), np.append(v, v[0]))
    template = template.averaged(float(np.mean(heart.spacing_mm)) / plan.speed_mm_per_ms)
    first = round(plan.settle_ms) + FRAME_MS
    times = first + FRAME_MS * np.arange(round(duration_ms / FRAME_MS))
    frames = np.zeros((len(times), len(graph)), np.float32)
    for beat in plan.beats_ms(times[-1]):
        np.maximum(
            frames, template(times[:, None] - beat - arrival), out=frames, casting="same_kind"
        )
    return frames


def _patch(graph: TissueGraph, voxel: int, radius_mm: float = STIMULUS_MM) -> np.ndarray:
    """Tissue around a voxel."""
    away = np.linalg.norm(graph.positions_mm - graph.positions_mm[voxel], axis=1)
    return np.flatnonzero(away <= max(radius_mm, 2 * graph.spacing_mm.max()))


def _line_through_openings(heart: Heart, rng: np.random.Generator) -> np.ndarray:
    """Line into a chamber's largest opening and out of another, either way around."""
    chambers = chambers_of(heart)
    centres = [heart.voxels_mm[own].mean(axis=0) for own in chambers]
    centre = centres[rng.integers(len(centres))]
    found = [o.direction for o in openings(heart) if np.allclose(o.centre_mm, centre)]
    if len(found) > 1:
        ways = [found[0], found[rng.integers(1, len(found))]]
    else:
        other = rng.standard_normal((2, 3))
        ways = [*found, *(other / np.linalg.norm(other, axis=1, keepdims=True))][:2]
    return line_through(centre, *(ways if rng.random() < 0.5 else ways[::-1]))


def _line_through_wall(heart: Heart, rng: np.random.Generator) -> np.ndarray:
    """Line through the wall of a chamber at two places 70° apart or more."""
    chambers = chambers_of(heart)
    own = heart.voxels_mm[chambers[rng.integers(len(chambers))]]
    centre = own.mean(axis=0)
    ways = own - centre
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    first = ways[rng.integers(len(ways))]
    apart = np.flatnonzero(ways @ first < np.cos(np.radians(70)))
    return line_through(centre, first, ways[rng.choice(apart)])


def _smooth_field(positions_mm: np.ndarray, length_mm: float, rng: np.random.Generator):
    """Draw a random field of unit variance with a Gaussian covariance, by 64 plane waves."""
    waves = rng.standard_normal((3, 64)) / length_mm
    shifts = rng.uniform(0, 2 * np.pi, 64)
    return np.cos(positions_mm @ waves + shifts).sum(axis=1) * np.sqrt(2 / 64)
