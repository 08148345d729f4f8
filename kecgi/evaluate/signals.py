"""Errors of potentials and other signals in time, shaped (..., channel, time)."""

import numpy as np
from numpy.typing import ArrayLike


def bspm_metrics(
    true: ArrayLike, predicted: ArrayLike, threshold: float = 0.2
) -> dict[str, np.ndarray]:
    """Compute the five metrics of the BSPM autoencoder's paper, of each signal.

    The paper names them without a formula. Here, with x the input and y the output over time:

    ``correlation``
        Pearson.
    ``mean_difference_percent``
        100 (mean y - mean x) / mean|x|.
    ``area_difference_percent``
        100 (mean|y| - mean|x|) / mean|x|: the area between signal and time axis.
    ``max_amplitude_difference_percent``
        100 (max|y| - max|x|) / max|x|.
    ``first_peak_sign``
        1 where the first peak has the same sign in x and y, else 0. The first peak is the first
        that reaches 20 % of the signal's own largest magnitude; its sign is that of the first
        sample which does.

    Parameters
    ----------
    true, predicted : (..., channel, time) arrays
        In mV about an isoelectric zero. Undo a scaling to [0, 1] first: areas, amplitudes and
        signs mean nothing about a shifted zero.
    threshold : float
        Share of the largest magnitude that makes a peak.

    Returns
    -------
    dict of (..., channel) arrays; NaN where undefined (a flat input; a flat output has no
    correlation, and a wrong first peak).

    References
    ----------
    Bacoyannis et al., FIMH 2019, 10.1007/978-3-030-21949-9_3, section 4.1.
    """
    x, y = _pair(true, predicted)
    area = _nonzero(np.abs(x).mean(axis=-1))
    amplitude = _nonzero(np.abs(x).max(axis=-1))
    same = _first_sign(x, threshold) == _first_sign(y, threshold)
    return {
        "correlation": pearson(x, y),
        "mean_difference_percent": 100 * (y.mean(axis=-1) - x.mean(axis=-1)) / area,
        "area_difference_percent": 100 * (np.abs(y).mean(axis=-1) - area) / area,
        "max_amplitude_difference_percent": 100 * (np.abs(y).max(axis=-1) - amplitude) / amplitude,
        "first_peak_sign": np.where(np.isnan(area), np.nan, same),
    }


def summarise_bspm(true: ArrayLike, predicted: ArrayLike) -> dict[str, float | None]:
    """Means over all signals of `bspm_metrics`, ready for JSON.

    ``first_peak_sign_percent`` is the share of signals with the right sign. ``…_median`` of the
    three differences stand beside the means, which weak channels can dominate. What is undefined
    (all inputs flat) is None.
    """
    metrics = bspm_metrics(true, predicted)
    metrics["first_peak_sign_percent"] = 100 * metrics.pop("first_peak_sign")
    summary: dict[str, float | None] = {}
    for name, values in metrics.items():
        values = values[np.isfinite(values)]
        summary[name] = float(values.mean()) if values.size else None
        if name.endswith("difference_percent"):
            summary[f"{name}_median"] = float(np.median(values)) if values.size else None
    return summary


def pearson(true: ArrayLike, predicted: ArrayLike, axis: int = -1) -> np.ndarray:
    """Pearson correlation along an axis (-1: temporal, -2: spatial); NaN where one is constant."""
    x, y = _pair(true, predicted)
    x = x - x.mean(axis=axis, keepdims=True)
    y = y - y.mean(axis=axis, keepdims=True)
    norms = _nonzero(np.linalg.norm(x, axis=axis)) * _nonzero(np.linalg.norm(y, axis=axis))
    return (x * y).sum(axis=axis) / norms


def relative_error(true: ArrayLike, predicted: ArrayLike, axis: int = -1) -> np.ndarray:
    """‖x - y‖ / ‖x‖ along an axis (-1: temporal, -2: spatial); NaN where x is zero."""
    x, y = _pair(true, predicted)
    return np.linalg.norm(x - y, axis=axis) / _nonzero(np.linalg.norm(x, axis=axis))


def rdm_star(true: ArrayLike, predicted: ArrayLike, axis: int = -2) -> np.ndarray:
    """Relative difference measure, ‖x / ‖x‖ - y / ‖y‖‖: error of shape, from 0 to 2.

    References
    ----------
    Meijs et al., IEEE Trans. Biomed. Eng. 36, 1989, 10.1109/10.40805.
    """
    x, y = _pair(true, predicted)
    x = x / _nonzero(np.linalg.norm(x, axis=axis, keepdims=True))
    y = y / _nonzero(np.linalg.norm(y, axis=axis, keepdims=True))
    return np.linalg.norm(x - y, axis=axis)


def magnitude_ratio(true: ArrayLike, predicted: ArrayLike, axis: int = -2) -> np.ndarray:
    """MAG, ‖y‖ / ‖x‖: error of magnitude; 1 is right."""
    x, y = _pair(true, predicted)
    return np.linalg.norm(y, axis=axis) / _nonzero(np.linalg.norm(x, axis=axis))


def summarise_potentials(true: ArrayLike, predicted: ArrayLike) -> dict[str, dict[str, float]]:
    """Median and quartiles of spatial and temporal correlation and error, RDM* and MAG.

    Parameters
    ----------
    true, predicted : (..., channel, time) arrays

    Returns
    -------
    dict
        ``spatial_cc``, ``spatial_re``, ``rdm_star``, ``mag`` (over channels, per time sample) and
        ``temporal_cc``, ``temporal_re`` (over time, per channel), each with ``median``, ``q25``
        and ``q75``.
    """
    values = {
        "spatial_cc": pearson(true, predicted, axis=-2),
        "spatial_re": relative_error(true, predicted, axis=-2),
        "temporal_cc": pearson(true, predicted, axis=-1),
        "temporal_re": relative_error(true, predicted, axis=-1),
        "rdm_star": rdm_star(true, predicted),
        "mag": magnitude_ratio(true, predicted),
    }
    return {
        name: dict(
            zip(
                ("q25", "median", "q75"),
                np.nanquantile(value, [0.25, 0.5, 0.75]).tolist(),
                strict=True,
            )
        )
        for name, value in values.items()
    }


def log_spectral_distance(
    true: ArrayLike,
    predicted: ArrayLike,
    *,
    sampling_hz: float | None = None,
    band_hz: tuple[float, float] | None = None,
) -> float:
    """Log-spectral distance, mean over windows and channels.

    Of each signal sqrt(mean_f (ln(|X| + 1e-8) - ln(|Y| + 1e-8))²), X and Y its discrete Fourier
    transforms: natural logarithm of the amplitude, 1 is 8.69 dB.

    Parameters
    ----------
    true, predicted : (..., time) arrays
        Windows of signals.
    sampling_hz : float, optional
        Needed with `band_hz`.
    band_hz : (low, high), optional
        Frequencies that count, bounds included; e.g. (0.5, 40), since nearly empty bins above
        dominate the full distance.

    Returns
    -------
    float
    """
    x, y = _pair(true, predicted)
    counts = slice(None)
    if band_hz is not None:
        if sampling_hz is None:
            raise ValueError("band_hz needs sampling_hz")
        frequency = np.fft.rfftfreq(x.shape[-1], 1 / sampling_hz)
        counts = (frequency >= band_hz[0]) & (frequency <= band_hz[1])
        if not counts.any():
            raise ValueError(
                f"no frequency in {band_hz} Hz: {x.shape[-1]} samples at {sampling_hz} Hz resolve "
                f"{frequency[1]:.3g} Hz up to {frequency[-1]:.3g} Hz"
            )
    difference = [np.log(np.abs(np.fft.rfft(s)[..., counts]) + 1e-8) for s in (x, y)]
    squares = (difference[0] - difference[1]) ** 2
    return float(np.sqrt(squares.mean(axis=-1)).mean())


def _first_sign(x: np.ndarray, threshold: float) -> np.ndarray:
    """Sign of the first peak: |x| cannot leave a peak for one of the other sign but through 0."""
    size = np.abs(x)
    first = np.argmax(size >= threshold * size.max(axis=-1, keepdims=True), axis=-1)
    return np.sign(np.take_along_axis(x, first[..., None], axis=-1))[..., 0]


def _pair(true: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(true, dtype=float), np.asarray(predicted, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"shapes differ: true {x.shape}, predicted {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("signals must be finite; leave out lost channels before comparing")
    return x, y


def _nonzero(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)
