"""Recordings from MATLAB files, and a laboratory's times against kecgi's own."""

import numpy as np
import pytest
from scipy import io

from kecgi.data.recordings import read_lab_times, read_recording
from kecgi.inverse import steepest_descent


def series(**fields):
    fiducials = np.empty(3, object)
    fiducials[:] = [
        {"type": 2, "value": 21},
        {"type": 4, "value": 61},
        {"type": 10, "value": np.arange(4.0)},
    ]
    usual = {
        "potvals": np.arange(400.0).reshape(4, 100),
        "samplefrequency": 500,
        "leadinfo": np.array([0, 3, 1, 2]),
        "fids": fiducials,
    }
    return {"ts": usual | fields}


def test_a_time_series_of_pfeifer(tmp_path):
    io.savemat(tmp_path / "beat.mat", series())
    beat = read_recording(tmp_path / "beat.mat")
    assert beat.potentials_mv.shape == (4, 100) and beat.sampling_hz == 500
    np.testing.assert_array_equal(beat.time_ms[:3], [0, 2, 4])
    assert beat.fiducials_ms == {"qrs_on": 40.0, "qrs_off": 120.0}
    np.testing.assert_array_equal(beat.lost, [False, True, False, True])
    assert beat.name == "beat"


def test_a_matrix_needs_a_sampling_rate(tmp_path):
    io.savemat(tmp_path / "sock.mat", {"scirunmatrix": np.ones((5, 30))})
    with pytest.raises(ValueError, match="pass sampling_hz"):
        read_recording(tmp_path / "sock.mat")
    beat = read_recording(tmp_path / "sock.mat", 1000.0)
    assert beat.time_ms[-1] == 29 and not beat.lost.any() and not beat.fiducials_ms


def test_lab_times_are_the_fraction_in_seconds(tmp_path):
    columns = np.array([[121.05, 296.15, 175.1], [121.06, 296.2, 175.14]])
    fields = {"potvals": columns, "leadinfo": np.zeros(2)}
    io.savemat(tmp_path / "beat-ari.mat", series(**fields))
    lab = read_lab_times(tmp_path / "beat-ari.mat")
    np.testing.assert_allclose(lab.activation_ms, [50, 60])
    np.testing.assert_allclose(lab.recovery_ms, [150, 200])
    io.savemat(tmp_path / "other-ari.mat", series(**fields | {"potvals": columns * [[1], [2]]}))
    with pytest.raises(ValueError, match="expected the onset's sample"):
        read_lab_times(tmp_path / "other-ari.mat")


def test_what_is_no_recording_is_refused(tmp_path):
    io.savemat(tmp_path / "two.mat", {"a": np.ones((2, 2)), "b": np.ones((2, 2))})
    with pytest.raises(ValueError, match=r"holds no recording.*\['a', 'b'\]"):
        read_recording(tmp_path / "two.mat", 1000.0)
    io.savemat(tmp_path / "beat.mat", series())
    with pytest.raises(ValueError, match=r"shape \(4, 100\), expected \(leads, 3\)"):
        read_lab_times(tmp_path / "beat.mat")
    with pytest.raises(FileNotFoundError, match="absent"):
        read_recording(tmp_path / "absent.mat")


def test_own_times_agree_with_the_laboratory_s(data_folder):
    """A millisecond later in all leads of all beats, and else the same in nine leads of ten."""
    folder = data_folder / "utah_sock_pfeifer"
    files = sorted(folder.glob("*-cs-ari.mat"))
    if not files:
        pytest.skip(f"no recordings in {folder}")
    assert len(files) == 8
    errors = []
    for file in files:
        lab = read_lab_times(file)
        beat = read_recording(file.with_name(file.name.replace("-ari", "")))
        window = beat.fiducials_ms["qrs_on"], beat.fiducials_ms["qrs_off"]
        own = steepest_descent(beat.potentials_mv, beat.time_ms, window) - window[0]
        np.testing.assert_array_equal(np.flatnonzero(beat.lost), [139, 155, 157])
        difference = (own - lab.activation_ms)[~lab.lost]
        assert np.median(difference) == pytest.approx(1, abs=0.1)
        assert np.mean(np.abs(difference - 1) < 0.5) > 0.9, file.name
        errors.append(np.abs(difference).mean())
    assert np.mean(errors) < 1.2
