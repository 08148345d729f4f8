"""Keras layers and stacks of layers that several models share."""

from kecgi.layers.convolution import conv_decoder, conv_encoder
from kecgi.layers.dipole_sources import DipoleSources
from kecgi.layers.point_attention import PointAttention, squared_distances
from kecgi.layers.point_readout import PlaneReadout, PointReadout
from kecgi.layers.rigid_alignment import RigidAlignment
from kecgi.layers.sampling import Sampling
from kecgi.layers.signal_image import SignalImage

__all__ = [
    "DipoleSources",
    "PlaneReadout",
    "PointAttention",
    "PointReadout",
    "RigidAlignment",
    "Sampling",
    "SignalImage",
    "conv_decoder",
    "conv_encoder",
    "squared_distances",
]
