"""Forward problem in a torso that is a conducting sphere in air.

An unbounded torso, as in `kecgi.simulate.forward`, makes limb leads much too small beside chest
leads: its electrodes float in the conductor and the limbs lie far away. On an insulated sphere no
current leaves, potentials at the surface are two to three times larger, and the limb electrodes
sit where the limbs join the trunk. The potential has a closed form: with the electrode at x on
the sphere of radius R about the origin, the source at y and d = |x - y| [1]_

    4 pi sigma V = p . [2 (x - y) / d³ + (x / R + (x - y) / d) / (R² - x . y + R d)]

up to a constant that no lead sees.

References
----------
.. [1] Gradient of the sphere's Neumann function; Brody, Terry and Ideker 1973, Eccentric dipole in
   a spherical medium, doi 10.1109/TBME.1973.324188.
"""

from __future__ import annotations

import numpy as np

from kecgi.geometry.electrodes import Electrodes
from kecgi.geometry.heart import Heart
from kecgi.simulate.eikonal import TissueGraph
from kecgi.simulate.forward import VM_RANGE_MV, tissue_share

CENTRE_MM = (-30.0, 45.0, 0.0)
"""The trunk's axis seen from the heart, which lies to the left of it and in front."""

RADIUS_MM = 140.0
"""Adult trunk: the standard chest electrodes are 133 to 149 mm away from the centre above."""


def sphere_lead_field(
    heart: Heart,
    electrodes: Electrodes,
    *,
    centre_mm: tuple[float, float, float] = CENTRE_MM,
    radius_mm: float = RADIUS_MM,
    sigma_i: float = 0.07,
    sigma_b: float = 0.22,
    graph: TissueGraph | None = None,
) -> np.ndarray:
    """Lead field of a heart at electrodes on a spherical torso.

    Parameters
    ----------
    heart : Heart
        A 3-D heart within the sphere.
    electrodes : Electrodes
        Moved onto the sphere along the line from its centre.
    centre_mm, radius_mm : tuple of float, float
        The sphere in the torso frame.
    sigma_i, sigma_b : float
        Intracellular and bulk conductivity, S/m.
    graph : TissueGraph, optional
        The heart's voxel list, where it is at hand.

    Returns
    -------
    ndarray of float32, shape (n_voxels, n_electrodes)
        mV per unit of v, as from `kecgi.simulate.lead_field`.

    Raises
    ------
    ValueError
        Where tissue lies within one grid step of the sphere, or beyond it.
    """
    graph = graph or TissueGraph.from_heart(heart)
    at = graph.positions_mm - centre_mm
    reach = float(np.linalg.norm(at, axis=1).max()) + max(heart.spacing_mm)
    if reach >= radius_mm:
        raise ValueError(
            f"{heart.name} reaches {reach:.0f} mm from the torso's centre, expected less than "
            f"radius_mm, {radius_mm}; take a larger torso or another centre"
        )
    on = electrodes.positions_mm - centre_mm
    on = radius_mm * on / np.linalg.norm(on, axis=1, keepdims=True)
    scale = VM_RANGE_MV * sigma_i / (4 * np.pi * sigma_b) * np.prod(heart.spacing_mm)
    weight = -scale * tissue_share(heart)
    return _divergence(graph, weight[:, None, None] * sphere_kernel(at, on, radius_mm))


def sphere_kernel(sources_mm: np.ndarray, on_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    """Bracket of the module's equation.

    Parameters
    ----------
    sources_mm : ndarray, shape (n, 3)
        Sources relative to the sphere's centre.
    on_mm : ndarray, shape (e, 3)
        Points on the sphere.
    radius_mm : float
        Its radius.

    Returns
    -------
    ndarray, shape (n, e, 3)
        1/mm².
    """
    apart = on_mm - sources_mm[:, None]
    d = np.linalg.norm(apart, axis=-1, keepdims=True)
    along = (sources_mm @ on_mm.T)[..., None]
    image = (on_mm / radius_mm + apart / d) / (radius_mm**2 - along + radius_mm * d)
    return 2 * apart / d**3 + image


def _divergence(graph: TissueGraph, kernel: np.ndarray) -> np.ndarray:
    """Turn weights of grad v into weights of v: mean of the differences that stay in the tissue."""
    n = len(graph)
    matrix = np.zeros((n + 1, kernel.shape[1]))
    for axis in range(3):
        before, after = graph.neighbours[:, 2 * axis], graph.neighbours[:, 2 * axis + 1]
        steps = (before < n).astype(float) + (after < n)
        factor = np.divide(1, steps * graph.spacing_mm[axis], where=steps > 0, out=np.zeros(n))
        part = factor[:, None] * kernel[..., axis]
        for side, sign in ((before, -1), (after, 1)):
            inside = side < n  # each voxel is at most once the neighbour of another on one side
            matrix[side[inside]] += sign * part[inside]
            matrix[:n][~inside] += sign * part[~inside]
    return matrix[:n].astype(np.float32)
