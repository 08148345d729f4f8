"""A small network that names the rhythm of electrograms, to judge generated ones by."""

import keras
from keras import layers


def rhythm_classifier(samples: int, nodes: int, rhythms: int, *, width: int = 32) -> keras.Model:
    """Return a convolutional network from windows (batch, time, node) to logits (batch, rhythms).

    Convolutions in time over all nodes at once, maximum and mean over time: which node comes when
    matters, and when the window begins does not. Train it on logits:
    ``compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))``.

    Parameters
    ----------
    samples, nodes : int
        Size of a window.
    rhythms : int
        Number of rhythms.
    width : int
        Filters of the first convolution.
    """
    if rhythms < 2:
        raise ValueError(f"rhythms must be at least 2 to tell them apart, got {rhythms}")
    egm = x = keras.Input((samples, nodes), name="egm")
    for filters, stride in ((width, 2), (2 * width, 4), (2 * width, 2)):
        x = layers.Conv1D(filters, 9, stride, padding="same", activation="gelu")(x)
        x = layers.LayerNormalization()(x)
    pooled = [layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)]
    x = layers.Dropout(0.3)(layers.Concatenate()(pooled))
    return keras.Model(egm, layers.Dense(rhythms, name="logits")(x), name="rhythm_classifier")
