"""Variational autoencoder of activation maps (paper, section 3.2 and figure 5)."""

import keras

from kecgi.models.training import inside, require_shape
from kecgi.models.vae import ConvVAE


@keras.saving.register_keras_serializable(package="kecgi")
class ActivationVAE(ConvVAE):
    """Variational autoencoder of activation maps, in two or three dimensions.

    The architecture of :class:`kecgi.models.BSPMVAE` with tanh everywhere, the output included.

    ``call``, ``predict`` and ``fit`` take maps (batch, *map, 1) in [-1, 1] with 0 outside the
    myocardium; ``predict`` returns ``{"activation", "mean", "log_var"}``. They also take a dict of
    ``"activation"`` and ``"mask"``: then only the myocardium counts in the loss, and the maps may
    hold anything outside it.

    Parameters
    ----------
    map_shape : tuple of int
        Grid of the maps, of length 2 or 3.
    latent_dim, filters, units, **kwargs
        As in :class:`kecgi.models.BSPMVAE`.

    Attributes
    ----------
    paper_batch_size : int
        The paper's batch size.

    References
    ----------
    Bacoyannis et al., FIMH 2019, https://doi.org/10.1007/978-3-030-21949-9_3

    Examples
    --------
    >>> model = ActivationVAE((64, 64), seed=1)
    >>> model.compile(ActivationVAE.paper_optimizer())
    >>> model.fit({"activation": maps, "mask": masks}, batch_size=25, epochs=50)  # doctest: +SKIP
    """

    signal = "activation"
    axes = "map grid"
    activation = "tanh"
    output_activation = "tanh"
    paper_batch_size = 25

    def __init__(self, map_shape=(64, 64), latent_dim=6, filters=16, units=64, **kwargs):
        super().__init__(map_shape, latent_dim=latent_dim, filters=filters, units=units, **kwargs)

    @staticmethod
    def paper_optimizer() -> keras.optimizers.Optimizer:
        """Return the paper's optimiser; its learning rate is not stated, so Keras's own."""
        return keras.optimizers.RMSprop()

    def images(self, x):
        """Return the maps among the inputs, 0 outside the mask where there is one."""
        maps = super().images(x)
        return inside(x["mask"], maps) if has_mask(x) else maps

    def check_inputs(self, x):
        """Raise a ValueError unless ``x`` holds maps, and masks if any, of the model's shape."""
        require_shape("activation", super().images(x), (*self.image_shape, 1), self.axes)
        if has_mask(x):
            require_shape("mask", x["mask"], (*self.image_shape, 1), self.axes)

    def call(self, x):
        """Encode, draw one code a case, decode; 0 outside the mask where there is one."""
        outputs = super().call(x)
        if has_mask(x):
            outputs["activation"] = inside(x["mask"], outputs["activation"])
        return outputs

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"map_shape": self.image_shape}


def has_mask(x) -> bool:
    """Tell whether the inputs are a dict with a mask."""
    return isinstance(x, dict) and "mask" in x
