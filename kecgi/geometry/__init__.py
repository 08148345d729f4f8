"""Where: hearts, electrodes, and the files they come from."""

from kecgi.geometry.atrium import AtrialShape, atrial_wall
from kecgi.geometry.electrodes import Electrodes, by_name, plane, standard_12, twelve_leads, vest
from kecgi.geometry.heart import Heart, keep_largest
from kecgi.geometry.parametric import BiventricularShape, biventricular
from kecgi.geometry.points import spread_points
from kecgi.geometry.readers import load_heart

__all__ = [
    "AtrialShape",
    "BiventricularShape",
    "Electrodes",
    "Heart",
    "atrial_wall",
    "biventricular",
    "by_name",
    "keep_largest",
    "load_heart",
    "plane",
    "spread_points",
    "standard_12",
    "twelve_leads",
    "vest",
]
