"""Speeds per voxel: along and across fibres, a fast endocardial layer, slow or silent scar."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kecgi.geometry import Heart
from kecgi.geometry.fibres import wall_axes
from kecgi.simulate.anisotropic import AnisotropicTissue, conduction_tensors
from kecgi.simulate.eikonal import TissueGraph

FIBRE_SPEED, SHEET_SPEED, NORMAL_SPEED = 0.65, 0.51, 0.48
"""Human ventricle, mm/ms (Taggart et al. 2000, doi 10.1006/jmcc.2000.1105)."""


@dataclass(frozen=True, eq=False)
class Speeds:
    """Conduction velocity of each tissue voxel along fibre, sheet and normal, mm/ms.

    Attributes
    ----------
    fibre, sheet, normal : ndarray, shape (n,)
        Speeds in the order of ``heart.voxels_mm``, as `conduction_tensors` takes them.
    """

    fibre: np.ndarray
    sheet: np.ndarray
    normal: np.ndarray

    @classmethod
    def uniform(
        cls,
        voxels: int,
        fibre: float = FIBRE_SPEED,
        sheet: float = SHEET_SPEED,
        normal: float = NORMAL_SPEED,
    ) -> Speeds:
        """Give the same speeds to all voxels; those of healthy ventricles by default."""
        for name, value in (("fibre", fibre), ("sheet", sheet), ("normal", normal)):
            if not 0 < value < np.inf:
                raise ValueError(f"{name} speed is {value} mm/ms, expected a positive number")
        return cls(*(np.full(voxels, float(v)) for v in (fibre, sheet, normal)))

    def with_fast_layer(
        self, from_cavity_mm: np.ndarray, thickness_mm: float = 2.0, speed: float = 2.0
    ) -> Speeds:
        """Let a layer beside the cavities conduct fast in all directions, in place of Purkinje.

        Parameters
        ----------
        from_cavity_mm : ndarray, shape (n,)
            Distance from the nearest cavity, `kecgi.geometry.fibres.WallAxes.from_cavity_mm`;
            voxels beside a cavity are one grid step away.
        thickness_mm : float
            Thickness of the layer; it must hold a voxel.
        speed : float
            mm/ms along the fibre; across it is slower by the voxel's own ratios. Speeds are never
            lowered.

        Raises
        ------
        ValueError
            Where shapes don't match, a number isn't positive, or no voxel lies in the layer.
        """
        layer = self._mask(np.asarray(from_cavity_mm) <= thickness_mm, "from_cavity_mm")
        if not 0 < speed < np.inf:
            raise ValueError(f"speed is {speed} mm/ms, expected a positive number")
        if not layer.any():
            raise ValueError(
                f"no voxel lies within thickness_mm={thickness_mm} of a cavity; the nearest is "
                f"{np.min(from_cavity_mm):.2f} mm away"
            )
        still = self.fibre == 0
        factor = np.maximum(speed / np.where(still, np.inf, self.fibre), 1.0)
        return self._times(np.where(layer, factor, 1.0))

    def with_scar(self, scar: np.ndarray, factor: float = 0.3) -> Speeds:
        """Let a scar conduct slowly, or not at all.

        Parameters
        ----------
        scar : ndarray of bool, shape (n,)
            Voxels of the scar.
        factor : float
            Share of the speeds that is left there, 0 to 1.

        Raises
        ------
        ValueError
            Where shapes don't match or the factor is out of range.
        """
        if not 0 <= factor <= 1:
            raise ValueError(f"factor is {factor}, expected 0 (no conduction) to 1")
        return self._times(np.where(self._mask(scar, "scar"), factor, 1.0))

    def _mask(self, values: np.ndarray, name: str) -> np.ndarray:
        values = np.asarray(values, bool)
        if values.shape != self.fibre.shape:
            raise ValueError(f"{name} has shape {values.shape}, expected {self.fibre.shape}")
        return values

    def _times(self, factor: np.ndarray) -> Speeds:
        return replace(
            self,
            fibre=self.fibre * factor,
            sheet=self.sheet * factor,
            normal=self.normal * factor,
        )


def fibre_tissue(
    heart: Heart, graph: TissueGraph, across_fibre: float = 1.0, fast_layer: float = 1.0
) -> AnisotropicTissue:
    """Ventricles that conduct at 1 mm/ms along their fibres, for `solve_anisotropic`.

    Activation times scale with the inverse of the speed, so one tissue serves them all.

    Parameters
    ----------
    heart : Heart
        The heart; where it has no fibres they are rule-based, see `kecgi.geometry.fibres`.
    graph : TissueGraph
        Its tissue.
    across_fibre : float
        Speed across the fibres, mm/ms.
    fast_layer : float
        How many times faster a layer of 2 mm, or one voxel, beside the cavities conducts.

    Raises
    ------
    ValueError
        Where no ventricles are found in the heart, or a number isn't positive.
    """
    axes = None
    if heart.fibres is None or fast_layer != 1.0:
        axes = wall_axes(heart)
    fibres = axes.fibres() if heart.fibres is None else heart.fibres[heart.mask]
    speeds = Speeds.uniform(len(graph), 1.0, across_fibre, across_fibre)
    if fast_layer != 1.0:
        thickness = max(2.0, 1.01 * max(heart.spacing_mm))
        speeds = speeds.with_fast_layer(axes.from_cavity_mm, thickness, fast_layer)
    tensors = conduction_tensors(fibres, speeds.fibre, speeds.sheet, speeds.normal)
    return AnisotropicTissue.of(graph, tensors)
