"""Lead algebra against the laws written out, and against potentials of real electrodes."""

import numpy as np
import pytest

from kecgi.data.ecg.leads import (
    BASES,
    CNVAE_LEADS,
    expansion,
    lead_indices,
    lead_law_residuals_uv,
    select,
    to_twelve,
)
from kecgi.geometry.electrodes import LEADS_12, STANDARD_12_POSITIONS_MM, twelve_leads

WRITTEN_OUT = {
    # the published formulas, lead by lead, as (lead, {lead it is made of: weight})
    "cnvae": {
        "II": {"I": 1, "III": 1},
        "aVR": {"I": -1, "III": -0.5},
        "aVL": {"I": 0.5, "III": -0.5},
        "aVF": {"I": 0.5, "III": 1},
    },
    "pulse2pulse": {
        "III": {"II": 1, "I": -1},
        "aVR": {"I": -0.5, "II": -0.5},
        "aVL": {"I": 1, "II": -0.5},
        "aVF": {"II": 1, "I": -0.5},
    },
    "sssd": {
        "II": {"I": 0.5, "aVF": 1},
        "III": {"I": -0.5, "aVF": 1},
        "aVR": {"I": -0.75, "aVF": -0.5},
        "aVL": {"I": 0.75, "aVF": -0.5},
    },
}


@pytest.mark.parametrize("basis", BASES)
def test_bases_are_the_published_formulas(basis):
    leads, matrix = BASES[basis], expansion(BASES[basis])
    for row, lead in enumerate(LEADS_12):
        weights = WRITTEN_OUT[basis].get(lead, {lead: 1})
        np.testing.assert_array_equal(matrix[row], [weights.get(name, 0) for name in leads], lead)
    assert np.linalg.matrix_rank(matrix) == 8


def test_any_order_of_leads():
    rng = np.random.default_rng(0)
    twelve = to_twelve(rng.standard_normal((8, 30)))
    leads = ("V6", "aVL", "V1", "V3", "V2", "aVR", "V5", "V4")
    np.testing.assert_allclose(to_twelve(select(twelve, leads), leads), twelve, atol=1e-14)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize(("dtype", "bound_uv"), [(np.float64, 1e-4), (np.float32, 0.1)])
def test_laws_hold_for_any_signal(basis, dtype, bound_uv):
    signals = 5 * np.random.default_rng(1).standard_normal((20, 8, 500)).astype(dtype)
    twelve = to_twelve(signals, BASES[basis])
    assert twelve.dtype == dtype
    for law, residual in lead_law_residuals_uv(twelve).items():
        assert residual.shape == (20, 500)
        assert residual.max() < bound_uv, law
    np.testing.assert_array_equal(select(twelve, BASES[basis]), signals)


def test_leads_of_electrodes_are_reproduced():
    """The eight leads of nine potentials give the twelve that the potentials give."""
    names = list(STANDARD_12_POSITIONS_MM)
    twelve = twelve_leads(np.random.default_rng(2).standard_normal((9, 40)), names)
    np.testing.assert_allclose(to_twelve(select(twelve, CNVAE_LEADS)), twelve, atol=1e-14)


def test_derivation_does_not_commute_with_a_scale_per_lead():
    """The defect of the public code: derived leads of scaled signals are wrong."""
    signals = np.random.default_rng(3).uniform(-0.6, 1.2, (8, 100))
    low, span = np.linspace(-0.7, -0.5, 8)[:, None], np.linspace(1.5, 2.0, 8)[:, None]
    twelve, scaled = to_twelve(signals), to_twelve((signals - low) / span)
    wrong = scaled * (expansion() @ span) + expansion() @ low
    assert np.abs(wrong - twelve)[1].max() > 0.2  # lead II, mV


def test_axis_of_leads():
    signals = np.random.default_rng(4).standard_normal((3, 50, 8))
    np.testing.assert_array_equal(
        to_twelve(signals, axis=-1), to_twelve(signals.transpose(0, 2, 1)).transpose(0, 2, 1)
    )


def test_residuals_see_a_broken_law():
    twelve = to_twelve(np.random.default_rng(5).standard_normal((8, 10)))
    twelve[4] += 0.01
    residuals = lead_law_residuals_uv(twelve)
    np.testing.assert_allclose(residuals["aVL"], 10, atol=1e-9)
    assert residuals["aVF"].max() < 1e-9
    twelve[4] -= 0.01
    swapped = lead_law_residuals_uv(twelve[[1, 0, *range(2, 12)]])
    assert swapped["einthoven"].max() > 100


def test_names_are_checked():
    assert lead_indices(["avf", " V1 "]) == [5, 6]
    with pytest.raises(ValueError, match=r"leads \['V7'\] are missing"):
        lead_indices(["I", "V7"])
    with pytest.raises(ValueError, match="come twice"):
        lead_indices(["I", "i"])
    with pytest.raises(ValueError, match="two limb leads"):
        expansion(("I", "II", "III", "V1", "V2", "V3", "V4", "V5"))
    with pytest.raises(ValueError, match="expected 8"):
        to_twelve(np.zeros((12, 100)))
    with pytest.raises(ValueError, match="3 leads along axis"):
        select(np.zeros((3, 10)), ["I"])
    with pytest.raises(ValueError, match="expected 12 leads"):
        lead_law_residuals_uv(np.zeros((10, 8)))
