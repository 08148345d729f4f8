"""What recipes share: options, data, the run, the last line."""

import json
import os
import subprocess
import sys

import mlflow
import numpy as np
import pytest

from kecgi import experiment
from kecgi.data import CohortConfig, by_simulation
from kecgi.experiment import Options, WrongInputError

TINY = {"shape": (24, 24, 24), "spacing_mm": 5.0, "electrodes": "standard_12", "samples": 16}
TINY |= {"sampling_hz": 50.0}


def python(code, **environment):
    """Run code in a new process, in the present folder."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_wrong_input_ends_with_one_line(monkeypatch):
    def main(options):
        raise WrongInputError(f"there is no heart in {options.geometry}")

    monkeypatch.setattr(sys, "argv", ["recipe.py", "--geometry", "leg.npz"])
    with pytest.raises(SystemExit) as end:
        experiment.command_line(main)
    assert end.value.code == "error: there is no heart in leg.npz"  # Python prints it, ends with 1


def test_other_errors_keep_their_traceback(monkeypatch):
    def main(options):
        raise ValueError("a bug")

    monkeypatch.setattr(sys, "argv", ["recipe.py"])
    with pytest.raises(ValueError, match="a bug"):
        experiment.command_line(main)


def test_options_come_from_the_command_line(monkeypatch):
    seen = []

    def main(options):
        seen.append(options)

    line = "recipe.py --preset paper --backend jax --seed 3 --out there --geometry heart.vtk"
    monkeypatch.setattr(sys, "argv", line.split())
    experiment.command_line(main)
    (options,) = seen
    assert (options.preset, options.backend, options.seed) == ("paper", "jax", 3)
    assert (str(options.out), options.geometry) == ("there", "heart.vtk")


def test_a_wrong_flag_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["recipe.py", "--preset", "huge"])
    with pytest.raises(SystemExit) as end:
        experiment.command_line(lambda options: None)
    assert end.value.code == 2
    assert "quick" in capsys.readouterr().err


@pytest.mark.backend
def test_keras_cannot_change_its_backend(monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    running = keras.backend.backend()
    other = {"jax": "torch"}.get(running, "jax")
    with pytest.raises(WrongInputError, match=f"already runs on {running}, not on {other}"):
        experiment.begin(Options(backend=other))


@pytest.mark.backend
def test_beginning_seeds_keras(monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    drawn = []
    for _ in range(2):
        experiment.begin(Options(seed=5, backend=keras.backend.backend()))
        drawn.append(keras.ops.convert_to_numpy(keras.random.normal((3,))))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    ("backend", "reason"), [("jax", "jax"), ("nonsense", "Unable to import backend")]
)
def test_a_backend_that_cannot_be_loaded_is_named(backend, reason):
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "from kecgi import experiment\n"
        "sys.argv = ['recipe.py']\n"
        "experiment.command_line(experiment.begin)"
    )
    done = python(code, KERAS_BACKEND=backend)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: Keras can't load its backend") and reason in last
    assert "Traceback" not in done.stderr


def test_one_heart_is_parametric_or_that_of_a_file(tmp_path):
    config = experiment.one_heart(Options(seed=4), 20, electrodes="vest")
    assert (config.anatomies, config.cases, config.seed) == (1, 20, 4)
    assert (config.geometry, config.electrodes) == (None, "vest")
    ball = np.linalg.norm(np.indices((40, 40, 40)) - 19.5, axis=0) < 19
    np.savez(tmp_path / "ball.npz", mask=ball, spacing=4.0)
    config = experiment.one_heart(Options(geometry=str(tmp_path / "ball.npz")), 20)
    assert config.geometry == str(tmp_path / "ball.npz")
    # 38 voxels of 4 mm on a grid of 64
    assert config.spacing_mm * 64 >= 38 * 4 > config.spacing_mm * 60


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.npz", None, "missing.npz"),
        ("text.npz", b"no heart", "text.npz"),
        ("heart.docx", b"", "docx"),
    ],
)
def test_a_wrong_geometry_is_wrong_input(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WrongInputError, match=message):
        experiment.one_heart(Options(geometry=str(tmp_path / name)), 20)


def test_the_paper_s_heart_has_one_onset_and_one_speed():
    config = experiment.paper_heart(Options(), 30)
    assert (config.max_onsets, config.cases) == (1, 30)
    assert config.speed_mm_per_ms[0] == config.speed_mm_per_ms[1]


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_many_hearts_keep_some_out(preset):
    options = Options(preset=preset, seed=2)
    config, shares = experiment.many_hearts(options), experiment.heart_shares(options)
    assert config.seed == 2 and config.geometry is None
    assert sum(shares) == pytest.approx(1)
    assert shares[1] == shares[2] and round(shares[2] * config.anatomies) >= 6


def test_a_dataset_is_made_once(tmp_path, monkeypatch):
    options = Options(out=tmp_path)
    config = CohortConfig(1, 6, **TINY)
    first = experiment.dataset(config, options)
    assert first.path.parent == tmp_path / "datasets" and config.identity in first.path.name
    times = {path: path.stat().st_mtime_ns for path in first.path.rglob("c/*") if path.is_file()}
    assert times
    again = experiment.dataset(config, options)
    assert again.digest == first.digest
    assert {path: path.stat().st_mtime_ns for path in times} == times
    other = experiment.dataset(CohortConfig(1, 6, seed=1, **TINY), options)
    assert other.path != first.path


def test_data_that_cannot_be_made_are_wrong_input(tmp_path):
    with pytest.raises(WrongInputError, match="the heart reaches the border"):
        experiment.dataset(CohortConfig(1, 6, **TINY | {"spacing_mm": 1.0}), Options(out=tmp_path))
    assert not list(tmp_path.rglob("zarr.json"))


@pytest.fixture
def cohort(tmp_path):
    return experiment.dataset(CohortConfig(1, 10, **TINY), Options(out=tmp_path / "out"))


def start(cohort, options, settings=()):
    split = by_simulation(len(cohort), seed=0)
    return experiment.run("maps", "some-model", options, cohort, split, dict(settings))


@pytest.mark.backend
def test_a_run_ends_with_its_link_and_its_headline(store, cohort, tmp_path, capsys):
    import keras
    from matplotlib.figure import Figure

    options = Options(seed=3, out=tmp_path / "out")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with start(cohort, options, {"epochs": 7}) as current:
        current.keep(model)
        assert (tmp_path / "out/some-model/model.keras").is_file()
        current.headline |= {"mae_ms": 4.5, "baselines": {"mean": {"mae_ms": 9.0}}}
        current.conclude({"maps": Figure()}, model, np.zeros((2, 2), "float32"))
    shown = capsys.readouterr()
    last = json.loads(shown.out.splitlines()[-1])
    run_id = last.pop("run_id")
    assert last == {
        "model": "some-model",
        "preset": "quick",
        "split": "simulation",
        "seed": 3,
        "cases_train": 8,
        "cases_test": 1,
        "mae_ms": 4.5,
        "baselines": {"mean": {"mae_ms": 9.0}},
    }
    assert "make ui, then http" in shown.err
    folder = tmp_path / "out" / "some-model"
    assert {path.name for path in folder.iterdir()} == {"maps.png", "headline.json", "model.keras"}
    assert json.loads((folder / "headline.json").read_text()) == last
    run = mlflow.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "7" and run.data.params["cohort.samples"] == "16"
    assert run.data.tags["model"] == "some-model" and run.data.tags["split"] == "simulation"
    assert run.data.metrics["mae_ms"] == 4.5
    assert run.inputs.dataset_inputs[0].dataset.digest == cohort.digest[:36]


@pytest.mark.backend
def test_a_run_that_fails_says_so_and_prints_no_headline(store, cohort, capsys):
    with pytest.raises(RuntimeError, match="out of luck"), start(cohort, Options()):
        raise RuntimeError("out of luck")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FAILED"
    assert capsys.readouterr().out == ""


@pytest.mark.backend
def test_a_store_that_was_moved_is_wrong_input(store, cohort, tmp_path, monkeypatch):
    with start(cohort, Options()):
        pass
    (tmp_path / "elsewhere").mkdir()
    store.rename(tmp_path / "elsewhere" / "mlruns")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(WrongInputError, match="was moved or copied"), start(cohort, Options()):
        pass
