import dataclasses
import json

import numpy as np
import pytest

from kecgi.data import CohortConfig, draw_anatomy, draw_case
from kecgi.data.cohort import ONSET_DISTANCE_MM, require_valid


def test_json_round_trip():
    config = CohortConfig(
        anatomies=1, geometry="heart.npz", keep_largest=True, shape=(32, 40, 48), seed=7
    )
    again = CohortConfig.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)
    assert json.loads(config.to_json())["shape"] == [32, 40, 48]


def test_identity_tells_configs_apart():
    assert CohortConfig(seed=1).identity == CohortConfig(seed=np.int64(1)).identity
    assert CohortConfig(seed=1).identity != CohortConfig(seed=2).identity
    assert CohortConfig(spacing_mm=2).identity == CohortConfig(spacing_mm=2.0).identity


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("anatomies", 0, ValueError),
        ("anatomies", 2.5, TypeError),
        ("anatomies", True, TypeError),
        ("cases_per_anatomy", -1, ValueError),
        ("geometry", "", TypeError),
        ("geometry", 3, TypeError),
        ("keep_largest", 1, TypeError),
        ("keep_largest", True, ValueError),
        ("shape", (64, 64), ValueError),
        ("shape", 64, ValueError),
        ("shape", (64, 64, 2), ValueError),
        ("shape", (64, 64, 64.0), TypeError),
        ("spacing_mm", 0.0, ValueError),
        ("spacing_mm", np.nan, ValueError),
        ("spacing_mm", "2", TypeError),
        ("electrodes", "grid", ValueError),
        ("max_onsets", 0, ValueError),
        ("max_onset_delay_ms", -1.0, ValueError),
        ("speed_mm_per_ms", (0.8, 0.35), ValueError),
        ("speed_mm_per_ms", (0.0, 0.5), ValueError),
        ("speed_mm_per_ms", (350.0, 800.0), ValueError),
        ("speed_mm_per_ms", 0.5, ValueError),
        ("torso", "box", ValueError),
        ("across_fibre", 1.2, ValueError),
        ("across_fibre", "0.7", TypeError),
        ("fast_layer", 0.5, ValueError),
        ("sampling_hz", -400.0, ValueError),
        ("samples", 1, ValueError),
        ("seed", -1, ValueError),
    ],
)
def test_bad_values_are_named(field, value, error):
    with pytest.raises(error, match=field):
        CohortConfig(**{field: value})


def test_a_file_is_one_anatomy():
    with pytest.raises(ValueError, match="anatomies is 5, expected 1"):
        CohortConfig(anatomies=5, geometry="heart.npz")


@pytest.mark.parametrize("text", ["[]", '{"anatomy": 3}', "no json"])
def test_what_is_no_config_is_refused(text):
    with pytest.raises(ValueError):
        CohortConfig.from_json(text)


def test_anatomies_differ_and_repeat(small_config):
    first, second = draw_anatomy(small_config, 0), draw_anatomy(small_config, 1)
    assert np.any(first.mask != second.mask)
    larger = dataclasses.replace(small_config, anatomies=50, cases_per_anatomy=1)
    np.testing.assert_array_equal(draw_anatomy(larger, 1).mask, second.mask)
    with pytest.raises(IndexError, match="anatomy 6 of a cohort of 6"):
        draw_anatomy(small_config, 6)


def test_case_draws_keep_their_promises(small_config):
    config = dataclasses.replace(small_config, max_onsets=3, max_onset_delay_ms=1000.0)
    voxels = draw_anatomy(config, 0).voxels_mm
    places = {tuple(v) for v in voxels}
    plans = [draw_case(config, voxels, i) for i in range(200)]
    assert {len(p.onsets_mm) for p in plans} == {1, 2, 3}
    for plan in plans:
        assert {tuple(o) for o in plan.onsets_mm} <= places
        assert plan.start_ms[0] == 0
        for i in range(1, len(plan.onsets_mm)):
            distance = np.linalg.norm(plan.onsets_mm[:i] - plan.onsets_mm[i], axis=1)
            assert distance.min() >= ONSET_DISTANCE_MM
            # no straight front has arrived when an onset starts
            assert np.all(plan.start_ms[i] <= plan.start_ms[:i] + distance / plan.speed_mm_per_ms)
    speeds = np.array([p.speed_mm_per_ms for p in plans])
    assert 0.35 <= speeds.min() < 0.40 and 0.75 < speeds.max() <= 0.8


def test_case_draws_do_not_depend_on_order(small_config):
    voxels = draw_anatomy(small_config, 0).voxels_mm
    plan = draw_case(small_config, voxels, 17)
    draw_case(small_config, voxels, 3)
    again = draw_case(small_config, voxels, 17)
    np.testing.assert_array_equal(plan.onsets_mm, again.onsets_mm)
    assert plan.speed_mm_per_ms == again.speed_mm_per_ms


def test_a_heart_too_small_for_two_onsets():
    config = CohortConfig(max_onsets=2, seed=1)
    voxels = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    with pytest.raises(ValueError, match="no room for 2 onsets 10 mm apart"):
        for case in range(20):
            draw_case(config, voxels, case)


def test_a_grid_too_small_for_the_family_is_found_at_once(small_config):
    with pytest.raises(ValueError, match="border of the"):
        require_valid(dataclasses.replace(small_config, shape=(13, 13, 13)))


@pytest.fixture
def ball(tmp_path):
    """Write a hollow ball of 40 mm radius, off centre."""
    grid = np.stack(np.meshgrid(*[np.arange(50)] * 3, indexing="ij"), axis=-1)
    radius = 2 * np.linalg.norm(grid - [22, 25, 25], axis=-1)
    np.savez(tmp_path / "ball.npz", mask=(radius <= 40) & (radius >= 28), spacing=2.0)
    return str(tmp_path / "ball.npz")


def test_a_heart_from_a_file_is_centred_on_the_grid(ball):
    config = CohortConfig(1, geometry=ball, shape=(30, 32, 34), spacing_mm=3.0)
    heart = draw_anatomy(config, 0)
    assert heart.mask.shape == (30, 32, 34)
    np.testing.assert_allclose(heart.centroid_mm, 0, atol=0.2)
    shell = 4 / 3 * np.pi * (40**3 - 28**3) / 1000
    assert heart.volume_ml == pytest.approx(shell, rel=0.01)


def test_the_grid_widens_for_a_large_heart(ball):
    with pytest.raises(ValueError, match="ball: tissue spans"):
        draw_anatomy(CohortConfig(1, geometry=ball, shape=(32, 32, 32)), 0)
    config = CohortConfig.for_geometry(ball, shape=(32, 32, 32), cases_per_anatomy=5)
    assert config == CohortConfig(
        1, geometry=ball, shape=(32, 32, 32), spacing_mm=2.75, cases_per_anatomy=5
    )
    assert draw_anatomy(config, 0).mask.any()
    assert CohortConfig.for_geometry(ball, shape=(64, 64, 64)).spacing_mm == 2.0


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere.npz"):
        require_valid(CohortConfig(1, geometry="nowhere.npz"))


def test_another_generation_has_another_name(monkeypatch):
    now = CohortConfig().identity
    monkeypatch.setattr(CohortConfig, "generation", CohortConfig.generation + 1)
    assert CohortConfig().identity != now and len(now) == 12
