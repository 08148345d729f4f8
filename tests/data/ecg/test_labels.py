import json

import numpy as np
import pytest

from kecgi.data.ecg.labels import NINE, SIMULATED, LabelSchema


def test_codes_of_the_nine_classes():
    """A few that anyone can look up in SNOMED-CT, and the order of the published code."""
    codes = dict(zip(NINE.names, NINE.codes, strict=True))
    assert codes["AF"] == "164889003"
    assert codes["SB"] == "426177001"
    assert NINE.names == ("SR", "MI", "LAD", "LVH", "AF", "STach", "IAVB", "SB", "TAb")


def test_codes_to_labels_and_back():
    row = NINE.encode_codes(["164889003", "59118001", "164873001"])  # one is of no class
    np.testing.assert_array_equal(row, [0, 0, 0, 1, 1, 0, 0, 0, 0])
    assert NINE.decode(row) == ("LVH", "AF")
    assert NINE.decode_codes(row) == ("164873001", "164889003")
    np.testing.assert_array_equal(NINE.encode(["AF", "LVH"]), row)
    assert not NINE.encode_codes([]).any()


def test_subset_keeps_the_given_order():
    subset = NINE.subset(["SB", "SR"])
    assert subset.codes == ("426177001", "426783006")
    assert set(SIMULATED.names) < set(NINE.names)


def test_json_round_trip():
    assert LabelSchema.from_json(NINE.to_json()) == NINE
    with pytest.raises(ValueError, match="not a label schema"):
        LabelSchema.from_json(json.dumps({"names": ["a"]}))


def test_wrong_schemas_and_labels():
    with pytest.raises(ValueError, match="come twice"):
        LabelSchema(("a", "a"), ("1", "2"))
    with pytest.raises(ValueError, match="2 names for 1 codes"):
        LabelSchema(("a", "b"), ("1",))
    with pytest.raises(ValueError, match="'VT' is unknown, expected one of"):
        NINE.encode(["VT"])
    with pytest.raises(ValueError, match=r"expected \(9,\)"):
        NINE.decode(np.zeros(8))
