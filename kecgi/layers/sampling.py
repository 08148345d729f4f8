"""The reparameterisation trick as a layer."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kecgi")
class Sampling(keras.layers.Layer):
    """Draw ``z = mean + exp(log_var / 2) * noise`` with standard normal noise.

    The layer draws in training and in inference alike, and computes in float32 whatever the global
    policy: half precision would round the tails of the noise. The state of its random generator is
    saved with the weights, so that training goes on after a reload as if it had never stopped.

    Parameters
    ----------
    seed : int, optional
        Start of the random sequence. ``None`` takes one from Keras's global seed.

    References
    ----------
    Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014.
    """

    def __init__(self, seed: int | None = None, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, mean, log_var):
        """Return one draw per row; both arguments have shape (batch, latent)."""
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * noise

    def compute_output_shape(self, mean_shape, log_var_shape):
        """Return the shape of the draw, that of the mean."""
        return mean_shape

    def save_own_variables(self, store):
        """Save the generator's state, which Keras leaves out of a layer's weights."""
        store["seed_state"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        """Load the generator's state."""
        self.seed_generator.state.assign(np.asarray(store["seed_state"]))

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"seed": self.seed}
