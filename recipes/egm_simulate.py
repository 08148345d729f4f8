"""Atrial electrograms and body-surface potentials by rhythm: the data of arXiv 2512.14537, redone.

Sinus rhythm, ectopic rhythm, macro-re-entry and fibrillation in atria drawn from a family (or in
the wall of --geometry), by a monodomain model; electrograms on the wall and potentials at 64 leads
of several torsos, in windows of 2 s at 200 Hz. Every run is measured, and one that is not in the
rhythm asked for is thrown away and drawn anew: how often is reported. An open surface mesh becomes
a wall for --geometry by `kecgi.geometry.surface_wall`.

Departures from the paper: its data are private, so atria, rhythms and torsos are drawn anew; each
simulation has atria of its own; macro-re-entry is a class of its own, and fibrosis a share of the
tissue in any rhythm instead of a class; amplitudes are kept in mV.
"""

import time

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options

TRACES = 6
SNAPSHOTS_MS = 40


def main(options: Options) -> None:
    """Simulate, check, look."""
    from kecgi import figures
    from kecgi.data import by_rhythm

    config = experiment.atrial_simulations(options)
    began = time.perf_counter()
    cohort = experiment.egm_dataset(config, options)
    seconds = time.perf_counter() - began
    split = by_rhythm(cohort.rhythm, seed=options.seed)
    with experiment.run("electrograms", "egm-simulate", options, cohort, split, {}) as run:
        values = {n: cohort.read(n) for n in ("attempts", "cycle_ms", "rotors", "fibrosis")}
        rhythms = {}
        for label in np.unique(cohort.rhythm):
            own = cohort.rhythm == label
            rhythms[cohort.rhythm_names[label]] = {
                "simulations": int(own.sum()),
                "attempts": int(values["attempts"][own].sum()),
                "cycle_ms": float(np.median(values["cycle_ms"][own])),
                "rotors": float(values["rotors"][own].mean()),
                "fibrosis": float(values["fibrosis"][own].mean()),
            }
        run.headline |= {
            "rhythms": rhythms,
            "windows": len(cohort) * config.windows,
            "nodes": config.nodes,
            "pairs": len(cohort) * config.windows * config.placements,
            "build_s": round(seconds, 1),  # next to nothing where the data were there already
        }

        first = {name: list(config.rhythms).index(name) for name in config.rhythms}
        one = {name: cohort.pairs([i], placements=1) for name, i in first.items()}
        every = cohort.windows()
        by_name = {
            name: np.concatenate(
                every["egm_mv"][every["simulation"] % len(first) == i].swapaxes(1, 2)
            )
            for name, i in first.items()
        }
        leads = np.linspace(0, len(cohort.lead_names) - 1, TRACES).astype(int)
        shown = {
            "egm": figures.rhythm_traces(
                {name: pair["egm_mv"][0].T[:TRACES] for name, pair in one.items()},
                cohort.time_ms,
                [f"node {k + 1}" for k in range(TRACES)],
                title="Unipolar electrograms",
            ),
            "bspm": figures.rhythm_traces(
                {name: pair["bspm_mv"][0].T[leads] for name, pair in one.items()},
                cohort.time_ms,
                [cohort.lead_names[k] for k in leads],
                title="Body-surface potentials",
            ),
            "spectra": figures.rhythm_spectra(by_name, config.sampling_hz),
        }
        if "fibrillation" in first:
            shown["rotors_voltage"], shown["rotors_phase"] = rotor_maps(
                config, first["fibrillation"]
            )
        run.conclude(shown)


def rotor_maps(config, simulation):
    """Voltage and phase of a fibrillating wall at three times, with the phase singularities."""
    from kecgi import figures
    from kecgi.data.egm.cohort import run_simulation
    from kecgi.simulate import TissueGraph
    from kecgi.simulate.reentry import singularities, voltage_phase, wall_squares

    run = run_simulation(config, simulation)
    graph = TissueGraph.from_heart(run.heart)
    delay = 10
    phase = voltage_phase(run.episode.frames[: 2 * SNAPSHOTS_MS + delay + 1], delay, SNAPSHOTS_MS)
    marks = singularities(graph, phase, wall_squares(graph))
    titles = [f"{k * SNAPSHOTS_MS} ms" for k in range(len(phase))]
    voltage = run.episode.frames[delay::SNAPSHOTS_MS][: len(phase)]
    step = float(np.mean(graph.spacing_mm))
    labels = None if run.heart.labels is None else run.heart.labels[run.heart.mask]
    common = {"chamber": labels, "marks_mm": marks}
    yield figures.wall_maps(
        graph.positions_mm, step, dict(zip(titles, voltage, strict=True)),
        label="Voltage (of 1)", limits=(0, 1), **common,
    )  # fmt: skip
    yield figures.wall_maps(
        graph.positions_mm, step, dict(zip(titles, phase, strict=True)),
        label="Phase (radians)", limits=(-np.pi, np.pi), cyclic=True, **common,
    )  # fmt: skip


if __name__ == "__main__":
    experiment.command_line(main)
