"""Classical inverse methods on measured beats: Tikhonov's method of three orders, truncated SVD.

Potentials measured on a dog's epicardium are projected to a torso tank by boundary elements, noise
is added, and each method gets them back, with an automatic parameter: with the geometry that is
true, and with a heart that was moved, turned or scaled. What they find is compared with what was
measured. Beside it stand own activation times against those that the laboratory annotated.

The recordings (KECGI_DATA, or --data) are `utah_sock_tank_uq` and `utah_sock_pfeifer` of the
Scientific Computing and Imaging Institute, Utah.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from kecgi import experiment
from kecgi.experiment import Options, WrongInputError

MEASURED = 247  # the first nodes of the sock; those of its cap were interpolated by the laboratory
QRS_MS = (100.0, 150.0)
HZ = 1000.0
REPEATS = {"quick": 2, "paper": 10}
PENALTIES = ("zero", "first", "second", "tsvd")
RULES = ("l-curve", "gcv")

CONDITIONS = {
    "30 dB": {"snr_db": 30.0},
    "20 dB": {"snr_db": 20.0},
    "30 dB, moved 10 mm": {"snr_db": 30.0, "by_mm": (10.0, 0.0, 0.0)},
    "30 dB, turned 10 degrees": {"snr_db": 30.0, "turn_deg": 10.0},
    "30 dB, scaled by 1.1": {"snr_db": 30.0, "scale": 1.1},
}
SHOWN = "tikhonov-zero l-curve"


def _data_folder() -> Path:
    return Path(os.environ.get("KECGI_DATA", "../shared/data"))


@dataclass(frozen=True)
class InverseOptions(Options):
    """Options of this recipe.

    Parameters
    ----------
    data : Path
        Folder of the recordings.
    electrodes : int
        Electrodes on the tank, spread evenly.
    """

    data: Path = field(default_factory=_data_folder)
    electrodes: int = 192


def main(options: InverseOptions) -> None:
    """Project, invert, compare."""
    if options.geometry:
        raise WrongInputError("the recordings bring their own geometry; leave out --geometry")
    tank_folder = options.data / "utah_sock_tank_uq"
    if not tank_folder.is_dir():
        raise WrongInputError(f"no folder {tank_folder}; name that of the recordings with --data")
    from kecgi import figures, tracking
    from kecgi.data.recordings import read_recording
    from kecgi.geometry.matfile import read_surface
    from kecgi.inverse import ClassicalInverse, steepest_descent, transfer_matrix

    heart = read_surface(tank_folder / "capped_sock.mat")
    torso = read_surface(tank_folder / "Full_tank_771.mat")
    beat = read_recording(tank_folder / "Run0001-cappedsock.mat", HZ)
    if not 4 <= options.electrodes <= len(torso):
        raise WrongInputError(f"--electrodes is {options.electrodes}, expected 4 … {len(torso)}")
    tracking.use("classical inverse")
    name = f"classical {options.preset} seed {options.seed}"
    with tracking.start_run(name, asdict(options), {"model": "classical"}) as run:
        transfer = transfer_matrix(heart, torso)
        at = _spread(torso.points_mm, options.electrodes)
        truth = Truth(heart, beat.potentials_mv, beat.time_ms)
        rng = np.random.default_rng(options.seed)
        table, kept = {}, {}
        for condition, change in CONDITIONS.items():
            move = {k: v for k, v in change.items() if k != "snr_db"}
            assumed = transfer_matrix(heart.moved(**move), torso)[at] if move else transfer[at]
            methods = [
                ClassicalInverse(assumed, heart, penalty, rule, QRS_MS)
                for penalty in PENALTIES
                for rule in RULES
            ]
            table[condition] = {}
            for bspm in _noisy((transfer @ beat.potentials_mv)[at], change["snr_db"], options, rng):
                for method in methods:
                    found = method.activation(bspm, beat.time_ms)
                    scores = truth.judge(found) | {"strength": method.strength(bspm, beat.time_ms)}
                    table[condition].setdefault(method.name, []).append(scores)
                    kept[condition, method.name] = bspm, found, method
            table[condition] = {
                method: {k: float(np.mean([s[k] for s in all_scores])) for k in all_scores[0]}
                for method, all_scores in table[condition].items()
            }
        bspm, found, method = kept["30 dB", SHOWN]
        headline = {
            "model": "classical",
            "preset": options.preset,
            "seed": options.seed,
            **table["30 dB"][SHOWN],
            "shown": f"{SHOWN}, 30 dB",
            "baselines": {k: v for k, v in table["30 dB"].items() if k != SHOWN}
            | {"constant": {"at_mae_ms": truth.constant_mae_ms}},
            "conditions": table,
            "laboratory": against_laboratory(options.data / "utah_sock_pfeifer"),
        }
        moments = [int(np.argmin(np.abs(beat.time_ms - t))) for t in (115.0, 125.0, 135.0)]
        strengths = method.form.strengths()
        window = truth.window
        curve = method.form.l_curve(bspm[:, window], strengths)
        errors = [
            np.linalg.norm(method.form.solve(bspm[:, window], s) - truth.potentials_mv[:, window])
            / np.linalg.norm(truth.potentials_mv[:, window])
            for s in strengths
        ]
        chosen = {rule: method.form.choose(bspm[:, window], rule) for rule in RULES}
        own = steepest_descent(beat.potentials_mv, beat.time_ms, QRS_MS) - QRS_MS[0]
        pictures = {
            "potentials": figures.surface_maps(
                heart.points_mm, heart.triangles,
                {
                    f"{beat.time_ms[i]:.0f} ms": {
                        "measured": beat.potentials_mv[:, i],
                        "30 dB": found.potentials_mv[:, i],
                        "20 dB": kept["20 dB", SHOWN][1].potentials_mv[:, i],
                    }
                    for i in moments
                },
                label="Potential (mV)", signed=True,
            ),
            "activation": figures.surface_maps(
                heart.points_mm, heart.triangles,
                {
                    condition: {
                        "measured": own,
                        "zero order": kept[condition, SHOWN][1].mean_ms - QRS_MS[0],
                        "first order": kept[condition, "tikhonov-first l-curve"][1].mean_ms
                        - QRS_MS[0],
                    }
                    for condition in ("30 dB", "20 dB")
                },
                label="Activation (ms)",
            ),
            "l_curve": figures.l_curve(strengths, *curve, chosen, errors),
        }  # fmt: skip
        folder = options.out / "classical-inverse"
        folder.mkdir(parents=True, exist_ok=True)
        for title, figure in pictures.items():
            figure.savefig(folder / f"{title}.png")
        (folder / "headline.json").write_text(json.dumps(headline, indent=1) + "\n")
        tracking.log_figures(pictures)
        tracking.log_headline(headline)
        run_id = run.info.run_id
    print(json.dumps({**headline, "run_id": run_id}), flush=True)


class Truth:
    """What was measured on the sock, and how well an estimate agrees with it in the QRS."""

    def __init__(self, heart, potentials_mv: np.ndarray, time_ms: np.ndarray):
        from kecgi.inverse import steepest_descent

        self.potentials_mv, self.time_ms = potentials_mv, time_ms
        self.window = (time_ms >= QRS_MS[0]) & (time_ms <= QRS_MS[1])
        self.activation_ms = steepest_descent(potentials_mv, time_ms, QRS_MS)[:MEASURED]

    @property
    def constant_mae_ms(self) -> float:
        """Error of the best constant."""
        return float(np.abs(self.activation_ms - np.median(self.activation_ms)).mean())

    def judge(self, found) -> dict[str, float]:
        """Agreement of potentials (medians) and of activation times at the measured nodes."""
        from kecgi import evaluate
        from kecgi.inverse import steepest_descent

        rows = (slice(None, MEASURED), self.window)
        scores = evaluate.summarise_potentials(self.potentials_mv[rows], found.potentials_mv[rows])
        alone = steepest_descent(found.potentials_mv, self.time_ms, QRS_MS)[:MEASURED]
        times = found.mean_ms[:MEASURED]
        return {name: values["median"] for name, values in scores.items()} | {
            "at_mae_ms": float(np.abs(times - self.activation_ms).mean()),
            "at_mae_plain_ms": float(np.abs(alone - self.activation_ms).mean()),
            "at_correlation": float(evaluate.pearson(self.activation_ms, times)),
        }


def against_laboratory(folder: Path) -> dict[str, dict[str, float]]:
    """Differences of own activation times from the laboratory's, in ms, beat by beat."""
    from kecgi.data.recordings import read_lab_times, read_recording
    from kecgi.inverse import steepest_descent

    result = {}
    for file in sorted(folder.glob("*-cs-ari.mat")):
        lab = read_lab_times(file)
        beat = read_recording(file.with_name(file.name.replace("-ari", "")))
        window = beat.fiducials_ms["qrs_on"], beat.fiducials_ms["qrs_off"]
        own = steepest_descent(beat.potentials_mv, beat.time_ms, window) - window[0]
        difference = (own - lab.activation_ms)[~lab.lost]
        shift = float(np.median(difference))
        result[beat.name] = {
            "shift_ms": shift,
            "mae_ms": float(np.abs(difference).mean()),
            "mae_without_shift_ms": float(np.abs(difference - shift).mean()),
        }
    return result


def _noisy(
    bspm: np.ndarray, snr_db: float, options: InverseOptions, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    from kecgi.data import add_noise

    for _ in range(REPEATS[options.preset]):
        yield add_noise(bspm, snr_db, rng)


def _spread(points_mm: np.ndarray, count: int) -> np.ndarray:
    """Choose points spread evenly; their numbers in order."""
    from kecgi.geometry import spread_points

    return np.sort(spread_points(points_mm, count))


if __name__ == "__main__":
    experiment.command_line(main, InverseOptions)
