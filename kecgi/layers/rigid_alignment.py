"""A rigid motion that points vote for."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kecgi")
class RigidAlignment(keras.layers.Layer):
    """Move points as one rigid body, to where their features say that it should be.

    Every point votes for its own displacement, a linear function of its features. The translation
    is the mean of the votes, and the rotation about the centroid is the one whose small-angle
    displacements fit the votes best: ``w`` with ``sum(|r|² I - r rᵀ) w = sum(r x d)``, as the
    angular velocity of a body follows from the momenta of its points. It is then applied as a
    rotation proper. At the start of training nothing moves.

    Parameters
    ----------
    unit_mm : float
        Length of a vote of 1.

    References
    ----------
    Goldstein, Classical Mechanics, chapter 5 (inertia tensor).
    """

    def __init__(self, unit_mm: float, **kwargs):
        # places are millimetres, and stay in single precision whatever the global policy
        super().__init__(autocast=False, **kwargs)
        self.unit_mm = float(unit_mm)
        self.vote = keras.layers.Dense(3, kernel_initializer="zeros", dtype="float32", name="vote")

    def build(self, places_mm_shape, features_shape):
        """Build the votes."""
        self.vote.build(features_shape)

    def call(self, places_mm, features):
        """Move places (batch, places, 3) as features (batch, places, size) say."""
        displacement = self.unit_mm * self.vote(features)
        centre = ops.mean(places_mm, axis=1, keepdims=True)
        arm = places_mm - centre
        shift = ops.mean(displacement, axis=1, keepdims=True)
        return centre + shift + turned(arm, fitted_rotation(arm, displacement))

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"unit_mm": self.unit_mm}


def fitted_rotation(arm, displacement):
    """Rotation vector (batch, 3) in radians whose small-angle displacements fit those given best.

    Both are (batch, points, 3); arms begin at the centroid.
    """
    moment = ops.sum(ops.cross(arm, displacement, axis=-1), axis=1)
    squared = ops.sum(ops.square(arm), axis=(1, 2))[:, None, None]
    inertia = squared * ops.eye(3) - ops.matmul(ops.transpose(arm, (0, 2, 1)), arm)
    # points in a line have no inertia about it
    inertia = inertia + 1e-6 * (squared + 1e-6) * ops.eye(3)
    return ops.solve(inertia, moment[..., None])[..., 0]


def turned(arm, rotation):
    """Vectors (batch, points, 3), turned by a rotation vector (batch, 3); Rodrigues' formula."""
    squared = ops.sum(ops.square(rotation), axis=-1)[:, None, None]
    angle = ops.sqrt(squared + 1e-12)
    axis = rotation[:, None] / angle
    along = ops.sum(axis * arm, axis=-1, keepdims=True) * axis
    across = ops.cross(ops.broadcast_to(axis, ops.shape(arm)), arm, axis=-1)
    return along + ops.cos(angle) * (arm - along) + ops.sin(angle) * across
