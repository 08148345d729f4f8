"""Codes in and out of a model as NumPy arrays."""

from collections.abc import Callable

import keras
import numpy as np

INFERENCE_BATCH = 64


def in_batches(function: Callable, number: int, batch: int = INFERENCE_BATCH):
    """Evaluate a function of case indices batch by batch and join what it returns.

    Called eagerly: a network this small gains little from a compiled graph, and one would be traced
    for each new size of the last batch.

    Parameters
    ----------
    function : callable
        From an index array (batch,) to a tensor, or a tuple of tensors, whose first axis is the
        batch.
    number : int
        Number of cases, at least 1.
    batch : int
        Cases at a time.

    Returns
    -------
    np.ndarray or tuple of np.ndarray
    """
    batches = np.array_split(np.arange(number), -(-number // batch))
    parts = [keras.tree.map_structure(keras.ops.convert_to_numpy, function(b)) for b in batches]
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def cases(inputs, rows: np.ndarray):
    """Return some cases of an array or of a dict of arrays."""
    return keras.tree.map_structure(lambda array: np.asarray(array)[rows], inputs)


def count(inputs) -> int:
    """Return the number of cases of an array or of a dict of arrays."""
    return len(keras.tree.flatten(inputs)[0])


def require_code(code: np.ndarray, latent_dim: int) -> None:
    """Raise a ValueError unless the axes are (..., batch, latent) and there is a code at all."""
    if code.ndim < 2 or code.shape[-1] != latent_dim or not code.size:
        raise ValueError(f"codes must have shape (..., batch, {latent_dim}), got {code.shape}")


def traversal(mean: np.ndarray, dimension: int, values) -> np.ndarray:
    """Return the codes (len(values), batch, latent) with one dimension set to each value."""
    latent_dim = mean.shape[-1]
    if not 0 <= dimension < latent_dim:
        raise ValueError(f"dimension must be between 0 and {latent_dim - 1}, got {dimension}")
    codes = np.repeat(mean[None], len(values), axis=0)
    codes[..., dimension] = np.asarray(values)[:, None]
    return codes
