"""`dagster dev` as a process of its own, with an instance and a storage of its own.

Put here starting and ending the server. What is looked at in the browser belongs to the tests.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from fruit_assets_tests.parallel import free_port

PROJECT = Path(__file__).parents[2]
_STARTUP_SECONDS = 600
_GRACE_SECONDS = 5
_STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_ENDINGS = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass
class Dagit:
    """A running `dagster dev`.

    Attributes:
        url: where it serves.
        storage: FRUIT_ASSETS_STORAGE of its runs.
        images: FRUIT_ASSETS_IMAGES of its runs.
    """

    url: str
    storage: Path
    images: Path
    process: "subprocess.Popen[bytes]"

    def wait_until_ended(self, run_id: str, seconds: float) -> None:
        """Wait until a run has ended, however it did."""
        deadline = time.monotonic() + seconds
        while self._status(run_id) not in _ENDINGS:
            assert time.monotonic() < deadline, f"run {run_id} did not end within {seconds} s"
            time.sleep(0.5)

    def _status(self, run_id: str) -> str:
        body = json.dumps({"query": _STATUS, "variables": {"run": run_id}}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=240) as answer:
            return str(json.load(answer)["data"]["runOrError"]["status"])

    def stop(self) -> None:
        """End the server and every run it started; its processes do not all stop at SIGTERM."""
        os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_SECONDS)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


def start_dagit(folder: Path, images: Path, weights: str) -> Dagit:
    """Start `dagster dev -w workspace.yaml` on a free port and wait until it answers."""
    home = folder / "dagster_home"
    home.mkdir(parents=True)
    shutil.copy(PROJECT / "dagster.yaml", home)
    port = free_port()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "FRUIT_ASSETS_IMAGES": str(images),
        "FRUIT_ASSETS_STORAGE": str(folder / "storage"),
        "FRUIT_ASSETS_WEIGHTS": weights,
        "FRUIT_ASSETS_DRIVER_MEMORY": "1g",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with (folder / "dagster-dev.log").open("wb") as log:
        process = subprocess.Popen(
            ["dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    dagit = Dagit(f"http://127.0.0.1:{port}", folder / "storage", images, process)
    try:
        _wait_until_served(dagit)
    except BaseException:
        dagit.stop()
        raise
    return dagit


def _wait_until_served(dagit: Dagit) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < deadline:
        assert dagit.process.poll() is None, "dagster dev ended while it was starting; see dagster-dev.log"
        try:
            with urllib.request.urlopen(f"{dagit.url}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"dagster dev did not serve within {_STARTUP_SECONDS} s; see dagster-dev.log")
