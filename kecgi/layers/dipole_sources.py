"""Body-surface potentials lifted to the heart: a classical inverse as a layer."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kecgi")
class DipoleSources(keras.layers.Layer):
    """Minimum-norm dipole sources that explain potentials, at several strengths of regularisation.

    In a homogeneous unbounded torso the potential of a dipole p at x is proportional to
    ``p . (x_e - x) / |x_e - x|³``, which gives a matrix A from the dipoles at all places to the
    electrodes. Zero-order Tikhonov regularisation estimates the dipoles as
    ``Aᵀ (A Aᵀ + lambda I)⁻¹ phi`` for each regularisation ``lambda``. So the geometry of electrodes
    and heart enters as physics, and what follows has to learn only how local sources become
    activation times. Potentials and matrix are taken against the electrodes' mean, so the
    reference of the recording doesn't matter.

    The potentials are divided by their root mean square over the case, and ``channels`` linear
    combinations of their time samples are learned, before they are lifted.

    Parameters
    ----------
    channels : int
        Learned combinations of the time samples.
    regularisation : sequence of float
        Values of lambda, relative to the mean diagonal of ``A Aᵀ``.

    References
    ----------
    Hansen, Rank-Deficient and Discrete Ill-Posed Problems, SIAM 1998, chapter 5.
    """

    def __init__(self, channels: int = 48, regularisation=(1e-1, 1e-2, 1e-3), **kwargs):
        # solving the normal equations needs single precision whatever the global policy
        super().__init__(**({"dtype": "float32"} | kwargs))
        self.channels = channels
        self.regularisation = tuple(float(r) for r in regularisation)
        self.combine = keras.layers.Dense(
            channels, use_bias=False, dtype=self.dtype_policy, name="combine"
        )

    def build(self, places_mm_shape, electrodes_mm_shape, potentials_mv_shape):
        """Build the temporal combinations."""
        self.combine.build(potentials_mv_shape)

    def call(self, places_mm, electrodes_mm, potentials_mv):
        """Lift a batch of potentials.

        Parameters
        ----------
        places_mm : tensor, shape (batch, places, 3)
        electrodes_mm : tensor, shape (batch, electrodes, 3)
        potentials_mv : tensor, shape (batch, electrodes, time)
            An electrode with a value that isn't finite is left out.

        Returns
        -------
        sources : tensor, shape (batch, places, 3 * channels * len(regularisation))
        log_amplitude : tensor, shape (batch, 1, 1)
            Natural logarithm of the potentials' root mean square in mV.
        """
        finite = ops.all(ops.isfinite(potentials_mv), axis=2, keepdims=True)
        share = ops.cast(finite, "float32")
        share = share / ops.maximum(ops.sum(share, axis=1, keepdims=True), 1.0)
        potentials = ops.where(finite, potentials_mv, 0.0)
        potentials = potentials - ops.sum(share * potentials, axis=1, keepdims=True)
        potentials = ops.where(finite, potentials, 0.0)
        power = ops.sum(share * ops.square(potentials), axis=1, keepdims=True)
        amplitude = ops.sqrt(ops.mean(power, axis=2, keepdims=True)) + 1e-9
        signals = self.combine(potentials / amplitude)
        matrix = self._matrix(places_mm, electrodes_mm, share)
        transposed = ops.transpose(matrix, (0, 2, 1))
        gram = ops.matmul(matrix, transposed)
        identity = ops.eye(ops.shape(electrodes_mm)[1])
        batch, places = ops.shape(places_mm)[:2]
        lifted = []
        for strength in self.regularisation:
            weights = ops.solve(gram + strength * identity, signals)
            # the estimate grows about as 1 / sqrt(lambda): bring all to the order of one
            sources = 3.0 * strength**0.5 * ops.matmul(transposed, weights)
            lifted.append(ops.reshape(sources, (batch, places, 3 * self.channels)))
        return ops.concatenate(lifted, axis=-1), ops.log(amplitude)

    def _matrix(self, places_mm, electrodes_mm, share):
        """Potentials at the electrodes of unit dipoles, (batch, electrodes, 3 * places)."""
        away = (electrodes_mm[:, :, None] - places_mm[:, None]) / 100.0
        squared = ops.sum(ops.square(away), axis=-1, keepdims=True)
        field = away * ops.rsqrt(squared) / squared
        flat = ops.reshape(field, (*ops.shape(field)[:2], 3 * ops.shape(places_mm)[1]))
        flat = flat - ops.sum(share * flat, axis=1, keepdims=True)
        # the row of an electrode that is left out is 0
        flat = ops.where(share > 0, flat, 0.0)
        mean_diagonal = ops.sum(share[..., 0] * ops.sum(ops.square(flat), axis=2), axis=1)
        return flat * ops.rsqrt(mean_diagonal + 1e-12)[:, None, None]

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {
            "channels": self.channels,
            "regularisation": self.regularisation,
        }
