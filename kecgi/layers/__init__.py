"""Keras layers and stacks of layers that several models share."""

from kecgi.layers.convolution import conv_decoder, conv_encoder
from kecgi.layers.dipole_sources import DipoleSources
from kecgi.layers.point_attention import PointAttention, squared_distances
from kecgi.layers.point_readout import PointReadout
from kecgi.layers.sampling import Sampling
from kecgi.layers.signal_image import SignalImage

__all__ = [
    "DipoleSources",
    "PointAttention",
    "PointReadout",
    "Sampling",
    "SignalImage",
    "conv_decoder",
    "conv_encoder",
    "squared_distances",
]
