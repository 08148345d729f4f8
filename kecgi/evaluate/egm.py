"""Are generated electrograms like real ones? Fidelity, distances of sets, and copies.

Windows are (n, channel, time) in mV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal, spatial, stats

from kecgi.evaluate.frechet import FeatureMap, frechet_distance, signal_statistics
from kecgi.evaluate.signals import log_spectral_distance, pearson

BAND_HZ = (0.5, 40.0)
"""Frequencies of the band-limited log-spectral distance."""

DOMINANT_HZ = (1.0, 15.0)
"""Where the dominant frequency of an atrium is looked for."""

STEEP = 0.3
"""A deflection falls at this share of the window's steepest fall, or steeper."""

REFRACTORY_MS = 60.0
"""Deflections of one channel are so far apart at least."""


def summarise_egm(true: ArrayLike, predicted: ArrayLike, sampling_hz: float) -> dict[str, float]:
    """Fidelity of reconstructed windows.

    Parameters
    ----------
    true, predicted : (n, channel, time) arrays
        In mV.
    sampling_hz : float
        Sampling rate.

    Returns
    -------
    dict
        ``lsd`` and ``lsd_band`` (natural logarithm, see `log_spectral_distance`); ``correlation``,
        Pearson over time, mean over channels, in which a flat output counts as 0.
    """
    correlation = pearson(true, predicted)
    flat_truth = np.ptp(np.asarray(true), axis=-1) == 0
    return {
        "lsd": log_spectral_distance(true, predicted),
        "lsd_band": log_spectral_distance(
            true, predicted, sampling_hz=sampling_hz, band_hz=BAND_HZ
        ),
        "correlation": float(np.nan_to_num(correlation)[~flat_truth].mean()),
    }


def dominant_frequency_hz(egm_mv: ArrayLike, sampling_hz: float) -> np.ndarray:
    """Dominant frequency of each channel, (n, channel).

    The largest peak between 1 and 15 Hz of the spectrum of the rectified slope, which has one bump
    a deflection whatever its shape (Hann window, zeros to 10 s).
    """
    egm = _checked(egm_mv)
    size = max(int(10 * sampling_hz), egm.shape[-1])
    hz = np.fft.rfftfreq(size, 1 / sampling_hz)
    inside = (hz >= DOMINANT_HZ[0]) & (hz <= DOMINANT_HZ[1])
    found = np.empty(egm.shape[:2])
    for i, window in enumerate(egm):  # one by one: spectra are longer than windows
        bumps = np.abs(np.diff(window, axis=-1))
        bumps = bumps - bumps.mean(axis=-1, keepdims=True)
        spectrum = np.abs(np.fft.rfft(bumps * np.hanning(bumps.shape[-1]), size)[:, inside])
        found[i] = hz[inside][spectrum.argmax(axis=-1)]
    return found


def deflection_counts(egm_mv: ArrayLike, sampling_hz: float) -> np.ndarray:
    """Count the activations of each channel, (n, channel): minima of dV/dt that are steep.

    Steep enough is a share of the channel's own steepest fall, and minima lie a refractory time
    apart. A channel without a fall has none.
    """
    egm = _checked(egm_mv)
    falls = -np.diff(egm, axis=-1)
    apart = max(1, int(REFRACTORY_MS * sampling_hz / 1000))
    flat = falls.reshape(-1, falls.shape[-1])
    padded = np.pad(flat, ((0, 0), (1, 1)))
    counts = [
        len(signal.find_peaks(row, height=STEEP * row.max(), distance=apart)[0])
        if row.max() > 0
        else 0
        for row in padded
    ]
    return np.array(counts).reshape(egm.shape[:2])


def activation_rate_hz(egm_mv: ArrayLike, sampling_hz: float) -> np.ndarray:
    """Median over channels of the deflections in a second, (n,)."""
    counts = deflection_counts(egm_mv, sampling_hz)
    return np.median(counts, axis=1) * sampling_hz / np.shape(egm_mv)[-1]


def coherence(egm_mv: ArrayLike) -> np.ndarray:
    """Inter-channel coherence, (n,): mean absolute correlation of pairs of channels."""
    egm = _checked(egm_mv)
    middle = egm - egm.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(middle, axis=-1, keepdims=True)
    unit = middle / np.where(norm > 0, norm, 1)
    pairs = np.triu_indices(egm.shape[1], 1)
    return np.array([np.abs(x @ x.T)[pairs].mean() for x in unit])


def egm_statistics(sampling_hz: float) -> FeatureMap:
    """Return a feature map of few dimensions: a window's sizes, spectrum, rate and coherence.

    Mean and standard deviation over the channels of the eight numbers of `signal_statistics`, of
    the dominant frequency and of the deflections in a second, and the mean coherence: 21 features,
    whatever the number of channels and whichever channel is which.
    """
    per_channel = signal_statistics(sampling_hz)

    def features(egm_mv: np.ndarray) -> np.ndarray:
        egm = _checked(egm_mv)
        each = per_channel.function(egm).reshape(len(egm), -1, egm.shape[1])
        rate = deflection_counts(egm, sampling_hz) * sampling_hz / egm.shape[-1]
        further = np.stack([dominant_frequency_hz(egm, sampling_hz), rate], axis=1)
        each = np.concatenate([each, further], axis=1)
        return np.concatenate(
            [each.mean(axis=-1), each.std(axis=-1), coherence(egm)[:, None]], axis=1
        )

    return FeatureMap("electrogram statistics", "1", per_channel.preprocessing, features)


def mmd_squared(first: ArrayLike, second: ArrayLike, width: float | None = None) -> float:
    """Unbiased squared maximum mean discrepancy with a Gaussian kernel.

    Parameters
    ----------
    first, second : (n, features) and (m, features) arrays
        At least two rows each.
    width : float, optional
        Standard deviation of the kernel; the median distance between rows of both sets by default.

    Returns
    -------
    float
        0 on average for sets of one distribution, so at times below.

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 13, 2012, lemma 6.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    n, m = len(first), len(second)
    if min(n, m) < 2 or first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"features have shapes {first.shape} and {second.shape}, expected two rows or more each"
        )
    both = np.concatenate([first, second])
    squared = spatial.distance.cdist(both, both, "sqeuclidean")
    if width is None:
        width = float(np.sqrt(np.median(squared[np.triu_indices(n + m, 1)])))
    kernel = np.exp(-squared / (2 * max(width, 1e-12) ** 2))
    within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def set_distances(
    real: ArrayLike, others: ArrayLike, features: FeatureMap, *, reference: ArrayLike
) -> dict[str, float | bool]:
    """Distances of two sets of windows on a feature map, scaled by a reference set.

    Parameters
    ----------
    real, others : (n, channel, time) arrays
        Windows in mV, such as held-out real ones and generated ones. Training windows as `others`
        give the floor: how far real ones are from real ones.
    features : FeatureMap
        Where the distances are measured.
    reference : (k, channel, time) array
        Windows, such as the training set, whose features' mean and standard deviation become 0
        and 1, so that each counts the same.

    Returns
    -------
    dict
        ``mmd2``, ``frechet`` and ``full_rank`` as of `kecgi.evaluate.frechet`.
    """
    found = (features.function(np.asarray(windows)) for windows in (real, others, reference))
    return feature_distances(*found)


def feature_distances(
    real: np.ndarray, others: np.ndarray, reference: np.ndarray
) -> dict[str, float | bool]:
    """Return what `set_distances` does of features, (n, features), that are there already."""
    middle, spread = reference.mean(axis=0), reference.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    real, others = (real - middle) / spread, (others - middle) / spread
    return {
        "mmd2": mmd_squared(real, others),
        "frechet": frechet_distance(real, others),
        "full_rank": min(len(real), len(others)) > real.shape[1],
    }


def nearest_rmse_mv(
    egm_mv: ArrayLike, training_mv: ArrayLike, different: ArrayLike | None = None
) -> np.ndarray:
    """Root mean square difference of each window from the nearest training window, (n,).

    Parameters
    ----------
    egm_mv, training_mv : (n, channel, time) and (m, channel, time) arrays
        Windows.
    different : (n, m) bool array, optional
        Which training windows count for which window, for example those of other simulations.
    """
    egm, training = _checked(egm_mv), _checked(training_mv)
    if egm.shape[1:] != training.shape[1:]:
        raise ValueError(f"windows have shapes {egm.shape} and {training.shape}, expected one size")
    first, second = (x.reshape(len(x), -1) for x in (egm, training))
    squared = spatial.distance.cdist(first, second, "sqeuclidean") / first.shape[1]
    if different is not None:
        squared = np.where(different, squared, np.inf)
    return np.sqrt(squared.min(axis=1))


def likeness(egm_mv: ArrayLike, recordings_mv: ArrayLike) -> np.ndarray:
    """Return how alike each window is to the piece of recordings most like it, (n,).

    The cosine of the angle between them as vectors of all channels and times, for pieces that begin
    at any sample: 1 is a copy, up to its size. A root mean square difference would call whatever is
    small alike.

    Parameters
    ----------
    egm_mv : (n, channel, time) array
        Windows.
    recordings_mv : (m, channel, longer time) array
        Recordings.
    """
    egm, recordings = _checked(egm_mv), _checked(recordings_mv)
    samples, longer = egm.shape[-1], recordings.shape[-1]
    if egm.shape[1] != recordings.shape[1] or longer < samples:
        raise ValueError(
            f"windows have shape {egm.shape} and recordings {recordings.shape}, expected as many "
            "channels and no less time"
        )
    power = np.pad(np.cumsum(np.square(recordings).sum(axis=1), axis=-1), ((0, 0), (1, 0)))
    size = np.sqrt(np.maximum(power[:, samples:] - power[:, :-samples], 1e-12))
    spectra, found = np.fft.rfft(recordings), np.zeros(len(egm))
    for i, window in enumerate(egm):
        crossed = np.einsum("mcf,cf->mf", spectra, np.conj(np.fft.rfft(window, longer)))
        product = np.fft.irfft(crossed, longer)[:, : longer - samples + 1]
        found[i] = (product / size).max() / max(np.linalg.norm(window), 1e-12)
    return found


def memorisation(held_out: ArrayLike, generated: ArrayLike, recordings: ArrayLike) -> dict:
    """Compare how alike generated and held-out windows are to the training recordings.

    Parameters
    ----------
    held_out, generated : (n, channel, time) arrays
        Windows in mV.
    recordings : (m, channel, longer time) array
        What was trained on, in mV.

    Returns
    -------
    dict of float
        ``likeness_held_out`` and ``likeness_generated``, medians of `likeness`; ``copied``, the
        share of generated windows more alike than each of the held-out ones; ``p_value`` of a
        one-sided Mann-Whitney test that generated ones are more alike.
    """
    return compare_likeness(likeness(held_out, recordings), likeness(generated, recordings))


def compare_likeness(held_out: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """Return what `memorisation` does of likenesses, (n,), that are there already."""
    test = stats.mannwhitneyu(generated, held_out, alternative="greater")
    return {
        "likeness_held_out": float(np.median(held_out)),
        "likeness_generated": float(np.median(generated)),
        "copied": float((generated > held_out.max()).mean()),
        "p_value": float(test.pvalue),
    }


def distribution_gaps(real: ArrayLike, others: ArrayLike, sampling_hz: float) -> dict[str, float]:
    """Wasserstein-1 distances of what single channels have, over all channels of two sets.

    ``amplitude_mv`` (peak to peak), ``dominant_hz``, ``deflections`` (in a second), and
    ``coherence`` of windows.
    """
    measures = {
        "amplitude_mv": lambda x: np.ptp(x, axis=-1).ravel(),
        "dominant_hz": lambda x: dominant_frequency_hz(x, sampling_hz).ravel(),
        "deflections": lambda x: (
            deflection_counts(x, sampling_hz).ravel() * (sampling_hz / x.shape[-1])
        ),
        "coherence": coherence,
    }
    real, others = _checked(real), _checked(others)
    return {
        name: float(stats.wasserstein_distance(measure(real), measure(others)))
        for name, measure in measures.items()
    }


def _checked(egm_mv: ArrayLike) -> np.ndarray:
    egm = np.asarray(egm_mv, float)
    if egm.ndim != 3:
        raise ValueError(f"electrograms have shape {egm.shape}, expected (n, channel, time)")
    return egm
