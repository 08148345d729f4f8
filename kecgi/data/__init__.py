"""Pairs on disk: what a cohort is, how it is built, read, split and scaled.

Batches for Keras are in `kecgi.data.batches`, which imports Keras and is not imported here.
"""

from kecgi.data.build import build, simulate_anatomy
from kecgi.data.cohort import CasePlan, CohortConfig, draw_anatomy, draw_case
from kecgi.data.disturbance import Disturbance
from kecgi.data.ecg.build import build_ecg
from kecgi.data.ecg.config import ECGCohortConfig, ECGFolderConfig
from kecgi.data.ecg.labels import LabelSchema
from kecgi.data.ecg.leads import CNVAE_LEADS, to_twelve
from kecgi.data.ecg.records import read_record, write_records
from kecgi.data.ecg.scaling import LeadScale
from kecgi.data.ecg.store import ECGStore, open_ecg
from kecgi.data.egm.cohort import EGMConfig
from kecgi.data.egm.recordings import EGMRecordings
from kecgi.data.egm.store import EGMCohort, build_egm, open_egm
from kecgi.data.noise import add_noise
from kecgi.data.scaling import AmplitudeScale, MapScale, SignalScale
from kecgi.data.slices import coarsen, slice_index
from kecgi.data.splits import (
    Split,
    by_anatomy,
    by_rhythm,
    by_simulation,
    by_slice_leaky,
    check_disjoint,
)
from kecgi.data.store import Cohort, open_store

__all__ = [
    "CNVAE_LEADS",
    "AmplitudeScale",
    "CasePlan",
    "Cohort",
    "CohortConfig",
    "Disturbance",
    "ECGCohortConfig",
    "ECGFolderConfig",
    "ECGStore",
    "EGMCohort",
    "EGMConfig",
    "EGMRecordings",
    "LabelSchema",
    "LeadScale",
    "MapScale",
    "SignalScale",
    "Split",
    "add_noise",
    "build",
    "build_ecg",
    "build_egm",
    "by_anatomy",
    "by_rhythm",
    "by_simulation",
    "by_slice_leaky",
    "check_disjoint",
    "coarsen",
    "draw_anatomy",
    "draw_case",
    "open_ecg",
    "open_egm",
    "open_store",
    "read_record",
    "simulate_anatomy",
    "slice_index",
    "to_twelve",
    "write_records",
]
