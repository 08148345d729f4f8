"""The simulator's speed and accuracy, beside scikit-fmm and the plain matrix form.

    python -m benchmarks.simulation [--quick]

One process and one thread, but for the last table. What is compared runs in turns, so that a
machine that slows down slows both, and a figure is the median of the processor time over the
rounds. The chain is the one that builds a cohort: a new heart, its lead field, and for each of 12
cases onsets, activation times and potentials at 100 electrodes and 128 times. The last table is the
wall time of building a cohort on disk with one process, and with as many as there are cores.
Without scikit-fmm (`pip install kecgi[bench]`) its columns stay empty.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np

from kecgi.data.build import build, simulate_anatomy
from kecgi.data.cohort import CohortConfig
from kecgi.geometry import BiventricularShape, Heart, biventricular, plane, vest
from kecgi.simulate import (
    TissueGraph,
    action_potential,
    activation_times,
    body_surface_potentials,
    lead_field,
    solve,
)

try:
    import skfmm
except ImportError:
    skfmm = None

SMALL = BiventricularShape(lv_radius_mm=26.5, lv_length_mm=43.0, lv_wall_mm=8.5, rv_wall_mm=4.0)
"""A heart of about 9 000 voxels at 2 mm; the family's default has 13 600."""

SPEED = 0.6
SKFMM_BALL = 2.0
"""Radius in grid steps of the exact ball from which scikit-fmm is started."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    quick: bool = False
    """A few rounds and coarse grids, to see that it runs; the figures mean little."""


def main(options: Options) -> dict:
    """Measure everything, print the tables and the line of JSON."""
    rounds = 3 if options.quick else 25
    result = {
        **chain(rounds),
        **eikonal_time(2 if options.quick else 11),
        **forward_time(rounds),
        **eikonal_error(2 if options.quick else 12),
        **grid_error(options.quick),
        **scaling(4 if options.quick else 40),
    }
    print(json.dumps(result))
    return result


def chain(rounds: int) -> dict:
    """Cases per second of the whole chain, for a small and a normal heart."""
    config = CohortConfig()
    count = config.cases_per_anatomy

    def new_anatomy(shape: BiventricularShape, turn: int) -> dict:
        heart = biventricular(replace(shape, spin_deg=float(turn)), config.shape, config.spacing_mm)
        return simulate_anatomy(config, 0, range(turn * count, (turn + 1) * count), heart)

    seconds = in_turns(
        rounds,
        small=lambda turn: new_anatomy(SMALL, turn),
        normal=lambda turn: new_anatomy(BiventricularShape(), turn),
    )
    voxels = {
        name: int(biventricular(shape).mask.sum())
        for name, shape in (("small", SMALL), ("normal", BiventricularShape()))
    }
    rate = {name: count / value for name, value in seconds.items()}
    print(f"chain: 64x64x64 at {config.spacing_mm:g} mm, {count} cases to an anatomy")
    for name, value in rate.items():
        print(f"  {voxels[name]:6} voxels  {value:6.0f} cases per second and core")
    return {
        "cases_per_second_per_core": round(rate["small"], 1),
        "cases_per_second_per_core_normal_heart": round(rate["normal"], 1),
        "voxels": voxels["small"],
        "voxels_normal_heart": voxels["normal"],
    }


def scaling(anatomies: int) -> dict:
    """Cases per second that reach the disk, by processes; wall time, the faster of two builds."""
    config = CohortConfig(anatomies=anatomies)
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in sorted({1, joblib.cpu_count()}):
            seconds = []
            for turn in range(3):  # the first starts the processes
                start = time.perf_counter()
                path = Path(folder) / f"{workers} {turn}"
                build(config, path, workers=workers, progress=False)
                seconds.append(time.perf_counter() - start)
            rates[workers] = config.cases / min(seconds[1:])
    print(f"cohort of {config.cases} cases on disk: cases per second by processes")
    for workers, rate in rates.items():
        print(f"  {workers:2}  {rate:6.0f}")
    return {
        "cases_per_second_on_disk": {str(k): round(v, 1) for k, v in rates.items()},
        "scaling": round(rates[max(rates)] / rates[1], 2),
    }


def eikonal_time(rounds: int) -> dict:
    """Time of the eikonal solver, list of neighbours included, over that of scikit-fmm."""
    block = Heart(np.ones((64, 64, 64), bool), 2.0)
    heart = biventricular()
    speed = np.random.default_rng(0).uniform(0.4, 0.8, block.mask.shape)
    print("eikonal: ms for one activation map, of it marching alone, and scikit-fmm (order 2)")
    ratios = {}
    for name, domain in (("64x64x64, random speed", block), ("heart shell", heart)):
        onset = domain.voxels_mm[len(domain.voxels_mm) // 3]
        graph, own_speed = TissueGraph.from_heart(domain), speed[domain.mask]
        contenders = {
            "kecgi": lambda _, d=domain, o=onset: activation_times(d, o, speed),
            "solve": lambda _, g=graph, o=onset, v=own_speed: solve(g, o, v),
        }
        if skfmm:
            contenders["skfmm"] = lambda _, d=domain, o=onset: by_skfmm(d, o, speed)
        seconds = in_turns(rounds, **contenders)
        ratios[name] = seconds["kecgi"] / seconds["skfmm"] if skfmm else None
        print(f"  {name:24}", *(f"{1e3 * s:8.2f}" for s in seconds.values()))
    return {
        "eikonal_ratio_to_scikit_fmm": round(max(ratios.values()), 3) if skfmm else None,
        "eikonal_ratio_by_domain": {k: v and round(v, 3) for k, v in ratios.items()},
    }


def forward_time(rounds: int) -> dict:
    """Time of the histogram form over that of the action potentials times the lead field."""
    heart = biventricular(SMALL)
    graph, template, times = TissueGraph.from_heart(heart), action_potential(), time_ms()
    field = lead_field(heart, plane(), graph=graph)
    activation = solve(graph, graph.positions_mm[100], SPEED)

    def matrix_form(_=None):
        return template(times[:, None] - activation).astype(np.float32) @ field

    def histogram_form(_=None):
        return body_surface_potentials(field, activation, times, template)

    seconds = in_turns(rounds, histogram=histogram_form, matrix=matrix_form)
    exact = matrix_form().T
    error = np.abs(histogram_form() - exact).max() / np.abs(exact).max()
    print(f"forward: {len(graph)} voxels, {field.shape[1]} electrodes, {times.size} times")
    print(f"  histogram form {1e3 * seconds['histogram']:7.2f} ms, off by {100 * error:.3f} %")
    print(f"  matrix form    {1e3 * seconds['matrix']:7.2f} ms")
    return {
        "forward_ratio_to_matrix_form": round(seconds["histogram"] / seconds["matrix"], 4),
        "forward_difference_percent": round(100 * float(error), 4),
    }


def eikonal_error(onsets: int) -> dict:
    """Mean relative error against |x - x0| / v: the worst of several onsets."""
    rng = np.random.default_rng(0)
    worst, by_grid = {}, {}
    print(f"eikonal: mean relative error in percent over {onsets} onsets, mean and worst")
    for shape in ((64, 64), (128, 128), (64, 64, 64)):
        domain = Heart(np.ones(shape, bool), 1.0)
        half = (np.array(shape) - 1) / 2
        places = np.vstack(
            [np.full(len(shape), 0.5), rng.uniform(-half, half, (onsets - 1, len(shape)))]
        )
        errors = {"kecgi": [], "scikit-fmm": []}
        for onset in places:
            exact = np.linalg.norm(domain.voxels_mm - onset, axis=1).reshape(shape) / SPEED
            maps = {"kecgi": activation_times(domain, onset, SPEED)}
            if skfmm:
                maps["scikit-fmm"] = by_skfmm(domain, onset, np.full(shape, SPEED))
            for name, times in maps.items():
                far = exact > 0
                errors[name].append(100 * np.mean(np.abs(times[far] / exact[far] - 1)))
        grid = "x".join(map(str, shape))
        worst[grid] = round(max(errors["kecgi"]), 3)
        by_grid[grid] = {name: round(float(np.mean(e)), 3) for name, e in errors.items() if e}
        print(
            f"  {grid:9}",
            *(f"{name} {np.mean(e):.3f} {max(e):.3f}  " for name, e in errors.items() if e),
        )
    return {"eikonal_error_percent": worst, "eikonal_error_percent_mean": by_grid}


def grid_error(quick: bool) -> dict:
    """Error of the potentials and of the activation times by grid step, over several hearts."""
    reference, steps = (1.5, (3.0,)) if quick else (0.5, (1.0, 1.5, 2.0, 3.0))
    rng = np.random.default_rng(3)
    shapes = [BiventricularShape()]
    if not quick:
        shapes += [BiventricularShape.draw(rng) for _ in range(2)]
    errors = {step: [] for step in steps}
    for shape in shapes:
        fine = biventricular(shape, *cube(reference))
        onsets = rng.choice(fine.voxels_mm, 1 if quick else 3)
        expected = potentials(fine, onsets)
        for step in steps:
            found = potentials(biventricular(shape, *cube(step)), onsets)
            errors[step] += [
                100 * float(np.linalg.norm(a - b) / np.linalg.norm(b))
                for a, b in zip(found, expected, strict=True)
            ]
    print(f"forward: error of the potentials in percent against a step of {reference:g} mm")
    for step, values in errors.items():
        print(f"  {step:3g} mm  mean {np.mean(values):5.1f}  worst {max(values):5.1f}")
    return {
        "bspm_error_percent_by_step_mm": {
            f"{k:g}": round(float(np.mean(v)), 2) for k, v in errors.items()
        }
    }


def potentials(heart: Heart, onsets: np.ndarray) -> list[np.ndarray]:
    """Body-surface potentials of one heart for each of several onsets."""
    graph = TissueGraph.from_heart(heart)
    field = lead_field(heart, vest(5, 4), graph=graph)
    template = action_potential().averaged(heart.spacing_mm[0] / SPEED)
    return [
        body_surface_potentials(field, solve(graph, onset, SPEED), time_ms(), template)
        for onset in onsets
    ]


def by_skfmm(domain: Heart, onset: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Activation times by scikit-fmm, started from a ball in which they are exact."""
    axes = domain.coordinates_mm()
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)
    distance = np.sqrt(sum((c - x) ** 2 for c, x in zip(grid, onset, strict=True)))
    radius = SKFMM_BALL * max(domain.spacing_mm)
    level = np.ma.MaskedArray(distance - radius, ~domain.mask)
    at_onset = speed[np.unravel_index(distance.argmin(), distance.shape)]
    times = skfmm.travel_time(level, speed, dx=domain.spacing_mm, order=2) + radius / at_onset
    # inside the ball scikit-fmm counts from its surface as well
    return np.where(distance < radius, distance / at_onset, np.ma.filled(times, np.nan))


def in_turns(rounds: int, **contenders: Callable[[int], object]) -> dict[str, float]:
    """Median processor time in s of each contender, one run each in every round."""
    seconds = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, contender in contenders.items():
            start = time.process_time()
            contender(turn)
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def cube(step: float) -> tuple[tuple[int, int, int], float]:
    """Grid that holds any heart of the family."""
    n = int(np.ceil(128 / step))
    return (n, n, n), step


def time_ms() -> np.ndarray:
    """128 sampling times at 400 Hz."""
    return 2.5 * np.arange(128)


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Options, description=__doc__))
