"""One group of latent variables of a top-down hierarchical variational autoencoder."""

from typing import Literal

from keras import layers, ops

from kecgi.layers.residual_cell import CONVOLUTIONS, ResidualCell
from kecgi.layers.residual_normal import normal, normal_kl, residual


class LatentGroup(layers.Layer):
    """Refine the decoder's state, draw the group's variables, and mix them into the state.

    The prior is read from the state; the posterior is a change to the prior, read from the state
    and the encoder's features at this level. The first group of all has neither cells nor a
    prior of its own (it's normal(0, 0)), and its posterior sees the features alone.

    Parameters
    ----------
    latent_channels : int
        Latent variables a time step.
    cells : int
        Residual cells before the variables.
    place : {"first", "up", "same"}
        First of all groups; first of a finer scale, so that an up cell comes before; or neither.
    norm, norm_penalty, dimensions
        As in :class:`kecgi.layers.residual_cell.ResidualCell`.

    References
    ----------
    Vahdat & Kautz, NVAE: a deep hierarchical variational autoencoder, NeurIPS 2020.
    """

    def __init__(
        self,
        latent_channels: int,
        cells: int,
        place: Literal["first", "up", "same"] = "same",
        *,
        norm: Literal["batch", "group"] = "batch",
        norm_penalty: float = 0.0,
        dimensions: Literal[1, 2] = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.latent_channels, self.place = latent_channels, place
        self.convolution = CONVOLUTIONS[dimensions]
        options = {"norm": norm, "norm_penalty": norm_penalty, "dimensions": dimensions}
        directions = {"first": [], "same": ["same"] * cells, "up": ["up"] + ["same"] * cells}[place]
        self.cells = [
            ResidualCell(d, **options, dtype=self.dtype_policy, name=f"cell_{i}")
            for i, d in enumerate(directions)
        ]
        heads = 2 * latent_channels
        # what a density depends on is float32 whatever the policy
        self.posterior_head = self.convolution(heads, 3, dtype="float32", name="posterior_head")
        self.prior_head = None
        if place != "first":
            self.prior_head = self.convolution(heads, 1, dtype="float32", name="prior_head")

    def build(self, state_shape):
        """Build the group for a state (batch, ..., channels) before the cells."""
        for cell in self.cells:
            cell.build(state_shape)
            state_shape = cell.compute_output_shape(state_shape)
        channels, policy = state_shape[-1], self.dtype_policy
        self.read = self.convolution(channels, 1, dtype=policy, name="read")
        self.mix = self.convolution(channels, 1, dtype=policy, name="mix")
        for layer in (self.read, self.posterior_head, self.prior_head):
            if layer is not None:
                layer.build(state_shape)
        self.mix.build((*state_shape[:-1], channels + self.latent_channels))

    def call(self, state, noise, features=None, training=False):
        """Return the new state and the divergence.

        Parameters
        ----------
        state : tensor, shape (batch, ..., channels)
            The decoder's state.
        noise : tensor, shape (batch, time after the cells, latent_channels)
            Standard normal numbers; smaller ones draw at a lower temperature.
        features : tensor, optional
            The encoder's features (batch, time, channels) after the cells; without them the
            variables come from the prior.
        training : bool
            For the normalisations.

        Returns
        -------
        state : tensor
        kl : tensor, shape (batch,)
            Divergence of posterior from prior in nats; 0 where there's no posterior.
        """
        for cell in self.cells:
            state = cell(state, training=training)
        prior, axes = self._prior(state, noise), tuple(range(1, len(noise.shape)))
        if features is None:
            z, kl = normal(*prior).draw(noise), ops.sum(ops.zeros_like(noise), axis=axes)
        else:
            prior, posterior = residual(prior, self._posterior(state, features))
            z, kl = posterior.draw(noise), ops.sum(normal_kl(posterior, prior), axis=axes)
        return self.mix(ops.concatenate([state, ops.cast(z, state.dtype)], axis=-1)), kl

    def _prior(self, state, noise):
        if self.prior_head is None:
            return ops.zeros_like(noise), ops.zeros_like(noise)
        return ops.split(self.prior_head(ops.elu(state)), 2, axis=-1)

    def _posterior(self, state, features):
        if self.place == "first":
            features = ops.elu(self.read(ops.elu(features)))
        else:
            features = features + self.read(state)
        return ops.split(self.posterior_head(features), 2, axis=-1)
