"""One small cohort that the tests of this folder share."""

import pytest

from kecgi.data import CohortConfig, build, open_store


@pytest.fixture(scope="session")
def small_config():
    """Six anatomies of 32 cases on a coarse grid: three blocks of 64 cases."""
    return CohortConfig(
        anatomies=6,
        cases_per_anatomy=32,
        shape=(24, 24, 24),
        spacing_mm=5.0,
        electrodes="standard_12",
        samples=16,
        sampling_hz=50.0,
        seed=3,
    )


@pytest.fixture(scope="session")
def store_path(small_config, tmp_path_factory):
    """Its store; read only, tests that damage it copy it first."""
    return build(small_config, tmp_path_factory.mktemp("cohort") / "small.zarr", progress=False)


@pytest.fixture(scope="session")
def cohort(store_path):
    return open_store(store_path)
