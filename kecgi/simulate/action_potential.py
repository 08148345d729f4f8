"""Mitchell–Schaeffer action potentials of a single cell.

``dv/dt = h v² (1 - v) / tau_in - v / tau_out + J``, and ``dh/dt = (1 - h) / tau_open`` below the
gate, ``-h / tau_close`` above it; v and h are dimensionless in [0, 1].

References
----------
Mitchell and Schaeffer 2003, A two-current model for the dynamics of cardiac membrane,
doi 10.1016/S0092-8240(03)00041-7.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from scipy import integrate


@dataclass(frozen=True)
class MitchellSchaeffer:
    """Parameters of the model; times in ms.

    Parameters
    ----------
    tau_in, tau_out, tau_open, tau_close : float
        Time constants of the inward and the outward current and of the gate.
    v_gate : float
        Voltage at which the gate changes its direction.
    """

    tau_in: float = 0.3
    tau_out: float = 6.0
    tau_open: float = 120.0
    tau_close: float = 150.0
    v_gate: float = 0.13

    def __post_init__(self) -> None:
        """Check that the parameters make an excitable cell."""
        for field in fields(self):
            if not 0 < getattr(self, field.name) < np.inf:
                raise ValueError(
                    f"{field.name} is {getattr(self, field.name)}, expected a positive number"
                )
        if self.tau_out <= 4 * self.tau_in:
            raise ValueError(
                f"tau_out is {self.tau_out}, expected more than 4 tau_in = {4 * self.tau_in}: "
                "otherwise no action potential exists"
            )

    @property
    def h_min(self) -> float:
        """Gate value at which the plateau ends, 4 tau_in / tau_out."""
        return 4 * self.tau_in / self.tau_out

    @property
    def v_peak(self) -> float:
        """Upper equilibrium of the voltage with an open gate."""
        return 0.5 * (1 + np.sqrt(1 - self.h_min))


def mitchell_schaeffer(
    time_ms: np.ndarray,
    model: MitchellSchaeffer | None = None,
    v0: float = 0.0,
    h0: float = 1.0,
    stimuli_ms: tuple[float, ...] = (0.0,),
    amplitude: float = 0.22,
    duration_ms: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate one cell.

    Parameters
    ----------
    time_ms : ndarray
        Increasing times at which the solution is wanted; the first is the initial time.
    model : MitchellSchaeffer, optional
        Parameters.
    v0, h0 : float
        Initial values.
    stimuli_ms : tuple of float
        Starts of the stimuli.
    amplitude, duration_ms : float
        Strength (1/ms) and length of each stimulus.

    Returns
    -------
    v, h : ndarray
        Voltage and gate at `time_ms`.

    Raises
    ------
    ValueError
        Where the times don't increase.
    """
    model = model or MitchellSchaeffer()

    def slope(stimulus):
        def right_side(_, state):
            v, h = state
            rate = h * v * v * (1 - v) / model.tau_in - v / model.tau_out + stimulus
            gate = (1 - h) / model.tau_open if v < model.v_gate else -h / model.tau_close
            return rate, gate

        return right_side

    def crosses_gate(_, state):
        return state[0] - model.v_gate

    crosses_gate.terminal = True
    time_ms = np.asarray(time_ms, float)
    if time_ms.ndim != 1 or time_ms.size < 2 or not np.all(np.diff(time_ms) > 0):
        raise ValueError("time_ms must be a row of 2 times or more that increase")
    edges = sorted({*stimuli_ms, *(s + duration_ms for s in stimuli_ms)})
    edges = [e for e in edges if time_ms[0] < e < time_ms[-1]]
    values = np.empty((2, time_ms.size))
    state = np.array([v0, h0], float)
    values[:, 0] = state
    now = time_ms[0]
    for end in (*edges, time_ms[-1]):
        middle = 0.5 * (now + end)
        on = any(s <= middle < s + duration_ms for s in stimuli_ms)
        while now < end:
            # the right-hand side jumps at the gate: stop there, step over it and go on
            part = integrate.solve_ivp(
                slope(amplitude if on else 0.0), (now, end), state, method="LSODA",
                rtol=1e-8, atol=1e-10, dense_output=True, events=crosses_gate,
            )  # fmt: skip
            inside = (time_ms > now) & (time_ms <= part.t[-1])
            if inside.any():
                values[:, inside] = part.sol(time_ms[inside])
            state, now = part.y[:, -1], part.t[-1]
            if part.status == 1:
                rate = slope(amplitude if on else 0.0)(now, state)[0]
                state[0] = model.v_gate + np.sign(rate) * 1e-9
    return values[0], values[1]


@dataclass(frozen=True, eq=False)
class ActionPotential:
    """An action potential sampled evenly; time 0 is the steepest point of its upstroke.

    Attributes
    ----------
    start_ms, step_ms : float
        Time of the first sample and distance of samples.
    v : ndarray
        Dimensionless voltage, 0 at rest.
    """

    start_ms: float
    step_ms: float
    v: np.ndarray

    def __call__(self, time_ms: np.ndarray) -> np.ndarray:
        """Voltage at times relative to activation; at rest before, the last value after."""
        grid = self.start_ms + self.step_ms * np.arange(self.v.size)
        return np.interp(time_ms, grid, self.v, left=0.0)

    def stretched(self, factor: float) -> ActionPotential:
        """Return the action potential slowed down; a factor of 2 doubles its duration."""
        if not 0 < factor < np.inf:
            raise ValueError(f"factor is {factor}, expected a finite positive number")
        return ActionPotential(self.start_ms * factor, self.step_ms * factor, self.v)

    def duration_ms(self, level: float = 0.1) -> float:
        """Time from the upstroke until the voltage is below a level for good."""
        return float(self.start_ms + self.step_ms * (np.flatnonzero(self.v > level)[-1] + 1))

    def averaged(self, width_ms: float) -> ActionPotential:
        """Return the mean over a sliding window.

        A voxel is no point: a front of speed v needs ``h / v`` to pass a voxel of size h, and what
        is seen from far is the voltage averaged over that time.
        """
        if not 0 <= width_ms < np.inf:
            raise ValueError(f"width_ms is {width_ms}, expected a finite number of at least 0")
        if width_ms < 1e-6:
            return self
        half = 0.5 * width_ms
        pad = int(np.ceil(half / self.step_ms)) + 1
        v = np.pad(self.v, (0, 2 * pad), mode="edge")
        grid = self.start_ms + self.step_ms * np.arange(v.size)
        area = np.concatenate([[0.0], np.cumsum(0.5 * self.step_ms * (v[1:] + v[:-1]))])
        wanted = self.start_ms + self.step_ms * np.arange(-pad, self.v.size + pad)
        upper, lower = (np.interp(wanted + side, grid, area) for side in (half, -half))
        return ActionPotential(float(wanted[0]), self.step_ms, (upper - lower) / width_ms)


@lru_cache(maxsize=64)
def action_potential(
    model: MitchellSchaeffer | None = None, step_ms: float = 0.1, duration_ms: float = 600.0
) -> ActionPotential:
    """Return the action potential of a rested cell, from the model's equation.

    Parameters
    ----------
    model : MitchellSchaeffer, optional
        Parameters.
    step_ms, duration_ms : float
        Sampling step and length after the upstroke.

    Raises
    ------
    ValueError
        Where the model doesn't answer the stimulus with an action potential.
    """
    model = model or MitchellSchaeffer()
    time = np.arange(0.0, duration_ms + 20.0, step_ms)
    v, _ = mitchell_schaeffer(time, model)
    if v.max() < 0.5:
        raise ValueError(f"{model} has no action potential: its voltage peaks at {v.max():.2f}")
    upstroke = int(np.argmax(np.diff(v[: v.argmax() + 1])))
    v.setflags(write=False)
    return ActionPotential(float(-(time[upstroke] + 0.5 * step_ms)), step_ms, v)
