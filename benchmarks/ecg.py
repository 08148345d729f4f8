"""Twelve-lead ECG models at the published sizes: time of a step, of a sample, and memory.

    KERAS_BACKEND=torch python -m benchmarks.ecg [--systems nvae-train nvae-sample ...]

Records of 5000 samples, random data, float32, one thread. Each system runs in a process of its own.
Beside its time stands the rate of a product of two 1536 x 1536 matrices by NumPy in the same
process, so that machines can be compared: `bar_s` is the time to beat on a machine of 95 GFLOP/s,
`scaled_bar_s` what that is at the rate measured here.

Times are processor seconds of the process, the fastest of the steps, so that other work on the
machine counts little; on a quiet machine, with one thread, they are wall times. The first step,
with its tracing or compilation, is given apart. The "paper" size of the variational autoencoder
takes 4 GB to sample from and about 9 GB to train.
"""

import dataclasses
import json
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable

LENGTH = 5000
CLASSES = tuple(f"class {i}" for i in range(8))
REFERENCE_GFLOPS = 95.0
SIDE = 1536


@dataclasses.dataclass(frozen=True)
class System:
    """What is measured: a function of the backend's model, and the figures to beat."""

    prepare: str
    batch: int
    bar_s: float | None = None
    bar_mib: float | None = None


SYSTEMS = {
    "nvae-train": System("train_nvae:paper", 2, 8.5, 8412),
    "nvae-sample": System("sample_nvae:paper", 4, 4 * 0.49, 3822),
    "pulse2pulse-critic": System("train_critic:", 2, 7.8, 4921),
    "compact-train": System("train_nvae:compact", 2),
    "compact-sample": System("sample_nvae:compact", 4),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how."""

    systems: tuple[str, ...] = tuple(SYSTEMS)
    """Systems, in this order."""
    steps: int = 3
    """Steps after the first."""

    def __post_init__(self):
        unknown = sorted(set(self.systems) - set(SYSTEMS))
        if unknown:
            raise ValueError(f"unknown systems {unknown}: choose among {list(SYSTEMS)}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")


def main(options: Options) -> dict:
    """Measure every system and print a table and the line of JSON."""
    found = {}
    for name in options.systems:
        print(f"measuring {name}", file=sys.stderr)
        found[name] = figures = measure(name, options.steps)
        bar = f", bar {figures['scaled_bar_s']:.2f} s" if "scaled_bar_s" in figures else ""
        print(
            f"{name:20} {figures['seconds']:8.2f} s a batch of {figures['batch']} "
            f"(first {figures['first_s']:.1f} s){bar}; {figures['peak_mib']:.0f} MiB; "
            f"sgemm {figures['sgemm_gflops']:.0f} GFLOP/s; {figures['parameters']:,} parameters"
        )
    result = {"systems": found} | ratios(found)
    print(json.dumps(result))
    return result


def ratios(found: dict) -> dict:
    """Return how many times cheaper "compact" is than "paper", where both were measured."""
    return {
        f"paper_to_compact_{kind}": round(
            found[f"nvae-{kind}"]["seconds"] / found[f"compact-{kind}"]["seconds"], 1
        )
        for kind in ("train", "sample")
        if {f"nvae-{kind}", f"compact-{kind}"} <= set(found)
    }


def measure(name: str, steps: int) -> dict:
    """Run a system in a process of its own and return its figures."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(name, steps, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        figures = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{name}: its process ended with code {process.exitcode}") from None
    process.join()
    return figures


def work(name: str, steps: int, pipe) -> None:
    """Measure a system and send its figures."""
    for variable in ("OMP_NUM", "OPENBLAS_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
        os.environ[f"{variable}_THREADS"] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    system = SYSTEMS[name]
    function, _, preset = system.prepare.partition(":")
    gflops = sgemm_gflops()
    step, model = globals()[function](preset, system.batch)
    first = timed(step)
    seconds = min(timed(step) for _ in range(steps))
    gflops = max(gflops, sgemm_gflops())
    figures = {
        "backend": keras.backend.backend(),
        "batch": system.batch,
        "seconds": round(seconds, 3),
        "first_s": round(first, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "sgemm_gflops": round(gflops, 1),
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
    }
    if system.bar_s:
        scaled = system.bar_s * REFERENCE_GFLOPS / gflops
        figures |= {
            "bar_s": system.bar_s,
            "scaled_bar_s": round(scaled, 3),
            "ratio_to_scaled_bar": round(seconds / scaled, 3),
            "bar_mib": system.bar_mib,
        }
    pipe.send(figures)


def timed(step: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    step()
    return time.process_time() - start


def sgemm_gflops() -> float:
    """Rate of a product of square matrices by NumPy, on one thread."""
    import numpy as np

    a = np.random.default_rng(0).random((SIDE, SIDE), "float32")
    fastest = min(timed(lambda: a @ a) for _ in range(6))
    return 2 * SIDE**3 / fastest / 1e9


def data(batch: int) -> dict:
    """Return random records and labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    return {
        "ecg": rng.random((batch, LENGTH, 8), "float32"),
        "labels": np.eye(len(CLASSES), dtype="float32")[np.arange(batch) % len(CLASSES)],
    }


def train_nvae(preset: str, batch: int):
    """Return one training step of the variational autoencoder, with the paper's optimiser."""
    from kecgi.models import ECGNVAE

    model = ECGNVAE.from_preset(preset, CLASSES, LENGTH, warmup_steps=1000, seed=0)
    model.compile(model.paper_optimizer(steps_per_epoch=500))
    model.optimizer.build(model.trainable_variables)
    x = data(batch)
    return lambda: model.train_on_batch(x), model


def sample_nvae(preset: str, batch: int):
    """Return one generation by the variational autoencoder."""
    from kecgi.models import ECGNVAE

    model = ECGNVAE.from_preset(preset, CLASSES, LENGTH, seed=0)
    condition = {"labels": data(batch)["labels"]}
    return lambda: model.sample(condition, seed=0), model


def train_critic(_: str, batch: int):
    """Return one step of Pulse2Pulse's critic, the published one, without the generator's turn."""
    from kecgi.models import Pulse2Pulse

    model = Pulse2Pulse(CLASSES, LENGTH, critic="unconditional", critic_steps=10**6, seed=0)
    model.compile(*model.paper_optimizers())
    x = data(batch)
    return lambda: model.train_on_batch(x), model.critic


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Options, description=__doc__))
