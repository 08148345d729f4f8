"""MLflow: an embedded store or a server, runs that say what they were, models that load back.

MLflow and Keras cost seconds to import, so only the functions that need them load them.

The embedded store is a folder with one SQLite file, ``mlflow.db``, and the artifacts in
``artifacts/EXPERIMENT``. MLflow writes absolute artifact paths into the database, so the folder
must stay where it was made; `use` says so when it was moved.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import keras
    import mlflow
    import numpy as np
    from matplotlib.figure import Figure

_SERVER = "MLFLOW_TRACKING_URI"
_VIEW = "kecgi"  # id of the run list's saved view
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")


def use(experiment: str, root: str | Path = "mlruns") -> None:
    """Select an experiment, in the embedded store or on the server of ``MLFLOW_TRACKING_URI``.

    Parameters
    ----------
    experiment : str
        Name of the experiment, made when it is not there.
    root : path
        Folder of the embedded store; not used when the variable names a server.

    Raises
    ------
    ValueError
        If the store was moved after the experiment was made.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if server := os.environ.get(_SERVER):
        mlflow.set_tracking_uri(server)
        mlflow.set_experiment(experiment)
        return
    root = Path(root).resolve()
    root.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    # MLflow has just written the variable; it shall go on meaning the user's own server.
    os.environ.pop(_SERVER, None)
    known = mlflow.get_experiment_by_name(experiment)
    if known is None:
        folder = root / "artifacts" / experiment
        mlflow.create_experiment(experiment, artifact_location=folder.as_uri())
    elif root not in Path(unquote(urlsplit(known.artifact_location).path)).parents:
        raise ValueError(
            f"the artifacts of experiment {experiment!r} belong in {known.artifact_location}, "
            f"which is not in {root}: the store was moved or copied after it was made. Move it "
            "back, or choose an empty folder"
        )
    mlflow.set_experiment(experiment)


@contextmanager
def start_run(
    name: str, params: Any = None, tags: Mapping[str, str] | None = None
) -> Iterator[mlflow.ActiveRun]:
    """Run a block as one MLflow run: FINISHED, FAILED by an exception, KILLED by Ctrl-C.

    Logged at the start: the parameters, the backend, device and versions (as tags, and in full
    as ``environment.json``). With ``MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=true`` in the environment
    also the machine's load.

    Parameters
    ----------
    name : str
        Name of the run in the list.
    params : dataclass instance or mapping, optional
        The options of the experiment; nested ones are joined by dots.
    tags : mapping, optional
        What the run list is filtered and grouped by, such as ``model``, ``split``, ``preset``.

    Yields
    ------
    mlflow.ActiveRun
    """
    import mlflow

    surroundings = _environment()
    shown = {key: surroundings[key] for key in ("backend", "device", "kecgi")}
    run = mlflow.start_run(run_name=name, tags={**shown, **(tags or {})})
    status = "FAILED"
    try:
        # MLflow draws colours from the run's id, so that neighbours often look the same.
        runs = mlflow.search_runs([run.info.experiment_id], output_format="list")
        mlflow.set_tag("mlflow.runColor", _COLOURS[len(runs) % len(_COLOURS)])
        mlflow.log_params(_flat(params or {}))
        mlflow.log_dict(surroundings, "environment.json")
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)


def log_arm(name: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Log one arm of a study as a finished run below the active one.

    Parameters
    ----------
    name : str
        Name of the arm in the list.
    params, metrics : mapping
        What it was, and what came of it.
    """
    import mlflow
    from mlflow.entities import Metric, Param

    client, parent = mlflow.MlflowClient(), mlflow.active_run().info
    tags = {"mlflow.parentRunId": parent.run_id}
    run = client.create_run(parent.experiment_id, run_name=name, tags=tags)
    now = round(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        [Metric(key, float(value), now, 0) for key, value in metrics.items()],
        [Param(key, str(value)) for key, value in _flat(params).items()],
    )
    client.set_terminated(run.info.run_id)


def log_dataset(name: str, digest: str, path: str | Path, config: Mapping[str, Any]) -> None:
    """Record the data of the active run: the list's Dataset column, and ``dataset.json``.

    Parameters
    ----------
    name : str
        Short name of the dataset.
    digest : str
        Digest of its content; MLflow keeps 36 characters.
    path : path
        Where it lay.
    config : mapping
        What it was built from.
    """
    import mlflow
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource

    source = LocalArtifactDatasetSource(str(Path(path).resolve()))
    mlflow.log_input(MetaDataset(source, name=name, digest=digest[:36]), context="training")
    mlflow.log_dict(dict(config), "dataset.json")


def epoch_logger() -> keras.callbacks.Callback:
    """Return a callback for `fit` that logs each epoch to the active run.

    Every metric of Keras under ``epoch/``, with ``epoch/learning_rate`` and ``epoch/seconds``.
    """
    import keras
    import mlflow

    class EpochLogger(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            values = {
                **(logs or {}),
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": time.perf_counter() - self.started,
            }
            mlflow.log_metrics({f"epoch/{key}": v for key, v in values.items()}, step=epoch + 1)

    return EpochLogger()


def log_headline(headline: Mapping[str, Any]) -> None:
    """Log the result of the active run, beside its baselines.

    Numbers become metrics (five digits), those of ``baselines`` under names such as
    ``baseline_mean_mae_ms``, and strings become tags; other values are left out. The run's
    description shows the metrics as a table, and the saved view of the run list that `run_link`
    opens shows them as columns.

    Parameters
    ----------
    headline : mapping
        The recipe's last line: names to numbers and strings, and ``baselines``, which holds a
        mapping of numbers for each baseline.
    """
    import mlflow

    baselines = headline.get("baselines", {})
    numbers = {k: v for k, v in headline.items() if isinstance(v, Real)}
    beside = {
        f"baseline_{name}_{metric}": value
        for name, metrics in baselines.items()
        for metric, value in metrics.items()
        if isinstance(value, int | float)
    }
    compared = [key for key in numbers if all(key in metrics for metrics in baselines.values())]
    mlflow.log_metrics({k: float(f"{v:.5g}") for k, v in {**numbers, **beside}.items()})
    mlflow.set_tags({key: value for key, value in headline.items() if isinstance(value, str)})
    mlflow.set_tag("mlflow.note.content", _table(compared, {"**this run**": numbers, **baselines}))
    # What has a baseline matters most, so it is next to the run's name.
    columns = dict.fromkeys([*compared, *numbers, *beside])
    mlflow.set_experiment_tag(f"mlflow.sharedViewState.{_VIEW}", _view([*columns]))


def log_figures(figures: Mapping[str, Figure]) -> None:
    """Save figures in the active run as ``figures/NAME.png``."""
    import mlflow

    for name, figure in figures.items():
        mlflow.log_figure(figure, f"figures/{name}.png")


def log_page(name: str, html: str) -> None:
    """Log a page of HTML to the active run, as ``NAME.html``."""
    import mlflow

    mlflow.log_text(html, f"{name}.html")


def log_model(
    model: keras.Model, inputs: np.ndarray | Mapping[str, np.ndarray], name: str = "model"
) -> str:
    """Save a Keras model in the active run.

    Parameters
    ----------
    model : keras.Model
    inputs : array or mapping of arrays
        A small batch as the model takes it, for the signature.
    name : str
        Name of the model in the run.

    Returns
    -------
    str
        The model's URI, for `load_model`.
    """
    import keras
    import mlflow

    packages = ("kecgi", "keras", keras.backend.backend())
    requirements = [f"{package}=={version(package).partition('+')[0]}" for package in packages]
    # MLflow would otherwise load the model in a new process to find these out: 13 to 22 s.
    info = mlflow.keras.log_model(
        model,
        name=name,
        signature=mlflow.models.infer_signature(inputs, model.predict(inputs, verbose=0)),
        pip_requirements=requirements,
    )
    return info.model_uri


def load_model(model: str) -> keras.Model:
    """Load a model that `log_model` saved, from the store that `use` selected.

    Parameters
    ----------
    model : str
        The id of its run, or a model's URI.

    Returns
    -------
    keras.Model
    """
    import mlflow

    import kecgi.models  # noqa: F401  (Keras finds the classes that are registered)

    return mlflow.keras.load_model(model if ":/" in model else f"runs:/{model}/model")


def run_link(run: mlflow.ActiveRun) -> str:
    """Return the address of the run list, on its server or where ``make ui`` shows it.

    The list opens with the columns of `log_headline`.
    """
    import mlflow

    store = mlflow.get_tracking_uri()
    server = store.rstrip("/") if store.startswith("http") else "http://localhost:5000"
    return (
        f"{server}/#/experiments/{run.info.experiment_id}/runs"
        f"?workflowType=machine_learning&viewStateShareKey={_VIEW}"
    )


def _environment() -> dict[str, str]:
    import keras

    backend = keras.backend.backend()
    device = str(keras.ops.zeros(()).device).lower()
    packages = {"kecgi", "keras", "numpy", "scipy", "mlflow", "zarr", backend}
    return {
        "backend": backend,
        "device": "gpu" if "gpu" in device or "cuda" in device else "cpu",
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in sorted(packages)},
    }


def _flat(options: Any, prefix: str = "") -> dict[str, Any]:
    if is_dataclass(options):
        options = asdict(options)
    flat = {}
    for key, value in options.items():
        if isinstance(value, Mapping) or is_dataclass(value):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _table(metrics: list[str], columns: Mapping[str, Mapping[str, float]]) -> str:
    """Lay out metrics as a Markdown table, one to a row."""
    rows = [["", *(f"&emsp;{name}" for name in columns)], ["---"] * (len(columns) + 1)]
    for metric in metrics:
        rows.append([metric, *(f"&emsp;{values[metric]:.4g}" for values in columns.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _view(metrics: list[str]) -> str:
    """Describe a saved view of the run list as MLflow's UI does its own."""
    tags = [f"tags.`{tag}`" for tag in ("model", "preset", "split")]
    columns = [*tags, *(f"metrics.`{metric}`" for metric in metrics), "attributes.`Dataset`"]
    state = {"selectedColumns": columns, "columnOrder": ["rowName", *columns]}
    made = round(time.time() * 1000)
    return json.dumps({"name": "Headline", "createdAt": made, "state": json.dumps(state)})
