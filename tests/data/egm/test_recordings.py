"""Recordings of simulations as generators take them."""

import numpy as np
import pytest

from kecgi.data import AmplitudeScale, EGMConfig, EGMRecordings, build_egm, open_egm


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    config = EGMConfig(
        3, ("sinus", "ectopic"), 1, 2, 640.0, 100.0, nodes=12, bipoles=2, spacing_mm=2.0,
        fronts="eikonal",
    )  # fmt: skip
    return open_egm(build_egm(config, tmp_path_factory.mktemp("egm") / "d", progress=False))


def test_windows_are_those_of_the_dataset(cohort):
    known = EGMRecordings.read(cohort, np.arange(6))
    stored = cohort.windows()
    assert known.egm.shape == (6, 128, 12) and known.count == 2 and len(known) == 6
    assert np.abs(known.egm).max() == 1.0
    np.testing.assert_allclose(known.windows_mv, stored["egm_mv"].swapaxes(1, 2), rtol=1e-6)
    np.testing.assert_allclose(known.scaled(known.windows_mv), known.windows, rtol=1e-6)
    np.testing.assert_array_equal(known.per_window(known.simulation), stored["simulation"])
    named = np.array(known.names)[known.per_window(known.rhythm)]
    np.testing.assert_array_equal(named, np.array(cohort.rhythm_names)[stored["rhythm"]])
    pieces = known.pieces(32).reshape(3, 6, 64, 12)  # from 0, 32 and 64 of 128 samples
    np.testing.assert_array_equal(pieces[1], known.egm[:, 32:96])
    assert set(known.inputs) == {"egm", "rhythm"}
    np.testing.assert_array_equal(known.inputs["rhythm"].argmax(axis=1), known.rhythm.repeat(2))


def test_one_rhythm_alone(cohort):
    every = EGMRecordings.read(cohort, np.arange(6), AmplitudeScale(2.0))
    known = every.of("ectopic")
    np.testing.assert_array_equal(known.simulation, [1, 3, 5])
    assert set(known.inputs) == {"egm"} and (known.one_hot == 1).all()
    np.testing.assert_allclose(known.egm[0, :64], cohort.read("egm_mv", [1])[0, 0].T / 2)
    turned = every.of("ectopic", "sinus")
    np.testing.assert_array_equal(turned.rhythm, 1 - every.rhythm)
    with pytest.raises(ValueError, match=r"rhythm 'flutter' is not one of \['sinus', 'ectopic'\]"):
        every.of("flutter")
