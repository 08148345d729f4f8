"""Twice as many samples along time."""

import numpy as np
from keras import ops


def along_each_axis(function, x):
    """Apply a function of (batch, time, channels) along each axis but the first and the last."""
    if len(x.shape) == 3:
        return function(x)
    _, time, other, channels = x.shape
    x = function(ops.reshape(x, (-1, time, other * channels)))
    time = x.shape[1]
    x = function(ops.reshape(x, (-1, other, channels)))
    return ops.reshape(x, (-1, time, x.shape[1], channels))


def repeat_samples(x, factor: int = 2):
    """Repeat each sample of x (batch, time, channels) ``factor`` times."""
    return ops.repeat(x, factor, axis=1)


def interpolate_twice(x):
    """Interpolate x (batch, time, channels) linearly to twice the samples, ends kept.

    Sample i lies at ``i (L - 1) / (2 L - 1)`` of the L samples given, so that the first and last of
    both agree (PyTorch's ``align_corners``; image resizing in Keras aligns cells instead).

    Examples
    --------
    >>> interpolate_twice([[[0.0], [1.0], [4.0]]])  # 0, 0.4, 0.8, 1.6, 2.8, 4  # doctest: +SKIP
    """
    x = ops.convert_to_tensor(x)
    length = x.shape[1]
    if length == 1:
        return repeat_samples(x)
    # Between 2 L - 1 intervals and L - 1, output 2 k is at k - k / (2 L - 1) and 2 k + 1 at
    # k + (L - 1 - k) / (2 L - 1): each mixes two neighbours, so slices do instead of a gather.
    k = np.arange(length)[:, None]
    share = ops.convert_to_tensor(k / (2 * length - 1.0), dtype=x.dtype)
    later = ops.convert_to_tensor((length - 1.0 - k) / (2 * length - 1.0), dtype=x.dtype)
    before = ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
    after = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    even = x + share * (before - x)
    odd = x + later * (after - x)
    both = ops.stack([even, odd], axis=2)
    return ops.reshape(both, (-1, 2 * length, x.shape[2]))
