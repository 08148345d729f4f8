"""How generators of electrograms are judged and shown, the same for each.

Windows are (n, node, time) in mV, as `kecgi.evaluate` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kecgi.data.egm.recordings import EGMRecordings
from kecgi.evaluate.baselines import truncated_svd
from kecgi.evaluate.egm import (
    compare_likeness,
    distribution_gaps,
    egm_statistics,
    feature_distances,
    likeness,
    summarise_egm,
)
from kecgi.evaluate.selection import Plausibility, nearest_to_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EVERY = 40
"""Samples between the beginnings of the training windows that baselines know."""

KEPT = 1 / 8
"""Share of generated windows that is selected at the most: the paper keeps 25 of 200."""

LABELS = {"vae": "VAE"}
"""What figures call a generator, where it is not its name."""

CHANNELS = 6
"""Nodes that figures show."""


def judge_reconstruction(
    known: EGMRecordings, asked: EGMRecordings, output_mv: np.ndarray, components: int
) -> dict[str, Any]:
    """Fidelity of reconstructed windows, also by rhythm, beside what needs no network.

    Parameters
    ----------
    known, asked : EGMRecordings
        What was trained on, and what was reconstructed.
    output_mv : ndarray, shape (n, node, time)
        The reconstructions of ``asked.windows_mv``.
    components : int
        Of the principal-component baseline: the size of the model's code.

    Returns
    -------
    dict
        As of `kecgi.evaluate.summarise_egm`, of the model, of ``baselines`` by name, and
        ``by_rhythm``.
    """
    true, rhythm = asked.windows_mv, asked.per_window(asked.rhythm)
    rivals = baselines(known, asked, components)
    return {
        **summarise_egm(true, output_mv, asked.sampling_hz),
        "baselines": {
            name: summarise_egm(true, windows, asked.sampling_hz)
            for name, windows in rivals.items()
        },
        "by_rhythm": {
            name: summarise_egm(true[rhythm == i], output_mv[rhythm == i], asked.sampling_hz)
            for i, name in enumerate(asked.names)
        },
    }


def baselines(known: EGMRecordings, asked: EGMRecordings, components: int) -> dict[str, np.ndarray]:
    """Reconstruct windows by the mean training window, the nearest, and principal components.

    Training windows begin all along the recordings, as they do for the networks.

    Returns
    -------
    dict of str to ndarray, shape (n, node, time)
        In mV, under "mean", "nearest" and "pca".
    """
    pieces, windows = known.pieces(EVERY), asked.windows
    mean = pieces.mean(axis=0)
    first, second = ((x - mean).reshape(len(x), -1) for x in (pieces, windows))
    squared = (first**2).sum(axis=1) - 2 * second @ first.T
    axes = truncated_svd(first, components)[2]
    found = {
        "mean": np.broadcast_to(mean, windows.shape),
        "nearest": pieces[np.argmin(squared, axis=1)],
        "pca": (second @ axes @ axes.T).reshape(windows.shape) + mean,
    }
    return {name: known.in_mv(values) for name, values in found.items()}


def judge_generated(
    known: EGMRecordings, held_out: EGMRecordings, made: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Any]:
    """Distances from real windows kept out, copies, and what selection makes of them.

    Beside each generator's windows stand the training windows, whose distance is the floor; and two
    selections of as many windows: the first plausible ones, and those nearest to training windows,
    which is the paper's rule.

    Parameters
    ----------
    known, held_out : EGMRecordings
        What was trained on, and what nothing was trained on.
    made : mapping of str to mappings of str to ndarray
        Generated windows, of at least two of each rhythm, by the generator and the rhythm.

    Returns
    -------
    dict
        ``features``; for ``floor``, each generator, and each with ``_plausible`` and ``_nearest``,
        figures of `set_distances` and `distribution_gaps`, and, save for the floor, of
        `memorisation`, each after a name and ``_``; and ``{generator}_share_plausible``. A
        selection of fewer than two windows has no figures.
    """
    hz = known.sampling_hz
    real, train = held_out.windows_mv, known.windows_mv
    recordings = known.in_mv(known.egm)
    features = egm_statistics(hz)
    real_features, train_features = features.function(real), features.function(train)
    real_likeness = likeness(real, recordings)
    result = {"features": f"{features.name} {features.version}, standardised"}

    def add(name, windows, found):
        figures = feature_distances(real_features, found, train_features)
        figures |= distribution_gaps(real, windows, hz)
        result.update({f"{name}_{key}": value for key, value in figures.items()})

    add("floor", train, train_features)
    for generator, by_rhythm in made.items():
        windows = np.concatenate(list(by_rhythm.values()))
        found, alike = features.function(windows), likeness(windows, recordings)
        rows = {"": np.arange(len(windows))} | selections(known, by_rhythm)
        shares = rows.pop("shares")
        result[f"{generator}_share_plausible"] = float(np.mean(shares))
        for rule, chosen in rows.items():
            if len(chosen) < 2:
                continue
            name = generator + rule
            add(name, windows[chosen], found[chosen])
            copies = compare_likeness(real_likeness, alike[chosen])
            result |= {f"{name}_{key}": value for key, value in copies.items()}
    return result


def selections(known: EGMRecordings, by_rhythm: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Select windows of all rhythms: rows under "_plausible" and "_nearest", and "shares"."""
    first, rows = 0, {"_plausible": [], "_nearest": [], "shares": []}
    for rhythm, windows in by_rhythm.items():
        chosen = select(known.of(rhythm), windows)
        for rule in ("plausible", "nearest"):
            rows[f"_{rule}"].extend(first + chosen[rule])
        rows["shares"].append(chosen["share"])
        first += len(windows)
    return rows


def select(known: EGMRecordings, windows_mv: np.ndarray) -> dict[str, Any]:
    """Select windows of one rhythm by plausibility, and as many by the paper's rule.

    Parameters
    ----------
    known : EGMRecordings
        Training recordings of that rhythm, of two simulations or more.
    windows_mv : ndarray, shape (n, node, time)
        Generated windows.

    Returns
    -------
    dict
        Indices under "plausible" and "nearest", `KEPT` of all at the most, and the "share" that is
        plausible.
    """
    train = known.windows_mv
    rule = Plausibility.fit(train, known.per_window(known.simulation), known.sampling_hz)
    passed = rule.select(windows_mv)
    plausible = passed[: max(2, round(KEPT * len(windows_mv)))]
    nearest = nearest_to_training(windows_mv, train, max(len(plausible), 1))
    return {
        "plausible": plausible,
        "nearest": nearest[: len(plausible)],
        "share": len(passed) / len(windows_mv),
    }


def electrogram_figures(
    asked: EGMRecordings, output_mv: np.ndarray, made: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Figure]:
    """Draw electrograms and spectra of each rhythm: real, reconstructed, generated.

    Parameters
    ----------
    asked, output_mv
        As in `judge_reconstruction`.
    made
        As in `judge_generated`.
    """
    from kecgi import figures

    time_ms = np.arange(asked.samples) * 1000 / asked.sampling_hz
    rhythm, simulation = asked.per_window(asked.rhythm), asked.per_window(asked.simulation)
    shown = {}
    for i, name in enumerate(asked.names):
        own = {
            "real, kept out": asked.windows_mv[rhythm == i],
            "reconstructed": output_mv[rhythm == i],
            **{LABELS.get(n, n): by_rhythm[name] for n, by_rhythm in made.items()},
        }
        shown[f"egm_{name}"] = figures.rhythm_traces(
            {what: windows[0, :CHANNELS] for what, windows in own.items()},
            time_ms,
            [f"node {k + 1}" for k in range(CHANNELS)],
            title=f"Unipolar electrograms, {name.replace('_', ' ')}; kept out: simulation "
            f"{simulation[rhythm == i][0]}",
        )
        shown[f"spectra_{name}"] = figures.rhythm_spectra(
            {what: np.concatenate(list(windows)) for what, windows in own.items()},
            asked.sampling_hz,
        )
    return shown


def latent_figure(vae, known: EGMRecordings, made: Mapping[str, np.ndarray]) -> Figure:
    """Draw where the codes of training windows and of generated ones lie.

    Parameters
    ----------
    vae : kecgi.models.EGMVAE
        The autoencoder.
    known : EGMRecordings
        What it was trained on.
    made : mapping of str to ndarray
        Generated windows by rhythm.
    """
    from kecgi import figures

    return figures.latent_by_rhythm(
        {name: vae.encode({"egm": known.of(name).windows})[0] for name in known.names},
        {name: vae.encode({"egm": known.scaled(w)})[0] for name, w in made.items()},
        names=("real, training", "generated"),
    )
