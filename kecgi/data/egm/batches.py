"""Windows of electrograms for Keras, cut anew in each epoch."""

from __future__ import annotations

import keras
import numpy as np


class EGMCrops(keras.utils.PyDataset):
    """Batches of windows that begin at random times of recordings longer than a window.

    Where a window begins says nothing about the heart. So a recording of 4 s holds more than two
    windows of 2 s, and a model can't learn when beats come by heart.

    Parameters
    ----------
    egm : (recordings, time, node) array
        Scaled electrograms.
    rhythm : (recordings, rhythms) array, optional
        One-hot rhythms.
    samples : int
        Samples of a window.
    batch_size : int
        Windows in a batch.
    repeats : int
        Windows of each recording in an epoch.
    seed : int
        Root of all draws.
    """

    def __init__(
        self,
        egm: np.ndarray,
        rhythm: np.ndarray | None,
        samples: int,
        batch_size: int,
        *,
        repeats: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if egm.ndim != 3 or egm.shape[1] < samples:
            raise ValueError(
                f"electrograms have shape {egm.shape}, expected (recordings, time, node) with at "
                f"least {samples} times"
            )
        self.egm, self.rhythm, self.samples = egm, rhythm, samples
        self.batch_size, self.repeats, self.seed = batch_size, repeats, seed
        self.epoch = 0
        self._draw()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray]]:
        """Return a batch."""
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[part]
        times = self.starts[part, None] + np.arange(self.samples)
        batch = {"egm": self.egm[rows[:, None], times]}
        if self.rhythm is not None:
            batch["rhythm"] = self.rhythm[rows]
        return (batch,)

    def on_epoch_end(self) -> None:
        """Draw the next epoch's windows."""
        self.epoch += 1
        self._draw()

    def _draw(self) -> None:
        rng = np.random.default_rng((self.seed, self.epoch))
        self.order = rng.permutation(np.repeat(np.arange(len(self.egm)), self.repeats))
        self.starts = rng.integers(self.egm.shape[1] - self.samples + 1, size=len(self.order))


class LabelledCrops(EGMCrops):
    """The same windows, each with its rhythm as the target, for a classifier."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a batch of windows and one of one-hot rhythms."""
        (batch,) = super().__getitem__(index)
        return batch["egm"], batch["rhythm"]
