"""Training step of the map VAE: kecgi on three Keras backends beside PyTorch written by hand.

    python -m benchmarks.training [--batch 32] [--size 64] [--threads 1] [--device auto]

Same architecture, loss, optimiser (Adam) and number of parameters, same NumPy array of maps, the
same number of batches of shuffled cases. Each contender is used as its user would: `model.fit` on
the array; by hand, a loop over index batches of a tensor that already lies on the device, in the
forms a PyTorch user tries for speed (channels-last memory, `torch.compile`, the fused optimiser).

Each runs in a process of its own, on the same cores of the processor, or on the GPU where there is
one. Their epochs alternate, so that a machine that slows down slows all of them, and the first
epochs (tracing, compilation) are not counted. A step time is an epoch's wall time over its steps.
The figures compared are the fastest of the rounds, the only ones that other work on the machine has
left alone; on a quiet machine the medians, printed beside them, say the same.
"""

import dataclasses
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Literal

KERAS = ("tensorflow", "jax", "torch")
BY_HAND = {
    "contiguous": {},
    "channels-last": {"channels_last": True},
    "contiguous, compiled": {"compiled": True},
    "channels-last, compiled": {"channels_last": True, "compiled": True},
}
LATENT_DIM, FILTERS, UNITS, LEARNING_RATE = 6, 16, 64, 1e-3


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how."""

    size: int = 64
    """Side of the square maps, a multiple of 4."""
    batch: int = 32
    """Maps in a batch; take some hundreds on a GPU."""
    steps: int = 50
    """Training steps in an epoch."""
    rounds: int = 7
    """Epochs measured for each contender."""
    threads: int = 1
    """Processor cores for each contender."""
    device: Literal["auto", "cpu"] = "auto"
    """Take the GPU where there is one, or stay on the processor."""

    def __post_init__(self):
        for name in ("size", "batch", "steps", "rounds", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.size % 4:
            raise ValueError(f"size must be a multiple of 4, got {self.size}")


def main(options: Options) -> dict:
    """Measure every contender and print a table and the line of JSON."""
    names = [f"pytorch {form}" for form in BY_HAND] + [f"keras {backend}" for backend in KERAS]
    contenders = {}
    for name in names:
        print(f"starting {name}", file=sys.stderr)
        contender = Contender(name, options)
        if contender.error:
            print(f"left out {name}: {contender.error}", file=sys.stderr)
        else:
            contenders[name] = contender
    parameters = {name: contender.parameters for name, contender in contenders.items()}
    if len(set(parameters.values())) != 1:
        raise RuntimeError(f"the models differ in their number of parameters: {parameters}")

    for round_ in range(options.rounds):
        print(f"round {round_ + 1} of {options.rounds}", file=sys.stderr)
        for contender in contenders.values():
            contender.run()
    for name, contender in contenders.items():
        fastest, median = min(contender.step_ms), statistics.median(contender.step_ms)
        print(
            f"{name:33} {fastest:8.2f} ms a step (median {median:.2f}) on {contender.device}, "
            f"loss {contender.loss:.1f} after {options.rounds + 1} epochs"
        )
        contender.stop()
    result = summary(options, contenders)
    print(json.dumps(result))
    return result


def summary(options: Options, contenders: dict) -> dict:
    """Return the figures of the line of JSON."""
    step_ms = {name: min(contender.step_ms) for name, contender in contenders.items()}
    by_hand = min((name for name in step_ms if name.startswith("pytorch")), key=step_ms.get)
    keras = min((name for name in step_ms if name.startswith("keras")), key=step_ms.get)
    return {
        "step_ms": {name: round(value, 3) for name, value in step_ms.items()},
        "median_step_ms": {
            name: round(statistics.median(contender.step_ms), 3)
            for name, contender in contenders.items()
        },
        "keras_best_backend": keras.removeprefix("keras "),
        "handwritten_best_form": by_hand.removeprefix("pytorch "),
        "ratio_keras_best_to_best_handwritten": round(step_ms[keras] / step_ms[by_hand], 3),
        "parameters": contenders[by_hand].parameters,
        **dataclasses.asdict(options),
        "device": device_name(contenders[by_hand].device),
    }


class Contender:
    """A process that trains one epoch each time it is asked to."""

    def __init__(self, name: str, options: Options):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(name, options, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.step_ms = []
        self.loss = math.nan
        try:
            self.error, self.parameters, self.device = self._pipe.recv()
        except EOFError:
            self._process.join()
            self.error = f"its process ended with code {self._process.exitcode}"

    def run(self):
        """Train one epoch and note the time of a step."""
        self._pipe.send(True)
        step_ms, self.loss = self._pipe.recv()
        self.step_ms.append(step_ms)

    def stop(self):
        """End the process."""
        self._pipe.send(False)
        self._process.join()


def work(name: str, options: Options, pipe) -> None:
    """Prepare a contender in its own process, then train epochs as they are asked for."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    kind, _, form = name.partition(" ")
    try:
        prepare = prepare_keras if kind == "keras" else prepare_by_hand
        epoch, parameters, device = prepare(form, options)
        epoch()
    except Exception as error:
        # A backend that is not installed, or no compiler for torch.compile: the others still run.
        pipe.send((f"{type(error).__name__}: {error}", None, None))
        return
    pipe.send((None, parameters, device))
    while pipe.recv():
        start = time.perf_counter()
        loss = epoch()
        pipe.send((1e3 * (time.perf_counter() - start) / options.steps, loss))


def maps(options: Options):
    """Return smooth maps in [-1, 1], (cases, size, size, 1): distances from a random point."""
    import numpy as np

    rng = np.random.default_rng(0)
    axis = np.linspace(0, 1, options.size)
    x, y = rng.uniform(size=(2, options.batch * options.steps, 1, 1))
    return (np.hypot(axis[:, None] - x, axis - y) - 0.7)[..., None].astype("float32")


def prepare_keras(backend: str, options: Options) -> tuple[Callable[[], float], int, str]:
    """Return kecgi's model as (one epoch, number of parameters, device)."""
    os.environ["KERAS_BACKEND"] = backend
    import keras

    from kecgi.models import ActivationVAE

    model = ActivationVAE(
        (options.size, options.size), latent_dim=LATENT_DIM, filters=FILTERS, units=UNITS
    )
    model.compile(keras.optimizers.Adam(LEARNING_RATE))
    x = maps(options)

    def epoch():
        history = model.fit(x, batch_size=options.batch, verbose=0)
        return history.history["loss"][-1]

    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    # Where Keras puts what it makes, as each backend writes it: "/…/device:GPU:0", "cuda:0", …
    device = str(keras.ops.zeros(1).device)
    return epoch, parameters, "GPU" if "gpu" in device.lower() or "cuda" in device else "CPU"


def prepare_by_hand(form: str, options: Options) -> tuple[Callable[[], float], int, str]:
    """Return the model written in PyTorch as (one epoch, number of parameters, device)."""
    import torch
    from torch import nn

    channels_last = BY_HAND[form].get("channels_last", False)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    device = "cuda" if torch.cuda.is_available() else "cpu"
    grid = options.size // 4

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(1, FILTERS, 3, stride=2, padding=1),
                nn.Tanh(),
                nn.Conv2d(FILTERS, FILTERS, 3, stride=2, padding=1),
                nn.Tanh(),
                nn.Flatten(),
                nn.Linear(grid * grid * FILTERS, UNITS),
                nn.Tanh(),
            )
            self.mean = nn.Linear(UNITS, LATENT_DIM)
            self.log_var = nn.Linear(UNITS, LATENT_DIM)
            self.dense = nn.Linear(LATENT_DIM, grid * grid * FILTERS)
            self.decoder = nn.Sequential(
                nn.ConvTranspose2d(FILTERS, FILTERS, 3, stride=2, padding=1, output_padding=1),
                nn.Tanh(),
                nn.ConvTranspose2d(FILTERS, FILTERS, 3, stride=2, padding=1, output_padding=1),
                nn.Tanh(),
                nn.ConvTranspose2d(FILTERS, 1, 3, padding=1),
                nn.Tanh(),
            )

        def forward(self, x):
            """Return the loss: squared error summed over the map, plus divergence."""
            hidden = self.encoder(x)
            mean, log_var = self.mean(hidden), self.log_var(hidden)
            code = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            hidden = torch.tanh(self.dense(code)).view(-1, FILTERS, grid, grid)
            predicted = self.decoder(hidden.contiguous(memory_format=layout))
            reconstruction = (x - predicted).square().sum((1, 2, 3))
            kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(1)
            return (reconstruction + kl).mean()

    torch.set_num_threads(options.threads)
    model = VAE()
    for name, weight in model.named_parameters():  # Keras's own initial values
        nn.init.zeros_(weight) if name.endswith("bias") else nn.init.xavier_uniform_(weight)
    model = model.to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    loss_of = torch.compile(model) if BY_HAND[form].get("compiled") else model
    x = torch.from_numpy(maps(options)).permute(0, 3, 1, 2).to(device)

    def epoch():
        total = torch.zeros((), device=device)
        for rows in torch.randperm(len(x), device=device).split(options.batch):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(x[rows].contiguous(memory_format=layout))
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total.item() / options.steps  # `item` waits for the GPU

    parameters = sum(weight.numel() for weight in model.parameters())
    return epoch, parameters, "GPU" if device == "cuda" else "CPU"


def device_name(kind: str) -> str:
    """Return the name of the GPU or of the processor."""
    if kind == "GPU":
        import torch

        return torch.cuda.get_device_name()
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Options, description=__doc__))
