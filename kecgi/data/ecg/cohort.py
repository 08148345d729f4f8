"""Simulated ECGs of one heart after another: what is drawn, and the records it gives.

A heart has a shape, a torso, speeds and action potentials of its own, a hypertrophied left
ventricle or not, and a place where it would infarct. Its records differ in rhythm, in whether the
infarct has happened, and in noise. Labels are what was simulated, not what a reader would say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from kecgi.data.ecg.config import ECGCohortConfig
from kecgi.geometry import BiventricularShape, biventricular
from kecgi.geometry.electrodes import LEADS_12, standard_12, twelve_leads
from kecgi.geometry.wall import wall_position
from kecgi.simulate import ecg12, ecg_rhythm
from kecgi.simulate.ecg12 import Conduction, Infarct, Repolarisation

HYPERTROPHY = 0.35
"""Share of the hearts with left ventricular hypertrophy."""

INFARCTION, BLOCK = 0.3, 0.4
"""Share of the records with an infarct, and of those in SR or SB with first-degree block. In AF
there is no PR; in STach a late P would hide in the T before it."""

RHYTHMS = {"SR": 0.34, "AF": 0.22, "SB": 0.22, "STach": 0.22}
"""Share of each rhythm; a record has exactly one."""

RATES_BPM = {"SR": (62.0, 96.0), "AF": (62.0, 125.0), "SB": (42.0, 57.0), "STach": (104.0, 145.0)}
"""Mean heart rate of each rhythm, uniform."""

PR_MS, BLOCK_PR_MS = (130.0, 180.0), (220.0, 310.0)
"""PR interval without and with first-degree block."""

INFARCT_SITES = {"anterior": (-55.0, 0.4), "inferior": (75.0, 0.5), "lateral": (165.0, 0.45)}
"""Angle (degrees) and height in the left ventricle's wall."""

SPACING_MM, GRID = 2.5, (64, 64, 64)

_HEART, _RECORD = 0, 1  # first element of the spawn keys


@dataclass(frozen=True, eq=False)
class HeartPlan:
    """What is drawn once per heart; `hypertrophy` is its label LVH."""

    shape: BiventricularShape
    hypertrophy: bool
    torso_radius_mm: float
    conduction: Conduction
    repolarisation: Repolarisation
    infarct: Infarct


@dataclass(frozen=True)
class RecordPlan:
    """What is drawn once per record: rhythm, rate, PR (NaN in fibrillation), infarct, noise."""

    rhythm: str
    rate_bpm: float
    pr_ms: float
    block: bool
    infarcted: bool
    baseline_mv: float
    muscle_mv: float


def draw_heart(config: ECGCohortConfig, index: int) -> HeartPlan:
    """Draw a heart of the cohort.

    Raises
    ------
    IndexError
        Where the cohort has no such heart.
    """
    if not 0 <= index < config.hearts:
        raise IndexError(f"heart {index} of a cohort of {config.hearts}")
    rng = _rng(config, _HEART, index)
    hypertrophy = bool(rng.random() < HYPERTROPHY)
    wall, radius = ((15.0, 19.0), (34.0, 38.0)) if hypertrophy else ((8.0, 10.5), (26.0, 31.0))
    shape = BiventricularShape(
        lv_radius_mm=rng.uniform(*radius),
        lv_length_mm=rng.uniform(46, 54),
        lv_wall_mm=rng.uniform(*wall),
        rv_wall_mm=rng.uniform(3.5, 5.0),
        rv_offset=rng.uniform(0.75, 0.88),
        rv_width=rng.uniform(0.92, 1.02),
        tilt_deg=rng.uniform(-10, 10),
        spin_deg=rng.uniform(-10, 10),
        turn_deg=rng.uniform(-24, -10),
        shift_mm=tuple(rng.uniform(-4, 4, 3)),
    )
    angle, height = INFARCT_SITES[str(rng.choice(list(INFARCT_SITES)))]
    return HeartPlan(
        shape,
        hypertrophy,
        torso_radius_mm=rng.uniform(134, 150),
        conduction=Conduction(
            endocardium=rng.uniform(0.85, 1.1),
            myocardium=rng.uniform(0.30, 0.38),
            atria=rng.uniform(0.8, 1.05),
        ),
        # hypertrophied walls recover late from outside, which turns T: the strain pattern
        repolarisation=Repolarisation(
            apd_ms=rng.uniform(300, 330),
            per_activation=rng.uniform(0.3, 0.6) if hypertrophy else rng.uniform(0.85, 1.15),
            transmural_ms=rng.uniform(-25, 0) if hypertrophy else rng.uniform(20, 40),
        ),
        infarct=Infarct(
            angle + rng.uniform(-15, 15),
            height + rng.uniform(-0.08, 0.08),
            radius_mm=rng.uniform(22, 28),
            border_mm=rng.uniform(6, 10),
            apd_change_ms=rng.uniform(40, 80),
            injury=rng.uniform(0.05, 0.25),
        ),
    )


def draw_record(config: ECGCohortConfig, heart: int, record: int) -> RecordPlan:
    """Draw a record of a heart; both are counted from 0."""
    rng = _rng(config, _RECORD, heart, record)
    rhythm = str(rng.choice(list(RHYTHMS), p=list(RHYTHMS.values())))
    rate = rng.uniform(*RATES_BPM[rhythm])
    block = bool(rhythm in ("SR", "SB") and rng.random() < BLOCK)
    low, high = BLOCK_PR_MS if block else PR_MS
    high = min(high, 0.45 * 60_000 / rate)  # P comes after the T before it
    return RecordPlan(
        rhythm,
        rate,
        pr_ms=float("nan") if rhythm == "AF" else rng.uniform(low, high),
        block=block,
        infarcted=bool(rng.random() < INFARCTION),
        baseline_mv=rng.uniform(0.01, 0.06),
        muscle_mv=rng.uniform(0.003, 0.012),
    )


# one thread: with several, BLAS sums in another order and the last bits change
@threadpool_limits.wrap(limits=1)
def simulate_heart(config: ECGCohortConfig, index: int) -> list[dict]:
    """Simulate the records of one heart.

    Parameters
    ----------
    config : ECGCohortConfig
        The cohort.
    index : int
        The heart.

    Returns
    -------
    list of dict
        Rows for `kecgi.data.ecg.store.write_store`.
    """
    plan = draw_heart(config, index)
    heart = biventricular(plan.shape, GRID, SPACING_MM)
    axes, torso = plan.shape.axes(), {"torso_radius_mm": plan.torso_radius_mm}
    atria = ecg12.atrial_chambers(heart, axes, **torso)
    p_wave = ecg12.atrial_wave(atria, plan.conduction)
    wall = wall_position(heart, axes)
    conditions: dict[bool, tuple[ecg12.Ventricles, np.ndarray]] = {}
    rows = []
    for number in range(config.records_per_heart):
        record = draw_record(config, index, number)
        if record.infarcted not in conditions:
            infarct = plan.infarct if record.infarcted else None
            source = ecg12.ventricles(heart, wall, infarct=infarct, **torso)
            conditions[record.infarcted] = source, ecg12.activate(source, plan.conduction)
        source, activation = conditions[record.infarcted]
        # Fridericia: the duration follows the cube root of the RR interval
        factor = float(np.cbrt(60 / record.rate_bpm))
        own = replace(plan.repolarisation, apd_ms=plan.repolarisation.apd_ms * factor)
        qrs_t = ecg12.ventricular_wave(source, activation, plan.conduction, own)
        rng = _rng(config, _RECORD, index, number, 0)
        potentials = _potentials(config, plan, record, atria, p_wave, qrs_t, rng)
        labels = [record.rhythm]
        labels += ["IAVB"] * record.block + ["LVH"] * plan.hypertrophy + ["MI"] * record.infarcted
        rows.append(
            {
                "record_name": f"S{index:05d}-{number:03d}",
                "ecg_mv": twelve_leads(potentials, standard_12().names),
                "labels": config.schema.encode(labels),
                "flat": np.zeros(len(LEADS_12), bool),
                "group": index,
                "rate_bpm": record.rate_bpm,
                "pr_ms": record.pr_ms,
            }
        )
    return rows


def _potentials(
    config: ECGCohortConfig,
    plan: HeartPlan,
    record: RecordPlan,
    atria: ecg12.Atria,
    p_wave: ecg12.Wave,
    qrs_t: ecg12.Wave,
    rng: np.random.Generator,
) -> np.ndarray:
    """Potentials of the electrodes through a whole record."""
    hz, seconds = config.sampling_hz, config.seconds
    potentials = np.zeros((len(standard_12()), config.samples))
    if record.rhythm == "AF":
        beats = ecg_rhythm.fibrillation_beats_ms(rng, record.rate_bpm, seconds)
        waves = ecg12.fibrillating_waves(atria, plan.conduction, rng)
        cycle_ms = rng.uniform(140, 190)
        potentials += ecg_rhythm.fibrillatory_potentials(rng, waves, config.samples, hz, cycle_ms)
    else:
        beats = ecg_rhythm.sinus_beats_ms(rng, record.rate_bpm, seconds, rng.uniform(0.01, 0.04))
        ecg_rhythm.place(potentials, p_wave, beats - record.pr_ms, hz)
    ecg_rhythm.place(potentials, qrs_t, beats, hz)
    # last, so that rhythms don't depend on the sampling rate
    return potentials + ecg_rhythm.electrode_noise(
        rng,
        *potentials.shape,
        hz,
        baseline_mv=record.baseline_mv,
        muscle_mv=record.muscle_mv,
    )


def _rng(config: ECGCohortConfig, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))
