"""Simulated ECGs: what is drawn, what comes out, and how it is kept."""

import dataclasses
import pickle

import numpy as np
import pytest
import xarray

from kecgi.data import ECGCohortConfig, ECGFolderConfig, LeadScale, build_ecg, open_ecg
from kecgi.data.ecg.cohort import RATES_BPM, draw_heart, draw_record, simulate_heart
from kecgi.data.ecg.config import config_from_json
from kecgi.data.ecg.labels import NINE
from kecgi.data.ecg.leads import CNVAE_LEADS
from kecgi.evaluate import heart_rates_bpm, intervals_ms, lead_law_error_uv
from kecgi.evaluate.ecg_beats import rr_variability

CONFIG = ECGCohortConfig(hearts=6, records_per_heart=6, sampling_hz=250, seed=9)


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    return build_ecg(CONFIG, tmp_path_factory.mktemp("ecg") / "small", progress=False)


@pytest.fixture(scope="session")
def store(path):
    return open_ecg(path)


@pytest.fixture(scope="session")
def all_records(store):
    loaded = store.load()
    return {**loaded, "ecg_mv": loaded["ecg_mv"].transpose(0, 2, 1)}


def having(store, name):
    return store.labels[:, store.schema.index(name)] > 0


def test_plans_keep_to_their_classes():
    config = dataclasses.replace(CONFIG, hearts=300)
    plans = [draw_record(config, heart, r) for heart in range(300) for r in range(3)]
    for plan in plans:
        low, high = RATES_BPM[plan.rhythm]
        assert low <= plan.rate_bpm <= high
        assert np.isnan(plan.pr_ms) == (plan.rhythm == "AF")
        if plan.block:
            assert plan.pr_ms > 200 and plan.rhythm in ("SR", "SB")
        elif plan.rhythm != "AF":
            assert plan.pr_ms < 200
    share = {r: np.mean([p.rhythm == r for p in plans]) for r in RATES_BPM}
    assert all(0.15 < s < 0.4 for s in share.values())
    thick = [draw_heart(config, i).hypertrophy for i in range(300)]
    assert 0.25 < np.mean(thick) < 0.45


def test_labels_are_possible_together(store):
    rhythms = np.stack([having(store, n) for n in ("SR", "AF", "SB", "STach")])
    np.testing.assert_array_equal(rhythms.sum(axis=0), 1)
    assert not (having(store, "IAVB") & having(store, "AF")).any()
    # hypertrophy is of the heart
    for heart in range(CONFIG.hearts):
        assert len(np.unique(having(store, "LVH")[store.group == heart])) == 1


def test_rates_measured_from_the_signals(store, all_records):
    """The bar of the classes: a detector that knows nothing of the simulation finds them."""
    rates = heart_rates_bpm(all_records["ecg_mv"], 250)
    sinus = ~having(store, "AF")
    np.testing.assert_allclose(rates[sinus], all_records["rate_bpm"][sinus], atol=3)
    assert np.all(rates[having(store, "SB")] < 60)
    assert np.all(rates[having(store, "STach")] > 100)
    assert np.all((rates[having(store, "SR")] > 60) & (rates[having(store, "SR")] < 100))


def test_fibrillation_is_irregular(store, all_records):
    spread = np.array([rr_variability(ecg, 250) for ecg in all_records["ecg_mv"]])
    fibrillates = having(store, "AF")
    assert spread[fibrillates].min() > 1.5 * spread[~fibrillates].max()


def test_block_measured_from_the_signals(store, all_records):
    blocked = having(store, "IAVB") & ~having(store, "MI")
    free = (having(store, "SR") | having(store, "SB")) & ~having(store, "IAVB")
    free &= ~having(store, "MI")
    pr = np.array([intervals_ms(ecg, 250)["pr"] for ecg in all_records["ecg_mv"]])
    np.testing.assert_allclose(pr[blocked], all_records["pr_ms"][blocked], atol=35)
    assert np.nanmin(pr[blocked]) > 200
    assert np.nanmedian(pr[free]) < 185


def test_hypertrophy_raises_the_voltage(store, all_records):
    ecg = all_records["ecg_mv"]
    voltage = ecg[:, 10:].max(axis=(1, 2)) - ecg[:, 6].min(axis=1)  # Sokolow-Lyon
    healthy = ~having(store, "MI")
    thick, thin = having(store, "LVH") & healthy, ~having(store, "LVH") & healthy
    assert np.median(voltage[thick]) > 1.2 * np.median(voltage[thin])
    assert 1 < np.median(voltage[thin]) < 3.5  # 3.5 mV is the sign of hypertrophy


def test_lead_laws_hold_in_spite_of_noise(all_records):
    error = lead_law_error_uv(all_records["ecg_mv"])
    assert max(error.values()) < 0.01


def test_a_record_does_not_depend_on_its_place_or_the_workers(tmp_path, store):
    rows = simulate_heart(CONFIG, 3)
    ecg = store.load(np.flatnonzero(store.group == 3))["ecg_mv"]
    for row, kept in zip(rows, ecg, strict=True):
        np.testing.assert_array_equal(np.asarray(row["ecg_mv"], np.float32).T, kept)
    part = dataclasses.replace(CONFIG, hearts=2)
    again = open_ecg(build_ecg(part, tmp_path / "part", workers=2, progress=False))
    np.testing.assert_array_equal(again.load()["ecg_mv"], store.load(slice(12))["ecg_mv"])
    other = dataclasses.replace(part, hearts=1, records_per_heart=1, seed=2)
    first = simulate_heart(other, 0)[0]["ecg_mv"]
    assert np.abs(first - rows[0]["ecg_mv"]).max() > 0.1


def test_another_sampling_rate_is_the_same_beat(store):
    """At 500 Hz every second sample differs by its noise alone."""
    fine = simulate_heart(dataclasses.replace(CONFIG, sampling_hz=500, records_per_heart=1), 0)
    ecg = store.load([0])["ecg_mv"][0].T
    assert np.corrcoef(fine[0]["ecg_mv"][:, ::2].ravel(), ecg.ravel())[0, 1] > 0.9


def test_store_is_read_by_rows_and_leads(store):
    rows = np.array([30, 3, 3, 17])
    loaded = store.load(rows, CNVAE_LEADS)
    assert loaded["ecg_mv"].shape == (4, 2500, 8) and loaded["ecg_mv"].dtype == np.float32
    whole = store.load()["ecg_mv"]
    np.testing.assert_array_equal(loaded["ecg_mv"], whole[rows][..., [0, 2, *range(6, 12)]])
    np.testing.assert_array_equal(loaded["labels"], store.labels[rows])
    np.testing.assert_array_equal(loaded["group"], [5, 0, 0, 2])
    assert store.load(slice(5, 8))["ecg_mv"].shape[0] == 3
    blocks = list(store.blocks([1, 2, 31, 33], ("V2", "I")))
    assert [len(block) for block in blocks] == [3, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), whole[[1, 2, 31, 33]][..., [7, 0]])
    with pytest.raises(ValueError, match="rows must rise"):
        next(store.blocks([3, 2]))
    with pytest.raises(IndexError):
        store.load([36])
    with pytest.raises(ValueError, match="'V9'"):
        store.load(leads=["V9"])


def test_split_keeps_hearts_apart(store):
    split = store.split((0.5, 0.25, 0.25), seed=3)
    assert split.kind == "heart"
    parts = [set(store.group[p]) for p in (split.train, split.validation, split.test)]
    assert [len(p) for p in parts] == [2, 2, 2]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_other_tools_read_the_store(path, store):
    data = xarray.open_zarr(path)
    assert dict(data.sizes) == {"record": 36, "lead": 12, "time": 2500, "label": 7}
    assert data.ecg_mv.attrs["units"] == "mV"
    assert list(data.lead_name.values)[:3] == ["I", "II", "III"]
    np.testing.assert_array_equal(data.labels.values, store.labels)
    assert store.attributes["title"] == "12-lead ECGs, simulated" and store.simulated


def test_store_survives_pickling(store):
    again = pickle.loads(pickle.dumps(store))
    assert again.digest == store.digest and len(again) == len(store)


def test_a_store_that_is_there_is_kept(path, tmp_path):
    assert build_ecg(CONFIG, path, progress=False) == path
    with pytest.raises(ValueError, match="holds other ECGs"):
        build_ecg(dataclasses.replace(CONFIG, seed=10), path)
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(ValueError, match="not a store of ECGs"):
        build_ecg(CONFIG, tmp_path)
    with pytest.raises(FileNotFoundError, match="no ECGs at"):
        open_ecg(tmp_path / "none")


def test_an_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kecgi.data.ecg.build.simulate_heart", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        build_ecg(CONFIG, tmp_path / "broken", progress=False)
    assert not list(tmp_path.iterdir())


def test_configs_round_trip_and_are_checked(tmp_path):
    folder = ECGFolderConfig(str(tmp_path), NINE.subset(["AF", "SR"]), sampling_hz=100)
    for config in (CONFIG, folder):
        assert config_from_json(config.to_json()) == config
    before = folder.identity
    (tmp_path / "new.hea").write_text("x")
    assert folder.identity != before  # another content, another store
    for wrong, message in (
        ({"hearts": 0}, "hearts is 0, expected at least 1"),
        ({"sampling_hz": 50}, "expected 100 to 1000"),
        ({"seconds": 1}, "seconds is 1, expected at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            ECGCohortConfig(**wrong)
    with pytest.raises(TypeError, match="records_per_heart is 2.5"):
        ECGCohortConfig(records_per_heart=2.5)
    with pytest.raises(IndexError, match="heart 6 of a cohort of 6"):
        draw_heart(CONFIG, 6)
    with pytest.raises(ValueError, match="not a config of ECGs"):
        config_from_json("{}")


@pytest.mark.backend
def test_batches_stream_what_load_gives(store):
    from kecgi.data.ecg.batches import ECGBatches

    split = store.split((0.5, 0.25, 0.25))
    train = store.load(split.train, CNVAE_LEADS)
    scale = LeadScale.fit(store.blocks(split.train, CNVAE_LEADS), CNVAE_LEADS)
    assert scale == LeadScale.fit(train["ecg_mv"], CNVAE_LEADS)
    batches = ECGBatches(store, split.train, 7, scale)
    everything = batches.all()
    np.testing.assert_array_equal(everything["ecg"], scale.apply(train["ecg_mv"]))
    np.testing.assert_array_equal(everything["labels"], train["labels"])
    shuffled = ECGBatches(store, split.train, 7, scale, training=True).all()
    assert not np.array_equal(shuffled["labels"], train["labels"])
    np.testing.assert_allclose(shuffled["ecg"].sum(), everything["ecg"].sum(), rtol=1e-5)
