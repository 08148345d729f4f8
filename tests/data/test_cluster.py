"""A cohort is built on a Dask cluster through the same call, whatever happens to its workers."""

import os
import signal
import threading
import time

import joblib
import pytest

from kecgi.data import CohortConfig, build, open_store

distributed = pytest.importorskip("distributed", reason="pip install 'kecgi[dask]'")

CONFIG = CohortConfig(
    anatomies=40, cases_per_anatomy=6, shape=(32, 32, 32), spacing_mm=4.5, samples=40
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Two worker processes with a nanny each, which starts a new one for one that dies."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=tmp_path_factory.mktemp("dask"),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """Digest of the store as one process builds it."""
    path = build(CONFIG, tmp_path_factory.mktemp("serial") / "store", progress=False)
    return open_store(path).digest


def build_on(client, path):
    with joblib.parallel_config("dask", client=client):
        build(CONFIG, path, workers=-1, progress=False)


def test_a_cluster_builds_what_one_process_builds(client, digest, tmp_path):
    build_on(client, tmp_path / "store")
    assert open_store(tmp_path / "store").digest == digest
    ran = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert all(ran.values())


def test_a_killed_worker_loses_nothing(client, digest, tmp_path):
    processes = client.run(os.getpid)
    killed = []

    def kill():
        record = tmp_path / "store" / "build" / "nbytes" / "c"
        while not (record.exists() and any(record.iterdir())):
            time.sleep(0.01)
        busy = [address for address, keys in client.processing().items() if keys]
        killed.append(processes[busy[0]])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    build_on(client, tmp_path / "store")
    killer.join()
    assert not set(killed) & set(client.run(os.getpid).values())
    assert killed
    assert open_store(tmp_path / "store").digest == digest
