"""Measured bipolar electrograms beside simulated and generated ones."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures.style import SERIES, new_figure, styled


@styled
def bipolar_comparison(
    signals: Mapping[str, ArrayLike],
    dominant_hz: Mapping[str, ArrayLike],
    sampling_hz: float,
    *,
    shown: int = 5,
) -> Figure:
    """Draw traces, mean spectra and dominant frequencies of sets of signals.

    Parameters
    ----------
    signals : mapping of str to (n, time) arrays
        Signals of one length by the name of their set, each in units of its root mean square.
    dominant_hz : mapping of str to (n,) arrays
        Dominant frequency of each signal.
    sampling_hz : float
        Sampling rate.
    shown : int
        Traces of each set, evenly spaced in it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    values = {name: np.asarray(x, float) for name, x in signals.items()}
    if len({x.shape[-1] for x in values.values()}) != 1 or set(values) != set(dominant_hz):
        raise ValueError(
            f"expected signals of one length, and a frequency for each of {list(values)}, got "
            f"shapes {[x.shape for x in values.values()]} and {list(dominant_hz)}"
        )
    figure = new_figure(2.1 * len(values) + 0.4, 5.4)
    above, below = figure.subfigures(2, 1, height_ratios=[1.25, 1])
    panels = above.subplots(1, len(values), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, x), colour in zip(panels, values.items(), SERIES, strict=False):
        rows = np.linspace(0, len(x) - 1, shown + 2).astype(int)[1:-1]
        time = np.arange(x.shape[-1]) / sampling_hz
        # each as high as the others: units mean nothing
        size = np.percentile(np.abs(x[rows]), 99.5, axis=1, keepdims=True)
        axes.plot(
            time, (x[rows] / size).T - 2.4 * np.arange(shown), color=colour, linewidth=0.7
        )  # fmt: skip
        axes.set_title(name, loc="left")
        axes.set(xlabel="Time (s)", yticks=[])
        axes.spines["left"].set_visible(False)
        axes.margins(x=0)
    spectra, rates = below.subplots(1, 2)
    edges = np.arange(1, 12.5, 0.5)
    for (name, x), colour in zip(values.items(), SERIES, strict=False):
        power = np.abs(np.fft.rfft(x * np.hanning(x.shape[-1]))) ** 2
        hz = np.fft.rfftfreq(x.shape[-1], 1 / sampling_hz)
        density = (power / power.sum(axis=1, keepdims=True)).mean(axis=0) / hz[1]
        spectra.semilogy(hz, density, color=colour, label=name, linewidth=1.1)
        counts, _ = np.histogram(np.asarray(dominant_hz[name]), edges)
        rates.stairs(100 * counts / max(counts.sum(), 1), edges, color=colour, linewidth=1.2)
    spectra.set(
        xlim=(0, min(60, sampling_hz / 2)), ylim=(1e-5, 1), xlabel="Frequency (Hz)",
        ylabel="Share of the power (1/Hz)",
    )  # fmt: skip
    spectra.legend(fontsize=7)
    rates.set(xlabel="Dominant frequency (Hz)", ylabel="Signals (%)", xlim=(1, 12), ylim=(0, None))
    return figure
