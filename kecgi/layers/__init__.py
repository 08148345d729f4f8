"""Keras layers and stacks of layers that several models share."""

from kecgi.layers.convolution import conv_decoder, conv_encoder
from kecgi.layers.sampling import Sampling
from kecgi.layers.signal_image import SignalImage

__all__ = ["Sampling", "SignalImage", "conv_decoder", "conv_encoder"]
