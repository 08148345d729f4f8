import json
import pickle
import shutil

import numpy as np
import pytest
import xarray
import zarr

from kecgi.data import CohortConfig, build, draw_anatomy, draw_case, open_store
from kecgi.data.store import VARIABLES, Layout


@pytest.fixture
def damaged(store_path, tmp_path):
    """Copy a store, to be damaged."""
    return shutil.copytree(store_path, tmp_path / "copy.zarr")


@pytest.mark.parametrize("consolidated", [True, False])
def test_xarray_reads_it(store_path, small_config, consolidated):
    with xarray.open_zarr(store_path, consolidated=consolidated) as dataset:
        assert dataset["activation_ms"].dims == ("case", "x", "y", "z")
        assert dataset["bspm_mv"].dims == ("case", "electrode", "time")
        assert dataset["mask"].dims == ("anatomy_index", "x", "y", "z")
        assert dict(dataset.sizes) == {
            "case": 192, "anatomy_index": 6, "x": 24, "y": 24, "z": 24, "electrode": 9,
            "time": 16, "onset": 2, "axis": 3,
        }  # fmt: skip
        assert {"x", "y", "z", "time_ms", "electrode_name"} <= set(dataset.coords)
        for name, variable in VARIABLES.items():
            assert dataset[name].attrs["units"] == variable.units
            assert dataset[name].attrs["description"] == variable.description
            assert dataset[name].dtype == variable.dtype
        np.testing.assert_allclose(dataset["x"], -57.5 + 5 * np.arange(24))
        np.testing.assert_allclose(dataset["time_ms"], 20.0 * np.arange(16))
        assert dataset["electrode_name"].values[3] == "V1"
        assert dataset.attrs["seed"] == 3
        assert dataset.attrs["kecgi_version"]
        assert json.loads(dataset.attrs["config"])["cases_per_anatomy"] == 32


def test_a_case_is_what_was_simulated(cohort, small_config):
    case = cohort.case(70)
    heart = draw_anatomy(small_config, 2)
    plan = draw_case(small_config, heart.voxels_mm, 70)
    assert case["anatomy"] == 2
    np.testing.assert_array_equal(case["mask"], heart.mask)
    np.testing.assert_array_equal(np.isfinite(case["activation_ms"]), heart.mask)
    count = len(plan.onsets_mm)
    np.testing.assert_allclose(case["onsets_mm"][:count], plan.onsets_mm)
    assert np.isnan(case["onsets_mm"][count:]).all() and np.isnan(case["start_ms"][count:]).all()
    assert case["speed_mm_per_ms"] == pytest.approx(plan.speed_mm_per_ms)
    # each onset is an onset: the map has its start time there
    place = np.rint((plan.onsets_mm - heart.origin_mm) / heart.spacing_mm).astype(int)
    np.testing.assert_allclose(case["activation_ms"][tuple(place.T)], plan.start_ms, atol=1e-4)
    assert case["bspm_mv"].shape == (9, 16) and np.ptp(case["bspm_mv"]) > 0
    assert case["electrodes_mm"].shape == (9, 3)
    with pytest.raises(IndexError, match="case 192 of a cohort of 192"):
        cohort.case(192)


def test_reading_parts(cohort):
    everything = cohort.read("bspm_mv")
    assert everything.shape == (len(cohort), 9, 16)
    rows = np.array([0, 3, 62, 63, 64, 130, 191])
    np.testing.assert_array_equal(cohort.read("bspm_mv", rows), everything[rows])
    np.testing.assert_array_equal(cohort.read("bspm_mv", slice(50, 150)), everything[50:150])
    assert [len(b) for b in cohort.blocks("bspm_mv", rows)] == [4, 1, 2]
    assert cohort.read("bspm_mv", np.arange(0)).shape == (0, 9, 16)
    assert cohort.read("mask", np.array([1, 4])).shape == (2, 24, 24, 24)
    np.testing.assert_array_equal(cohort.anatomy, np.repeat(np.arange(6), 32))
    assert cohort.electrode_names[:3] == ("RA", "LA", "LL")
    with pytest.raises(ValueError, match="rise without repeats"):
        cohort.read("bspm_mv", np.array([3, 1]))
    with pytest.raises(IndexError, match="rows 5 to 192"):
        cohort.read("bspm_mv", np.array([5, 192]))
    with pytest.raises(ValueError, match="'bspm' is not an array"):
        cohort.read("bspm")


def test_a_cohort_travels_between_processes(cohort):
    again = pickle.loads(pickle.dumps(cohort))
    np.testing.assert_array_equal(again.read("start_ms"), cohort.read("start_ms"))


@pytest.mark.parametrize(
    ("anatomies", "per", "sizes"),
    [
        (6, 32, [64, 64, 64]),
        (11, 12, [60, 60, 12]),
        (3, 40, [40, 40, 40]),
        (1, 130, [64, 64, 2]),
        (3, 100, [64, 64, 64, 64, 44]),
        (70, 1, [64, 6]),
    ],
)
def test_blocks_hold_each_row_once(anatomies, per, sizes):
    layout = Layout.new(CohortConfig(anatomies, per))
    for name, rows in (("bspm_mv", anatomies * per), ("mask", anatomies)):
        held = [np.arange(rows)[layout.rows(b, name)] for b in range(layout.blocks)]
        np.testing.assert_array_equal(np.concatenate(held), np.arange(rows))
        files = [layout.chunk_file(b, name) for b, h in enumerate(held) if len(h)]
        assert len(set(files)) == len(files)
    assert [len(np.arange(anatomies * per)[layout.rows(b, "bspm_mv")])
            for b in range(layout.blocks)] == sizes  # fmt: skip


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no dataset at"):
        open_store(tmp_path / "nothing.zarr")


def test_something_else_there(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="is not a kecgi dataset"):
        open_store(folder)
    other = tmp_path / "other.zarr"
    xarray.Dataset({"a": ("n", np.arange(3))}).to_zarr(other, zarr_format=3, consolidated=False)
    with pytest.raises(ValueError, match="its format is None"):
        open_store(other)
    with pytest.raises(ValueError, match="is not a kecgi dataset"):
        open_store(folder / "notes.txt")


def test_metadata_cut_short(damaged):
    file = damaged / "zarr.json"
    file.write_text(file.read_text()[:500])
    with pytest.raises(ValueError, match="is not a kecgi dataset"):
        open_store(damaged)


def test_another_format_version(damaged):
    file = damaged / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["attributes"]["format_version"] = 99
    file.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="format version 99, this kecgi reads 1"):
        open_store(damaged)


def test_an_unfinished_store_counts_its_blocks(damaged):
    (damaged / "build" / "nbytes" / "c" / "1" / "0").unlink()
    with pytest.raises(ValueError, match="incomplete: 2 of 3 blocks are built; run build again"):
        open_store(damaged)


def chunk(path, name="bspm_mv", block=1):
    rest = len(VARIABLES[name].dims) - 1
    return path.joinpath(name, "c", str(block), *["0"] * rest)


def delete(file):
    file.unlink()


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "message"), [(delete, "is missing"), (truncate, "bytes, expected")]
)
@pytest.mark.parametrize("name", ["activation_ms", "bspm_mv", "mask"])
def test_lost_chunks_are_found_on_opening_and_restored(damaged, cohort, harm, message, name):
    harm(chunk(damaged, name))
    with pytest.raises(ValueError, match=f"is damaged: .*{name}.c.1.*{message}"):
        open_store(damaged)
    build(cohort.config, damaged, progress=False)
    again = open_store(damaged)
    again.verify()
    assert again.digest == cohort.digest


@pytest.mark.parametrize("name", ["activation_ms", "bspm_mv", "electrodes_mm"])
def test_flipped_bits_are_found_on_reading(damaged, name):
    flip(chunk(damaged, name))
    opened = open_store(damaged)
    with pytest.raises(ValueError, match=f"{name}, block 1 of 3 can't be decoded"):
        opened.verify()
    with pytest.raises(ValueError, match=f"{name}, block 1 of 3 can't be decoded"):
        opened.read(name)
    rows = slice(0, 2)  # the first block is sound
    assert np.isfinite(opened.read(name, rows)).any()


def test_other_data_of_the_same_size_is_found(damaged, cohort):
    shutil.copy(chunk(damaged, "electrodes_mm", 0), chunk(damaged, "electrodes_mm", 2))
    open_store(damaged).verify()  # all anatomies have the same electrodes
    zarr.open_group(damaged, mode="r+")["speed_mm_per_ms"][64:128] = cohort.read(
        "speed_mm_per_ms", slice(0, 64)
    )
    record = zarr.open_group(damaged, mode="r+")["build/nbytes"]
    column = list(VARIABLES).index("speed_mm_per_ms")
    record[1, column] = chunk(damaged, "speed_mm_per_ms").stat().st_size
    with pytest.raises(ValueError, match="speed_mm_per_ms, block 1 of 3 differs from what was"):
        open_store(damaged).verify()


def test_a_sound_store_verifies(cohort):
    cohort.verify()
