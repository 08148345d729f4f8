"""What makes a generated electrogram unlike the one it stands for, term by term.

Signals are (batch, time, channel), scaled to about [-1, 1]; each term is (batch,), a mean over time
and channels, so that terms of windows of any size weigh alike.
"""

import numpy as np
from keras import ops

STFT_SAMPLES = (256, 512)
"""Windows of the spectra; one that is longer than the signal takes all of it."""

HIGH_HZ = 40.0
"""Frequency above which what is not in the true signal is spurious: deflections end there."""

FLOOR = 1e-3
"""Magnitude below which a bin of a scaled signal's spectrum counts as empty."""


def mean_squared(true, predicted):
    """Mean squared error."""
    return ops.mean(ops.square(true - predicted), axis=(1, 2))


def gradient_l1(true, predicted):
    """Mean absolute error of the change from sample to sample: keeps deflections steep."""
    difference = true - predicted
    return ops.mean(ops.abs(difference[:, 1:] - difference[:, :-1]), axis=(1, 2))


def decorrelation(true, predicted):
    """One minus the mean over channels of the Pearson correlation over time.

    A channel that is flat in either signal counts as not correlated.
    """
    x = ops.subtract(true, ops.mean(true, axis=1, keepdims=True))
    y = ops.subtract(predicted, ops.mean(predicted, axis=1, keepdims=True))
    product = ops.mean(x * y, axis=1)
    power = ops.mean(ops.square(x), axis=1) * ops.mean(ops.square(y), axis=1)
    return 1.0 - ops.mean(product / ops.sqrt(power + 1e-12), axis=-1)


def spectral_terms(true, predicted, sampling_hz):
    """Mismatch of the log magnitudes of short-time spectra, and what is spuriously high.

    The mismatch is the mean absolute difference over all bins. Spurious is the mean excess of the
    predicted over the true log magnitude above ``HIGH_HZ``; 0 where there is nothing above.

    Parameters
    ----------
    true, predicted : tensor, shape (batch, time, channel)
    sampling_hz : float

    Returns
    -------
    tuple of two tensors, shape (batch,)
    """
    mismatch, spurious = 0.0, 0.0
    for size in STFT_SAMPLES:
        excess = log_spectra(predicted, size) - log_spectra(true, size)
        mismatch = mismatch + ops.mean(ops.abs(excess), axis=(1, 2, 3))
        high = np.flatnonzero(np.fft.rfftfreq(size, 1 / sampling_hz) > HIGH_HZ)
        if high.size:
            spurious = spurious + ops.mean(ops.relu(excess[:, :, high[0] :]), axis=(1, 2, 3))
    return mismatch / len(STFT_SAMPLES), spurious / len(STFT_SAMPLES)


def log_spectra(signals, size: int):
    """Natural logarithm of the magnitudes of a short-time Fourier transform.

    Frames overlap by a half or more. Those shorter than the signal have a Hann window; one that
    takes all of it has none, as in the log-spectral distance, and is filled up with zeros. A
    product with a fixed matrix: it has a gradient, and the same bits, on every backend.

    Parameters
    ----------
    signals : tensor, shape (batch, time, channel)
    size : int
        Samples of the transform.

    Returns
    -------
    tensor, shape (batch, frames, size // 2 + 1, channel)
    """
    samples = signals.shape[1]
    length = min(size, samples)
    count = 1 + -(-2 * (samples - length) // length)
    starts = np.linspace(0, samples - length, count).astype(int)
    frames = ops.stack([signals[:, start : start + length] for start in starts], axis=1)
    window = np.hanning(length + 2)[1:-1] if length < samples else np.ones(length)
    angle = 2 * np.pi / size * np.outer(np.arange(size // 2 + 1), np.arange(length))
    real, imaginary = (
        ops.matmul(ops.convert_to_tensor((wave * window).astype("float32")), frames)
        for wave in (np.cos(angle), np.sin(angle))
    )
    return 0.5 * ops.log(ops.square(real) + ops.square(imaginary) + FLOOR**2)
