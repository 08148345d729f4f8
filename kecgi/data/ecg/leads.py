"""Lead algebra: of the 12 standard leads eight are independent, the others follow from them.

With the limb leads I and II every other limb lead is known (Einthoven 1912, Goldberger 1942):

    III = II - I,  aVR = -(I + II) / 2,  aVL = I - II / 2,  aVF = II - I / 2

so the 12 leads are one linear map of any two limb leads and V1 … V6. The map holds in physical
units. It does not commute with a scale per lead: undo a scaling first, then derive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kecgi.geometry.electrodes import LEADS_12

CHEST = LEADS_12[6:]

BASES = {
    "cnvae": ("I", "III", *CHEST),
    "pulse2pulse": ("I", "II", *CHEST),
    "sssd": ("I", *CHEST, "aVF"),
}
"""Eight leads each, in the order of the literature that generates them."""

CNVAE_LEADS = BASES["cnvae"]

_LIMB = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
"""The six limb leads from (I, II)."""


def expansion(leads: Sequence[str] = CNVAE_LEADS) -> np.ndarray:
    """Matrix that turns eight leads into the 12 standard ones.

    Parameters
    ----------
    leads : sequence of str
        V1 … V6 and two limb leads, in any order.

    Returns
    -------
    ndarray, shape (12, 8)
        ``twelve = expansion(leads) @ eight``, rows in the order of `LEADS_12`.

    Raises
    ------
    ValueError
        Where a lead is unknown, or the leads are not V1 … V6 and two limb leads.
    """
    at = lead_indices(leads)
    limb = [i for i in at if i < 6]
    if len(at) != 8 or len(limb) != 2:
        raise ValueError(f"leads are {list(leads)}, expected V1 … V6 and two limb leads")
    matrix = np.zeros((12, 8))
    matrix[:6, [at.index(i) for i in limb]] = _LIMB @ np.linalg.inv(_LIMB[limb])
    for chest in range(6, 12):
        matrix[chest, at.index(chest)] = 1
    return matrix


def to_twelve(
    signals_mv: np.ndarray, leads: Sequence[str] = CNVAE_LEADS, axis: int = -2
) -> np.ndarray:
    """Derive the 12 standard leads from eight, in physical units.

    Parameters
    ----------
    signals_mv : ndarray
        Signals with eight leads along `axis`.
    leads : sequence of str
        Their names, see `expansion`.
    axis : int
        The lead axis: -2 for (…, lead, time), -1 for (…, time, lead).

    Returns
    -------
    ndarray
        Of the input's type, with 12 leads in the order of `LEADS_12`.

    Raises
    ------
    ValueError
        As in `expansion`, or where the axis doesn't hold eight leads.
    """
    signals_mv = np.asarray(signals_mv)
    matrix = expansion(leads)
    if signals_mv.shape[axis] != 8:
        raise ValueError(
            f"signals have shape {signals_mv.shape}, with {signals_mv.shape[axis]} leads along "
            f"axis {axis}, expected 8"
        )
    dtype = np.result_type(signals_mv.dtype, np.float32)
    twelve = np.moveaxis(signals_mv, axis, -1).astype(dtype) @ matrix.T.astype(dtype)
    return np.moveaxis(twelve, -1, axis)


def select(
    signals: np.ndarray,
    wanted: Sequence[str],
    leads: Sequence[str] = LEADS_12,
    axis: int = -2,
) -> np.ndarray:
    """Return leads by name.

    Parameters
    ----------
    signals : ndarray
        Signals with `leads` along `axis`.
    wanted : sequence of str
        Leads to return, in this order.
    leads : sequence of str
        Leads that are there; names are compared without regard to case.
    axis : int
        The lead axis.

    Raises
    ------
    ValueError
        Where a lead is missing, comes twice, or the axis has another length.
    """
    if signals.shape[axis] != len(leads):
        raise ValueError(
            f"signals have {signals.shape[axis]} leads along axis {axis}, expected {len(leads)}: "
            f"{list(leads)}"
        )
    return np.take(signals, lead_indices(wanted, leads), axis=axis)


def lead_indices(wanted: Sequence[str], leads: Sequence[str] = LEADS_12) -> list[int]:
    """Places of leads among others by name, without regard to case.

    Raises
    ------
    ValueError
        Where a lead is missing or comes twice.
    """
    there = [str(name).strip().lower() for name in leads]
    asked = [str(name).strip().lower() for name in wanted]
    missing = [name for name in wanted if str(name).strip().lower() not in there]
    if missing:
        raise ValueError(f"leads {missing} are missing; there are {list(leads)}")
    twice = sorted({n for n in asked if asked.count(n) > 1 or there.count(n) > 1})
    if twice:
        raise ValueError(f"leads {twice} come twice; asked for {list(wanted)} of {list(leads)}")
    return [there.index(name) for name in asked]


def lead_law_residuals_uv(ecg_mv: np.ndarray, axis: int = -2) -> dict[str, np.ndarray]:
    """How far limb leads are from Einthoven's and Goldberger's laws.

    Parameters
    ----------
    ecg_mv : ndarray
        The 12 standard leads along `axis`, mV.
    axis : int
        The lead axis.

    Returns
    -------
    dict of ndarray
        ``einthoven`` (I + III - II), ``aVR``, ``aVL``, ``aVF``: absolute residuals in µV, of the
        input's shape without the lead axis.
    """
    ecg_mv = np.asarray(ecg_mv)
    if ecg_mv.shape[axis] != 12:
        raise ValueError(f"ecg_mv has shape {ecg_mv.shape}, expected 12 leads along axis {axis}")
    one, two, three, right, left, foot = np.moveaxis(ecg_mv, axis, 0)[:6]
    residuals = {
        "einthoven": one + three - two,
        "aVR": right + (one + two) / 2,
        "aVL": left - (one - three) / 2,
        "aVF": foot - (two + three) / 2,
    }
    return {name: 1000 * np.abs(value) for name, value in residuals.items()}
