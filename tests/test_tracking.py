import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import numpy as np
import pytest
from matplotlib.figure import Figure

from kecgi import tracking

PNG = b"\x89PNG"


@dataclass(frozen=True)
class Cohort:
    cases: int = 12
    spacing_mm: tuple[float, float] = (2.0, 2.0)


@dataclass(frozen=True)
class Options:
    seed: int = 7
    geometry: str | None = None
    cohort: Cohort = field(default_factory=Cohort)


def stored(run):
    return mlflow.get_run(run.info.run_id)


def artifacts(run, folder=None):
    return {item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id, folder)}


def test_embedded_store_is_one_folder(store, tmp_path):
    figure = Figure()
    figure.subplots().plot([0, 1])
    tracking.use("maps", store)
    with tracking.start_run("first") as run:
        tracking.log_figures({"true_and_mean": figure})
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns"}
    assert {path.name for path in store.iterdir()} == {"mlflow.db", "artifacts"}
    (picture,) = store.glob("artifacts/maps/*/artifacts/figures/true_and_mean.png")
    assert picture.read_bytes().startswith(PNG)
    assert artifacts(run, "figures") == {"figures/true_and_mean.png"}


def test_store_is_made_where_there_is_none(tmp_path):
    tracking.use("maps", tmp_path / "new" / "mlruns")
    assert (tmp_path / "new" / "mlruns" / "mlflow.db").is_file()


def test_moved_store_is_refused(store, tmp_path):
    tracking.use("maps", store)
    moved = shutil.copytree(store, tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"'maps'.*was moved or copied"):
        tracking.use("maps", moved)


def test_variable_keeps_meaning_the_users_server(store, tmp_path, monkeypatch):
    for _ in range(2):
        tracking.use("maps", store)
        assert "MLFLOW_TRACKING_URI" not in os.environ
    server = f"sqlite:///{shutil.copy(store / 'mlflow.db', tmp_path / 'server.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracking.use("on the server", store)
    assert mlflow.get_tracking_uri() == server
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracking.use("maps", store)
    assert mlflow.get_experiment_by_name("on the server") is None


def test_run_says_what_it_was(store):
    tracking.use("maps", store)
    with tracking.start_run("first", Options(), {"model": "cvae"}) as run:
        tracking.log_dataset("parametric", "ab" * 32, store / "cohort.zarr", {"cases": 12})
    found = stored(run)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "first"
    assert found.data.params == {
        "seed": "7",
        "geometry": "None",
        "cohort.cases": "12",
        "cohort.spacing_mm": "(2.0, 2.0)",
    }
    assert found.data.tags["model"] == "cvae"
    assert found.data.tags["backend"] in {"tensorflow", "jax", "torch"}
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("parametric", "ab" * 18)
    assert artifacts(run) == {"environment.json", "dataset.json"}
    surroundings = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/environment.json")
    assert surroundings["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert {"kecgi", "keras", "numpy", "mlflow", surroundings["backend"]} < set(surroundings)


@pytest.mark.parametrize(
    ("error", "status"), [(FloatingPointError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_broken_run_is_marked(store, error, status):
    tracking.use("maps", store)
    with pytest.raises(error), tracking.start_run("first") as run:
        raise error
    assert stored(run).info.status == status
    assert mlflow.active_run() is None


def test_neighbours_in_the_list_differ_in_colour(store):
    tracking.use("maps", store)
    colours = []
    for name in "abc":
        with tracking.start_run(name) as run:
            pass
        colours.append(stored(run).data.tags["mlflow.runColor"])
    assert len(set(colours)) == 3


def test_headline(store):
    headline = {
        "mae_ms": 6.123456789,
        "coverage90": 0.9,
        "r2": 0.93,
        "split": "anatomy",
        "baselines": {"mean": {"mae_ms": 21.0, "r2": 0.0}, "nearest": {"r2": 0.5, "mae_ms": 14}},
    }
    tracking.use("maps", store)
    with tracking.start_run("first") as run:
        tracking.log_headline(headline)
    data = stored(run).data
    assert data.metrics == {
        "mae_ms": 6.1235,
        "r2": 0.93,
        "coverage90": 0.9,
        "baseline_mean_mae_ms": 21,
        "baseline_mean_r2": 0,
        "baseline_nearest_mae_ms": 14,
        "baseline_nearest_r2": 0.5,
    }
    assert data.tags["split"] == "anatomy"
    note = data.tags["mlflow.note.content"].replace("&emsp;", "").splitlines()
    assert note[0] == "|  | **this run** | mean | nearest |"
    assert note[2:] == ["| mae_ms | 6.123 | 21 | 14 |", "| r2 | 0.93 | 0 | 0.5 |"]
    # The list's saved view shows each metric as a column.
    tags = mlflow.get_experiment(run.info.experiment_id).tags
    (view,) = (tags[key] for key in tags if key.startswith("mlflow.sharedViewState."))
    columns = json.loads(json.loads(view)["state"])["selectedColumns"]
    assert [name for name in columns if name.startswith("metrics.")] == [
        f"metrics.`{name}`"
        for name in (
            "mae_ms",
            "r2",
            "coverage90",
            "baseline_mean_mae_ms",
            "baseline_mean_r2",
            "baseline_nearest_r2",
            "baseline_nearest_mae_ms",
        )
    ]


def test_headline_without_baselines(store):
    tracking.use("bspm", store)
    with tracking.start_run("first") as run:
        tracking.log_headline({"correlation": np.float32(0.97), "kl": None, "split": "anatomy"})
    assert stored(run).data.metrics == {"correlation": 0.97}
    assert "0.97" in stored(run).data.tags["mlflow.note.content"]


@pytest.mark.backend
def test_epochs(store):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    slower = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch))
    tracking.use("maps", store)
    with tracking.start_run("first") as run:
        fitted = model.fit(
            x,
            x.sum(axis=1, keepdims=True),
            validation_split=0.5,
            epochs=3,
            callbacks=[slower, tracking.epoch_logger()],
            verbose=0,
        )
    history = {
        name: [(point.step, point.value) for point in points]
        for name in stored(run).data.metrics
        if (points := mlflow.MlflowClient().get_metric_history(run.info.run_id, name))
    }
    for name in ("loss", "val_loss"):
        assert history[f"epoch/{name}"] == list(enumerate(fitted.history[name], start=1))
    rates = [value for _, value in history["epoch/learning_rate"]]
    assert rates == pytest.approx([0.01, 0.005, 0.01 / 3])
    assert all(0 < seconds < 60 for _, seconds in history["epoch/seconds"])


@pytest.mark.backend
def test_model_comes_back(store, monkeypatch):
    import keras

    def slow(*_):
        raise AssertionError("MLflow looks for requirements in a new process, which takes seconds")

    monkeypatch.setattr("mlflow.keras.save.infer_pip_requirements", slow)

    from kecgi.models import ActivationCVAE

    rng = np.random.default_rng(0)
    shapes = {"mask": (16, 16, 1), "bspm": (4, 32, 1)}
    batch = {name: rng.random((3, *shape), dtype="float32") for name, shape in shapes.items()}
    model = ActivationCVAE((16, 16), (4, 32), latent_dim=2, filters=2, units=4, seed=0)
    tracking.use("maps", store)
    with tracking.start_run("first") as run:
        uri = tracking.log_model(model, batch)
    expected = model.sample(batch, draws=2, seed=1)
    assert np.ptp(expected) > 0
    for source in (run.info.run_id, uri):
        loaded = tracking.load_model(source)
        np.testing.assert_array_equal(loaded.sample(batch, draws=2, seed=1), expected)
    signature = mlflow.models.get_model_info(uri).signature
    assert {spec.name: spec.shape[1:] for spec in signature.inputs} == shapes
    (requirements,) = store.rglob("requirements.txt")
    assert {line.split("==")[0] for line in requirements.read_text().split()} == {
        "kecgi",
        "keras",
        "mlflow",
        keras.backend.backend(),
    }


@pytest.fixture(scope="module")
def ui(project, empty_store, tmp_path_factory):
    """Address of the UI as ``make ui`` starts it, and its store."""
    folder = tmp_path_factory.mktemp("ui") / "mlruns"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [f"PORT={port}", f"STORE={folder}", f"BIN={Path(sys.executable).parent}"]
    # The environment that runs the tests is the one to serve: nothing is to be installed.
    command = ["make", "--directory", str(project), "--assume-old", "install", "ui", *settings]
    log = folder.parent / "log.txt"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):
                    break
            except (urllib.error.URLError, TimeoutError):
                assert server.poll() is None, log.read_text()
                time.sleep(0.2)
        else:
            raise TimeoutError(log.read_text())
        yield address, folder
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def search_runs(address, experiment_id):
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search",
        data=json.dumps({"experiment_ids": [experiment_id]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["runs"]


@pytest.mark.slow
def test_ui_shows_a_run_of_the_embedded_store(ui):
    address, folder = ui
    tracking.use("maps", folder)
    figure = Figure()
    figure.subplots().imshow(np.eye(3))
    with tracking.start_run("first", {"seed": 3}) as run:
        tracking.log_figures({"maps": figure})
        tracking.log_headline({"mae_ms": 6.5})
    (found,) = search_runs(address, run.info.experiment_id)
    assert found["info"]["run_name"] == "first"
    assert {m["key"]: m["value"] for m in found["data"]["metrics"]} == {"mae_ms": 6.5}
    artifact = f"{address}/get-artifact?path=figures/maps.png&run_uuid={run.info.run_id}"
    with urllib.request.urlopen(artifact, timeout=30) as answer:
        assert answer.read(4) == PNG
    with urllib.request.urlopen(address, timeout=30) as page:
        assert b"<title>MLflow</title>" in page.read()


@pytest.mark.slow
def test_recipes_can_log_to_a_server(ui, tmp_path, monkeypatch):
    address, folder = ui
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    tracking.use("remote")
    with tracking.start_run("second", {"seed": 4}) as run:
        tracking.log_headline({"mae_ms": 7.5})
    assert tracking.run_link(run).startswith(f"{address}/#/experiments/{run.info.experiment_id}/")
    (found,) = search_runs(address, run.info.experiment_id)
    assert found["info"]["status"] == "FINISHED"
    assert list(folder.glob("artifacts/**/environment.json"))
    assert not list(tmp_path.iterdir())
