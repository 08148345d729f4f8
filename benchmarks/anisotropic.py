"""The anisotropic eikonal solver's speed and accuracy, beside scikit-fmm and fim-python.

    python -m benchmarks.anisotropic [--quick]

One process; processor time, median over rounds in turns, as in `benchmarks.simulation`. scikit-fmm
solves the isotropic equation on the same mask: a lower bound for what it could do. fim-python
solves the anisotropic one on tetrahedra between the voxels' centres. Without one of them
(`pip install kecgi[bench]`; `pip install fim-python`, which is AGPL and so no extra) its columns
stay empty.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import contextlib
import dataclasses
import io
import itertools
import json
import time

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.simulation import by_skfmm, in_turns, skfmm
from kecgi.geometry import Heart, biventricular
from kecgi.geometry.fibres import rule_based
from kecgi.simulate import TissueGraph, activation_times
from kecgi.simulate.anisotropic import (
    AnisotropicTissue,
    anisotropic_times,
    conduction_tensors,
    solve_anisotropic,
    solve_many,
)

try:
    with contextlib.redirect_stdout(io.StringIO()):  # it says that it found no GPU
        import fimpy
except ImportError:
    fimpy = None

SPEEDS = (0.65, 0.30, 0.20)
"""Along fibre, sheet and normal, mm/ms."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    quick: bool = False
    """A few rounds and coarse grids, to see that it runs; the figures mean little."""


def main(options: Options) -> dict:
    """Measure everything, print the tables and the line of JSON."""
    result = {
        **times(2 if options.quick else 11, options.quick),
        **homogeneous(options.quick),
        **beside_fim(12 if options.quick else 48),
        **scaling(16 if options.quick else 96),
    }
    print(json.dumps(result))
    return result


def times(rounds: int, quick: bool) -> dict:
    """Time for one map in a heart with fibres, everything included, and of solving alone."""
    heart = rule_based(biventricular(grid=(32,) * 3, spacing_mm=4.0) if quick else biventricular())
    graph = TissueGraph.from_heart(heart)
    onset = graph.positions_mm[len(graph) // 3]
    uniform = np.full(heart.mask.shape, 0.6)
    tensors = conduction_tensors(heart.fibres[heart.mask], SPEEDS[0], SPEEDS[1])
    tissue = AnisotropicTissue.of(graph, tensors)
    contenders = {
        "kecgi": lambda _: anisotropic_times(heart, onset, SPEEDS[0], SPEEDS[1]),
        "solve": lambda _: solve_anisotropic(tissue, onset),
        "isotropic": lambda _: activation_times(heart, onset, 0.6),
    }
    if skfmm:
        contenders["skfmm"] = lambda _: by_skfmm(heart, onset, uniform)
    seconds = in_turns(rounds, **contenders)
    if fimpy:
        seconds["fim-python"], _ = by_fim(heart, graph, tensors, onset)
    print(f"anisotropic eikonal: ms for one activation map of {len(graph)} voxels")
    for name, value in seconds.items():
        print(f"  {name:12} {1e3 * value:9.2f}")
    return {
        "voxels": len(graph),
        "anisotropic_ms": round(1e3 * seconds["kecgi"], 2),
        "ratio_to_scikit_fmm_isotropic": skfmm and round(seconds["kecgi"] / seconds["skfmm"], 3),
        "ratio_of_solving_alone": skfmm and round(seconds["solve"] / seconds["skfmm"], 3),
        "fim_python_ratio": fimpy and round(seconds["fim-python"] / seconds["kecgi"], 1),
        "fim_python_ratio_of_solving_alone": fimpy
        and round(seconds["fim-python"] / seconds["solve"], 1),
    }


def homogeneous(quick: bool) -> dict:
    """Mean relative error against the exact travel time, over turned tensors."""
    errors = {}
    print("error in percent of the exact time, mean over 6 directions of the fibres")
    for size in (16, 24) if quick else (32, 64, 96):
        heart = Heart(np.ones((size,) * 3, bool), 1.0)
        graph = TissueGraph.from_heart(heart)
        onset = np.array([0.3, -0.2, 0.4])
        way = graph.positions_mm - onset
        found = []
        for seed in range(6):
            turn = Rotation.random(random_state=seed).as_matrix()
            tensor = turn @ np.diag(np.square(SPEEDS)) @ turn.T
            exact = np.sqrt(np.einsum("ni,ij,nj->n", way, np.linalg.inv(tensor), way))
            tissue = AnisotropicTissue.of(graph, np.broadcast_to(tensor, (len(graph), 3, 3)))
            found.append(100 * np.mean(np.abs(solve_anisotropic(tissue, onset) / exact - 1)))
        errors[f"{size}^3"] = round(float(np.mean(found)), 3)
        print(f"  {size}^3  {np.mean(found):.3f}")
    return {"error_percent": errors}


def beside_fim(size: int) -> dict:
    """Time and error of both solvers in a homogeneous block."""
    if not fimpy:
        return {"block_fim_python_ratio": None}
    heart = Heart(np.ones((size,) * 3, bool), 1.0)
    graph = TissueGraph.from_heart(heart)
    turn = Rotation.random(random_state=0).as_matrix()
    tensor = turn @ np.diag(np.square(SPEEDS)) @ turn.T
    tensors = np.broadcast_to(tensor, (len(graph), 3, 3))
    onset = graph.positions_mm[np.argmin(np.linalg.norm(graph.positions_mm, axis=1))]
    way = graph.positions_mm - onset
    exact = np.sqrt(np.einsum("ni,ij,nj->n", way, np.linalg.inv(tensor), way))
    far = exact > 0
    start = time.process_time()
    own = solve_anisotropic(AnisotropicTissue.of(graph, tensors), onset)
    own_seconds = time.process_time() - start
    seconds, theirs = by_fim(heart, graph, tensors, onset)
    errors = [100 * float(np.mean(np.abs(t[far] / exact[far] - 1))) for t in (own, theirs)]
    print(f"block of {size}^3: kecgi {own_seconds:.3f} s, off by {errors[0]:.2f} %; ", end="")
    print(f"fim-python {seconds:.2f} s, off by {errors[1]:.2f} %")
    return {
        "block_fim_python_ratio": round(seconds / own_seconds, 1),
        "block_error_percent": round(errors[0], 3),
        "block_fim_python_error_percent": round(errors[1], 3),
    }


def scaling(cases: int) -> dict:
    """Count the maps a second of many onsets in one heart, by threads (wall time)."""
    heart = rule_based(biventricular(grid=(40,) * 3, spacing_mm=3.2))
    graph = TissueGraph.from_heart(heart)
    fibres = heart.fibres[heart.mask]
    tissue = AnisotropicTissue.of(graph, conduction_tensors(fibres, SPEEDS[0], SPEEDS[1]))
    onsets = list(np.random.default_rng(0).choice(graph.positions_mm, cases))
    rate = {}
    for threads in dict.fromkeys((1, 2, os.cpu_count() or 1)):
        start = time.perf_counter()
        solve_many(tissue, onsets, threads=threads)
        rate[str(threads)] = round(cases / (time.perf_counter() - start), 1)
    print(f"maps a second of {len(graph)} voxels by threads: {rate}")
    return {"maps_per_second_by_threads": rate}


def by_fim(
    heart: Heart, graph: TissueGraph, tensors: np.ndarray, onset: np.ndarray
) -> tuple[float, np.ndarray]:
    """Seconds and activation times of fim-python, nan at voxels without a tetrahedron."""
    n = len(graph)
    corner = np.stack(
        [
            graph.index[
                tuple(slice(d, s - 1 + d) for d, s in zip(at, heart.mask.shape, strict=True))
            ]
            for at in itertools.product((0, 1), repeat=3)
        ],
        axis=-1,
    )
    corner = corner[(corner < n).all(axis=-1)]
    cells = []
    for order in itertools.permutations((4, 2, 1)):  # six tetrahedra around the cube's diagonal
        cells.append(corner[:, [0, order[0], order[0] + order[1], 7]])
    cells = np.concatenate(cells).astype(int)
    used = np.unique(cells)
    number = np.full(n, -1)
    number[used] = np.arange(used.size)
    nearest = used[np.argmin(np.linalg.norm(graph.positions_mm[used] - onset, axis=1))]
    start = time.process_time()  # the mesh isn't theirs to make
    solver = fimpy.create_fim_solver(
        graph.positions_mm[used], number[cells], tensors[cells].mean(axis=1), device="cpu"
    )
    solved = solver.comp_fim(np.array([number[nearest]]), np.zeros(1))
    seconds = time.process_time() - start
    times_ms = np.full(n, np.nan)
    times_ms[used] = solved
    return seconds, times_ms


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Options, description=__doc__))
