"""Variational autoencoder of body-surface potential maps (paper, section 3.2 and figure 2)."""

import keras

from kecgi.models.vae import ConvVAE


@keras.saving.register_keras_serializable(package="kecgi")
class BSPMVAE(ConvVAE):
    """Variational autoencoder of body-surface signals seen as an electrode x time image.

    Encoder: two convolutions (stride 2) and a dense layer, ReLU, then mean and log variance.
    Decoder: a dense layer and three transposed convolutions, ReLU with stride 2 except the output,
    which has one filter, stride 1 and a sigmoid. Kernels of size 3. Loss: squared error, summed
    over the image, plus the divergence of the posterior from N(0, I); see
    :func:`kecgi.models.training.squared_error` for why it is the sum.

    ``call``, ``predict`` and ``fit`` take signals (batch, electrodes, time, 1) scaled to [0, 1];
    ``predict`` returns ``{"bspm", "mean", "log_var"}``.

    Parameters
    ----------
    bspm_shape : tuple of int
        Electrodes and samples.
    latent_dim : int
        Size of the latent code.
    filters : int
        Filters of each convolution but the last.
    units : int
        Units of the encoder's dense layer. The paper does not say how many.
    **kwargs
        ``beta``, ``warmup_steps`` and ``seed`` as in
        :class:`kecgi.models.training.VariationalModel`, ``name`` and ``dtype`` as in Keras.

    Attributes
    ----------
    paper_batch_size : int
        The paper's batch size.

    References
    ----------
    Bacoyannis et al., Deep learning formulation of ECGI for data-driven integration of
    spatiotemporal correlations and imaging information, FIMH 2019,
    https://doi.org/10.1007/978-3-030-21949-9_3

    Examples
    --------
    >>> model = BSPMVAE((100, 128), seed=1)
    >>> model.compile(BSPMVAE.paper_optimizer())
    >>> model.fit(signals, batch_size=BSPMVAE.paper_batch_size, epochs=50)  # doctest: +SKIP
    """

    signal = "bspm"
    axes = "electrodes, samples"
    activation = "relu"
    output_activation = "sigmoid"
    paper_batch_size = 32

    def __init__(self, bspm_shape=(100, 128), latent_dim=6, filters=16, units=64, **kwargs):
        super().__init__(bspm_shape, latent_dim=latent_dim, filters=filters, units=units, **kwargs)

    @staticmethod
    def paper_optimizer() -> keras.optimizers.Optimizer:
        """Return the paper's optimiser; its learning rate is not stated, so Keras's own."""
        return keras.optimizers.Nadam()

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"bspm_shape": self.image_shape}
