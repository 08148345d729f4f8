"""Inverse methods behind one interface, classical and learned: NumPy in, NumPy out."""

from kecgi.inverse.classical import ClassicalInverse
from kecgi.inverse.coherent import coherent_activation, steepest_descent
from kecgi.inverse.interface import Estimate, InverseMethod
from kecgi.inverse.learned import LearnedInverse
from kecgi.inverse.regularise import StandardForm
from kecgi.inverse.sites import Site, earliest_sites
from kecgi.inverse.wall_sources import WallSources
from kecgi.simulate.bem import transfer_matrix

__all__ = [
    "ClassicalInverse",
    "Estimate",
    "InverseMethod",
    "LearnedInverse",
    "Site",
    "StandardForm",
    "WallSources",
    "coherent_activation",
    "earliest_sites",
    "steepest_descent",
    "transfer_matrix",
]
