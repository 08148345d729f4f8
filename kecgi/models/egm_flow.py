"""A generator of electrograms that draws its codes by flow matching."""

import keras
import numpy as np
from keras import layers, ops

from kecgi.layers import Sampling
from kecgi.models.egm_vae import EGMVAE
from kecgi.models.latent import in_batches


@keras.saving.register_keras_serializable(package="kecgi")
class EGMFlow(keras.Model):
    """Rectified flow from normal noise to the codes of a trained `kecgi.models.EGMVAE`.

    A variational autoencoder whose prior is a Gaussian generates from codes that no window has
    where its posteriors don't fill that Gaussian. Here a network learns the velocity
    ``v(x_t, t, rhythm)`` on straight lines ``x_t = (1 - t) noise + t code``, and codes are drawn by
    integrating it from noise. The autoencoder decodes them.

    ``fit`` takes dicts of ``"code"`` (batch, latent), draws from the posteriors of training
    windows, and ``"rhythm"`` (batch, rhythms), one-hot; call `adapt` with the codes before.
    ``call`` and ``predict`` return a dict of the ``"velocity"`` at random times and its
    ``"target"``. The loss is their mean squared difference.

    Parameters
    ----------
    vae : EGMVAE
        The trained autoencoder; the flow keeps a copy.
    units, blocks : int
        Width and number of the residual blocks of the velocity's network.
    seed : int, optional
        Seed of times and noise in training.
    **kwargs
        ``name`` and ``dtype`` as in Keras.

    References
    ----------
    Liu, Gong & Liu, Flow straight and fast, ICLR 2023; Lipman et al., Flow matching for generative
    modeling, ICLR 2023.

    Examples
    --------
    >>> flow = EGMFlow(vae, seed=1)
    >>> flow.adapt(codes)
    >>> flow.compile(keras.optimizers.Adam(1e-3))
    >>> flow.fit({"code": codes, "rhythm": rhythm}, batch_size=32)  # doctest: +SKIP
    >>> windows = flow.generate("sinus", n=200, seed=2)  # doctest: +SKIP
    """

    frequencies = 8

    def __init__(self, vae, units=256, blocks=3, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.blocks, self.seed = units, blocks, seed
        # a copy: it is neither trained nor compiled here, whatever becomes of the original
        self.vae = EGMVAE.from_config(vae.get_config() | {"trainable": True})
        self.vae.set_weights(vae.get_weights())
        self.vae.trainable = False
        latent, rhythms = vae.latent_dim, len(vae.rhythms)
        self.noise = Sampling(seed, name="noise")
        self.noise.build((None,))

        def weight(name, initializer):
            return self.add_weight(
                name=name, shape=(latent,), initializer=initializer, trainable=False
            )

        self.code_mean, self.code_scale = weight("code_mean", "zeros"), weight("code_scale", "ones")

        def dense(size, inputs, name, **options):
            layer = layers.Dense(size, name=name, dtype=self.dtype_policy, **options)
            layer.build((None, inputs))
            return layer

        self.enter = dense(units, latent, "enter")
        self.know = dense(units, 2 * self.frequencies + rhythms, "know", activation="gelu")
        self.norms, self.shifts, self.first, self.second = [], [], [], []
        for i in range(blocks):
            norm = layers.LayerNormalization(epsilon=1e-5, name=f"norm_{i}")
            norm.build((None, units))
            self.norms.append(norm)
            self.shifts.append(dense(2 * units, units, f"shift_{i}"))
            self.first.append(dense(2 * units, units, f"first_{i}", activation="gelu"))
            self.second.append(dense(units, 2 * units, f"second_{i}"))
        self.leave = dense(latent, units, "leave", kernel_initializer="zeros")
        self.built = True

    def adapt(self, codes) -> None:
        """Take mean and spread of training codes, (n, latent), so that the flow sees unit scales.

        One spread for all dimensions: those that carry little stay small.
        """
        codes = np.asarray(codes)
        self.code_mean.assign(codes.mean(axis=0))
        self.code_scale.assign(np.full(codes.shape[1], max(codes.std(), 1e-6)))

    def velocity(self, x, time, rhythm):
        """Return the velocity (batch, latent) at places x, times (batch, 1) and one-hot rhythms."""
        rates = (np.pi * 2.0 ** np.arange(self.frequencies) / 2).astype("float32")
        angle = ops.convert_to_tensor(time) * ops.convert_to_tensor(rates)
        known = self.know(ops.concatenate([ops.sin(angle), ops.cos(angle), rhythm], axis=-1))
        x = self.enter(x)
        for norm, shift, first, second in zip(
            self.norms, self.shifts, self.first, self.second, strict=True
        ):
            scale, offset = ops.split(shift(known), 2, axis=-1)
            x = x + second(first(norm(x) * (1.0 + scale) + offset))
        return ops.cast(self.leave(x), "float32")

    def call(self, inputs):
        """Return velocities at random times on the way to the codes, and what they should be."""
        code = (ops.cast(inputs["code"], "float32") - self.code_mean) / self.code_scale
        zeros = ops.zeros_like(code)
        noise = self.noise(zeros, zeros)
        time = keras.random.uniform((ops.shape(code)[0], 1), seed=self.noise.seed_generator)
        at = (1.0 - time) * noise + time * code
        velocity = self.velocity(at, time, ops.cast(inputs["rhythm"], "float32"))
        return {"velocity": velocity, "target": code - noise}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean squared error of the velocity."""
        return ops.mean(ops.square(y_pred["velocity"] - y_pred["target"]))

    def generate(
        self,
        rhythm: str,
        n: int = 1,
        temperature: float = 1.0,
        seed: int | None = None,
        steps: int = 20,
    ) -> np.ndarray:
        """Return new windows of a rhythm.

        Parameters
        ----------
        rhythm : str
            One of the autoencoder's.
        n : int
            Windows.
        temperature : float
            Factor of the noise that the flow starts from.
        seed : int, optional
            Seed of the noise; the same seed gives the same draws on every backend.
        steps : int
            Steps of Heun's method from noise to code.

        Returns
        -------
        np.ndarray, shape (n, time, node), float32
            In [-1, 1].
        """
        self.vae.one_hot(rhythm, 1)  # an error where there is no such rhythm
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        names = self.vae.rhythms
        rows = np.eye(len(names), dtype="float32")[[names.index(rhythm)] * n]
        noise = np.random.default_rng(seed).standard_normal((n, self.vae.latent_dim), "float32")

        def codes(part):
            x, known = ops.convert_to_tensor(temperature * noise[part]), rows[part]
            for k in range(steps):
                now, then = (np.full((len(part), 1), t / steps, "float32") for t in (k, k + 1))
                slope = self.velocity(x, now, known)
                later = self.velocity(x + slope / steps, then, known)
                x = x + 0.5 * (slope + later) / steps
            return self.code_mean + self.code_scale * x

        return self.vae.decode(in_batches(codes, n), rows)

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "vae": self.vae.get_config(),
            "units": self.units,
            "blocks": self.blocks,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        """Make the model, with the autoencoder in it, from a configuration."""
        return cls(**config | {"vae": EGMVAE.from_config(config["vae"])})
