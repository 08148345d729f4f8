"""Waves of the 12-lead ECG from hearts: P, QRS and T by eikonal, action potential and lead field.

A wave is simulated once per heart and condition; `kecgi.simulate.ecg_rhythm` puts records together
from waves. Potentials are those of the nine electrodes, so that leads formed from them obey the
lead laws whatever noise an electrode adds.

Ventricles are activated from the sites where human ventricles are [1]_, through a fast endocardial
layer that stands for the Purkinje network. Where activation is late and towards the epicardium,
action potentials are shorter, so that the heart recovers in about the reverse order: this is what
makes T upright where QRS is [2]_.

References
----------
.. [1] Durrer et al. 1970, Total excitation of the isolated human heart, doi
   10.1161/01.CIR.41.6.899.
.. [2] Franz et al. 1987, Monophasic action potential mapping in human subjects with normal
   electrocardiograms, doi 10.1161/01.CIR.75.2.379.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kecgi.geometry.atria import atria
from kecgi.geometry.electrodes import Electrodes, standard_12
from kecgi.geometry.heart import Heart, keep_largest
from kecgi.geometry.parametric import RIGHT
from kecgi.geometry.wall import WallPosition
from kecgi.simulate.action_potential import MitchellSchaeffer, action_potential
from kecgi.simulate.eikonal import TissueGraph, solve
from kecgi.simulate.forward import body_surface_potentials
from kecgi.simulate.sphere_torso import CENTRE_MM, RADIUS_MM, sphere_lead_field

CELL = MitchellSchaeffer(tau_out=9.0, tau_close=120.0)
"""Cell of the waves. Its slower end than the default's makes T broad, as coupled tissue does."""

APD_CLASSES = 10
"""Action potentials of different length that a wave is made of."""

EARLY_SITES = (
    ("left", 10.0, 0.5, 0.0),
    ("left", -50.0, 0.65, 0.0),
    ("left", 55.0, 0.4, 0.0),
    ("right", -25.0, 0.45, 7.0),
)
"""Ventricle, angle, height and time (ms) of the first activation: the septum's left side, high on
the anterior and low on the posterior wall beside it, and the right anterior papillary muscle."""

ATRIAL_APD_MS = 200.0


@dataclass(frozen=True)
class Conduction:
    """Conduction speeds, mm/ms: the Purkinje layer, working myocardium, atria."""

    endocardium: float = 0.95
    myocardium: float = 0.34
    atria: float = 0.95


@dataclass(frozen=True)
class Repolarisation:
    """What sets the action potential's duration (APD) in the ventricles.

    Parameters
    ----------
    apd_ms : float
        Mean APD.
    per_activation : float
        Shortening per ms of later activation.
    transmural_ms : float
        Epicardium shorter than endocardium by this.
    """

    apd_ms: float = 310.0
    per_activation: float = 1.0
    transmural_ms: float = 30.0


@dataclass(frozen=True)
class Infarct:
    """A healed infarct with a border that still suffers.

    Its scar is electrically dead: the forces that are lost make Q waves. The border conducts
    slowly, recovers late, which turns T, and has a smaller action potential, which shifts ST.

    Parameters
    ----------
    angle_deg, height : float
        Centre in the left ventricle's wall, as in `WallPosition`.
    radius_mm, border_mm : float
        Radius of the scar and width of its border.
    slowing : float
        Speed in the border relative to healthy tissue.
    apd_change_ms : float
        How much longer action potentials last in the border.
    injury : float
        Share of the amplitude that action potentials in the border lack, 0 to 1.
    """

    angle_deg: float
    height: float
    radius_mm: float = 20.0
    border_mm: float = 8.0
    slowing: float = 0.8
    apd_change_ms: float = 60.0
    injury: float = 0.1


@dataclass(frozen=True, eq=False)
class Ventricles:
    """Ventricles in a torso, ready to be activated.

    Attributes
    ----------
    heart : Heart
        The tissue.
    graph : TissueGraph
        Its voxels.
    wall : WallPosition
        Where they lie in the walls.
    field : ndarray, shape (n, electrodes)
        Lead field; what each voxel is worth.
    border : ndarray of bool, shape (n,)
        Voxels of an infarct's border.
    infarct : Infarct, optional
        The infarct, where there is one.
    """

    heart: Heart
    graph: TissueGraph
    wall: WallPosition
    field: np.ndarray
    border: np.ndarray
    infarct: Infarct | None = None


@dataclass(frozen=True, eq=False)
class Atria:
    """Atria in a torso: heart, voxels and lead field as in `Ventricles`."""

    heart: Heart
    graph: TissueGraph
    field: np.ndarray


@dataclass(frozen=True, eq=False)
class Wave:
    """Potentials of the nine electrodes, shape (9, time), every ms from `start_ms`, mV.

    Time 0 is when the first site of the chambers is activated.
    """

    start_ms: float
    potentials_mv: np.ndarray

    def __add__(self, other: Wave) -> Wave:
        """Superpose two waves of one start and length."""
        return Wave(self.start_ms, self.potentials_mv + other.potentials_mv)


def ventricles(
    heart: Heart,
    wall: WallPosition,
    *,
    infarct: Infarct | None = None,
    torso_radius_mm: float = RADIUS_MM,
    torso_centre_mm: tuple[float, float, float] = CENTRE_MM,
    electrodes: Electrodes | None = None,
) -> Ventricles:
    """Place a biventricular heart in a spherical torso.

    Parameters
    ----------
    heart : Heart
        With labels of the left and the right ventricle, from `kecgi.geometry.biventricular`.
    wall : WallPosition
        Where its voxels lie, from `kecgi.geometry.wall.wall_position`.
    infarct : Infarct, optional
        What to take out of the left ventricle.
    torso_radius_mm, torso_centre_mm : float, tuple of float
        As in `sphere_lead_field`.
    electrodes : Electrodes, optional
        By default the nine of the standard 12 leads.

    Raises
    ------
    ValueError
        Where the heart doesn't fit into the torso.
    """
    electrodes = electrodes or standard_12()
    border = np.zeros(len(wall.depth), bool)
    if infarct is not None:
        at = heart.voxels_mm
        centre = at[_nearest_site(wall, wall.left, infarct.angle_deg, infarct.height)]
        distance = np.where(wall.left, np.linalg.norm(at - centre, axis=1), np.inf)
        heart, kept = _without(heart, distance < infarct.radius_mm)
        border = (distance < infarct.radius_mm + infarct.border_mm)[kept]
        wall = WallPosition(**{name: values[kept] for name, values in vars(wall).items()})
    graph = TissueGraph.from_heart(heart)
    field = sphere_lead_field(
        heart, electrodes, centre_mm=torso_centre_mm, radius_mm=torso_radius_mm, graph=graph
    )
    if infarct is not None:
        field[border] *= 1 - infarct.injury
    return Ventricles(heart, graph, wall, field, border, infarct)


def activate(source: Ventricles, conduction: Conduction) -> np.ndarray:
    """Activation times of the ventricles in sinus rhythm, ms, shape (n,)."""
    wall = source.wall
    # voxels that touch a cavity with a face or an edge: connected, so that the layer is fast
    layer = wall.endocardium_mm < min(source.heart.spacing_mm)
    speed = np.where(layer, conduction.endocardium, conduction.myocardium)
    if source.infarct is not None:
        speed = np.where(source.border, source.infarct.slowing * conduction.myocardium, speed)
    sites, starts = [], []
    for side, angle, height, start in EARLY_SITES:
        of_side = wall.faces_left if side == "left" else ~wall.left
        among = of_side & layer & ~source.border
        if among.any():
            sites.append(_nearest_site(wall, among, angle, height))
            starts.append(start)
    return solve(source.graph, source.graph.positions_mm[sites], speed, starts)


def ventricular_wave(
    source: Ventricles,
    activation_ms: np.ndarray,
    conduction: Conduction,
    repolarisation: Repolarisation,
    *,
    duration_ms: float = 700.0,
) -> Wave:
    """QRS and T of one beat.

    Parameters
    ----------
    source : Ventricles
        The ventricles.
    activation_ms : ndarray, shape (n,)
        From `activate`.
    conduction : Conduction
        The speeds that gave it.
    repolarisation : Repolarisation
        How long action potentials last.
    duration_ms : float
        Length of the wave.
    """
    wall = source.wall
    shorter = repolarisation.per_activation * activation_ms
    shorter = shorter + repolarisation.transmural_ms * wall.depth
    apd_ms = repolarisation.apd_ms + shorter.mean() - shorter
    if source.infarct is not None:
        apd_ms = apd_ms + source.infarct.apd_change_ms * source.border
    crossing_ms = min(source.heart.spacing_mm) / conduction.myocardium
    return _wave(source.field, activation_ms, apd_ms, crossing_ms, duration_ms)


def atrial_chambers(
    heart: Heart,
    axes: np.ndarray,
    *,
    torso_radius_mm: float = RADIUS_MM,
    torso_centre_mm: tuple[float, float, float] = CENTRE_MM,
    electrodes: Electrodes | None = None,
    **sizes: float,
) -> Atria:
    """Build atria on a biventricular heart, in its torso.

    Parameters are those of `ventricles`; `sizes` those of `kecgi.geometry.atria.atria`.
    """
    chambers = atria(heart, axes, **sizes)
    graph = TissueGraph.from_heart(chambers)
    field = sphere_lead_field(
        chambers,
        electrodes or standard_12(),
        centre_mm=torso_centre_mm,
        radius_mm=torso_radius_mm,
        graph=graph,
    )
    return Atria(chambers, graph, field)


def atrial_wave(source: Atria, conduction: Conduction, *, duration_ms: float = 450.0) -> Wave:
    """P of one beat, with the small wave of atrial repolarisation after it.

    The sinus node is where the right atrium is highest, on its far side from the left one.
    """
    right = source.heart.labels[source.heart.mask] == RIGHT
    at = source.graph.positions_mm
    node = at[np.argmax(np.where(right, at @ (-0.5, 0.2, 0.85), -np.inf))]
    times = solve(source.graph, node, conduction.atria)
    apd_ms = ATRIAL_APD_MS + 0.7 * (times.mean() - times)
    crossing_ms = min(source.heart.spacing_mm) / conduction.atria
    return _wave(source.field, times, apd_ms, crossing_ms, duration_ms)


def fibrillating_waves(
    source: Atria,
    conduction: Conduction,
    rng: np.random.Generator,
    *,
    drivers: int = 5,
    apd_ms: float = 110.0,
) -> list[Wave]:
    """Waves of an atrium in fibrillation: one for each region with a driver of its own.

    Drivers sit at random places; a voxel belongs to the one that reaches it first. Each region's
    wave repeats at its own irregular cycle (`kecgi.simulate.ecg_rhythm.fibrillatory_potentials`),
    while its neighbours are at rest or not: a picture of multiple sources with the short action
    potentials of remodelled atria, not a simulation of re-entry.
    """
    at = source.graph.positions_mm
    sites = at[rng.choice(len(at), drivers, replace=False)]
    arrivals = np.stack([solve(source.graph, site, 0.8 * conduction.atria) for site in sites])
    region = arrivals.argmin(axis=0)
    crossing_ms = min(source.heart.spacing_mm) / conduction.atria
    return [
        _wave(
            source.field[region == k],
            arrivals[k, region == k],
            np.full(int((region == k).sum()), apd_ms),
            crossing_ms,
            300.0,
        )
        for k in range(drivers)
        if (region == k).any()
    ]


def _wave(
    field: np.ndarray,
    activation_ms: np.ndarray,
    apd_ms: np.ndarray,
    crossing_ms: float,
    duration_ms: float,
) -> Wave:
    """Potentials of tissue with its own action potential duration in each voxel."""
    template = action_potential(CELL)
    own_ms = template.duration_ms()
    low, high = float(apd_ms.min()), float(apd_ms.max())
    count = APD_CLASSES if high - low > 1 else 1
    place = (apd_ms - low) / max(high - low, 1e-9) * count
    classes = np.minimum(place.astype(int), count - 1)
    middles = low + (np.arange(count) + 0.5) * (high - low) / count
    potentials = [template.stretched(m / own_ms).averaged(crossing_ms) for m in middles]
    start_ms = -20.0
    time_ms = start_ms + np.arange(round(duration_ms - start_ms))
    return Wave(
        start_ms, body_surface_potentials(field, activation_ms, time_ms, potentials, classes)
    )


def _nearest_site(wall: WallPosition, among: np.ndarray, angle_deg: float, height: float) -> int:
    """Voxel nearest to an angle and a height; 60 degrees count as much as two thirds of height."""
    turn = np.abs((wall.angle_deg - angle_deg + 180) % 360 - 180) / 60
    distance = np.hypot(turn, 1.5 * (wall.height - height))
    return int(np.argmin(np.where(among, distance, np.inf)))


def _without(heart: Heart, scar: np.ndarray) -> tuple[Heart, np.ndarray]:
    """Heart without scar voxels, and which of its voxels are kept."""
    dead = np.zeros(heart.mask.shape, bool)
    dead[heart.mask] = scar
    mask = keep_largest(heart.mask & ~dead)
    lost = heart.mask & ~mask
    smaller = replace(
        heart,
        mask=mask,
        fraction=None if heart.fraction is None else np.where(lost, 0, heart.fraction),
        labels=heart.labels * mask,
        name=f"{heart.name} with a scar",
    )
    return smaller, mask[heart.mask]
