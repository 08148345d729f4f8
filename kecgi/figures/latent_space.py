"""Where the codes of rhythms lie."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from kecgi.figures.style import SERIES, new_figure, styled

MARKS = "osD^vP"


@styled
def latent_by_rhythm(
    codes: Mapping[str, ArrayLike],
    others: Mapping[str, ArrayLike] | None = None,
    *,
    names: tuple[str, str] = ("real", "generated"),
) -> Figure:
    """Two principal components of codes, a colour a rhythm.

    Parameters
    ----------
    codes : mapping of str to (n, latent) arrays
        Codes by the name of their rhythm; the axes are the principal components of all of them.
    others : mapping of str to (n, latent) arrays, optional
        Further codes of the same rhythms, drawn hollow.
    names : (str, str)
        What full and hollow marks are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    sets = {name: np.asarray(values, float) for name, values in codes.items()}
    every = np.concatenate(list(sets.values()))
    if every.ndim != 2 or min(every.shape) < 2:
        raise ValueError(f"codes have shape {every.shape}, expected two or more of two numbers")
    middle = every.mean(axis=0)
    _, size, axes_of = np.linalg.svd(every - middle, full_matrices=False)
    share = 100 * size**2 / max(float((size**2).sum()), 1e-12)
    figure = new_figure(4.9, 3.6)
    axes = figure.add_subplot()
    for i, (name, values) in enumerate(sets.items()):
        look = {"s": 16, "marker": MARKS[i % len(MARKS)], "linewidths": 0.8}
        colour = SERIES[i % len(SERIES)]
        axes.scatter(
            *(values - middle).dot(axes_of[:2].T).T, color=colour,
            label=f"{name.replace('_', ' ')}, {names[0]}", **look,
        )  # fmt: skip
        if others is not None:
            at = (np.asarray(others[name], float) - middle).dot(axes_of[:2].T)
            axes.scatter(
                *at.T, facecolors="none", edgecolors=colour,
                label=f"{name.replace('_', ' ')}, {names[1]}", **look,
            )  # fmt: skip
    axes.set(
        xlabel=f"Component 1 ({share[0]:.0f} % of the variance)",
        ylabel=f"Component 2 ({share[1]:.0f} %)",
    )
    figure.legend(loc="outside right upper")
    return figure
