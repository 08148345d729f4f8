"""Short pieces of pairs for Keras, as many batches whatever the number of pairs."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np


class PairCrops(keras.utils.PyDataset):
    """Batches of pieces that begin at random times of pairs of windows.

    Potentials and electrograms of one time belong together, so a piece is a pair as well. Training
    sets of different size are compared after as many steps, not after as many epochs.

    Parameters
    ----------
    pairs : mapping of str to (n, time, channel) arrays
        As from `kecgi.data.egm.pairs.PairScale.apply`.
    samples : int
        Samples of a piece.
    batch_size : int
        Pieces in a batch.
    steps : int
        Batches; every pair is drawn once before one is drawn again.
    seed : int
        Root of all draws.
    """

    def __init__(
        self,
        pairs: Mapping[str, np.ndarray],
        samples: int,
        batch_size: int,
        steps: int,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        count, longest = next(iter(pairs.values())).shape[:2]
        if not 1 <= samples <= longest:
            raise ValueError(f"samples is {samples}, expected 1 to {longest}, a window's length")
        self.pairs, self.samples, self.batch_size, self.steps = pairs, samples, batch_size, steps
        rng = np.random.default_rng(seed)
        rounds = range(-(-steps * batch_size // count))
        self.order = np.concatenate([rng.permutation(count) for _ in rounds])
        self.starts = rng.integers(longest - samples + 1, size=len(self.order))

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.steps

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray]]:
        """Return a batch."""
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[part, None]
        times = self.starts[part, None] + np.arange(self.samples)
        return ({name: values[rows, times] for name, values in self.pairs.items()},)
