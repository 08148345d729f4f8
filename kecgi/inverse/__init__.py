"""Classical inverse methods, the rivals of the learned ones: NumPy in, NumPy out."""

from kecgi.inverse.bem import transfer_matrix
from kecgi.inverse.classical import ClassicalInverse
from kecgi.inverse.coherent import coherent_activation, steepest_descent
from kecgi.inverse.interface import Estimate, InverseMethod
from kecgi.inverse.regularise import StandardForm

__all__ = [
    "ClassicalInverse",
    "Estimate",
    "InverseMethod",
    "StandardForm",
    "coherent_activation",
    "steepest_descent",
    "transfer_matrix",
]
