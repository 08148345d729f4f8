import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _start_anew(monkeypatch, tmp_path):
    """Seed what draws from global state, and keep default output folders out of the project."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (other people's code that uses it)
    if keras := sys.modules.get("keras"):
        keras.utils.set_random_seed(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def project():
    """Folder of the project's files."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder():
    """Real anatomies and recordings, which are not part of the project."""
    folder = Path(os.environ.get("KECGI_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}; KECGI_DATA can name another")
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """MLflow database without runs; making one takes seconds, copying it nothing."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def store(empty_store, tmp_path):
    """Folder of an embedded MLflow store for one test."""
    import mlflow

    folder = tmp_path / "mlruns"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    yield folder
    while mlflow.active_run():
        mlflow.end_run("FAILED")
    mlflow.set_tracking_uri(None)
