"""The monodomain solver's speed beside finitewave, and its accuracy by grid step.

    python -m benchmarks.monodomain [--quick] [--finitewave PYTHON]

One process and one thread. One second of fibrillation on a left atrium at 1 mm, in turns with
finitewave on the same grid with the same cells, diffusivity, time step and initial state; a figure
is the median of the processor time over the rounds. kecgi solves a shell around the tissue as well,
without which an oblique wall would take 15 % of the speed, and keeps a frame each ms; finitewave
does neither. finitewave needs a numpy older than kecgi's, so an environment of its own:
`python -m venv fw && fw/bin/pip install finitewave`, then `--finitewave fw/bin/python` or
KECGI_FINITEWAVE. Without it, its figures are null, and a line says so.

The atrium is that of a patient (KECGI_DATA, `human_ct_hearts`) where it is there, else parametric.
Speeds are measured against the 0.6 mm/ms asked for.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import json
import statistics
import subprocess
import tempfile
import time
import warnings
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np

from kecgi.geometry import AtrialShape, Heart, atrial_wall, load_heart
from kecgi.simulate import MitchellSchaeffer, Tissue, diffusivity, simulate, wall_diffusivity
from kecgi.simulate.calibration import front_speeds, wall_speed
from kecgi.simulate.monodomain import STEP_MS
from kecgi.simulate.reentry import line_through, phase_state, winding_phase
from kecgi.simulate.rhythms import measure

SPEED = 0.6
CELL = MitchellSchaeffer(tau_close=50.0, tau_open=100.0)
SECOND_MS = 1000.0


@dataclass(frozen=True)
class Options:
    """What is measured."""

    quick: bool = False
    """One round and coarse grids, to see that it runs; the figures mean little."""

    finitewave: str | None = field(default_factory=lambda: os.environ.get("KECGI_FINITEWAVE"))
    """Python interpreter of an environment with finitewave."""


def main(options: Options) -> dict:
    """Measure everything, print the tables and the line of JSON."""
    result = {**fibrillation(options), **plane_speeds(options.quick), **wall_speeds(options.quick)}
    print(json.dumps(result))
    return result


def left_atrium(quick: bool) -> Heart:
    """Return the patient's left atrium, cleaned of stray components, or one of its size."""
    folder = Path(os.environ.get("KECGI_DATA", "../shared/data"))
    file = folder / "human_ct_hearts" / "masks" / "strocchi01_la_1.0mm.npz"
    if quick:
        return atrial_wall(AtrialShape(right=False), 2.0)
    if not file.is_file():
        return atrial_wall(AtrialShape(29.0, 29.0, wall_mm=3.6, right=False), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_heart(file, keep_largest=True)


def fibrillation(options: Options) -> dict:
    """Processor time of one second of fibrillation, here and in finitewave."""
    heart = left_atrium(options.quick)
    step = float(np.mean(heart.spacing_mm))
    d = diffusivity(0.5, step, CELL)
    tissue = Tissue.from_heart(heart, d, CELL)
    at = tissue.graph.positions_mm
    centre = at.mean(axis=0)
    lines = [line_through(centre, a, -a) for a in np.eye(3)]
    v, h = phase_state(sum(winding_phase(at, line) for line in lines), CELL, 220.0)
    simulate(tissue, tissue.state(v, h), 1.0)  # compile
    own, other, active, version = [], [], None, None
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case.npz"
        np.savez(
            case, mask=heart.mask, v=v, h=h, duration_ms=SECOND_MS, cell=astuple(CELL),
            step_spacing_diffusivity=(STEP_MS, step, d),
        )  # fmt: skip
        for _ in range(1 if options.quick else 5):
            state = tissue.state(v, h)
            start = time.process_time()
            frames = simulate(tissue, state, SECOND_MS)
            own.append(time.process_time() - start)
            if options.finitewave:
                rival = by_finitewave(options.finitewave, case)
                other.append(rival["seconds"])
                active, version = rival["active"], rival["version"]
    report = measure(tissue.graph, frames[300:])
    seconds = statistics.median(own)
    print(
        f"one second of fibrillation, {heart.name}: {len(at)} voxels at {step:g} mm, dt {STEP_MS}"
    )
    print(
        f"  kecgi       {seconds:6.2f} s  ({len(tissue.owner)} cells; {report.rotors:.1f} rotors, "
        f"cycle {report.cycle_ms:.0f} ms, {100 * np.mean(frames[-1] > 0.5):.0f} % active at last)"
    )
    if other:
        print(
            f"  finitewave  {statistics.median(other):6.2f} s  (version {version}; "
            f"{100 * active:.0f} % active at last)"
        )
    else:
        print("  finitewave  absent: name an interpreter that has it with --finitewave")
    return {
        "af_second_s": round(seconds, 3),
        "finitewave_second_s": round(statistics.median(other), 3) if other else None,
        "ratio_to_finitewave": round(seconds / statistics.median(other), 3) if other else None,
        "voxels": len(at),
        "cells": len(tissue.owner),
        "rotors": round(report.rotors, 2),
        "cycle_ms": report.cycle_ms if np.isfinite(report.cycle_ms) else None,
    }


def by_finitewave(interpreter: str, case: Path) -> dict:
    """Run the case in finitewave's environment."""
    script = Path(__file__).with_name("finitewave_run.py")
    done = subprocess.run(
        [interpreter, str(script), str(case)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(f"{interpreter} can't run finitewave:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def plane_speeds(quick: bool) -> dict:
    """Errors of plane fronts by grid step: with the continuum's D, and with the calibrated one."""
    cell, errors, before = MitchellSchaeffer(), {}, {}
    print(
        f"plane fronts, {SPEED} mm/ms asked for: error in percent along axis, face, cube diagonal"
    )
    for spacing in (2.0, 1.0) if quick else (2.0, 1.5, 1.0, 0.75, 0.5, 0.25):
        step = step_ms(spacing)
        found = {
            name: 100 * (front_speeds(d, spacing, cell, step) / SPEED - 1)
            for name, d in (
                ("continuum", diffusivity(SPEED, 0.0, cell)),
                ("calibrated", diffusivity(SPEED, spacing, cell, step)),
            )
        }
        before[f"{spacing:g}"], errors[f"{spacing:g}"] = (
            round(float(np.abs(found[name]).max()), 2) for name in ("continuum", "calibrated")
        )
        print(
            f"  {spacing:5g} mm",
            *(f"{n} {' '.join(f'{e:6.1f}' for e in v)}   " for n, v in found.items()),
        )
    return {"plane_error_percent_continuum": before, "plane_error_percent": errors}


def wall_speeds(quick: bool) -> dict:
    """Errors of the local speed in thin walls by grid step, before and after their calibration."""
    cell, errors, before = MitchellSchaeffer(), {}, {}
    walls = {f"left atrium {s:g} mm": atrial_wall(AtrialShape(right=False), s) for s in (2.0, 1.5)}
    if not quick:
        walls |= {
            f"left atrium {s:g} mm": atrial_wall(AtrialShape(right=False), s) for s in (1.0, 0.75)
        }
        walls["benchmark's atrium 1 mm"] = left_atrium(False)
    print(f"walls, {SPEED} mm/ms asked for: error of the median local speed in percent")
    for name, wall in walls.items():
        spacing = float(np.mean(wall.spacing_mm))
        step = step_ms(spacing)
        before[name], errors[name] = (
            round(100 * (wall_speed(wall, d, SPEED, cell, step) / SPEED - 1), 2)
            for d in (
                diffusivity(SPEED, spacing, cell, step),
                wall_diffusivity(wall, SPEED, cell, step),
            )
        )
        print(f"  {name:26} plane calibration {before[name]:6.1f}   wall {errors[name]:6.1f}")
    return {"wall_error_percent_plane_calibration": before, "wall_error_percent": errors}


def step_ms(spacing: float) -> float:
    """Time step that is stable on a grid, a whole number of them in 1 ms."""
    return 1 / np.ceil(1 / min(STEP_MS, 0.1 * spacing**2))


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Options, description=__doc__))
