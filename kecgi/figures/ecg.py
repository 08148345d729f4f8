"""Twelve-lead ECGs as on paper: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures.style import INK, INPUT, OUTPUT, new_figure, styled
from kecgi.geometry.electrodes import LEADS_12

MM_PER_S = 25.0
MM_PER_MV = 10.0

LAYOUT = (
    ("I", "aVR", "V1", "V4"),
    ("II", "aVL", "V2", "V5"),
    ("III", "aVF", "V3", "V6"),
)
"""Rows of the page; each lead shows a quarter of the record, one after the other in time."""

ROW_MM = 25.0
PULSE_MM = 7.5  # the calibration pulse and the space around it
_FINE, _COARSE = "#f6d6d3", "#e8a5a0"
_MM_PER_INCH = 25.4


@styled
def ecg_paper(
    ecg_mv: ArrayLike, sampling_hz: float, *, title: str = "", rhythm: str = "II"
) -> Figure:
    """Draw a 12-lead ECG in true size: standard 3 × 4 layout above a rhythm strip.

    Parameters
    ----------
    ecg_mv : (12, time) array
        Leads in the order of `LEADS_12`, mV; 10 s in the usual case.
    sampling_hz : float
        Sampling rate.
    title : str
        Text above, such as the diagnoses and whether the ECG is simulated or generated.
    rhythm : str
        Lead of the strip.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ecg_mv = _checked(ecg_mv)
    width_mm, height_mm = _page_mm(ecg_mv, sampling_hz)
    figure = new_figure(width_mm / _MM_PER_INCH, (height_mm + 7) / _MM_PER_INCH, layout=None)
    axes = figure.add_axes((0, 0, 1, height_mm / (height_mm + 7)))
    _draw_page(axes, ecg_mv, sampling_hz, rhythm, INK)
    figure.text(4 / width_mm, 1 - 2 / (height_mm + 7), title, va="top")
    return figure


@styled
def ecg_beside(
    first_mv: ArrayLike,
    second_mv: ArrayLike,
    sampling_hz: float,
    titles: Sequence[str] = ("Real", "Generated"),
    *,
    rhythm: str = "II",
) -> Figure:
    """Two 12-lead ECGs beside each other, such as a real and a generated one of one diagnosis.

    Parameters
    ----------
    first_mv, second_mv : (12, time) arrays
        As in `ecg_paper`.
    sampling_hz : float
        Sampling rate of both.
    titles : sequence of 2 str
        Text above each.
    rhythm : str
        Lead of the strips.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pages = [_checked(first_mv), _checked(second_mv)]
    if len(titles) != 2:
        raise ValueError(f"{len(titles)} titles, expected 2")
    width_mm, height_mm = _page_mm(max(pages, key=lambda page: page.shape[1]), sampling_hz)
    figure = new_figure(
        (2 * width_mm + 5) / _MM_PER_INCH, (height_mm + 7) / _MM_PER_INCH, layout=None
    )
    share = width_mm / (2 * width_mm + 5)
    for i, (page, title) in enumerate(zip(pages, titles, strict=True)):
        left = i * (1 - share)
        axes = figure.add_axes((left, 0, share, height_mm / (height_mm + 7)))
        _draw_page(axes, page, sampling_hz, rhythm, INK)
        figure.text(left + 0.01, 1 - 2 / (height_mm + 7), title, va="top")
    return figure


@styled
def ecg_completion(
    true_mv: ArrayLike,
    completed_mv: ArrayLike,
    sampling_hz: float,
    given: Sequence[str] = ("II", "V1", "V5"),
    *,
    seconds: float = 2.5,
    title: str = "",
) -> Figure:
    """Compare true leads (red) with completed ones (blue), all 12 over the same first seconds.

    Parameters
    ----------
    true_mv, completed_mv : (12, time) arrays
        Leads in the order of `LEADS_12`, mV.
    sampling_hz : float
        Sampling rate.
    given : sequence of str
        Leads that the model was given; their names are marked.
    seconds : float
        Length that is shown.
    title : str
        Text above, such as whether the ECG is simulated or recorded.

    Returns
    -------
    matplotlib.figure.Figure
    """
    true_mv, completed_mv = _checked(true_mv), _checked(completed_mv)
    if true_mv.shape != completed_mv.shape:
        raise ValueError(f"ECGs have shapes {true_mv.shape} and {completed_mv.shape}, expected one")
    count = min(true_mv.shape[1], round(seconds * sampling_hz))
    panel_mm = MM_PER_S * count / sampling_hz
    width_mm, height_mm = 4 * panel_mm, 3 * ROW_MM
    figure = new_figure(width_mm / _MM_PER_INCH, (height_mm + 8) / _MM_PER_INCH, layout=None)
    axes = figure.add_axes((0, 0, 1, height_mm / (height_mm + 8)))
    _paper(axes, width_mm, height_mm)
    along = np.arange(count) * (MM_PER_S / sampling_hz)
    for row, leads in enumerate(LAYOUT):
        zero = height_mm - (row + 0.5) * ROW_MM
        for column, lead in enumerate(leads):
            i = LEADS_12.index(lead)
            for signal, colour, label in (
                (true_mv[i], INPUT, "true"),
                (completed_mv[i], OUTPUT, "completed"),
            ):
                axes.plot(
                    column * panel_mm + along,
                    zero + MM_PER_MV * signal[:count],
                    color=colour,
                    linewidth=0.7,
                    label=label if i == 0 else None,
                )
            name = f"{lead} (given)" if lead in given else lead
            axes.text(column * panel_mm + 1.5, zero + 8, name, fontsize=8)
    figure.legend(loc="upper right", ncols=2)
    figure.text(4 / width_mm, 1 - 2 / (height_mm + 8), title, va="top")
    return figure


def _checked(ecg_mv: ArrayLike) -> np.ndarray:
    ecg_mv = np.asarray(ecg_mv, float)
    if ecg_mv.ndim != 2 or ecg_mv.shape[0] != 12 or ecg_mv.shape[1] < 4:
        raise ValueError(f"an ECG has shape {ecg_mv.shape}, expected (12, time)")
    return ecg_mv


def _page_mm(ecg_mv: np.ndarray, sampling_hz: float) -> tuple[float, float]:
    if not 0 < sampling_hz < np.inf:
        raise ValueError(f"sampling_hz is {sampling_hz}, expected a positive number")
    return PULSE_MM + MM_PER_S * ecg_mv.shape[1] / sampling_hz + 2.5, (len(LAYOUT) + 1) * ROW_MM


def _draw_page(
    axes: Axes, ecg_mv: np.ndarray, sampling_hz: float, rhythm: str, colour: str
) -> None:
    if rhythm not in LEADS_12:
        raise ValueError(f"rhythm lead {rhythm!r} is unknown, expected one of {list(LEADS_12)}")
    width_mm, height_mm = _page_mm(ecg_mv, sampling_hz)
    _paper(axes, width_mm, height_mm)
    samples = ecg_mv.shape[1]
    along = PULSE_MM + np.arange(samples) * (MM_PER_S / sampling_hz)
    cuts = [samples * k // 4 for k in range(5)]
    for row in range(len(LAYOUT) + 1):
        zero = height_mm - (row + 0.5) * ROW_MM
        pulse = np.array([[1, 0], [2, 0], [2, MM_PER_MV], [6, MM_PER_MV], [6, 0], [7, 0]])
        axes.plot(pulse[:, 0], zero + pulse[:, 1], color=colour, linewidth=0.7)
        leads = LAYOUT[row] if row < len(LAYOUT) else (rhythm,)
        edges = cuts if row < len(LAYOUT) else [0, samples]
        for lead, low, high in zip(leads, edges[:-1], edges[1:], strict=True):
            signal = ecg_mv[LEADS_12.index(lead), low:high]
            axes.plot(along[low:high], zero + MM_PER_MV * signal, color=colour, linewidth=0.7)
            axes.text(along[low] + 1, zero + 8, lead, fontsize=8)
            if low:
                axes.plot([along[low]] * 2, [zero - 2, zero + 2], color=colour, linewidth=0.7)
    axes.text(width_mm - 2, 1.5, "25 mm/s   10 mm/mV", fontsize=7, ha="right")


def _paper(axes: Axes, width_mm: float, height_mm: float) -> None:
    """Axes in mm with a line every mm, stronger every 5 mm."""
    axes.set(xlim=(0, width_mm), ylim=(0, height_mm), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    for step, colour, width in ((1, _FINE, 0.3), (5, _COARSE, 0.5)):
        for lines, positions, length in (
            (axes.vlines, np.arange(0, width_mm + 0.5, step), height_mm),
            (axes.hlines, np.arange(0, height_mm + 0.5, step), width_mm),
        ):
            lines(positions, 0, length, color=colour, linewidth=width, zorder=0)
