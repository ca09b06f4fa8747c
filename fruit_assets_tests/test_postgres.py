"""Production as documented: runs, events and daemon on a real PostgreSQL of the machine's packages."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from fruit_assets_tests.parallel import free_port

pytestmark = pytest.mark.long(60)

PROJECT = Path(__file__).parents[1]
_BIN = Path(sys.executable).parent
_WAIT_SECONDS = 300


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, str]]:
    """A private PostgreSQL cluster; the variables that docs/dagster-postgres.yaml reads."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
    assert programs, "This test needs PostgreSQL: apt-get install postgresql"
    # Not below pytest's folder, which only we may enter: PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="fruit-assets-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        subprocess.run([programs / program, *arguments], check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    port = str(free_port())
    data, options = str(folder / "data"), f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run("initdb", "-D", data, "-U", "dagster", "-A", "trust", "--no-sync")
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", port, "-U", "dagster", "dagster")
            yield {
                "DAGSTER_PG_HOST": "127.0.0.1",
                "DAGSTER_PG_PORT": port,
                "DAGSTER_PG_USERNAME": "dagster",
                "DAGSTER_PG_PASSWORD": "unused",
                "DAGSTER_PG_DB": "dagster",
            }
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def environment(postgres, collection, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a production process is given, with three small classes for a collection."""
    folder = tmp_path_factory.mktemp("production")
    shutil.copy(PROJECT / "docs" / "dagster-postgres.yaml", folder / "dagster.yaml")
    images = sorted(path for path in collection.images.rglob("*") if path.suffix in (".jpg", ".png"))
    for label in sorted({path.parent for path in images})[:3]:
        target = folder / "images" / label.name
        target.mkdir(parents=True)
        for image in [path for path in images if path.parent == label][:4]:
            shutil.copy(image, target)
    return {
        **os.environ,
        **postgres,
        "DAGSTER_HOME": str(folder),
        "FRUIT_ASSETS_IMAGES": str(folder / "images"),
        "FRUIT_ASSETS_STORAGE": str(folder / "storage"),
        "FRUIT_ASSETS_WEIGHTS": collection.weights,
        "FRUIT_ASSETS_DRIVER_MEMORY": "1g",
    }


@pytest.fixture(scope="module")
def instance(environment, postgres) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in postgres.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(environment["DAGSTER_HOME"])) as instance:
            yield instance


@pytest.fixture(scope="module")
def daemon(environment, instance) -> Iterator[None]:
    """`dagster-daemon run`, as a service manager would start it."""
    log = Path(environment["DAGSTER_HOME"]) / "daemon.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_BIN / "dagster-daemon", "run", "-w", "workspace.yaml"],
            cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    yield
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {_WAIT_SECONDS} s"
        time.sleep(1)


def test_the_daemon_lives(daemon, instance, environment):
    _wait_until(
        lambda: all(status.healthy for status in instance.get_daemon_statuses().values() if status.required),
        "A heartbeat of every daemon",
    )
    assert subprocess.run([_BIN / "dagster-daemon", "liveness-check"], env=environment, cwd=PROJECT).returncode == 0


def test_a_launched_job_goes_through_the_queue_and_is_recorded(daemon, instance, environment, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        "ops: {sampled_images: {config: {fraction: 1.0}}, pca_model: {config: {n_components: 3}}}", encoding="utf-8"
    )
    subprocess.run(
        [_BIN / "dagster", "job", "launch", "-w", "workspace.yaml", "-j", "fruit_features_job", "-c", config],
        env=environment, cwd=PROJECT, check=True,
    )  # fmt: skip
    (record,) = instance.get_run_records()
    run_id = record.dagster_run.run_id

    def ended() -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    _wait_until(ended, "The end of the run")
    run = instance.get_run_by_id(run_id)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    latest = instance.get_latest_materialization_event(dg.AssetKey("pca_components"))
    assert latest.asset_materialization.metadata["dagster/row_count"].value == 12
    assert _rows(environment, "SELECT run_id, status FROM runs") == [(run_id, "SUCCESS")]
    assert _rows(environment, "SELECT count(*) FROM event_logs")[0][0] > 50


def _rows(environment: dict[str, str], query: str) -> list[tuple[object, ...]]:
    """What PostgreSQL itself says."""
    import psycopg2

    connection = psycopg2.connect(
        host=environment["DAGSTER_PG_HOST"],
        port=environment["DAGSTER_PG_PORT"],
        user=environment["DAGSTER_PG_USERNAME"],
        dbname=environment["DAGSTER_PG_DB"],
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()
