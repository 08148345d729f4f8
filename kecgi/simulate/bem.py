"""Potentials on a torso, from those on a heart's surface or from sources: boundary elements.

Between a closed surface around the heart and the torso's, the conductor is homogeneous and has no
sources, and no current leaves the torso. Green's third identity at the nodes of both surfaces
[1]_, with potentials and normal currents linear on each triangle, gives two blocks of equations;
the currents through the heart's surface are eliminated. Both kinds of integrals are exact on each
triangle: the double layer's from solid angles [2]_ weighted linearly [3]_, the single layer's
from the same terms [4]_. The potentials on the heart fix the constant, so the equations are
regular and need no deflation.

References
----------
.. [1] Barr, Ramsey and Spach 1977, doi 10.1109/TBME.1977.326201.
.. [2] van Oosterom and Strackee 1983, doi 10.1109/TBME.1983.325207.
.. [3] de Munck 1992, doi 10.1109/10.256433.
.. [4] Wilton et al. 1984, doi 10.1109/TAP.1984.1143304.
.. [5] Oostendorp, van Oosterom and Huiskamp 1989, doi 10.1016/0021-9991(89)90103-4.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import linalg

from kecgi.geometry.electrodes import Electrodes
from kecgi.geometry.heart import Heart
from kecgi.geometry.surfaces import TriangleSurface
from kecgi.geometry.torso import require_on
from kecgi.simulate.eikonal import TissueGraph
from kecgi.simulate.forward import lead_field


def transfer_matrix(heart: TriangleSurface, torso: TriangleSurface) -> np.ndarray:
    """Transfer matrix from potentials on a heart's surface to those on the torso's.

    Parameters
    ----------
    heart, torso : TriangleSurface
        Nested: the heart wholly inside the torso.

    Returns
    -------
    ndarray, shape (n_torso, n_heart)
        Z with ``phi_torso = Z @ phi_heart``; its rows sum to 1. On concentric spheres of 642
        nodes each (edges of a seventh of the radius) it is within 1 % of the closed form.

    Raises
    ------
    ValueError
        Where the surfaces aren't nested.
    """
    torso.require_around(heart)
    double_tt, double_th, single_th = _layers(torso.points_mm, torso, heart)
    double_ht, double_hh, single_hh = _layers(heart.points_mm, torso, heart)
    # a node's own term, its solid angle included, from a constant potential without currents
    _close(double_tt, 0.0)
    _close(double_hh, -4 * np.pi)
    through = linalg.solve(single_hh.T, single_th.T).T  # torso nodes from currents, by way of phi
    left = double_tt - through @ double_ht
    return linalg.solve(left, through @ double_hh - double_th)


def insulated_surface(torso: TriangleSurface) -> np.ndarray:
    """Matrix from the potentials of sources in an unbounded conductor to those in the torso alone.

    The torso is homogeneous and in air: where no current leaves, the double layer of the surface's
    own potentials comes to those that the sources have without it [1]_.

    Parameters
    ----------
    torso : TriangleSurface
        Around all sources.

    Returns
    -------
    ndarray, shape (n_torso, n_torso)
        S with ``phi = S @ phi_unbounded`` at the nodes, against the mean of the nodes.
    """
    double, _ = _integrals(torso.points_mm, torso.points_mm, torso.triangles)
    # with a node's own term, its solid angle included, a constant potential has no sources
    _close(double, 0.0)
    n = len(torso)
    mean = np.full((n, n), 1.0 / n)
    scale = np.abs(np.diagonal(double)).mean()
    return linalg.solve(scale * mean - double, 4 * np.pi * (np.eye(n) - mean))


def insulated_lead_field(
    heart: Heart,
    electrodes: Electrodes,
    torso: TriangleSurface,
    *,
    graph: TissueGraph | None = None,
    **conductivities: float,
) -> np.ndarray:
    """Lead field of a heart at electrodes on a homogeneous torso in air.

    Parameters
    ----------
    heart, graph, **conductivities
        As for `kecgi.simulate.lead_field`.
    electrodes : Electrodes
        The torso's first nodes.
    torso : TriangleSurface
        See `kecgi.geometry.torso.torso_through`.

    Returns
    -------
    ndarray of float32, shape (n_voxels, n_electrodes)
        mV per unit of v, as from `kecgi.simulate.lead_field`, against the mean of the torso.

    Raises
    ------
    ValueError
        Where electrodes are not the torso's first nodes, tissue lies outside the torso, and as
        `lead_field`.
    """
    require_on(torso, electrodes)
    reach = heart.voxels_mm[[*heart.voxels_mm.argmin(axis=0), *heart.voxels_mm.argmax(axis=0)]]
    if np.any(torso.solid_angles(reach) < 2 * np.pi):
        raise ValueError(f"{heart.name} reaches beyond the torso; expected it wholly inside")
    nodes = Electrodes(tuple(f"node {i}" for i in range(len(torso))), torso.points_mm)
    field = lead_field(heart, nodes, graph=graph, **conductivities)
    return field @ insulated_surface(torso)[: len(electrodes)].T.astype(np.float32)


def without_boundary(torso: TriangleSurface, potentials_mv: np.ndarray) -> np.ndarray:
    """Potentials that the same sources would have in an unbounded conductor.

    What `insulated_surface` undoes, and better posed: the integral over the surface of the
    potentials that are there. Between electrodes, and where one is lost, they are interpolated
    with the least square of the surface Laplacian [5]_.

    Parameters
    ----------
    torso : TriangleSurface
        A homogeneous torso in air, see `kecgi.geometry.torso.torso_through`.
    potentials_mv : ndarray, shape (electrodes, time)
        At the torso's first nodes, the electrodes; one with a value that isn't finite is lost.

    Returns
    -------
    ndarray, shape (electrodes, time)
        Against the mean of the electrodes that are heard; NaN where one is lost.

    Raises
    ------
    ValueError
        Where there are more electrodes than nodes, or none that is heard.
    """
    potentials = np.asarray(potentials_mv, float)
    count, n = len(potentials), len(torso)
    if potentials.ndim != 2 or count > n:
        raise ValueError(
            f"potentials have shape {potentials.shape}, expected (electrodes, time) with at most "
            f"the torso's {n} nodes"
        )
    heard = np.flatnonzero(np.isfinite(potentials).all(axis=1))
    if not heard.size:
        raise ValueError("no electrode has a signal: each holds a value that isn't finite")
    between = np.setdiff1d(np.arange(n), heard)
    laplacian = torso.laplacian().toarray()
    everywhere = np.empty((n, potentials.shape[1]))
    everywhere[heard] = potentials[heard]
    everywhere[between] = -linalg.lstsq(
        laplacian[:, between], laplacian[:, heard] @ potentials[heard]
    )[0]
    double, _ = _integrals(torso.points_mm[heard], torso.points_mm, torso.triangles)
    double[np.arange(len(heard)), heard] = 0.0
    double[np.arange(len(heard)), heard] = -double.sum(axis=1)
    found = np.full(potentials.shape, np.nan)
    found[heard] = -double @ everywhere / (4 * np.pi)
    found[heard] -= found[heard].mean(axis=0)
    return found


def _layers(
    points: np.ndarray, torso: TriangleSurface, heart: TriangleSurface
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Double layers of torso and heart, the heart's outward from the conductor; single layer."""
    double_torso, _ = _integrals(points, torso.points_mm, torso.triangles)
    double_heart, single = _integrals(points, heart.points_mm, heart.triangles)
    return double_torso, -double_heart, single


def _close(matrix: np.ndarray, total: float) -> None:
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, total - matrix.sum(axis=1))


@numba.njit(cache=True)
def _integrals(points, nodes, triangles):
    """Integrals of each node's linear function over a surface, seen from points.

    Returns ``Int N n.(r' - r) / |r' - r|³ dS`` (the double layer) and ``Int N / |r' - r| dS``,
    shape (points, nodes). On a triangle in whose plane the point lies the former is 0.
    """
    double = np.zeros((len(points), len(nodes)))
    single = np.zeros((len(points), len(nodes)))
    along, outward, slope = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    length, offset, value = np.empty(3), np.empty(3), np.empty(3)
    for triangle in triangles:
        corner = nodes[triangle]
        normal = np.cross(corner[1] - corner[0], corner[2] - corner[0])
        double_area = np.sqrt(normal @ normal)
        normal /= double_area
        for k in range(3):  # sides, and the slopes of the functions of the corners opposite
            side = corner[(k + 2) % 3] - corner[(k + 1) % 3]
            length[k] = np.sqrt(side @ side)
            along[k] = side / length[k]
            outward[k] = np.cross(along[k], normal)
            slope[k] = -outward[k] * length[k] / double_area
        cosine = slope @ outward.T
        tiny = 1e-20 * length.max() ** 2
        for i in range(len(points)):
            for k in range(3):
                offset[0] = points[i, 0] - corner[k, 0]
                offset[1] = points[i, 1] - corner[k, 1]
                offset[2] = points[i, 2] - corner[k, 2]
                value[k] = 1.0 + _dot(slope[k], offset)
            height = _dot(normal, offset)
            inverse, solid = 0.0, 0.0
            first0, first1, first2 = 0.0, 0.0, 0.0  # Int slope.(r' - foot) / R dS, one a corner
            third0, third1, third2 = 0.0, 0.0, 0.0  # Int slope.(r' - foot) / R³ dS
            for k in range(3):
                start = (k + 1) % 3
                offset[0] = corner[start, 0] - points[i, 0]
                offset[1] = corner[start, 1] - points[i, 1]
                offset[2] = corner[start, 2] - points[i, 2]
                t, a = _dot(outward[k], offset), _dot(along[k], offset)
                b = a + length[k]
                squared = t * t + height * height
                ra, rb = np.sqrt(squared + a * a), np.sqrt(squared + b * b)
                if squared <= tiny:  # on the side's line: its terms vanish, but not its logarithm
                    logarithm = np.sign(a) * np.log(b / a) if a * b > 0 else 0.0
                elif a + b > 0:
                    logarithm = np.log((rb + b) / (ra + a))
                else:
                    logarithm = np.log((ra - a) / (rb - b))
                angle = np.arctan2(t * b, squared + abs(height) * rb)
                angle -= np.arctan2(t * a, squared + abs(height) * ra)
                solid += angle
                inverse += t * logarithm - abs(height) * angle
                moment = 0.5 * (squared * logarithm + b * rb - a * ra)
                first0 += cosine[0, k] * moment
                first1 += cosine[1, k] * moment
                first2 += cosine[2, k] * moment
                third0 -= cosine[0, k] * logarithm
                third1 -= cosine[1, k] * logarithm
                third2 -= cosine[2, k] * logarithm
            solid = -np.sign(height) * solid if height * height > tiny else 0.0
            single[i, triangle[0]] += value[0] * inverse + first0
            single[i, triangle[1]] += value[1] * inverse + first1
            single[i, triangle[2]] += value[2] * inverse + first2
            double[i, triangle[0]] += value[0] * solid - height * third0
            double[i, triangle[1]] += value[1] * solid - height * third1
            double[i, triangle[2]] += value[2] * solid - height * third2
    return double, single


@numba.njit(cache=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
