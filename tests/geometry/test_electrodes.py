"""Electrodes: layouts, the check against a heart, and the 12 leads."""

import numpy as np
import pytest

from kecgi.geometry import (
    BiventricularShape,
    Electrodes,
    Heart,
    biventricular,
    by_name,
    plane,
    standard_12,
    twelve_leads,
    vest,
)
from kecgi.geometry.electrodes import LEADS_12


def test_plane_is_a_square_grid_in_front():
    electrodes = plane()
    assert len(electrodes) == 100
    np.testing.assert_array_equal(electrodes.positions_mm[:, 1], -90)
    x, _, z = electrodes.positions_mm.reshape(10, 10, 3).transpose(2, 0, 1)
    np.testing.assert_allclose(np.diff(x, axis=1), 20)  # along a row to the patient's left
    np.testing.assert_allclose(np.diff(z, axis=0), -20)  # rows from the head down
    np.testing.assert_allclose(electrodes.positions_mm.mean(axis=0), [0, -90, 0], atol=1e-12)
    assert electrodes.names[0] == "P01-01" and electrodes.names[-1] == "P10-10"
    assert len(plane(rows=3, columns=5)) == 15


def test_vest_lies_on_an_elliptic_cylinder():
    electrodes = vest(rings=4, per_ring=7)
    assert len(electrodes) == 28
    x, y, z = (electrodes.positions_mm + [30, -35, 0]).T
    np.testing.assert_allclose((x / 150) ** 2 + (y / 105) ** 2, 1)
    np.testing.assert_allclose(np.unique(z), [-150, -50, 50, 150])
    assert len(vest()) == 100


def test_standard_12_stand_where_they_belong():
    at = dict(zip(standard_12().names, standard_12().positions_mm, strict=True))
    assert at["RA"][0] < 0 < at["LA"][0]  # LPS: x to the patient's left
    assert at["LL"][2] < at["V6"][2] < at["LA"][2]
    assert all(at[f"V{i}"][0] < at[f"V{i + 1}"][0] for i in range(1, 6))
    assert at["V1"][1] < at["V6"][1]


def test_layouts_by_name():
    for name in ("plane", "vest", "standard_12"):
        assert isinstance(by_name(name), Electrodes)
    with pytest.raises(ValueError, match="'sock' is unknown, expected one of .*'standard_12'"):
        by_name("sock")


def test_moved():
    np.testing.assert_allclose(
        plane().moved((1, 2, 3)).positions_mm - plane().positions_mm, [[1, 2, 3]] * 100
    )


# --- outside the heart ------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["plane", "vest", "standard_12"])
def test_layouts_stand_outside_the_whole_family(layout):
    electrodes = by_name(layout)
    for seed in range(40):
        shape = BiventricularShape.draw(np.random.default_rng(seed))
        electrodes.require_outside(biventricular(shape, (62, 62, 62), 3.0))


def test_electrodes_in_tissue_cavity_or_too_near_are_named():
    heart = biventricular()
    left = heart.voxels_mm[heart.labels[heart.mask] == 1]
    cavity = BiventricularShape().axes()[2] * 5 + left.mean(axis=0)
    wall = left[100]
    outermost = heart.voxels_mm[heart.voxels_mm[:, 0].argmax()]
    positions = {
        "wall": wall,
        "far": (0, -120, 0),
        "cavity": cavity,
        "near": outermost + [1.9, 0, 0],
        "free": outermost + [4.1, 0, 0],
    }
    electrodes = Electrodes(tuple(positions), np.array(list(positions.values())))
    with pytest.raises(ValueError, match="3 electrodes lie inside biventricular") as error:
        electrodes.require_outside(heart)
    message = str(error.value)
    assert all(f"{name} at [" in message for name in ("wall", "cavity", "near"))
    assert "far at" not in message and "free at" not in message
    assert "within 2 mm" in message


def test_many_wrong_electrodes_are_counted():
    inside = plane(distance_mm=0.0)
    with pytest.raises(ValueError, match=r"\d\d electrodes lie inside .* and \d+ more; move them"):
        inside.require_outside(biventricular())


def test_a_slice_has_no_outside():
    with pytest.raises(ValueError, match="slice is 2-D; electrodes stand around a 3-D heart"):
        plane().require_outside(Heart(np.ones((4, 4), bool), 1.0, name="slice"))


@pytest.mark.parametrize(
    ("names", "positions", "message"),
    [
        (("a", "b"), np.zeros((3, 3)), "2 electrode names for 3 positions"),
        (("a", "a", "b"), np.eye(3), r"names repeat: \['a'\]"),
        (("a",), np.array([[0, np.nan, 0]]), r"electrodes \['a'\] have no finite position"),
        (("a",), np.zeros((1, 2)), r"shape \(1, 2\), expected \(n, 3\)"),
        ((), np.zeros((0, 3)), r"shape \(0, 3\), expected \(n, 3\)"),
        (("a",), np.zeros(3), r"shape \(3,\), expected \(n, 3\)"),
    ],
)
def test_wrong_electrodes_are_named(names, positions, message):
    with pytest.raises(ValueError, match=message):
        Electrodes(names, positions)


# --- the 12 leads -----------------------------------------------------------------------------


@pytest.fixture
def leads():
    potentials = np.random.default_rng(3).normal(size=(9, 50))
    at = dict(zip(standard_12().names, potentials, strict=True))
    return at, dict(zip(LEADS_12, twelve_leads(potentials, standard_12().names), strict=True))


def test_limb_leads_obey_einthoven_and_goldberger(leads):
    at, lead = leads
    np.testing.assert_allclose(lead["I"], at["LA"] - at["RA"])
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-12)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-12)
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=1e-12)
    np.testing.assert_allclose(lead["aVL"], (lead["I"] - lead["III"]) / 2, atol=1e-12)
    np.testing.assert_allclose(lead["aVF"], (lead["II"] + lead["III"]) / 2, atol=1e-12)


def test_chest_leads_are_against_wilsons_terminal(leads):
    at, lead = leads
    wilson = (at["RA"] + at["LA"] + at["LL"]) / 3
    for i in range(1, 7):
        np.testing.assert_allclose(lead[f"V{i}"], at[f"V{i}"] - wilson)


def test_leads_do_not_depend_on_the_reference_nor_on_order():
    potentials, names = np.random.default_rng(4).normal(size=(9, 5)), standard_12().names
    expected = twelve_leads(potentials, names)
    np.testing.assert_allclose(twelve_leads(potentials + 7, names), expected)
    np.testing.assert_allclose(twelve_leads(potentials[::-1], names[::-1]), expected)


def test_missing_electrodes_are_named():
    with pytest.raises(ValueError, match=r"\['LL', 'V6'\] are missing"):
        twelve_leads(np.zeros((7, 3)), ("RA", "LA", "V1", "V2", "V3", "V4", "V5"))
