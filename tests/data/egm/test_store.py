import dataclasses
import shutil

import numpy as np
import pytest
import xarray

from kecgi.data import EGMConfig, build_egm, by_rhythm, check_disjoint, open_egm, open_store
from kecgi.data.egm import store as module
from kecgi.data.egm.cohort import draw_torso, run_simulation, simulate_rhythm, template
from kecgi.data.egm.store import VARIABLES
from kecgi.geometry.atrium import matching_voxels
from kecgi.simulate import lead_field, near_field
from kecgi.simulate.rhythms import RHYTHMS, RhythmError

SMALL = EGMConfig(
    simulations_per_rhythm=2,
    rhythms=("ectopic", "fibrillation"),
    placements=2,
    windows=2,
    window_ms=600.0,
    nodes=12,
    bipoles=3,
    spacing_mm=2.0,
    seed=1,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Store that tests only read; those that damage it copy it first."""
    return build_egm(SMALL, tmp_path_factory.mktemp("egm") / "small.zarr", progress=False)


@pytest.fixture(scope="module")
def cohort(path):
    return open_egm(path)


def test_xarray_reads_it(path):
    with xarray.open_zarr(path) as dataset:
        assert dict(dataset.sizes) == {
            "simulation": 4, "window": 2, "node": 12, "time": 120, "placement": 2, "lead": 64,
            "bipole": 3, "axis": 3, "end": 2,
        }  # fmt: skip
        for name, variable in VARIABLES.items():
            assert dataset[name].dims == variable.dims
            assert dataset[name].attrs["units"] == variable.units
        assert dataset.attrs["seed"] == 1 and dataset.attrs["complete"]
        assert dataset.attrs["rhythms"] == list(RHYTHMS)
        np.testing.assert_allclose(dataset["time_ms"], 5.0 * np.arange(120))


def test_a_row_is_what_was_simulated(cohort):
    """The signals at 200 Hz are the lead field's at 1 kHz, but for what the filter takes."""
    run = run_simulation(SMALL, 1)
    assert run.plan.rhythm == SMALL.rhythm(1) == "fibrillation"
    torso = draw_torso(SMALL, 1, 1)
    expected = (run.episode.frames @ lead_field(run.heart, torso))[::5].T
    found = np.concatenate(list(cohort.read("bspm_mv", [1])[0, 1]), axis=1)
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
    np.testing.assert_allclose(cohort.read("leads_mm", [1])[0, 1], torso.positions_mm, rtol=1e-6)
    first, second = cohort.read("bipoles_mm", [1])[0].swapaxes(0, 1)
    difference = near_field(run.heart, first) - near_field(run.heart, second)
    expected = (run.episode.frames @ difference)[::5].T
    found = np.concatenate(list(cohort.read("bipolar_mv", [1])[0]), axis=1)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.corrcoef(mine, theirs)[0, 1] > 0.98
    nodes = matching_voxels(run.heart, *template(SMALL))
    np.testing.assert_allclose(
        cohort.read("nodes_mm", [1])[0], run.heart.voxels_mm[nodes], rtol=1e-6
    )
    report = run.episode.report
    assert cohort.read("cycle_ms", [1])[0] == pytest.approx(report.cycle_ms)
    assert cohort.read("rotors", [1])[0] == pytest.approx(report.rotors) and report.rotors > 0
    assert cohort.read("attempts", [1])[0] == run.attempts


def test_rhythms_take_turns_and_differ_in_their_signals(cohort):
    names = [cohort.rhythm_names[r] for r in cohort.rhythm]
    assert names == ["ectopic", "fibrillation"] * 2
    cycles = cohort.read("cycle_ms")
    assert cycles[::2].min() > 300 > 280 > cycles[1::2].max()
    egm = cohort.read("egm_mv")
    assert 1 < np.ptp(egm, axis=-1).mean() < 20  # mV
    # an ectopic rhythm rests between its beats
    resting = np.mean(np.abs(egm - np.median(egm, axis=-1, keepdims=True)) < 0.1, axis=(1, 2, 3))
    assert resting[::2].min() > 2 * resting[1::2].max()
    apart = np.linalg.norm(np.diff(cohort.read("bipoles_mm"), axis=2)[:, :, 0], axis=-1)
    np.testing.assert_allclose(apart, SMALL.bipole_mm, atol=1.0)


def test_arrays_for_training(cohort):
    windows = cohort.windows()
    assert windows["egm_mv"].shape == (8, 120, 12) and windows["bipolar_mv"].shape == (8, 120, 3)
    np.testing.assert_array_equal(windows["simulation"], np.repeat(np.arange(4), 2))
    egm, bspm = cohort.read("egm_mv"), cohort.read("bspm_mv")
    for row in range(8):
        simulation, window = windows["simulation"][row], windows["window"][row]
        np.testing.assert_array_equal(windows["egm_mv"][row].T, egm[simulation, window])
        assert windows["rhythm"][row] == cohort.rhythm[simulation]
    pairs = cohort.pairs([0, 3])
    assert pairs["egm_mv"].shape == (8, 120, 12) and pairs["bspm_mv"].shape == (8, 120, 64)
    for row in range(8):
        where = tuple(pairs[name][row] for name in ("simulation", "placement", "window"))
        np.testing.assert_array_equal(pairs["bspm_mv"][row].T, bspm[where])
        np.testing.assert_array_equal(pairs["egm_mv"][row].T, egm[where[0], where[2]])
    one = cohort.pairs([0, 3], placements=1)
    np.testing.assert_array_equal(one["bspm_mv"], pairs["bspm_mv"][pairs["placement"] == 0])
    with pytest.raises(ValueError, match="placements is 3, expected 1 to 2"):
        cohort.pairs(placements=3)


def test_interrupted_resumed_and_repaired_with_the_same_bytes(path, cohort, tmp_path, monkeypatch):
    copy = shutil.copytree(path, tmp_path / "copy.zarr")
    (copy / "build" / "nbytes" / "c" / "2" / "0").unlink()
    with pytest.raises(ValueError, match="incomplete: 3 of 4 blocks"):
        open_egm(copy)
    lost = copy / "egm_mv" / "c" / "0" / "0" / "0" / "0"
    lost.write_bytes(lost.read_bytes()[:-9])
    calls, simulate = [], module.simulate_rhythm
    monkeypatch.setattr(module, "simulate_rhythm", lambda c, i: calls.append(i) or simulate(c, i))
    again = open_egm(build_egm(SMALL, copy, progress=False))
    again.verify()
    assert again.digest == cohort.digest and calls == [0, 2]
    assert build_egm(SMALL, copy) == copy and calls == [0, 2]


def test_what_a_simulation_is_depends_on_nothing_else(cohort):
    longer = dataclasses.replace(SMALL, simulations_per_rhythm=9)
    found = simulate_rhythm(longer, 3)["egm_mv"]
    np.testing.assert_allclose(found, cohort.read("egm_mv", [3])[0], atol=1e-4)


def test_other_things_at_the_path(path, tmp_path):
    with pytest.raises(ValueError, match="seed 1 there, 2 here"):
        build_egm(dataclasses.replace(SMALL, seed=2), path)
    with pytest.raises(ValueError, match="its format is 'kecgi-egm', not 'kecgi-cohort'"):
        open_store(path)
    with pytest.raises(ValueError, match="workers is 0"):
        build_egm(SMALL, path, workers=0)
    with pytest.raises(FileNotFoundError):
        open_egm(tmp_path / "none.zarr")


def test_no_simulation_without_its_rhythm(tmp_path, monkeypatch):
    from kecgi.data.egm import cohort as egm_cohort

    def fails(*args, **kwargs):
        raise RhythmError("fibrillation was asked for, but it died out", None)

    monkeypatch.setattr(egm_cohort, "play", fails)
    few = dataclasses.replace(SMALL, attempts=2)
    with pytest.raises(RhythmError, match="simulation 0: none of 2 runs.*it died out"):
        build_egm(few, tmp_path / "a.zarr", progress=False)
    with pytest.raises(ValueError, match="incomplete: 0 of 4"):
        open_egm(tmp_path / "a.zarr")


def test_splits_have_their_share_of_each_rhythm():
    rhythm = np.tile(np.arange(4), 10)
    split = by_rhythm(rhythm, seed=3)
    for part, count in ((split.train, 6), (split.validation, 2), (split.test, 2)):
        np.testing.assert_array_equal(np.bincount(rhythm[part]), [count] * 4)
    check_disjoint(split, np.arange(40))
    np.testing.assert_array_equal(split.test, by_rhythm(rhythm, seed=3).test)
    with pytest.raises(ValueError, match="2 simulations of rhythm 1 are too few"):
        by_rhythm(np.array([0, 0, 0, 1, 1]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rhythms": ("sinus", "flutter")}, "rhythms is .*flutter"),
        ({"rhythms": ()}, "rhythms is"),
        ({"sampling_hz": 2000.0}, "sampling_hz is 2000"),
        ({"window_ms": 333.3}, "window_ms is 333.3"),
        ({"fronts": "fast"}, "fronts is 'fast'"),
        ({"nodes": 0}, "nodes is 0, expected at least 1"),
        ({"height_mm": -1.0}, "height_mm is -1"),
    ],
)
def test_wrong_configs(fields, message):
    with pytest.raises(ValueError, match=message):
        EGMConfig(**fields)


def test_wrong_types_of_fields():
    with pytest.raises(TypeError, match="right is 1"):
        EGMConfig(right=1)
    with pytest.raises(TypeError, match="nodes is 6.5"):
        EGMConfig(nodes=6.5)
    with pytest.raises(ValueError, match="keep_largest is for a wall from a file"):
        EGMConfig(keep_largest=True)


def test_config_survives_json():
    assert EGMConfig.from_json(SMALL.to_json()) == SMALL
    assert SMALL.identity != dataclasses.replace(SMALL, seed=5).identity
    assert EGMConfig().simulations == 68 and EGMConfig().samples == 400
    with pytest.raises(ValueError, match="not a config .EGMConfig."):
        EGMConfig.from_json('{"cases": 3}')


def test_more_nodes_than_voxels():
    with pytest.raises(ValueError, match="nodes is 100000, expected at most"):
        template(dataclasses.replace(SMALL, nodes=100_000))


def test_a_wall_from_a_file(tmp_path):
    """All simulations are in it, at the atria's place in the torso; stray voxels are dropped."""
    heart, _ = template(SMALL)
    mask = heart.mask.copy()
    mask[0, 0, 0] = True
    np.savez(tmp_path / "wall.npz", mask=mask, spacing=2.0)
    config = dataclasses.replace(SMALL, geometry=str(tmp_path / "wall.npz"))
    with pytest.warns(UserWarning, match="1 stray voxel"):
        wall, _ = template(config)
    row = simulate_rhythm(config, 0)
    assert wall.mask.sum() == heart.mask.sum()
    np.testing.assert_allclose(wall.centroid_mm, [-5, 20, 35], atol=1e-6)
    assert row["egm_mv"].shape == (2, 12, 120)
