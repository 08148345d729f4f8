"""Options, data, scale and split that the recipes on 12-lead ECGs share."""

from pathlib import Path

import joblib
import numpy as np
import pytest

from kecgi import experiment
from kecgi.data import CNVAE_LEADS, ECGCohortConfig, LabelSchema, to_twelve, write_records
from kecgi.experiment import ECGOptions, WrongInputError

SCHEMA = LabelSchema(("AF", "SB"), ("164889003", "426177001"))


def noise_records(folder, number):
    """Write records of noise, each the loudest one in a chest lead of its own."""
    chest = np.random.default_rng(0).uniform(-1, 1, (number, 6, 1000))
    chest[np.arange(number), np.arange(number) % 6] *= 2
    ecg_mv = to_twelve(np.concatenate([0.1 * chest[:, :2], chest], axis=1))
    labels = np.eye(2)[np.arange(number) % 2]
    write_records(folder, ecg_mv, labels, SCHEMA, sampling_hz=100.0)


def opened(options, monkeypatch, config=None):
    if config is not None:
        monkeypatch.setattr(experiment, "ecg_source", lambda options: config)
    with joblib.parallel_config(backend="threading"):
        return experiment.ecg_dataset(experiment.ecg_source(options), options)


def test_simulated_ecgs_stay_within_limits_of_the_training_part(tmp_path, monkeypatch):
    options = ECGOptions(out=tmp_path)
    assert experiment.ecg_source(options).samples == 1000
    store = opened(options, monkeypatch, ECGCohortConfig(10, 4, 100.0, 4.0, seed=1))
    split = experiment.ecg_split(store, options, (0.5, 0.2, 0.3))
    assert split.kind == "heart"
    scale, within = experiment.ecg_within(store, split)
    assert 10 <= len(within.train) < len(split.train) == 20
    for part in ("train", "validation", "test"):
        rows, kept = getattr(split, part), getattr(within, part)
        inside = scale.inside(store.load(rows, CNVAE_LEADS)["ecg_mv"])
        np.testing.assert_array_equal(rows[inside], kept)


def test_a_small_folder_is_kept_whole(tmp_path, monkeypatch):
    noise_records(tmp_path / "own", 8)
    options = ECGOptions(folder=tmp_path / "own", out=tmp_path / "out")
    store = opened(options, monkeypatch)
    assert not store.simulated and len(store) == 8
    split = experiment.ecg_split(store, options, (0.75, 0.0, 0.25))
    scale, within = experiment.ecg_within(store, split)
    assert within is split
    scaled = scale.apply(store.load(split.train, CNVAE_LEADS)["ecg_mv"])
    assert scaled.min() == pytest.approx(0, abs=1e-6) and scaled.max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"geometry": "heart.npz"}, "leave out --geometry"),
        ({"patients": "patients.csv"}, "give --folder"),
        ({"folder": Path("nowhere")}, "there is no folder nowhere"),
    ],
)
def test_wrong_options_are_found_before_anything_is_made(options, message, tmp_path):
    options = ECGOptions(out=tmp_path / "out", **options)
    with pytest.raises(WrongInputError, match=message):
        experiment.ecg_dataset(experiment.ecg_source(options), options)
    assert not list(tmp_path.iterdir())
