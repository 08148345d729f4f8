"""The classifier that judges ECGs, XResNet1d101: trained many times over, its best epoch kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import keras
import numpy as np

from kecgi.evaluate import FeatureMap, auroc
from kecgi.models import xresnet1d101
from kecgi.models.xresnet1d import DEPTHS


@dataclass(frozen=True)
class JudgeSize:
    """Size of the network, and how it is trained.

    Parameters
    ----------
    depths : tuple of int
        Blocks of each stage.
    width : int
        Channels inside the blocks.
    dropout : float
        Share of the features dropped before the dense layer.
    epochs, batch : int
        Passes over the training records, and records in a step.
    learning_rate, weight_decay : float
        Of AdamW.
    """

    depths: tuple[int, ...] = DEPTHS
    width: int = 64
    dropout: float = 0.5
    epochs: int = 10
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2


PAPER = JudgeSize()
"""As in cNVAE-ECG (arXiv 2503.13469)."""

SMALL = JudgeSize((1, 1, 1, 1), 16, 0.2, epochs=8, batch=32, learning_rate=5e-3)
"""The same network with one block a stage and a quarter of the channels, for two cores."""


class Judge:
    """A classifier of 12-lead ECGs that is compiled once and trained as often as is asked.

    Parameters
    ----------
    classes : int
        Number of labels.
    length : int
        Samples of a record.
    size : JudgeSize
        Size of the network, and how it is trained.

    Attributes
    ----------
    model : keras.Model
        From (batch, length, 12) in mV to logits (batch, classes).
    """

    def __init__(self, classes: int, length: int, size: JudgeSize = PAPER) -> None:
        self.classes, self.length, self.size = classes, length, size
        self.model = self._untrained()
        optimizer = keras.optimizers.AdamW(size.learning_rate, size.weight_decay)
        self.model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
        optimizer.build(self.model.trainable_variables)
        self._optimizer_start = [np.array(_numpy(v)) for v in optimizer.variables]

    def train(
        self,
        ecg_mv: np.ndarray,
        labels: np.ndarray,
        validation: tuple[np.ndarray, np.ndarray],
        seed: int = 0,
        start: list[list[np.ndarray]] | None = None,
    ) -> list[float]:
        """Train anew, and keep the weights of the epoch that is best in validation.

        What comes out depends on the arguments alone, not on earlier trainings.

        Parameters
        ----------
        ecg_mv : ndarray, shape (n, time, 12)
            Training records, mV.
        labels : ndarray, shape (n, classes)
            Their labels, multi-hot.
        validation : (ndarray, ndarray)
            Records and labels that choose the epoch.
        seed : int
            Seed of weights, order and dropout.
        start : list, optional
            What `state` returned after another training, of a judge of the same size: all layers
            but the last begin so.

        Returns
        -------
        list of float
            Macro AUROC in validation after each epoch; over the classes that have positives and
            negatives there.

        Raises
        ------
        ValueError
            Where records and labels don't fit, or validation has no class with positives and
            negatives.
        """
        ecg_mv, labels = self._checked(ecg_mv, labels)
        asked, truth = self._checked(*validation)
        self._restart(seed, start)
        rng, history = np.random.default_rng(seed), []
        for _ in range(self.size.epochs):
            order = rng.permutation(len(ecg_mv))
            self.model.fit(ecg_mv[order], labels[order], self.size.batch, verbose=0, shuffle=False)
            score = _macro(truth, self.scores(asked))
            if not history or score > max(history):
                best = self.model.get_weights()
            history.append(score)
        self.model.set_weights(best)
        return history

    def scores(self, ecg_mv: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of records (n, time, 12)."""
        return self.model.predict(np.asarray(ecg_mv, np.float32), self.size.batch, verbose=0)

    def state(self) -> list[list[np.ndarray]]:
        """Return the weights of each layer, for another training to start from."""
        return [layer.get_weights() for layer in self.model.layers]

    def features(self, name: str, sampling_hz: float) -> FeatureMap:
        """Return what the network makes of records before its last layer, for Fréchet distances.

        Parameters
        ----------
        name : str
            What the judge was trained on, for the score's name.
        sampling_hz : float
            Sampling rate of the records.
        """
        title = f"XResNet1d101 {self.size.depths} x {self.size.width}, {name}"
        return network_features(self.model, title, sampling_hz)

    def _untrained(self) -> keras.Model:
        size = self.size
        return xresnet1d101(
            self.classes, self.length, depths=size.depths, width=size.width, dropout=size.dropout
        )

    def _restart(self, seed: int, start: list[list[np.ndarray]] | None) -> None:
        keras.utils.set_random_seed(seed)
        fresh = self._untrained()
        for mine, new in zip(self.model.variables, fresh.variables, strict=True):
            mine.assign(new)
        for variable, value in zip(
            self.model.optimizer.variables, self._optimizer_start, strict=True
        ):
            variable.assign(value)
        if start is None:
            return
        shapes = [[[w.shape for w in ws] for ws in state[:-1]] for state in (start, self.state())]
        if shapes[0] != shapes[1]:
            raise ValueError(f"start is of a judge of another size than this: {self.size}")
        for layer, weights in zip(self.model.layers[:-1], start[:-1], strict=True):
            layer.set_weights(weights)

    def _checked(self, ecg_mv: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ecg_mv, labels = np.asarray(ecg_mv, np.float32), np.asarray(labels, np.float32)
        expected = (len(ecg_mv), self.length, 12), (len(ecg_mv), self.classes)
        if not len(ecg_mv) or (ecg_mv.shape, labels.shape) != expected:
            raise ValueError(
                f"records and labels have shapes {ecg_mv.shape} and {labels.shape}, expected "
                f"(n, {self.length}, 12) and (n, {self.classes})"
            )
        return ecg_mv, labels


def network_features(model: keras.Model, name: str, sampling_hz: float) -> FeatureMap:
    """Return what a classifier makes of ECGs before its last layer, for Fréchet distances.

    Parameters
    ----------
    model : keras.Model
        From (batch, time, 12) in mV; its last layer takes one row of features a record.
    name : str
        What it is; its version is a digest of its weights.
    sampling_hz : float
        Sampling rate of the records.
    """
    features = model.layers[-1].input
    if len(features.shape) != 2:
        raise ValueError(
            f"the last layer of {name} takes features of shape {tuple(features.shape)}, expected "
            "(batch, features)"
        )
    network = keras.Model(model.input, features)
    digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights()))

    def function(ecg_mv: np.ndarray) -> np.ndarray:
        return network.predict(np.asarray(ecg_mv, np.float32).swapaxes(1, 2), 32, verbose=0)

    return FeatureMap(name, digest.hexdigest()[:12], f"none, mV at {sampling_hz:g} Hz", function)


def _macro(truth: np.ndarray, score: np.ndarray) -> float:
    values = np.array([auroc(t, s) for t, s in zip(truth.T, score.T, strict=True)])
    if np.isnan(values).all():
        raise ValueError(
            "validation has no class with positives and negatives; give it more records"
        )
    return float(np.nanmean(values))


def _numpy(variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)
