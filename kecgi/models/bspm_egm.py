"""Electrograms from body-surface potentials: the dual-branch network of arXiv 2512.14537."""

import keras
import numpy as np
from keras import layers, ops

from kecgi.models.training import VariationalModel, gaussian_kl

GRID = (12, 32)
"""Rows and columns that the leads are unfolded to."""

CODE = (3, 4, 4)
"""Rows, columns and channels of the code at each sample."""


def unfolding(rings: int, leads_per_ring: int) -> np.ndarray:
    """Return the matrix from leads, ring by ring, to the unfolded grid, (rows * columns, leads).

    Linear interpolation between rings and around each ring, which closes. Every other ring is
    turned by half a step, as in `kecgi.geometry.vest`.
    """
    height = np.linspace(0, rings - 1, GRID[0])[:, None]
    down = np.maximum(0, 1 - np.abs(height - np.arange(rings)))
    turned = 0.5 * (np.arange(rings) % 2)[:, None, None]
    column = np.arange(GRID[1])[:, None] * leads_per_ring / GRID[1]
    away = (column - np.arange(leads_per_ring) - turned) % leads_per_ring
    around = np.maximum(0, 1 - np.minimum(away, leads_per_ring - away))
    both = np.einsum("ri,icj->rcij", down, around)
    return both.reshape(GRID[0] * GRID[1], -1).astype("float32")


@keras.saving.register_keras_serializable(package="kecgi")
class BSPMToEGM(VariationalModel):
    """Variational autoencoder of body-surface potentials whose code is read as electrograms too.

    The leads of each sample are unfolded to a grid of 12 x 32; convolutions in time and on the grid
    give a code of 3 x 4 x 4 at each sample. One branch goes back to the potentials; the other,
    a convolution, an LSTM and a dense layer, gives the electrograms. The loss is the mean squared
    error of the potentials, ``egm_weight`` times that of the electrograms, and ``beta`` times the
    divergence of the code from N(0, I), a mean over its numbers: the paper gives the first two
    weights alone.

    Inputs are dicts of ``"bspm"`` (batch, time, lead) and, to fit or evaluate, ``"egm"``
    (batch, time, node), each scaled to about [-1, 1]. ``call`` and ``predict`` return both, and
    the code's ``"mean"`` and ``"log_var"``.

    Parameters
    ----------
    nodes : int
        Electrograms.
    samples : int, optional
        Samples of a window; any number by default, so that short pieces can be trained on.
    lead_rings, leads_per_ring : int
        Electrodes of the vest, whose order is ring by ring.
    filters : int
        Filters of the first convolution; the paper does not say how many.
    lstm_units : int
        Units of the LSTM.
    egm_weight : float
        Weight of the electrograms beside the potentials.
    beta : float
        Weight of the divergence.
    **kwargs
        ``warmup_steps`` and ``seed`` as in `kecgi.models.training.VariationalModel`, ``name`` and
        ``dtype`` as in Keras.

    References
    ----------
    arXiv 2512.14537.
    """

    def __init__(
        self,
        nodes=2048,
        samples=None,
        lead_rings=8,
        leads_per_ring=8,
        filters=8,
        lstm_units=30,
        egm_weight=10.0,
        beta=1e-3,
        **kwargs,
    ):
        super().__init__(beta=beta, **kwargs)
        if egm_weight < 0:
            raise ValueError(f"egm_weight must not be negative, got {egm_weight}")
        self.samples, self.nodes = samples, nodes
        self.lead_rings, self.leads_per_ring = lead_rings, leads_per_ring
        self.filters, self.lstm_units, self.egm_weight = filters, lstm_units, egm_weight
        self.unfold = unfolding(lead_rings, leads_per_ring)
        self.fold = np.linalg.pinv(self.unfold).astype("float32")
        policy = self.dtype_policy
        rows, columns, channels = CODE
        same = {"padding": "same", "dtype": policy}

        grid = keras.Input((samples, *GRID, 1))
        x = layers.Conv3D(filters, 3, (1, 2, 4), activation="relu", **same)(grid)
        x = layers.Conv3D(2 * filters, 3, (1, 2, 2), activation="relu", **same)(x)
        heads = layers.Conv3D(2 * channels, 3, padding="same", dtype="float32")(x)
        self.encoder = keras.Model(grid, heads, name="encoder")

        code = keras.Input((samples, rows, columns, channels))
        x = layers.Conv3DTranspose(filters, 3, (1, 2, 2), activation="relu", **same)(code)
        x = layers.Conv3DTranspose(1, (3, 3, 5), (1, 2, 4), padding="same", dtype="float32")(x)
        self.bspm_decoder = keras.Model(code, x, name="bspm_decoder")

        x = layers.Conv3D(2 * channels, 3, activation="relu", **same)(code)
        x = layers.Reshape((samples or -1, rows * columns * 2 * channels), dtype=policy)(x)
        x = layers.LSTM(lstm_units, return_sequences=True, dtype=policy)(x)
        x = layers.Dense(nodes, dtype="float32")(x)
        self.egm_decoder = keras.Model(code, x, name="egm_decoder")
        self.bspm_tracker = keras.metrics.Mean(name="bspm_mse")
        self.egm_tracker = keras.metrics.Mean(name="egm_mse")
        self.built = True

    def check_inputs(self, inputs):
        """Raise unless ``inputs`` is a dict with the model's keys and shapes."""
        if not isinstance(inputs, dict):
            raise TypeError(f"inputs must be a dict of arrays, got {type(inputs).__name__}")
        if "bspm" not in inputs:
            raise ValueError(f"inputs lack 'bspm'; they hold {sorted(inputs)}")
        leads = self.lead_rings * self.leads_per_ring
        for name, size in (("bspm", leads), ("egm", self.nodes)):
            shape = tuple(inputs[name].shape)[1:] if name in inputs else (self.samples, size)
            if len(shape) != 2 or shape[1] != size or self.samples not in (None, shape[0]):
                raise ValueError(
                    f"{name} must have shape (batch, {self.samples or 'time'}, {size}), but each "
                    f"case has shape {shape}"
                )

    def call(self, inputs):
        """Encode, draw one code a case, decode it twice."""
        self.check_inputs(inputs)
        samples = ops.shape(inputs["bspm"])[1]
        grid = ops.matmul(ops.cast(inputs["bspm"], "float32"), self.unfold.T)
        grid = ops.reshape(grid, (-1, samples, *GRID, 1))
        mean, log_var = ops.split(self.encoder(grid), 2, axis=-1)
        log_var = ops.clip(log_var, -10.0, 10.0)
        code = self.sampling(mean, log_var)
        bspm = ops.reshape(self.bspm_decoder(code), (-1, samples, GRID[0] * GRID[1]))
        return {
            "bspm": ops.matmul(bspm, self.fold.T),
            "egm": self.egm_decoder(code),
            "mean": mean,
            "log_var": log_var,
        }

    def elbo_terms(self, x, y_pred):
        """Weighted errors of both branches, and the divergence of a number of the code."""
        if "egm" not in x:
            raise ValueError('to fit or evaluate, the inputs must hold "egm" beside "bspm"')

        def error(name):
            return ops.mean(ops.square(ops.cast(x[name], "float32") - y_pred[name]), axis=(1, 2))

        bspm, egm = error("bspm"), error("egm")
        self.bspm_tracker.update_state(bspm)
        self.egm_tracker.update_state(egm)
        flat = [ops.reshape(y_pred[n], (ops.shape(bspm)[0], -1)) for n in ("mean", "log_var")]
        size = ops.cast(ops.shape(flat[0])[1], "float32")
        return bspm + self.egm_weight * egm, gaussian_kl(*flat) / size

    def get_config(self):
        """Return the constructor's arguments."""
        names = (
            "nodes", "samples", "lead_rings", "leads_per_ring", "filters", "lstm_units",
            "egm_weight",
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}
