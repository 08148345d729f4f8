"""Where: hearts, electrodes, and the files they come from."""

from kecgi.geometry.atrium import AtrialShape, atrial_wall
from kecgi.geometry.electrodes import Electrodes, by_name, plane, standard_12, twelve_leads, vest
from kecgi.geometry.fibres import rule_based
from kecgi.geometry.heart import Heart, keep_largest
from kecgi.geometry.parametric import BiventricularShape, biventricular
from kecgi.geometry.points import spread_points
from kecgi.geometry.readers import load_heart
from kecgi.geometry.shell import surface_wall
from kecgi.geometry.surfaces import TriangleSurface

__all__ = [
    "AtrialShape",
    "BiventricularShape",
    "Electrodes",
    "Heart",
    "TriangleSurface",
    "atrial_wall",
    "biventricular",
    "by_name",
    "keep_largest",
    "load_heart",
    "plane",
    "rule_based",
    "spread_points",
    "standard_12",
    "surface_wall",
    "twelve_leads",
    "vest",
]
