"""Workers that Spark ends because they were idle leave nothing in the log."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fruit_assets.spark.session import LocalSparkOptions, local_conf


def _pid_of_a_worker(connection: socket.socket) -> int:
    return int(struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))[0])


@pytest.fixture
def short_folder() -> Iterator[str]:
    """The kernel takes no long paths of sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield folder


@pytest.mark.parametrize("measures", [frozenset(), frozenset({"worker_daemon"})], ids=["no measure", "worker_daemon"])
def test_a_worker_whose_connection_spark_closes_while_it_is_idle_ends_without_a_traceback(
    tmp_path: Path, short_folder: str, measures: frozenset[str]
):
    module = local_conf(LocalSparkOptions(tmp_path, fast_start=measures))["spark.python.daemon.module"]
    variables = {"PYTHON_UNIX_DOMAIN_ENABLED": "true", "PYTHON_WORKER_FACTORY_SOCK_DIR": short_folder}
    daemon = subprocess.Popen(
        [sys.executable, "-m", module, "pyspark.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables, "SPARK_REUSE_WORKER": "1"},
    )
    assert daemon.stdout
    length = struct.unpack("!i", daemon.stdout.read(4))[0]
    address = daemon.stdout.read(length).decode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        worker = psutil.Process(_pid_of_a_worker(connection))
    # The daemon would end it, before it can print anything.
    worker.wait(60)
    _, printed = daemon.communicate()
    assert printed == b""
