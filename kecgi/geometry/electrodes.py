"""Electrodes on the body surface as named positions in the torso frame (LPS, mm)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import spatial

from kecgi.geometry.heart import Heart


@dataclass(frozen=True, eq=False)
class Electrodes:
    """Named electrode positions.

    Parameters
    ----------
    names : sequence of str
        One unique name per electrode.
    positions_mm : ndarray, shape (n, 3)
        Positions in mm.

    Raises
    ------
    ValueError
        Where names repeat, counts differ or a position is not finite.
    """

    names: tuple[str, ...]
    positions_mm: np.ndarray

    def __post_init__(self) -> None:
        """Check names and positions."""
        positions = np.asarray(self.positions_mm, float)
        names = tuple(map(str, self.names))
        if positions.ndim != 2 or positions.shape[1] != 3 or not len(positions):
            raise ValueError(f"positions_mm has shape {positions.shape}, expected (n, 3)")
        if len(names) != len(positions):
            raise ValueError(f"{len(names)} electrode names for {len(positions)} positions")
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"electrode names repeat: {repeated}")
        wrong = [n for n, p in zip(names, positions, strict=True) if not np.all(np.isfinite(p))]
        if wrong:
            raise ValueError(f"electrodes {wrong} have no finite position")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "positions_mm", positions)

    def __len__(self) -> int:
        """Count the electrodes."""
        return len(self.names)

    def moved(self, by_mm: Sequence[float]) -> Electrodes:
        """Return the electrodes shifted by a vector in mm."""
        return Electrodes(self.names, self.positions_mm + np.asarray(by_mm, float))

    def require_outside(self, heart: Heart) -> None:
        """Check that no electrode lies in the heart or within one grid step of a tissue voxel.

        The cavities count as inside: everything within the convex hull of the tissue does.

        Raises
        ------
        ValueError
            Naming the electrodes and their positions.
        """
        if heart.ndim != 3:
            raise ValueError(f"{heart.name} is {heart.ndim}-D; electrodes stand around a 3-D heart")
        least = max(heart.spacing_mm)
        low, high = heart.box_mm
        at = self.positions_mm
        near = np.flatnonzero(np.all((at > low - least) & (at < high + least), axis=1))
        if not near.size:
            return
        tissue = heart.voxels_mm
        distance = spatial.KDTree(tissue).query(at[near])[0]
        corners = tissue[spatial.ConvexHull(tissue, qhull_options="QJ").vertices]
        enclosed = spatial.Delaunay(corners).find_simplex(at[near]) >= 0
        wrong = near[(distance <= least) | enclosed]
        if wrong.size:
            listed = ", ".join(
                f"{self.names[i]} at {np.round(at[i], 1).tolist()} mm" for i in wrong[:5]
            )
            more = f" and {wrong.size - 5} more" if wrong.size > 5 else ""
            raise ValueError(
                f"{wrong.size} electrodes lie inside {heart.name} or within {least:g} mm of its "
                f"tissue: {listed}{more}; move them to the body surface or the heart away from them"
            )


def plane(
    rows: int = 10, columns: int = 10, step_mm: float = 20.0, distance_mm: float = 90.0
) -> Electrodes:
    """Square grid in front of the heart, as in the FIMH 2019 study (10 × 10).

    Parameters
    ----------
    rows, columns : int
        Counts along the vertical and the horizontal.
    step_mm : float
        Distance of neighbours.
    distance_mm : float
        Distance of the plane from the torso frame's origin, to the front (y = -distance).
    """
    x, z = _centred_range(columns, step_mm), _centred_range(rows, step_mm)[::-1]
    positions = [(xj, -distance_mm, zi) for zi in z for xj in x]
    names = [f"P{i + 1:02d}-{j + 1:02d}" for i in range(rows) for j in range(columns)]
    return Electrodes(tuple(names), np.array(positions))


def vest(
    rings: int = 10,
    per_ring: int = 10,
    half_width_mm: float = 150.0,
    half_depth_mm: float = 105.0,
    height_mm: float = 300.0,
    heart_offset_mm: tuple[float, float] = (30.0, -35.0),
) -> Electrodes:
    """Elliptic cylinder of electrodes around the chest.

    The heart (the torso frame's origin) lies left of and in front of the cylinder's axis by
    `heart_offset_mm`. Electrodes are spread evenly in angle, alternate rings by half a step.
    """
    positions, names = [], []
    for i, z in enumerate(np.linspace(height_mm / 2, -height_mm / 2, rings)):
        for j in range(per_ring):
            angle = 2 * np.pi * (j + 0.5 * (i % 2)) / per_ring
            positions.append(
                (
                    half_width_mm * np.sin(angle) - heart_offset_mm[0],
                    -half_depth_mm * np.cos(angle) - heart_offset_mm[1],
                    z,
                )
            )
            names.append(f"R{i + 1:02d}-{j + 1:02d}")
    return Electrodes(tuple(names), np.array(positions))


STANDARD_12_POSITIONS_MM = {
    "RA": (-200.0, 20.0, 180.0),
    "LA": (170.0, 20.0, 180.0),
    "LL": (60.0, 10.0, -330.0),
    "V1": (-50.0, -85.0, 20.0),
    "V2": (-8.0, -88.0, 20.0),
    "V3": (20.0, -86.0, 2.0),
    "V4": (50.0, -78.0, -15.0),
    "V5": (90.0, -45.0, -15.0),
    "V6": (112.0, 5.0, -15.0),
}
"""Adult positions relative to the heart's centre; limb electrodes at the limbs' roots."""

LEADS_12 = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def standard_12() -> Electrodes:
    """Return the nine electrodes that the 12 standard leads need (see `twelve_leads`)."""
    return Electrodes(
        tuple(STANDARD_12_POSITIONS_MM), np.array(list(STANDARD_12_POSITIONS_MM.values()))
    )


def twelve_leads(potentials: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Form the 12 standard leads from electrode potentials.

    Parameters
    ----------
    potentials : ndarray, shape (electrodes, time)
        Potentials against any common reference, mV.
    names : sequence of str
        Electrode names; RA, LA, LL and V1 … V6 must be among them.

    Returns
    -------
    ndarray, shape (12, time)
        Leads in the order of `LEADS_12`; the chest leads against the Wilson central terminal.
    """
    missing = [n for n in STANDARD_12_POSITIONS_MM if n not in names]
    if missing:
        raise ValueError(f"electrodes {missing} are missing, needed for the 12 leads")
    at = {n: potentials[list(names).index(n)] for n in STANDARD_12_POSITIONS_MM}
    wilson = (at["RA"] + at["LA"] + at["LL"]) / 3
    limb = [
        at["LA"] - at["RA"],
        at["LL"] - at["RA"],
        at["LL"] - at["LA"],
        *(1.5 * (at[n] - wilson) for n in ("RA", "LA", "LL")),
    ]
    return np.stack([*limb, *(at[f"V{i}"] - wilson for i in range(1, 7))])


LAYOUTS: dict[str, Callable[[], Electrodes]] = {
    "plane": plane,
    "vest": vest,
    "standard_12": standard_12,
}


def by_name(layout: str) -> Electrodes:
    """Return one of the ready layouts: "plane", "vest" or "standard_12"."""
    if layout not in LAYOUTS:
        raise ValueError(f"electrode layout {layout!r} is unknown, expected one of {list(LAYOUTS)}")
    return LAYOUTS[layout]()


def _centred_range(count: int, step: float) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * step
