"""What happens: activation, action potentials and the potentials they make."""

from kecgi.simulate.action_potential import (
    ActionPotential,
    MitchellSchaeffer,
    action_potential,
    mitchell_schaeffer,
)
from kecgi.simulate.eikonal import TissueGraph, activation_times, solve
from kecgi.simulate.forward import body_surface_potentials, lead_field

__all__ = [
    "ActionPotential",
    "MitchellSchaeffer",
    "TissueGraph",
    "action_potential",
    "activation_times",
    "body_surface_potentials",
    "lead_field",
    "mitchell_schaeffer",
    "solve",
]
