"""A cohort in one small config, and the random draws it stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from numbers import Integral, Real
from typing import ClassVar, Literal, get_args

import numpy as np

from kecgi.data.config import DatasetConfig
from kecgi.geometry import BiventricularShape, Electrodes, Heart, biventricular, by_name
from kecgi.geometry.readers import load_heart
from kecgi.geometry.torso import torso_through

Layout = Literal["plane", "vest", "standard_12"]
Torso = Literal["unbounded", "insulated"]

ONSET_DISTANCE_MM = 10.0
"""Least straight-line distance between two onsets of a case."""

MOST_DRAWS = 50
"""Hearts of the family that are tried for one that fits into the grid."""

_ANATOMY, _CASE = 0, 1  # first element of the spawn keys, so that the two never share a stream


@dataclass(frozen=True)
class CohortConfig(DatasetConfig):
    """What a paired dataset consists of. Equal configs give equal data.

    Parameters
    ----------
    anatomies : int
        Number of hearts.
    cases_per_anatomy : int
        Simulations in each heart.
    geometry : str, optional
        Path of a heart for `kecgi.geometry.load_heart`, then `anatomies` is 1: it is centred in
        the torso frame and resampled onto the grid. Drawn from the biventricular family if absent;
        a heart too large for the grid is drawn again.
    keep_largest : bool
        Take the largest component of `geometry` where it has several.
    shape : tuple of int
        Voxels per axis of the grid that all anatomies share; its centre is the frame's origin.
    spacing_mm : float
        Grid step.
    electrodes : {"plane", "vest", "standard_12"}
        Electrode layout, see `kecgi.geometry.electrodes`.
    torso : {"unbounded", "insulated"}
        Conductor around the heart: unbounded, or a torso in air with the electrodes on it, which
        need be all around, see `kecgi.simulate.bem`.
    max_onsets : int
        The number of onsets of a case is drawn from 1 to this.
    max_onset_delay_ms : float
        Later onsets start up to this long after the first, and before its front can reach them.
    speed_mm_per_ms : (float, float)
        Range of the conduction speed, drawn for each case; along the fibres where they count. 0.35
        to 0.8 mm/ms spans human ventricular tissue (Taggart 2000, 10.1006/jmcc.2000.1105).
    across_fibre : float
        Speed across the fibres as a share of that along them, at most 1. Below 1, fibres are those
        of the file, or rule-based; 1 is isotropic.
    fast_layer : float
        How many times faster tissue beside the cavities conducts, in place of Purkinje; 1 for none.
    sampling_hz : float
        Sampling rate of the body-surface potentials.
    samples : int
        Number of time samples; the first is at 0 ms, when the first onset starts.
    seed : int
        Root of every random draw.

    Raises
    ------
    TypeError, ValueError
        Where a field is not of its type or lies out of its range.
    """

    anatomies: int = 300
    cases_per_anatomy: int = 12
    geometry: str | None = None
    keep_largest: bool = False
    shape: tuple[int, int, int] = (64, 64, 64)
    spacing_mm: float = 2.0
    electrodes: Layout = "plane"
    torso: Torso = "unbounded"
    max_onsets: int = 2
    max_onset_delay_ms: float = 30.0
    speed_mm_per_ms: tuple[float, float] = (0.35, 0.8)
    across_fibre: float = 1.0
    fast_layer: float = 1.0
    sampling_hz: float = 400.0
    samples: int = 128
    seed: int = 0
    generation: ClassVar[int] = 2  # 2: a wider family of hearts

    def __post_init__(self) -> None:
        least = {"anatomies": 1, "cases_per_anatomy": 1, "max_onsets": 1, "samples": 2, "seed": 0}
        for name, low in least.items():
            require_integer(name, getattr(self, name), low)
        if not isinstance(self.shape, tuple | list) or len(self.shape) != 3:
            raise ValueError(f"shape is {self.shape!r}, expected three voxel counts")
        for n in self.shape:
            require_integer("each count in shape", n, 4)
        for name in ("spacing_mm", "sampling_hz"):
            require_number(name, getattr(self, name))
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        require_number("max_onset_delay_ms", self.max_onset_delay_ms)
        if self.max_onset_delay_ms < 0:
            raise ValueError(
                f"max_onset_delay_ms is {self.max_onset_delay_ms}, expected at least 0"
            )
        if not isinstance(self.speed_mm_per_ms, tuple | list) or len(self.speed_mm_per_ms) != 2:
            raise ValueError(f"speed_mm_per_ms is {self.speed_mm_per_ms!r}, expected (low, high)")
        for v in self.speed_mm_per_ms:
            require_number("each speed in speed_mm_per_ms", v)
        low, high = self.speed_mm_per_ms
        if not 0 < low <= high <= 10:
            raise ValueError(
                f"speed_mm_per_ms is {self.speed_mm_per_ms}, expected 0 < low <= high <= 10 mm/ms"
            )
        for name, least_value, most in (("across_fibre", 0.1, 1.0), ("fast_layer", 1.0, 10.0)):
            require_number(name, getattr(self, name))
            if not least_value <= getattr(self, name) <= most:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected {least_value} to {most}"
                )
        if self.electrodes not in get_args(Layout):
            raise ValueError(
                f"electrodes is {self.electrodes!r}, expected one of {list(get_args(Layout))}"
            )
        if self.torso not in get_args(Torso):
            raise ValueError(f"torso is {self.torso!r}, expected one of {list(get_args(Torso))}")
        if not isinstance(self.keep_largest, bool):
            raise TypeError(f"keep_largest is {self.keep_largest!r}, expected True or False")
        if self.geometry is None:
            if self.keep_largest:
                raise ValueError("keep_largest is for a heart from a file; give geometry as well")
        elif not isinstance(self.geometry, str) or not self.geometry:
            raise TypeError(f"geometry is {self.geometry!r}, expected the path of a file as a str")
        elif self.anatomies != 1:
            raise ValueError(f"anatomies is {self.anatomies}, expected 1 with geometry from a file")
        # plain Python values, so that equal configs have equal JSON
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "speed_mm_per_ms", (float(low), float(high)))
        for name in least:
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in (
            "spacing_mm", "sampling_hz", "max_onset_delay_ms", "across_fibre", "fast_layer",
        ):  # fmt: skip
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def cases(self) -> int:
        """Number of cases in the cohort."""
        return self.anatomies * self.cases_per_anatomy

    @property
    def isotropic(self) -> bool:
        """Whether all tissue of a case conducts at one speed in all directions."""
        return self.across_fibre == self.fast_layer == 1.0

    @property
    def time_ms(self) -> np.ndarray:
        """Sampling times of the body-surface potentials."""
        return np.arange(self.samples) * (1000.0 / self.sampling_hz)

    @classmethod
    def for_geometry(
        cls, geometry: str, *, keep_largest: bool = False, spacing_mm: float = 2.0, **fields
    ) -> CohortConfig:
        """Return a config for a heart from a file, on a grid that is wide enough for it.

        Parameters
        ----------
        geometry : str
            Path of the heart.
        keep_largest : bool
            As in the class.
        spacing_mm : float
            Least grid step; widened by quarters of a mm until the centred heart fits.
        **fields
            Further fields of the class.
        """
        config = cls(
            1, geometry=geometry, keep_largest=keep_largest, spacing_mm=spacing_mm, **fields
        )
        heart = load_heart(geometry, keep_largest=keep_largest).centred()
        reach = np.abs(heart.voxels_mm).max(axis=0) + 0.5 * np.array(heart.spacing_mm)
        needed = float(np.max(2 * reach / config.shape))
        return replace(config, spacing_mm=max(spacing_mm, math.ceil(4 * needed) / 4))


@dataclass(frozen=True, eq=False)
class CasePlan:
    """What is simulated in one case.

    Parameters
    ----------
    onsets_mm : ndarray, shape (onsets, 3)
        Centres of the tissue voxels where activation starts.
    start_ms : ndarray, shape (onsets,)
        Start times, the first 0.
    speed_mm_per_ms : float
        Conduction speed.
    """

    onsets_mm: np.ndarray
    start_ms: np.ndarray
    speed_mm_per_ms: float


def draw_anatomy(config: CohortConfig, index: int) -> Heart:
    """Return heart `index` of the cohort on the cohort's grid.

    Raises
    ------
    IndexError
        Where the cohort has no such anatomy.
    ValueError
        Where the heart doesn't fit into the grid.
    """
    if not 0 <= index < config.anatomies:
        raise IndexError(f"anatomy {index} of a cohort of {config.anatomies}")
    if config.geometry is not None:
        heart = load_heart(config.geometry, keep_largest=config.keep_largest)
        return heart.centred().resampled(config.shape, config.spacing_mm)
    heart = _draw_heart(config, index)
    return replace(heart, name=f"{heart.name} anatomy {index}")


def require_valid(config: CohortConfig) -> Electrodes:
    """Check anatomies and electrodes of a cohort before work is spent on it.

    A heart from a file is checked itself; of a family, its first and its largest member.

    Returns
    -------
    Electrodes
        The electrodes of every anatomy.

    Raises
    ------
    ValueError
        Where a heart doesn't fit into the grid, electrodes lie inside it, or no torso goes through
        them.
    """
    electrodes = by_name(config.electrodes)
    if config.torso == "insulated":
        torso_through(electrodes)
    critical = {0}
    if config.geometry is None:
        critical.add(max(range(config.anatomies), key=lambda i: _reach_mm(config, i)))
    for index in critical:
        electrodes.require_outside(draw_anatomy(config, index))
    return electrodes


def draw_case(config: CohortConfig, voxels_mm: np.ndarray, case: int) -> CasePlan:
    """Draw onsets, start times and speed of case `case`, counted through the whole cohort.

    Onsets are uniform among the tissue voxels, each at least `ONSET_DISTANCE_MM` from the earlier
    ones. A later onset starts uniformly between 0 and `max_onset_delay_ms`, but before a straight
    front from an earlier one could arrive, so that every onset is one: it is never overrun.

    Parameters
    ----------
    config : CohortConfig
        The cohort.
    voxels_mm : ndarray, shape (n, 3)
        Tissue voxels of the case's heart, as `Heart.voxels_mm`.
    case : int
        The case.

    Raises
    ------
    ValueError
        Where the heart is too small for that many onsets.
    """
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(_CASE, case)))
    speed = float(rng.uniform(*config.speed_mm_per_ms))
    count = int(rng.integers(1, config.max_onsets + 1))
    onsets, start = [voxels_mm[rng.integers(len(voxels_mm))]], [0.0]
    distance = np.linalg.norm(voxels_mm - onsets[0], axis=1)
    fastest = speed * config.fast_layer
    arrival = distance / fastest
    for _ in range(1, count):
        free = np.flatnonzero(distance >= ONSET_DISTANCE_MM)
        if not len(free):
            raise ValueError(
                f"the heart has no room for {count} onsets {ONSET_DISTANCE_MM:g} mm apart; "
                f"lower max_onsets, which is {config.max_onsets}"
            )
        chosen = free[rng.integers(len(free))]
        onsets.append(voxels_mm[chosen])
        start.append(float(rng.uniform(0.0, min(config.max_onset_delay_ms, arrival[chosen]))))
        further = np.linalg.norm(voxels_mm - onsets[-1], axis=1)
        distance = np.minimum(distance, further)
        arrival = np.minimum(arrival, start[-1] + further / fastest)
    return CasePlan(np.array(onsets), np.array(start), speed)


def _shapes(config: CohortConfig, index: int) -> Iterator[BiventricularShape]:
    seeds = np.random.SeedSequence(config.seed, spawn_key=(_ANATOMY, index))
    rng = np.random.default_rng(seeds)
    while True:
        yield BiventricularShape.draw(rng)


def _draw_heart(config: CohortConfig, index: int) -> Heart:
    """Draw from the family until a heart fits into the grid."""
    for shape in islice(_shapes(config, index), MOST_DRAWS):
        try:
            return biventricular(shape, config.shape, config.spacing_mm)
        except ValueError as error:
            reason = error
    raise ValueError(
        f"none of {MOST_DRAWS} hearts drawn for anatomy {index} fits: {reason}"
    ) from reason


def _reach_mm(config: CohortConfig, index: int) -> float:
    shape = next(_shapes(config, index))
    across = shape.lv_radius_mm * (1 + shape.rv_offset + shape.rv_width)
    return math.hypot(across, shape.lv_length_mm) + max(map(abs, shape.shift_mm))


def require_integer(name: str, value: object, low: int) -> None:
    """Raise TypeError or ValueError unless a field is an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}, expected an integer")
    if value < low:
        raise ValueError(f"{name} is {value}, expected at least {low}")


def require_number(name: str, value: object) -> None:
    """Raise TypeError or ValueError unless a field is a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}, expected a number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, expected a finite number")
