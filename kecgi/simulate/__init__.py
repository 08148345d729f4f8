"""What happens: activation, action potentials and the potentials they make."""

from kecgi.simulate.action_potential import (
    ActionPotential,
    MitchellSchaeffer,
    action_potential,
    mitchell_schaeffer,
)
from kecgi.simulate.anisotropic import (
    AnisotropicTissue,
    anisotropic_times,
    conduction_tensors,
    solve_anisotropic,
    solve_many,
)
from kecgi.simulate.calibration import diffusivity, wall_diffusivity
from kecgi.simulate.conduction import Speeds
from kecgi.simulate.eikonal import TissueGraph, activation_times, solve
from kecgi.simulate.electrograms import bipolar_pairs, near_field
from kecgi.simulate.forward import body_surface_potentials, lead_field
from kecgi.simulate.monodomain import Stimulus, Tissue, simulate
from kecgi.simulate.rhythms import RHYTHMS, RhythmError, RhythmPlan, draw_plan, induce, play

__all__ = [
    "RHYTHMS",
    "ActionPotential",
    "AnisotropicTissue",
    "MitchellSchaeffer",
    "RhythmError",
    "RhythmPlan",
    "Stimulus",
    "Tissue",
    "Speeds",
    "TissueGraph",
    "action_potential",
    "activation_times",
    "anisotropic_times",
    "bipolar_pairs",
    "body_surface_potentials",
    "diffusivity",
    "draw_plan",
    "induce",
    "conduction_tensors",
    "lead_field",
    "mitchell_schaeffer",
    "near_field",
    "play",
    "simulate",
    "solve",
    "solve_anisotropic",
    "solve_many",
    "wall_diffusivity",
]
