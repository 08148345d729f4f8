"""Scaled electrograms of simulations with their rhythms, as generators take them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from kecgi.data.scaling import AmplitudeScale

if TYPE_CHECKING:
    from kecgi.data.egm.store import EGMCohort


@dataclass(frozen=True, eq=False)
class EGMRecordings:
    """Electrograms of simulations, each a recording of several windows without a gap.

    Parameters
    ----------
    egm : ndarray of float32, shape (simulations, time, node)
        Electrograms, divided by `scale`.
    rhythm : ndarray of int, shape (simulations,)
        Index into `names`.
    simulation : ndarray of int, shape (simulations,)
        Row in the dataset.
    names : tuple of str
        Rhythms, in the order of one-hot rows.
    samples : int
        Samples of a window.
    sampling_hz : float
        Sampling rate.
    scale : AmplitudeScale
        One factor for all, so that generated signals can be taken to mV.
    """

    egm: np.ndarray
    rhythm: np.ndarray
    simulation: np.ndarray
    names: tuple[str, ...]
    samples: int
    sampling_hz: float
    scale: AmplitudeScale

    @classmethod
    def read(
        cls, cohort: EGMCohort, simulations: np.ndarray, scale: AmplitudeScale | None = None
    ) -> Self:
        """Read simulations of a dataset.

        Parameters
        ----------
        cohort : EGMCohort
            The dataset.
        simulations : ndarray of int
            Sorted rows, such as ``by_rhythm(cohort.rhythm).train``.
        scale : AmplitudeScale, optional
            That of the training recordings; by default these recordings' own.
        """
        config, simulations = cohort.config, np.asarray(simulations)
        labels = np.array([cohort.rhythm_names.index(name) for name in config.rhythms])
        rhythm = (cohort.rhythm[simulations][:, None] == labels).argmax(axis=1)
        egm = np.moveaxis(cohort.read("egm_mv", simulations), 2, 3)
        egm = egm.reshape(len(egm), -1, config.nodes)
        scale = AmplitudeScale.whole(egm) if scale is None else scale
        return cls(
            scale.apply(egm), rhythm, simulations, config.rhythms, config.samples,
            config.sampling_hz, scale,
        )  # fmt: skip

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.egm)

    def of(self, *names: str) -> Self:
        """Return the recordings of some rhythms, which then are the only ones.

        Raises
        ------
        ValueError
            Where there is no such rhythm.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            raise ValueError(f"rhythm {unknown[0]!r} is not one of {list(self.names)}")
        labels = np.array([self.names.index(name) for name in names])
        own = np.isin(self.rhythm, labels)
        return replace(
            self,
            egm=self.egm[own],
            rhythm=(self.rhythm[own][:, None] == labels).argmax(axis=1),
            simulation=self.simulation[own],
            names=names,
        )

    @property
    def count(self) -> int:
        """Windows in a recording."""
        return self.egm.shape[1] // self.samples

    @property
    def one_hot(self) -> np.ndarray:
        """Rhythm of each recording, (simulations, rhythms), float32."""
        return np.eye(len(self.names), dtype="float32")[self.rhythm]

    @property
    def windows(self) -> np.ndarray:
        """Windows, one after the other, (simulations * count, time, node), scaled."""
        egm = self.egm[:, : self.count * self.samples]
        return egm.reshape(-1, self.samples, egm.shape[2])

    @property
    def windows_mv(self) -> np.ndarray:
        """The same in mV as `kecgi.evaluate` takes them, (n, node, time)."""
        return self.in_mv(self.windows)

    def in_mv(self, windows: np.ndarray) -> np.ndarray:
        """Take scaled windows (n, time, node) to mV, (n, node, time)."""
        return np.swapaxes(self.scale.invert(windows), 1, 2)

    def scaled(self, windows_mv: np.ndarray) -> np.ndarray:
        """Take windows in mV, (n, node, time), to what models see, (n, time, node)."""
        return np.swapaxes(self.scale.apply(windows_mv), 1, 2)

    def pieces(self, every: int) -> np.ndarray:
        """Return windows that begin every so many samples, (beginnings * simulations, time, node).

        Those of one beginning follow each other, so that ``numpy.tile`` repeats what stands for
        each recording.
        """
        starts = range(0, self.egm.shape[1] - self.samples + 1, every)
        return np.concatenate([self.egm[:, start : start + self.samples] for start in starts])

    def per_window(self, values: np.ndarray) -> np.ndarray:
        """Repeat what stands for each recording, such as `rhythm`, for each of its windows."""
        return np.repeat(values, self.count, axis=0)

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Windows as `kecgi.models.EGMVAE` takes them, with rhythms where there are several."""
        data = {"egm": self.windows}
        if len(self.names) > 1:
            data["rhythm"] = self.per_window(self.one_hot)
        return data
