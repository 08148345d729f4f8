import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import zarr

import kecgi
from kecgi.data import CohortConfig, build, open_store, simulate_anatomy
from kecgi.data.store import VARIABLES
from kecgi.simulate import action_potential, lead_field

build_module = importlib.import_module("kecgi.data.build")


def assert_same_data(first, second):
    for name in VARIABLES:
        np.testing.assert_array_equal(first.read(name), second.read(name), err_msg=name)
    assert first.digest == second.digest


def test_simulation_matches_the_matrix_form(small_config):
    """The lead field times the action potential of each voxel, without histogram."""
    config = dataclasses.replace(
        small_config, cases_per_anatomy=2, shape=(64, 64, 64), spacing_mm=2.0, sampling_hz=100.0
    )
    block = simulate_anatomy(config, 1)
    heart = build_module.draw_anatomy(config, 1)
    field = lead_field(heart, build_module.by_name(config.electrodes))
    for row in range(2):
        times = block["activation_ms"][row][heart.mask]
        width = config.spacing_mm / float(block["speed_mm_per_ms"][row])
        v = action_potential().averaged(width)(config.time_ms - times[:, None])
        expected = field.T @ v
        error = np.abs(block["bspm_mv"][row] - expected).max() / np.abs(expected).max()
        assert error < 0.005


def test_tissue_with_fibres(small_config):
    """Slower across, faster beside the cavities, and nearly isotropic where both nearly are."""
    config = dataclasses.replace(
        small_config, cases_per_anatomy=3, shape=(48, 48, 48), spacing_mm=2.5, max_onsets=1
    )

    def simulated(**fields):
        block = simulate_anatomy(dataclasses.replace(config, **fields), 2)
        return {k: block[k] for k in ("activation_ms", "bspm_mv")} | {"mask": block["mask"]}

    plain, almost = simulated(), simulated(across_fibre=0.999)
    tissue = plain["mask"]
    # two schemes on a coarse staircase: apart by a few ms here and there
    assert np.abs(almost["bspm_mv"] - plain["bspm_mv"]).mean() < 0.02 * plain["bspm_mv"].max()
    times = plain["activation_ms"][:, tissue]
    assert np.abs(almost["activation_ms"][:, tissue] - times).mean() < 0.02 * times.max()
    fibres, fast = (
        simulated(**fields)["activation_ms"][:, tissue]
        for fields in ({"across_fibre": 0.5}, {"across_fibre": 0.5, "fast_layer": 4.0})
    )
    # between the speeds along and across, but for the grid's error
    assert np.all(fibres > 0.95 * times - 3.0)
    assert np.all(fibres < 2.1 * times + 3.0)
    assert fibres.mean() > 1.15 * times.mean()
    assert np.all(fast <= 1.05 * fibres + 3.0)
    assert fast.mean() < 0.8 * fibres.mean()


def test_a_torso_in_air_has_larger_potentials_of_nearly_the_same_shape(small_config):
    config = dataclasses.replace(small_config, cases_per_anatomy=2, electrodes="vest")
    free, bounded = (
        simulate_anatomy(dataclasses.replace(config, torso=torso), 0)["bspm_mv"]
        for torso in ("unbounded", "insulated")
    )
    free, bounded = (x - x.mean(axis=1, keepdims=True) for x in (free, bounded))
    # twice at a plane, three times at a sphere with the source in its centre
    assert 2.0 < bounded.std() / free.std() < 3.5
    assert np.corrcoef(free.ravel(), bounded.ravel())[0, 1] > 0.85


def test_a_torso_needs_electrodes_all_around(small_config, tmp_path):
    config = dataclasses.replace(small_config, electrodes="plane", torso="insulated")
    with pytest.raises(ValueError, match="lie in a plane; expected some all around"):
        build(config, tmp_path / "store", progress=False)


def test_same_seed_same_bytes_for_any_number_of_workers(small_config, cohort, tmp_path):
    assert_same_data(open_store(build(small_config, tmp_path / "two.zarr", workers=2)), cohort)


def test_another_seed_gives_other_data(small_config, cohort, tmp_path):
    config = dataclasses.replace(small_config, seed=4)
    assert (
        open_store(build(config, tmp_path / "other.zarr", progress=False)).digest != cohort.digest
    )


def test_a_prefix_of_a_cohort_is_the_same(small_config, cohort, tmp_path):
    """A cohort may grow without changing its cases."""
    config = dataclasses.replace(small_config, anatomies=2)
    part = open_store(build(config, tmp_path / "part.zarr", progress=False))
    np.testing.assert_array_equal(part.read("bspm_mv"), cohort.read("bspm_mv", slice(0, 64)))


def test_anatomies_larger_than_a_block(small_config, tmp_path):
    config = dataclasses.replace(small_config, anatomies=2, cases_per_anatomy=70)
    large = open_store(build(config, tmp_path / "large.zarr", progress=False))
    large.verify()
    for index in range(2):
        whole = simulate_anatomy(config, index)
        rows = slice(70 * index, 70 * (index + 1))
        np.testing.assert_array_equal(large.read("activation_ms", rows), whole["activation_ms"])
        np.testing.assert_array_equal(large.read("mask")[index], whole["mask"])
    np.testing.assert_array_equal(large.anatomy, np.repeat([0, 1], 70))


def test_killed_in_the_middle_of_a_block_and_resumed(small_config, cohort, tmp_path):
    """SIGKILL after block 0, when half of block 1 is written but not recorded."""
    path = tmp_path / "killed.zarr"
    script = f"""
        import importlib, os, signal
        from kecgi.data import CohortConfig, build
        module = importlib.import_module("kecgi.data.blocks")
        flush, written = module._flush, []

        def die(file):
            written.append(file)
            if len(written) == {len(VARIABLES)} + 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return flush(file)

        module._flush = die
        build(CohortConfig.from_json({small_config.to_json()!r}), {str(path)!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with pytest.raises(ValueError, match="incomplete: 1 of 3 blocks are built"):
        open_store(path)
    built = path / "bspm_mv" / "c" / "0" / "0" / "0"
    before = built.stat().st_mtime_ns
    resumed = open_store(build(small_config, path, progress=False))
    assert built.stat().st_mtime_ns == before  # kept, not built again
    assert_same_data(resumed, cohort)


def test_interrupted_and_resumed(small_config, cohort, tmp_path, monkeypatch):
    path, simulate = tmp_path / "interrupted.zarr", build_module.simulate_anatomy

    def interrupt(config, index, *rest):
        if index == 3:
            raise KeyboardInterrupt
        return simulate(config, index, *rest)

    monkeypatch.setattr(build_module, "simulate_anatomy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(small_config, path, progress=False)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="1 of 3 blocks"):
        open_store(path)
    assert_same_data(open_store(build(small_config, path, progress=False)), cohort)
    assert os.listdir(tmp_path) == ["interrupted.zarr"]


def test_a_complete_store_is_left_alone(small_config, store_path, monkeypatch):
    monkeypatch.setattr(build_module, "simulate_anatomy", lambda *_: pytest.fail("built again"))
    monkeypatch.setattr(build_module, "draw_anatomy", lambda *_: pytest.fail("built again"))
    assert build(small_config, store_path, progress=False) == store_path


def test_another_config_is_refused_with_the_difference(small_config, store_path):
    other = dataclasses.replace(small_config, seed=9, samples=32)
    with pytest.raises(ValueError, match="samples 16 there, 32 here; seed 3 there, 9 here"):
        build(other, store_path)


def test_another_version_is_not_mixed_in(small_config, tmp_path, monkeypatch):
    path = tmp_path / "old.zarr"
    build(small_config, path, progress=False)
    (path / "bspm_mv" / "c" / "1" / "0" / "0").unlink()
    monkeypatch.setattr(kecgi, "__version__", "99.0")
    with pytest.raises(ValueError, match="begun by kecgi .*, this is 99.0"):
        build(small_config, path, progress=False)


def test_a_changed_simulator_is_noticed_on_repair(small_config, tmp_path, monkeypatch):
    path, simulate = tmp_path / "changed.zarr", build_module.simulate_anatomy
    build(small_config, path, progress=False)
    (path / "bspm_mv" / "c" / "1" / "0" / "0").unlink()
    monkeypatch.setattr(
        build_module,
        "simulate_anatomy",
        lambda *args: {k: v + 1 if k == "bspm_mv" else v for k, v in simulate(*args).items()},
    )
    with pytest.raises(ValueError, match="the simulator has changed"):
        build(small_config, path, progress=False)


def test_a_folder_of_something_else_is_kept(small_config, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(ValueError, match="is not a kecgi dataset"):
        build(small_config, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_an_empty_folder_is_used(small_config, tmp_path):
    config = dataclasses.replace(small_config, anatomies=1, cases_per_anatomy=1)
    assert len(open_store(build(config, tmp_path, progress=False))) == 1


def test_wrong_anatomy_is_found_before_any_work(small_config, tmp_path):
    path = tmp_path / "cut.zarr"
    with pytest.raises(ValueError, match="border of the"):
        build(dataclasses.replace(small_config, shape=(12, 24, 24)), path)
    assert not path.exists()
    with pytest.raises(ValueError, match="workers is 0"):
        build(small_config, path, workers=0)


def test_electrodes_inside_the_heart_are_found_before_any_work(small_config, tmp_path, monkeypatch):
    cohort_module = importlib.import_module("kecgi.data.cohort")
    inside = build_module.Electrodes(("inner",), np.zeros((1, 3)))
    monkeypatch.setattr(cohort_module, "by_name", lambda _: inside)
    with pytest.raises(ValueError, match="inner at"):
        build(small_config, tmp_path / "inside.zarr")
    assert not (tmp_path / "inside.zarr").exists()


def test_a_heart_that_changes_under_its_name_is_not_mixed_in(tmp_path):
    geometry = tmp_path / "heart.npz"
    mask = np.zeros((20, 20, 20), bool)
    mask[4:16, 4:16, 4:16] = True
    mask[7:13, 7:13, 7:13] = False
    np.savez(geometry, mask=mask, spacing=4.0)
    config = CohortConfig.for_geometry(
        str(geometry), cases_per_anatomy=70, shape=(20, 20, 20), electrodes="standard_12", samples=8
    )
    path = build(config, tmp_path / "a.zarr", progress=False)
    whole = open_store(path)
    np.testing.assert_array_equal(whole.anatomy, 0)
    (path / "bspm_mv" / "c" / "1" / "0" / "0").unlink()
    mask[8:12, 8:12, 3:5] = False
    np.savez(geometry, mask=mask, spacing=4.0)
    with pytest.raises(ValueError, match="another heart than the one the geometry file holds now"):
        build(config, path, progress=False)
    geometry.unlink()
    with pytest.raises(FileNotFoundError, match="heart.npz"):
        build(config, tmp_path / "b.zarr", progress=False)
    assert not (tmp_path / "b.zarr").exists()


def test_progress_goes_to_standard_error(small_config, tmp_path, capfd):
    config = dataclasses.replace(small_config, anatomies=1, cases_per_anatomy=2)
    build(config, tmp_path / "bar.zarr")
    out, err = capfd.readouterr()
    assert out == ""
    assert "Building bar.zarr" in err and "2/2 cases" in err


def test_the_background_costs_almost_nothing(store_path, cohort):
    stored = sum(f.stat().st_size for f in (store_path / "activation_ms" / "c").rglob("*"))
    tissue = np.isfinite(cohort.read("activation_ms")).sum() * 4
    assert stored < 1.3 * tissue


def test_metadata_names_what_is_needed(store_path):
    attributes = json.loads((store_path / "zarr.json").read_text())["attributes"]
    assert attributes["complete"] is True
    assert len(attributes["digest"]) == 64
    record = zarr.open_group(store_path, mode="r")["build"]
    assert record.attrs["arrays"] == list(VARIABLES)


@pytest.mark.parametrize("electrodes", ["plane", "vest"])
def test_other_layouts(electrodes, tmp_path):
    config = CohortConfig(
        anatomies=1, cases_per_anatomy=1, shape=(32, 32, 32), spacing_mm=4.0, electrodes=electrodes
    )
    assert open_store(build(config, tmp_path / "a.zarr")).read("bspm_mv").shape == (1, 100, 128)
