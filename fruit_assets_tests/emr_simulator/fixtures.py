"""Fixtures for tests that need EMR; a conftest imports all of them by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fruit_assets_tests.emr_simulator.simulator import EmrSimulator
from fruit_assets_tests.parallel import made_once


@pytest.fixture
def emr_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrSimulator]:
    """A light EMR for one test: steps are plain Python. The test's environment points to it."""
    with EmrSimulator(tmp_path / "emr", runner="python") as simulator:
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        yield simulator


@pytest.fixture(scope="session")
def maven_jars(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What Spark and YARN need from Maven is in the cache: two that fetch it at once do the same work twice."""
    from fruit_assets_tests.emr_simulator.jar_cache import resolve_jars
    from fruit_assets_tests.emr_simulator.node import JARS_CACHE
    from fruit_assets_tests.emr_simulator.s3a_jars import S3A_JARS
    from fruit_assets_tests.emr_simulator.yarn import MINI_CLUSTER_JARS

    def fetch(_: Path) -> None:
        for jars in (S3A_JARS, MINI_CLUSTER_JARS):
            resolve_jars(jars, JARS_CACHE)

    made_once(tmp_path_factory, "maven_jars", fetch)


@pytest.fixture(scope="session")
def spark_emr_session(tmp_path_factory: pytest.TempPathFactory, maven_jars: None) -> Iterator[EmrSimulator]:
    """What `spark_emr_simulator` shares among tests; it sets no environment."""
    with EmrSimulator(tmp_path_factory.mktemp("spark_emr"), runner="spark") as simulator:
        yield simulator


@pytest.fixture
def spark_emr_simulator(spark_emr_session: EmrSimulator, monkeypatch: pytest.MonkeyPatch) -> EmrSimulator:
    """EMR whose steps are real spark-submits, the same for all tests: choose bucket names of your own."""
    for name, value in spark_emr_session.environment().items():
        monkeypatch.setenv(name, value)
    return spark_emr_session
