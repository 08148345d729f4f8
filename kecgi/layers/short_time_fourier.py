"""Short-time Fourier transform as an orthonormal change of coordinates, and its inverse.

Frames of ``window`` samples overlap by half. They are weighted by the root of Hann's window before
the transform and again after its inverse; the squares of two neighbours add up to one, so that the
inverse is exact (Griffin & Lim, IEEE Transactions on Acoustics, Speech, and Signal Processing 32,
1984). The real numbers at frequency zero and at the highest one share a place, as real and
imaginary part, so that a frame has ``window / 2`` complex numbers.
"""

import numpy as np
from keras import ops


def frames_of(length: int, window: int) -> int:
    """Return the number of frames of a signal of `length` samples, a multiple of half a window."""
    return 2 * length // window + 1


def analyse(x, window: int):
    """Transform signals.

    Parameters
    ----------
    x : tensor, shape (batch, time, channels)
        Signals; their samples are a multiple of half a window.
    window : int
        Samples of a frame, an even number.

    Returns
    -------
    tensor, shape (batch, frames, window / 2, 2 * channels)
        Frames by frequencies; real parts of all channels, then imaginary ones.
    """
    half, channels = window // 2, x.shape[2]
    if window % 2 or x.shape[1] % half:
        raise ValueError(
            f"a signal of {x.shape[1]} samples is not a multiple of half a window, {window} / 2"
        )
    blocks = ops.pad(x, ((0, 0), (half, half), (0, 0)))
    blocks = ops.reshape(blocks, (-1, x.shape[1] // half + 2, half, channels))
    frames = ops.concatenate([blocks[:, :-1], blocks[:, 1:]], axis=2)
    turned = ops.transpose(frames, (0, 1, 3, 2))
    both = ops.matmul(turned, ops.convert_to_tensor(_matrix(window), dtype=x.dtype))
    both = ops.reshape(both, (-1, frames.shape[1], channels, 2, half))
    both = ops.transpose(both, (0, 1, 4, 3, 2))
    return ops.reshape(both, (-1, frames.shape[1], half, 2 * channels))


def synthesise(image, window: int):
    """Return signals (batch, time, channels) of what `analyse` returns, or of any such image."""
    half, frames, channels = window // 2, image.shape[1], image.shape[3] // 2
    both = ops.reshape(image, (-1, frames, half, 2, channels))
    both = ops.transpose(both, (0, 1, 4, 3, 2))
    both = ops.reshape(both, (-1, frames, channels, window))
    weighted = ops.matmul(both, ops.convert_to_tensor(_matrix(window).T, dtype=image.dtype))
    weighted = ops.transpose(weighted, (0, 1, 3, 2))
    blocks = weighted[:, :-1, half:] + weighted[:, 1:, :half]
    return ops.reshape(blocks, (-1, (frames - 1) * half, channels))


def _matrix(window: int) -> np.ndarray:
    """Weights and transform, (samples, real parts then imaginary ones)."""
    n, half = np.arange(window), window // 2
    angle = 2 * np.pi * np.outer(n, np.arange(half)) / window
    real, imaginary = np.cos(angle), np.sin(angle)
    imaginary[:, 0] = np.cos(np.pi * n)  # the highest frequency, where zero has no sine
    scale = np.full(half, np.sqrt(2 / window))
    scale[0] = np.sqrt(1 / window)
    weight = np.sin(np.pi * (n + 0.5) / window)[:, None]
    return weight * np.concatenate([scale * real, scale * imaginary], axis=1)
