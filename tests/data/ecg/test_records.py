"""WFDB records: 25 real ones, and damaged ones of every kind."""

import numpy as np
import pytest

from kecgi.data import ECGFolderConfig, build_ecg, open_ecg
from kecgi.data.ecg.labels import NINE
from kecgi.data.ecg.leads import lead_law_residuals_uv, to_twelve
from kecgi.data.ecg.records import (
    RecordError,
    find_records,
    fit_length,
    read_patients,
    read_record,
    resample,
    write_records,
)
from kecgi.geometry.electrodes import LEADS_12


def ecg(seed=0, seconds=10, hz=500):
    """Return a smooth 12-lead signal that obeys the lead laws."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * hz)) / hz
    waves = np.sin(2 * np.pi * rng.uniform(1, 12, (8, 1)) * time_s + rng.uniform(0, 6, (8, 1)))
    return to_twelve(waves)


def write(folder, name, ecg_mv, hz=500, leads=LEADS_12, comments=("Dx: 426783006",)):
    import wfdb

    wfdb.wrsamp(
        name,
        fs=hz,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        p_signal=np.asarray(ecg_mv).T.copy(),
        fmt=["16"] * len(leads),
        comments=list(comments),
        write_dir=str(folder),
    )
    return folder / name


@pytest.fixture(scope="module")
def real(data_folder):
    folder = data_folder / "cinc2021_12lead_25"
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}")
    return folder


def test_all_real_records_load(real, tmp_path):
    store = open_ecg(build_ecg(ECGFolderConfig(str(real)), tmp_path / "real", progress=False))
    assert len(store) == 25 and not store.rejected and not store.simulated
    loaded = store.load()
    assert loaded["ecg_mv"].shape == (25, 5000, 12)
    assert np.isfinite(loaded["ecg_mv"]).all()
    # counted by hand in the headers
    counts = dict(zip(store.schema.names, loaded["labels"].sum(axis=0), strict=True))
    assert (counts["SR"], counts["STach"], counts["SB"], counts["TAb"]) == (7, 10, 5, 6)
    # recorders round each lead on its own
    residuals = lead_law_residuals_uv(loaded["ecg_mv"].transpose(0, 2, 1))
    assert max(r.max() for r in residuals.values()) < 5
    # two records of Ningbo lack V2, V4 and V6: they load, and are in no part of a split
    flat = {store.names[i]: store.flat[i].sum() for i in np.flatnonzero(store.flat.any(axis=1))}
    assert flat == {"JS20004": 3, "JS20008": 3}
    split = store.split()
    assert split.kind == "record"
    assert sorted(np.concatenate([split.train, split.validation, split.test])) == [
        i for i in range(25) if store.names[i] not in flat
    ]


def test_values_are_those_of_the_file(real):
    """Against the file itself: 16-bit samples after 24 bytes, 1000 to a mV."""
    raw = np.fromfile(real / "E07500.mat", "<i2", offset=24).reshape(5000, 12).T
    np.testing.assert_allclose(read_record(real / "E07500").ecg_mv, raw / 1000, atol=1e-6)


@pytest.mark.parametrize(("hz", "wanted"), [(1000, 500), (250, 500), (257, 100), (500, 100)])
def test_resampling_keeps_a_slow_wave(hz, wanted):
    times = np.arange(10 * hz) / hz
    signal = 0.5 + np.sin(2 * np.pi * 3 * times)[None]
    found = resample(signal, hz, wanted)
    expected = 0.5 + np.sin(2 * np.pi * 3 * np.arange(found.shape[1]) / wanted)
    inner = slice(wanted // 2, -wanted)
    np.testing.assert_allclose(found[0, inner], expected[inner], atol=5e-3)
    assert abs(found.shape[1] - 10 * wanted) <= 1


def test_a_long_record_is_cut_not_squeezed(tmp_path):
    signal = ecg(seconds=14)
    found = read_record(write(tmp_path, "long", signal))
    assert found.ecg_mv.shape == (12, 5000)
    np.testing.assert_allclose(found.ecg_mv, signal[:, :5000], atol=1e-3)


def test_leads_are_taken_by_name(tmp_path):
    signal = ecg()
    order = [0, 1, 2, 3, 5, 4, *range(11, 5, -1)]  # aVF before aVL, as in MIMIC-IV, and V6 first
    names = [LEADS_12[i].upper() for i in order]
    found = read_record(write(tmp_path, "other", signal[order], leads=names))
    np.testing.assert_allclose(found.ecg_mv, signal, atol=1e-3)


def damaged(folder):
    """Write records with one fault each; return what each reason must say."""
    signal = ecg()
    write(folder, "good", signal)
    write(folder, "short", ecg(seconds=5))
    write(folder, "nan", np.where(np.arange(5000) == 700, np.nan, signal))
    flat = signal.copy()
    flat[2:8] = 0
    write(folder, "flat", flat)
    write(folder, "swapped", signal[[1, 0, *range(2, 12)]])
    write(folder, "unlabelled", signal, comments=["Age: 60"])
    write(folder, "unknown", signal, comments=["Dx: Unknown"])
    write(folder, "eleven", signal[:11], leads=LEADS_12[:11])
    write(folder, "truncated", signal)
    (folder / "truncated.dat").write_bytes((folder / "truncated.dat").read_bytes()[:5000])
    write(folder, "lost", signal)
    (folder / "lost.dat").unlink()
    header = write(folder, "rate", signal).with_suffix(".hea")
    header.write_text(header.read_text().replace("rate 12 500 ", "rate 12 1 ", 1))
    (folder / "garbage.hea").write_text("garbage\n\x00 not a header\n")
    (folder / "empty.hea").write_text("")
    return {
        "short": "too short: 2500 samples, expected 5000",
        "nan": "12 samples are NaN",
        "flat": "6 leads are flat: III, aVR, aVL, aVF, V1, V2",
        "swapped": "mis-ordered",
        "unlabelled": "unlabelled",
        "unknown": "unlabelled",
        "eleven": r"\['V6'\] are missing",
        "truncated": "can't be read",
        "lost": "can't be read",
        "rate": "sampled at 1 Hz",
        "garbage": "can't be read",
        "empty": "can't be read",
    }


def test_damaged_records_are_named_with_the_reason_and_left_out(tmp_path, capfd):
    folder = tmp_path / "records" / "sub"
    folder.mkdir(parents=True)
    reasons = damaged(folder)
    for name, reason in reasons.items():
        with pytest.raises(RecordError, match=reason):
            read_record(folder / name)
    store = open_ecg(build_ecg(ECGFolderConfig(str(tmp_path / "records")), tmp_path / "store"))
    assert store.names == ("sub/good",)
    assert set(store.rejected) == {f"sub/{name}" for name in reasons}
    shown = capfd.readouterr().err
    assert "left out sub/short: too short" in shown and "left out sub/lost" in shown


def test_a_folder_without_a_usable_record(tmp_path):
    config = ECGFolderConfig(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        build_ecg(config, tmp_path / "store")
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="no WFDB header"):
        find_records(tmp_path / "none")
    write(tmp_path / "none", "short", ecg(seconds=3))
    with pytest.raises(ValueError, match="no record can be used; 1 are left out: short: too short"):
        build_ecg(config, tmp_path / "store", progress=False)
    assert not (tmp_path / "store").exists()


def test_patients_stay_together(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    for i in range(12):
        write(folder, f"r{i:02d}", ecg(i))
    rows = "\n".join(f"r{i:02d},{'ABCDE'[i % 5]}" for i in range(11))  # the last is of no patient
    (tmp_path / "patients.csv").write_text(f"record,patient\n{rows}\n")
    config = ECGFolderConfig(str(folder), patients=str(tmp_path / "patients.csv"))
    store = open_ecg(build_ecg(config, tmp_path / "store", progress=False))
    assert store.group[0] == store.group[5] == store.group[10] != store.group[1]
    assert len(np.unique(store.group)) == 6
    split = store.split((0.6, 0.2, 0.2))
    assert split.kind == "patient"
    assert not set(store.group[split.train]) & set(store.group[split.test])


def test_patients_of_ptb_xl(tmp_path):
    path = tmp_path / "ptbxl_database.csv"
    path.write_text("ecg_id,patient_id,age\n1,15709.0,56\n21837,9999.0,60\n")
    assert read_patients(path) == {"HR00001": "15709", "HR21837": "9999"}
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected record and patient"):
        read_patients(path)


def test_written_records_come_back(tmp_path):
    """Round trip through WFDB: signals to 0.5 µV, labels, comments, names."""
    import wfdb

    signals = np.stack([ecg(i) for i in range(3)])
    labels = np.stack([NINE.encode(["AF", "LVH"]), NINE.encode(["SR"]), NINE.encode([])])
    headers = write_records(
        tmp_path / "out", signals, labels, NINE, sampling_hz=500, comments=["generated by a test"]
    )
    assert [h.name for h in headers] == ["KE00000.hea", "KE00001.hea", "KE00002.hea"]
    record = wfdb.rdrecord(str(tmp_path / "out" / "KE00000"))
    assert record.sig_name == list(LEADS_12) and record.fs == 500
    assert record.comments == ["Dx: 164873001,164889003", "generated by a test"]
    np.testing.assert_allclose(record.p_signal.T, signals[0], atol=0.00051)
    again = read_record(headers[0])
    np.testing.assert_array_equal(NINE.encode_codes(again.codes), labels[0])
    np.testing.assert_allclose(again.ecg_mv, signals[0], atol=0.00051)
    with pytest.raises(RecordError, match="unlabelled"):
        read_record(headers[2])


def test_what_is_not_written(tmp_path):
    signal, label = ecg()[None], NINE.encode(["SR"])[None]
    with pytest.raises(ValueError, match=r"expected \(n, 12, time\)"):
        write_records(tmp_path, signal[0], label, NINE, sampling_hz=500)
    with pytest.raises(ValueError, match=r"labels have shape \(9,\)"):
        write_records(tmp_path, signal, label[0], NINE, sampling_hz=500)
    with pytest.raises(ValueError, match="not finite"):
        write_records(tmp_path, np.full_like(signal, np.nan), label, NINE, sampling_hz=500)
    with pytest.raises(ValueError, match="2 different names"):
        write_records(tmp_path, signal, label, NINE, sampling_hz=500, names=["a", "b"])
    assert not list(tmp_path.iterdir())


def test_names_of_headers_may_have_dots(tmp_path):
    label = NINE.encode(["SR"])[None]
    (header,) = write_records(tmp_path, ecg()[None], label, NINE, sampling_hz=500, names=["a"])
    assert header.read_text().splitlines()[-1] == "# Dx: 426783006"
    header.rename(tmp_path / "a.1.hea")
    assert read_record(tmp_path / "a.1").name == read_record(tmp_path / "a.1.hea").name == "a.1"


def test_length():
    np.testing.assert_array_equal(fit_length(np.arange(8.0), 10, slack=2)[-3:], [7, 7, 7])
    with pytest.raises(RecordError, match="too short: 7 samples"):
        fit_length(np.arange(7.0), 10, slack=2)
    with pytest.raises(ValueError, match="from_hz is 0"):
        resample(np.zeros((1, 9)), 0, 500)
