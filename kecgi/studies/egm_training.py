"""Training of what generates electrograms and of what names their rhythm.

Recipes pass recordings (`kecgi.data.EGMRecordings`) and settings. Keras is imported here: import
this module after `kecgi.experiment.begin`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kecgi.data.egm.batches import EGMCrops, LabelledCrops
from kecgi.data.egm.recordings import EGMRecordings
from kecgi.models.egm_classifier import rhythm_classifier
from kecgi.models.egm_flow import EGMFlow
from kecgi.models.egm_vae import EGMVAE

JIT = keras.backend.backend() == "jax"
"""XLA takes longer for convolutions of many short signals than TensorFlow does by itself."""

WARMUP = 1 / 3
"""Share of an autoencoder's training in which the weight of the divergence rises."""


def train_vae(
    known: EGMRecordings,
    *,
    epochs: int,
    repeats: int = 1,
    batch_size: int = 8,
    learning_rate: float = 3e-3,
    validation: EGMRecordings | None = None,
    start: EGMVAE | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
    **options,
) -> tuple[EGMVAE, keras.callbacks.History]:
    """Train an autoencoder on windows that begin at random times of the recordings.

    VAE-S where the recordings have one rhythm's name, VAE-C where they have several. Adam with a
    rate that falls along a cosine to a twentieth.

    Parameters
    ----------
    known : EGMRecordings
        What is trained on.
    epochs, repeats : int
        Epochs, and windows of each recording in an epoch.
    batch_size : int
        Windows in a batch.
    learning_rate : float
        The first.
    validation : EGMRecordings, optional
        What the losses are followed on.
    start : EGMVAE, optional
        A trained VAE-S that a VAE-C begins as, see `EGMVAE.start_from`.
    seed : int
        Seed of windows and noise.
    callbacks, verbose
        As in ``fit``.
    **options
        Of `EGMVAE`: ``layout``, ``positions_mm``, ``latent_dim``, ``beta``, ``free_bits`` ...

    Returns
    -------
    vae : EGMVAE
    history : keras.callbacks.History
    """
    conditional = len(known.names) > 1
    crops = EGMCrops(
        known.egm, known.one_hot if conditional else None, known.samples, batch_size,
        repeats=repeats, seed=seed,
    )  # fmt: skip
    steps = epochs * len(crops)
    vae = EGMVAE(
        known.samples, known.egm.shape[-1], known.names, sampling_hz=known.sampling_hz,
        warmup_steps=int(WARMUP * steps), seed=seed, **options,
    )  # fmt: skip
    if start is not None:
        vae.start_from(start)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.05)
    vae.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), jit_compile=JIT)
    history = vae.fit(
        crops,
        validation_data=None if validation is None else (validation.inputs,),
        epochs=epochs,
        verbose=verbose,
        callbacks=list(callbacks),
    )
    return vae, history


def train_flow(
    vae: EGMVAE,
    known: EGMRecordings,
    *,
    epochs: int,
    every: int = 8,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> EGMFlow:
    """Train a flow on draws from the posteriors of windows all along the recordings.

    Parameters
    ----------
    vae : EGMVAE
        The trained autoencoder.
    known : EGMRecordings
        What it was trained on.
    epochs : int
        Epochs.
    every : int
        Samples between the beginnings of the windows.
    batch_size : int
        Codes in a batch.
    learning_rate : float
        The first; it falls to 0 along a cosine.
    seed : int
        Seed of draws, times and noise.
    """
    mean, log_var = vae.encode({"egm": known.pieces(every)})
    noise = np.random.default_rng(seed).standard_normal(mean.shape)
    code = (mean + np.exp(0.5 * log_var) * noise).astype("float32")
    flow = EGMFlow(vae, seed=seed)
    flow.adapt(code)
    steps = epochs * -(-len(code) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    flow.compile(keras.optimizers.Adam(rate), jit_compile=JIT)
    data = {"code": code, "rhythm": np.tile(known.one_hot, (len(code) // len(known), 1))}
    flow.fit(data, batch_size=batch_size, epochs=epochs, verbose=0)
    return flow


def train_classifier(
    known: EGMRecordings,
    *,
    epochs: int,
    repeats: int = 16,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    width: int = 16,
    seed: int = 0,
) -> keras.Model:
    """Train a network that names rhythms, on windows that begin at random times.

    Parameters
    ----------
    known : EGMRecordings
        Recordings of two rhythms or more.
    epochs, repeats, batch_size, learning_rate, seed
        As in `train_vae`.
    width : int
        As in `rhythm_classifier`.
    """
    crops = LabelledCrops(
        known.egm, known.one_hot, known.samples, batch_size, repeats=repeats, seed=seed
    )
    model = rhythm_classifier(known.samples, known.egm.shape[-1], len(known.names), width=width)
    model.compile(
        keras.optimizers.AdamW(learning_rate, 0.02),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05),
        jit_compile=JIT,
    )
    model.fit(crops, epochs=epochs, verbose=0)
    return model


def generate(
    model: EGMVAE | EGMFlow, known: EGMRecordings, count: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Generate windows of each rhythm in mV, (count, node, time), by the rhythm's name."""
    return {
        name: known.in_mv(model.generate(name, count, seed=seed + i))
        for i, name in enumerate(known.names)
    }


def right_labels(
    classifier: keras.Model, known: EGMRecordings, windows_mv: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Share of windows that a classifier labels as they are, by rhythm.

    Parameters
    ----------
    classifier : keras.Model
        From `train_classifier`.
    known : EGMRecordings
        What it was trained on.
    windows_mv : mapping of str to (n, node, time) array
        Windows by the name of their rhythm.
    """
    shares = {}
    for name, windows in windows_mv.items():
        logits = classifier.predict(known.scaled(windows), verbose=0)
        shares[name] = float(np.mean(logits.argmax(axis=1) == known.names.index(name)))
    return shares
