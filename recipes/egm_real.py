"""Real recordings: measured bipolar electrograms beside simulated and generated ones.

arXiv 2512.14537 asks whether its electrograms, all from simulations, are like real ones. Here they
are compared with PhysioNet's intracardiac recordings of fibrillation (IAFDB, 10.13026/C2F305): one
band, one rate, windows of 2 s, each channel in units of its root mean square, since the database is
uncalibrated. Distances are from one patient's channels, mean over patients; the floor, on the same
scale, is that from one patient to another.

Simulated are the dataset's bipolar pairs, 4 mm apart, by rhythm. Generators make unipolar
electrograms at nodes: their bipolar ones are differences of neighbouring nodes, which are further
apart (the headline says how far), so the same differences of simulated nodes stand beside them.
With --generators, the folder of ``egm_vae.py --rhythm all``.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options, WrongInputError

WINDOWS = {"quick": 300, "paper": 600}
"""Windows of a set at the most, drawn by chance."""

GENERATED = {"quick": 4, "paper": 24}


def _records() -> Path:
    return Path(os.environ.get("KECGI_DATA", "../shared/data")) / "iafdb_af_egm"


@dataclass(frozen=True)
class RealOptions(Options):
    """Options of all recipes, and where recordings and generators are.

    Parameters
    ----------
    records : Path
        Folder of IAFDB records.
    generators : Path, optional
        Folder with the trained ``model.keras`` and ``flow.keras``.
    """

    records: Path = field(default_factory=_records)
    generators: Path | None = None


def main(options: RealOptions) -> None:
    """Read, simulate, generate, measure, compare."""
    experiment.begin(options)
    from kecgi import evaluate, figures
    from kecgi.data import EGMRecordings, by_rhythm
    from kecgi.data.egm.iafdb import comparable, read_iafdb
    from kecgi.evaluate.bipolar import bipolar_features, bipolar_measures

    try:
        records = read_iafdb(options.records)
    except FileNotFoundError as error:
        raise WrongInputError(f"{error}; name its folder with --records") from error
    config = experiment.atrial_simulations(options)
    cohort = experiment.egm_dataset(config, options)
    split = by_rhythm(cohort.rhythm, seed=options.seed)
    rng, hz = np.random.default_rng(options.seed), config.sampling_hz

    def brought(signals, from_hz):
        windows = comparable(signals, from_hz, hz)
        return rng.permutation(windows)[: WINDOWS[options.preset]]

    with experiment.run("electrograms", "egm-real", options, cohort, split, {}) as run:
        patients = {}
        for record in records:
            patients.setdefault(record.patient, []).append(comparable(
                record.bipolar, record.sampling_hz, hz
            ))  # fmt: skip
        patients = {
            patient: rng.permutation(np.concatenate(windows))[: WINDOWS[options.preset]]
            for patient, windows in patients.items()
        }
        sets = {}
        for name in config.rhythms:
            own = np.flatnonzero(cohort.rhythm == cohort.rhythm_names.index(name))
            sets[f"simulated {name}"] = brought(whole(cohort.read("bipolar_mv", own)), hz)
        near, apart_mm = neighbours(cohort.read("nodes_mm", split.train).mean(axis=0))
        fibrillating = np.flatnonzero(cohort.rhythm == cohort.rhythm_names.index("fibrillation"))
        unipolar = cohort.read("egm_mv", fibrillating)
        sets["simulated, nodes"] = brought(whole(unipolar - unipolar[:, :, near]), hz)
        if options.generators is not None:
            known = EGMRecordings.read(cohort, split.train)
            for name, file in (("VAE", "model"), ("flow", "flow")):
                model = experiment.trained(options.generators / f"{file}.keras")
                made = known.in_mv(
                    model.generate("fibrillation", GENERATED[options.preset], seed=options.seed)
                )
                sets[f"{name}, nodes"] = brought(made - made[:, near], hz)

        real = np.concatenate(list(patients.values()))
        features = bipolar_features(hz)

        def distance(first, second):
            return evaluate.set_distances(first, second, features, reference=real)["mmd2"]

        pairs = [(a, b) for a in patients for b in patients if a < b]
        run.headline |= {
            "records": len(records),
            "patients": len(patients),
            "windows_real": len(real),
            "node_pairs_mm": float(np.median(apart_mm)),
            "features": f"{features.name} {features.version}, {features.preprocessing}",
            "floor_mmd2": float(np.mean([distance(patients[a], patients[b]) for a, b in pairs])),
            "floor_mmd2_most": float(max(distance(patients[a], patients[b]) for a, b in pairs)),
            "mmd2": {
                name: float(np.mean([distance(own, x) for own in patients.values()]))
                for name, x in sets.items()
            },
            "medians": {
                name: {
                    measure: round(float(np.median(values)), 3)
                    for measure, values in bipolar_measures(x, hz).items()
                }
                for name, x in {"real": real, **sets}.items()
            },
        }
        beside = {"Real": real, "Simulated, 4 mm": sets["simulated fibrillation"]}
        beside |= {
            title: sets[name]
            for title, name in (
                ("Simulated, nodes", "simulated, nodes"), ("VAE, nodes", "VAE, nodes"),
                ("Flow, nodes", "flow, nodes"),
            )
            if name in sets
        }  # fmt: skip
        frequencies = {n: bipolar_measures(x, hz)["dominant_hz"] for n, x in beside.items()}
        run.conclude({"bipolar": figures.bipolar_comparison(beside, frequencies, hz)})


def whole(signals):
    """Join windows that follow each other: (simulation, window, channel, time) to (n, time)."""
    joined = np.moveaxis(signals, 1, 2)
    return joined.reshape(-1, joined.shape[2] * joined.shape[3])


def neighbours(positions_mm):
    """Nearest other node of each, and its distance."""
    apart = np.linalg.norm(positions_mm[:, None] - positions_mm, axis=2)
    np.fill_diagonal(apart, np.inf)
    return apart.argmin(axis=1), apart.min(axis=1)


if __name__ == "__main__":
    experiment.command_line(main, RealOptions)
