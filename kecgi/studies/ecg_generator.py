"""A trained generator of ECGs with all that its records need to be read, kept as one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np

from kecgi.data import ECGStore, LabelSchema, LeadScale, to_twelve
from kecgi.models.ecg_inputs import multi_hot

ABOUT = "generator.json"


@dataclass(frozen=True, eq=False)
class ECGGenerator:
    """A generator, the scale of its leads, its classes, and whom it was trained on.

    Parameters
    ----------
    model : keras.Model
        `ECGNVAE`, `WaveGAN`, `Pulse2Pulse` or another with ``classes`` and ``sample``.
    scale : LeadScale
        Of the leads that it generates.
    schema : LabelSchema
        Its classes.
    sampling_hz : float
        Sampling rate of its records.
    trained_on : sequence of str
        Who was in the training, as `whose` says it of training records.
    sampling : mapping
        Keyword arguments of ``sample``, such as temperatures.
    """

    model: keras.Model
    scale: LeadScale
    schema: LabelSchema
    sampling_hz: float
    trained_on: tuple[str, ...]
    sampling: Mapping[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name its weights and how it samples."""
        content = hashlib.sha256(json.dumps(self._about(), sort_keys=True).encode())
        for weights in self.model.get_weights():
            content.update(np.ascontiguousarray(weights))
        return content.hexdigest()[:12]

    def generate_mv(self, labels, seed: int | None = None, batch: int = 16) -> np.ndarray:
        """Generate a record for each row of labels.

        Parameters
        ----------
        labels : array, shape (n, classes), or names
            As in `kecgi.models.ecg_inputs.multi_hot`.
        seed : int, optional
            Seed of the noise.
        batch : int
            Records at a time.

        Returns
        -------
        ndarray of float32, shape (n, 12, time)
            In mV.
        """
        rows = multi_hot(labels, self.schema.names)
        drawn = self.model.sample({"labels": rows}, 1, seed, batch=batch, **self.sampling)[0]
        return to_twelve(self.scale.invert(drawn), self.scale.leads, axis=-1).swapaxes(1, 2)

    def saw(self, store: ECGStore, rows: np.ndarray) -> bool:
        """Whether it was trained on a heart or patient of some of a store's records."""
        known = np.isin(whose(store), self.trained_on)
        return bool(np.isin(store.group[rows], store.group[known]).any())

    def save(self, folder: str | Path) -> None:
        """Write ``model.keras`` and ``generator.json`` to a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / "model.keras")
        (folder / ABOUT).write_text(json.dumps(self._about(), indent=1) + "\n")

    def _about(self) -> dict:
        return {
            "scale": asdict(self.scale),
            "schema": asdict(self.schema),
            "sampling_hz": self.sampling_hz,
            "sampling": dict(self.sampling),
            "trained_on": sorted(set(map(str, self.trained_on))),
        }

    @classmethod
    def load(cls, path: str | Path) -> ECGGenerator:
        """Read what `save` wrote: its folder, or the model's file in it.

        Raises
        ------
        FileNotFoundError
            Where a file is missing.
        ValueError
            Where it is no generator.
        """
        path = Path(path)
        folder = path.parent if path.suffix == ".keras" else path
        for name in ("model.keras", ABOUT):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"no {name} in {folder}; train a generator with ecg_nvae.py or ecg_gan.py"
                )
        about = json.loads((folder / ABOUT).read_text())
        missing = {"scale", "schema", "sampling_hz", "sampling", "trained_on"} - set(about)
        if missing:
            raise ValueError(f"{folder / ABOUT} lacks {sorted(missing)}: it is no generator's")
        # its optimiser is not needed to generate
        model = keras.saving.load_model(folder / "model.keras", compile=False)
        return cls(
            model,
            LeadScale(**about["scale"]),
            LabelSchema(**about["schema"]),
            float(about["sampling_hz"]),
            tuple(about["trained_on"]),
            about["sampling"],
        )


def whose(store: ECGStore) -> np.ndarray:
    """Whose each record of a store is, in words that hold for other stores as well.

    A simulated heart is the same in all cohorts of one seed, whatever their size and sampling
    rate; a recorded ECG is known by its name.

    Returns
    -------
    ndarray of str, shape (n,)
    """
    if store.simulated:
        return np.array([f"seed {store.config.seed}, heart {heart}" for heart in store.group])
    return np.array([f"record {name}" for name in store.names])
