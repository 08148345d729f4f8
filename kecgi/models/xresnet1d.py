"""Residual network that classifies 12-lead ECGs: XResNet1d101."""

from collections.abc import Sequence

import keras
from keras import layers

DEPTHS = (3, 4, 23, 3)
KERNEL = 5
EXPANSION = 4


def xresnet1d101(
    classes: int,
    length: int = 5000,
    leads: int = 12,
    *,
    depths: Sequence[int] = DEPTHS,
    width: int = 64,
    dropout: float = 0.5,
) -> keras.Model:
    """Return XResNet1d101 as benchmarked on PTB-XL.

    Three convolutions and a max pool; four stages of bottleneck blocks, of one width other than
    with images; maximum and mean over time, normalised, and a dense layer. Train it on logits:
    ``compile("adamw", keras.losses.BinaryCrossentropy(from_logits=True))``.

    Parameters
    ----------
    classes : int
        Number of outputs.
    length, leads : int
        Samples and leads of a record.
    depths : sequence of int
        Blocks of each stage.
    width : int
        Channels inside the blocks; four times as many between them.
    dropout : float
        Share of the features dropped before the dense layer.

    Returns
    -------
    keras.Model
        From (batch, length, leads) to logits (batch, classes).

    References
    ----------
    He et al., Bag of tricks for image classification with convolutional neural networks, CVPR 2019;
    Strodthoff et al., Deep learning for ECG analysis: benchmarks and insights from PTB-XL, IEEE
    JBHI 25, 2021.
    """
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    ecg = x = keras.Input((length, leads), name="ecg")
    for filters, stride in ((width // 2, 2), (width // 2, 1), (width, 1)):
        x = layers.ReLU()(_convolution(x, filters, KERNEL, stride))
    # after a ReLU, zeros around the signal don't change a maximum
    x = layers.MaxPooling1D(3, 2)(layers.ZeroPadding1D(1)(x))
    for stage, blocks in enumerate(depths):
        for block in range(blocks):
            x = _block(x, width, stride=2 if stage and not block else 1)
    pooled = [layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)]
    x = layers.Dropout(dropout)(_normalised(layers.Concatenate()(pooled)))
    logits = layers.Dense(classes, kernel_initializer="he_normal", name="logits")(x)
    return keras.Model(ecg, logits, name="xresnet1d101")


def _block(x, width, stride):
    wide = EXPANSION * width
    h = layers.ReLU()(_convolution(x, width, 1))
    h = layers.ReLU()(_convolution(h, width, KERNEL, stride))
    h = _convolution(h, wide, 1, gain="zeros")
    if stride > 1:
        # "same" takes the last window of an odd length as it is: the mean of one sample
        x = layers.AveragePooling1D(2, stride, padding="same")(x)
    if x.shape[-1] != wide:
        x = _convolution(x, wide, 1)
    return layers.ReLU()(layers.Add()([x, h]))


def _convolution(x, filters, kernel, stride=1, gain="ones"):
    if kernel > 1:
        x = layers.ZeroPadding1D(kernel // 2)(x)
    x = layers.Conv1D(filters, kernel, stride, use_bias=False, kernel_initializer="he_normal")(x)
    return _normalised(x, gain)


def _normalised(x, gain="ones"):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gain)(x)
