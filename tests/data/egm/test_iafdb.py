import numpy as np
import pytest

from kecgi.data.egm.iafdb import comparable, read_iafdb


def test_records_are_what_wfdb_reads(data_folder):
    wfdb = pytest.importorskip("wfdb")
    folder = data_folder / "iafdb_af_egm"
    if not folder.is_dir():
        pytest.skip(f"no recordings in {data_folder}")
    records = read_iafdb(folder)
    assert len(records) == 13 and {r.patient for r in records} == {1, 2, 3, 4}
    for record in records[:: len(records) - 1]:
        whole = wfdb.rdrecord(str(folder / record.name))
        at = [whole.sig_name.index(name) for name in ("CS12", "CS34", "CS56", "CS78", "CS90")]
        np.testing.assert_array_equal(record.bipolar, whole.p_signal[:, at].T)
        assert record.surface.shape == (3, whole.sig_len) and record.sampling_hz == 1000
        assert record.name == f"iaf{record.patient}_{record.place}"


def test_a_record_that_was_written_here(tmp_path):
    wfdb = pytest.importorskip("wfdb")
    rng = np.random.default_rng(0)
    signals = rng.uniform(-1, 1, (500, 3))
    wfdb.wrsamp(
        "iaf9_svc", fs=500, units=["mV"] * 3, sig_name=["II", "CS12", "CS34"], p_signal=signals,
        fmt=["16"] * 3, write_dir=str(tmp_path),
    )  # fmt: skip
    (record,) = read_iafdb(tmp_path)
    assert (record.patient, record.place, record.pairs) == (9, "svc", ("CS12", "CS34"))
    np.testing.assert_allclose(record.bipolar, signals[:, 1:].T, atol=1e-4)
    wfdb.wrsamp(
        "iaf9_ivc", fs=500, units=["mV"], sig_name=["II"], p_signal=signals[:, :1], fmt=["16"],
        write_dir=str(tmp_path),
    )  # fmt: skip
    with pytest.raises(ValueError, match="iaf9_ivc has the signals .*none of which is a CS pair"):
        read_iafdb(tmp_path)
    with pytest.raises(FileNotFoundError, match="no record iafN_PLACE.hea"):
        read_iafdb(tmp_path / "none")


def test_signals_become_comparable():
    """A tone in the band keeps its frequency, drift and what is above the band go; units too."""
    time = np.arange(5000) / 1000
    tone = np.sin(2 * np.pi * 20 * time)
    other = 40 * np.sin(2 * np.pi * 0.3 * time) + 3 * np.sin(2 * np.pi * 170 * time)
    windows = comparable(np.stack([1e-3 * (tone + other), 0 * tone]), 1000, 200)
    assert windows.shape == (2, 400)  # two windows of one channel, the flat one left out
    np.testing.assert_allclose(np.mean(windows**2, axis=1), 1)
    expected = np.sqrt(2) * np.sin(2 * np.pi * 20 * np.arange(200, 600) / 200)
    np.testing.assert_allclose(windows.ravel()[200:600], expected, atol=0.12)
    with pytest.raises(ValueError, match="shorter than a window of 400"):
        comparable(tone[:1000], 1000, 200)
