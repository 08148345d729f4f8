"""Batches for Keras, streamed from a store of any size.

Fetching shuffled cases one by one is slow, since each costs the decoding of a whole chunk. So the
order is shuffled in two steps: the chunks, and then the examples of a few chunks at a time, which
are held in memory while they are used.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import keras
import numpy as np

from kecgi.data.noise import add_noise
from kecgi.data.scaling import MapScale, SignalScale
from kecgi.data.slices import coarsen
from kecgi.data.store import Cohort

_ORDER, _EXAMPLE = 0, 1  # first element of the spawn keys


class CaseBatches(keras.utils.PyDataset):
    """Batches of examples, each made from one case. Base of the views below.

    A view says in `load` what it needs of some cases, and in `example` how one item becomes the
    arrays of one example. Batches are dicts of stacked examples; the last one may be short. Two
    epochs of a training view differ in order and in whatever `example` draws; an evaluation view
    always gives the same batches, in the order of its items.

    Keras's workers can't be set: with more than one, Keras 3.15 peeks into a dataset before
    training and hands the batches it has peeked at out again, in place of others.

    Parameters
    ----------
    cohort : Cohort
        The store.
    items : ndarray of int, shape (n,) or (n, 2)
        Cases, or rows (case, slice) as from `kecgi.data.slice_index`; sorted, without repeats.
    batch_size : int
        Examples in a batch.
    training : bool
        Shuffle anew, and draw anew, in each epoch.
    seed : int
        Root of all draws.
    buffer_chunks : int
        Chunks among which examples are shuffled. Up to twice as many are in memory, each with what
        `load` returns for the cases of a chunk (64 or fewer).

    Attributes
    ----------
    epoch : int
        Counts the ends of epochs that Keras has reported; `fit` reports one at its start as well.
        Set it before `fit`, to the number of epochs done, to resume a training.

    Raises
    ------
    IndexError, ValueError
        Where an item is no case of the cohort, items aren't sorted, or a number is not positive.
    """

    def __init__(
        self,
        cohort: Cohort,
        items: np.ndarray,
        batch_size: int,
        *,
        training: bool = False,
        seed: int = 0,
        buffer_chunks: int = 4,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("buffer_chunks", buffer_chunks)):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        items = np.asarray(items)
        if items.ndim not in (1, 2) or not len(items) or items.shape[1:] not in ((), (2,)):
            raise ValueError(
                f"items have shape {items.shape}, expected (n,) cases or (n, 2) slices"
            )
        cases = items.reshape(len(items), -1)[:, 0]
        if cases.min() < 0 or cases.max() >= len(cohort):
            raise IndexError(f"cases {cases.min()} to {cases.max()} of a cohort of {len(cohort)}")
        if len(np.unique(items, axis=0)) < len(items) or np.any(np.diff(cases) < 0):
            raise ValueError("items must be sorted by case, without repeats")
        self.cohort = cohort
        self.items = items
        self.cases = cases
        self.batch_size = batch_size
        self.training = training
        self.seed = seed
        self.buffer_chunks = buffer_chunks
        self.epoch = 0
        self._chunk = cases // cohort.layout.block_cases
        self._resident: OrderedDict[int, tuple[np.ndarray, dict[str, np.ndarray]]] = OrderedDict()
        self._order: tuple[int, np.ndarray] | None = None
        self._asked: dict[int, int] = {}  # batches of this epoch, numbered as they are asked for
        self._lock = threading.Lock()

    def load(self, cases: np.ndarray) -> dict[str, np.ndarray]:
        """Read what the view needs of some cases of one chunk; one row per case in each array."""
        raise NotImplementedError

    def example(
        self, case: dict[str, np.ndarray], item: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Turn one item into one example.

        Parameters
        ----------
        case : dict of ndarray
            The case's row of each array from `load`; not to be changed.
        item : ndarray
            The case's index, or its index and slice.
        rng : numpy.random.Generator
            A stream of the case's own; new in each epoch of a training, else fixed. The slices of
            a case share it, as they share its BSPM.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        return -(-len(self.items) // self.batch_size)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        epoch = 0
        if self.training:
            # `fit` asks for batches in a random order of its own, which would defeat the buffer:
            # they are counted as they are asked for
            with self._lock:
                epoch, index = self.epoch, self._asked.setdefault(index, len(self._asked))
        chosen = self._epoch_order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        examples: list[dict[str, np.ndarray]] = [{}] * len(chosen)
        chunks = self._chunk[chosen]
        # chunk by chunk and in order of use, so that those of the last buffer are left first
        for chunk in dict.fromkeys(chunks.tolist()):
            cases, arrays = self._load_chunk(chunk)
            for place in np.flatnonzero(chunks == chunk):
                number = chosen[place]
                row = int(np.searchsorted(cases, self.cases[number]))
                key = (_EXAMPLE, epoch, int(self.cases[number]))
                rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
                case = {name: array[row] for name, array in arrays.items()}
                examples[place] = self.example(case, self.items[number], rng)
        return {name: np.stack([e[name] for e in examples]) for name in examples[0]}

    def on_epoch_end(self) -> None:
        """Count the epoch; Keras calls this."""
        with self._lock:
            self.epoch += 1
            self._asked.clear()

    def all(self) -> dict[str, np.ndarray]:
        """Return all batches as one, in memory: for sets that are small, such as for evaluation."""
        batches = list(self)
        return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}

    def _epoch_order(self, epoch: int) -> np.ndarray:
        """Order of the items in an epoch."""
        if not self.training:
            return np.arange(len(self.items))
        known = self._order
        if known is None or known[0] != epoch:
            key = (_ORDER, epoch)
            rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
            chunks = rng.permutation(np.unique(self._chunk))
            buffers = np.split(chunks, range(self.buffer_chunks, len(chunks), self.buffer_chunks))
            parts = [rng.permutation(np.flatnonzero(np.isin(self._chunk, b))) for b in buffers]
            self._order = known = (epoch, np.concatenate(parts))
        return known[1]

    def _load_chunk(self, chunk: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Cases of a chunk and their arrays, from memory where they are still there."""
        with self._lock:
            if chunk not in self._resident:
                # a batch may lie across two buffers: keep the chunks of both
                while len(self._resident) >= 2 * self.buffer_chunks:
                    self._resident.popitem(last=False)
                cases = np.unique(self.cases[self._chunk == chunk])
                self._resident[chunk] = (cases, self.load(cases))
            self._resident.move_to_end(chunk)
            return self._resident[chunk]


class BSPMBatches(CaseBatches):
    """Body-surface potentials as images: "bspm", (batch, electrode, time, 1). For `BSPMVAE`.

    Parameters
    ----------
    cohort, items, batch_size, **kwargs
        As in `CaseBatches`; items are cases.
    scale : SignalScale
        Scale of the potentials.
    snr_db : float, optional
        Signal-to-noise ratio; no noise by default.
    """

    def __init__(
        self,
        cohort: Cohort,
        items: np.ndarray,
        batch_size: int,
        scale: SignalScale,
        *,
        snr_db: float | None = None,
        **kwargs,
    ) -> None:
        super().__init__(cohort, items, batch_size, **kwargs)
        self.scale = scale
        self.snr_db = snr_db

    def load(self, cases: np.ndarray) -> dict[str, np.ndarray]:
        """Read the potentials."""
        return {"bspm": self.cohort.read("bspm_mv", cases)}

    def example(self, case, item, rng) -> dict[str, np.ndarray]:
        """Add noise and scale."""
        return {"bspm": signal_image(case["bspm"], self.scale, self.snr_db, rng)}


class ActivationBatches(CaseBatches):
    """Maps and their masks: "activation" and "mask", (batch, *map, 1). For `ActivationVAE`.

    Parameters
    ----------
    cohort, items, batch_size, **kwargs
        As in `CaseBatches`. Cases give 3-D maps, (case, slice) rows give 2-D ones.
    map_scale : MapScale
        Scale of the maps; the background is 0.
    axis : {0, 1, 2}
        Axis across the slices.
    factor : int
        Coarsening of 3-D maps, see `kecgi.data.coarsen`.
    """

    def __init__(
        self,
        cohort: Cohort,
        items: np.ndarray,
        batch_size: int,
        map_scale: MapScale,
        *,
        axis: int = 2,
        factor: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(cohort, items, batch_size, **kwargs)
        shape = cohort.config.shape
        if axis not in (0, 1, 2):
            raise ValueError(f"axis is {axis}, expected 0, 1 or 2")
        if factor < 1 or any(n % factor for n in shape):
            raise ValueError(f"factor is {factor}, expected a divisor of the grid {shape}")
        if self.items.ndim == 2:
            low, high = self.items[:, 1].min(), self.items[:, 1].max()
            if factor > 1:
                raise ValueError(f"factor is {factor}, but slices are not coarsened; expected 1")
            if low < 0 or high >= shape[axis]:
                raise IndexError(f"slices {low} to {high} of {shape[axis]} on axis {axis}")
        self.map_scale = map_scale
        self.axis = axis
        self.factor = factor

    def load(self, cases: np.ndarray) -> dict[str, np.ndarray]:
        """Read the maps, coarser where asked."""
        maps = self.cohort.read("activation_ms", cases)
        if self.factor > 1:
            maps = np.stack([coarsen(m, self.factor) for m in maps])
        return {"activation": maps}

    def example(self, case, item, rng) -> dict[str, np.ndarray]:
        """Cut the slice and scale."""
        activation = case["activation"]
        if np.ndim(item):
            activation = np.take(activation, item[1], axis=self.axis)
        mask = np.isfinite(activation)
        scaled = np.where(mask, self.map_scale.apply(activation), 0).astype(np.float32)
        return {"activation": scaled[..., None], "mask": mask[..., None].astype(np.float32)}


class ConditionalBatches(ActivationBatches):
    """Maps, masks and potentials: "activation", "mask" and "bspm". For `ActivationCVAE`.

    Parameters
    ----------
    cohort, items, batch_size, map_scale, **kwargs
        As in `ActivationBatches`.
    signal_scale : SignalScale
        Scale of the potentials.
    snr_db : float, optional
        Signal-to-noise ratio of the potentials; no noise by default.
    """

    def __init__(
        self,
        cohort: Cohort,
        items: np.ndarray,
        batch_size: int,
        map_scale: MapScale,
        signal_scale: SignalScale,
        *,
        snr_db: float | None = None,
        **kwargs,
    ) -> None:
        super().__init__(cohort, items, batch_size, map_scale, **kwargs)
        self.signal_scale = signal_scale
        self.snr_db = snr_db

    def load(self, cases: np.ndarray) -> dict[str, np.ndarray]:
        """Read maps and potentials."""
        return {**super().load(cases), "bspm": self.cohort.read("bspm_mv", cases)}

    def example(self, case, item, rng) -> dict[str, np.ndarray]:
        """Cut the slice, add noise and scale."""
        bspm = signal_image(case["bspm"], self.signal_scale, self.snr_db, rng)
        return {**super().example(case, item, rng), "bspm": bspm}


def signal_image(
    bspm_mv: np.ndarray, scale: SignalScale, snr_db: float | None, rng: np.random.Generator
) -> np.ndarray:
    """Potentials of one case, noisy and scaled, with a channel axis at the end."""
    noisy = bspm_mv if snr_db is None else add_noise(bspm_mv, snr_db, rng)
    return scale.apply(noisy)[..., None].astype(np.float32)
