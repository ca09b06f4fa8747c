"""Dagster's EMR step launcher compared with this project's, in the same simulated EMR; prints a table.

Put here measurements only: run it by hand, it takes a few minutes and asserts nothing.

    python -m fruit_assets_tests.benchmarks.upstream_launcher [--launcher fruit_assets]
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
from rich.console import Console
from rich.table import Table

import fruit_assets
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import BUCKET, HERE, TinyLocation, tiny_location_on
from fruit_assets_tests.emr_simulator import EmrSimulator, StepCall
from fruit_assets_tests.emr_simulator.runners import SparkSubmit

CHATTER_SECONDS = 30.0
GIVE_UP_SECONDS = 40.0
YARN_START_SECONDS = 20.0  # spark-submit to first line of Python, as measured on a real YARN

Configure = Callable[[TinyLocation, int], None]


@dataclass
class Trial:
    """One launcher in one scenario."""

    tiny: TinyLocation
    does: str
    seconds: float
    before: int = 0

    def start(self) -> "subprocess.Popen[bytes]":
        self.before = len(self.tiny.emr.requests)
        return self.tiny.start(self.does, self.seconds)

    def entries(self) -> list[Any]:
        with dg.DagsterInstance.from_config(str(self.tiny.folder / "home")) as instance:
            return list(instance.all_logs(instance.get_runs()[0].run_id))

    def count(self, kind: str) -> int:
        found = [entry.dagster_event.event_type_value for entry in self.entries() if entry.dagster_event]
        return found.count(kind)

    def traffic(self) -> tuple[int, int]:
        """Bytes of events on S3, and calls to EMR, since the start."""
        requests = self.tiny.emr.requests[self.before :]
        events = [call for call in requests if call.service == "s3" and "events" in str(call.params.get("Key", ""))]
        emr = [call for call in requests if call.service == "elasticmapreduce" and call.caller == "orchestrator"]
        return sum(call.bytes_in + call.bytes_out for call in events), len(emr)


def plain_python(call: StepCall) -> int:
    """Either launcher's spark-submit, with the main under plain Python: no JVM to blur the figures."""
    import boto3

    time.sleep(float(os.environ.get("TINY_START_SECONDS", "0")))
    submit = SparkSubmit.parse(call.args[1:])
    s3 = boto3.client("s3", endpoint_url=call.environment["AWS_ENDPOINT_URL"])

    def fetched(uri: str) -> str:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        path = call.folder / Path(key).name
        s3.download_file(bucket, key, str(path))
        return str(path)

    shipped = [fetched(uri) for uri in submit.values("--py-files")]
    main, *arguments = submit.program
    environment = {**call.environment, **seen_by_both(), "PYTHONPATH": os.pathsep.join(shipped)}
    process = subprocess.Popen(
        ["/usr/bin/env", "python3", fetched(main), *arguments],
        env=environment,
        cwd=call.folder,
        stdout=call.stdout,
        stderr=call.stderr,
    )
    while process.poll() is None:
        if call.interrupted.wait(0.1):
            process.terminate()
            process.wait(20)
    return process.returncode


def seen_by_both() -> dict[str, str]:
    """Upstream sends no environment, so both get it from the node."""
    return {name: value for name, value in os.environ.items() if name.startswith("TINY_")}


def measure(tiny: TinyLocation, configure: Configure) -> dict[str, str]:
    """The figures of one launcher."""
    figures: dict[str, str] = {}
    configure(tiny, 0)
    trial = Trial(tiny, "chatter", CHATTER_SECONDS)
    began = time.monotonic()
    code = finish(trial.start())
    minutes = (time.monotonic() - began) / 60
    published = (tiny.folder / "published").stat().st_mtime if code == 0 else time.time()
    size, calls = trial.traffic()
    events = max(1, len([entry for entry in trial.entries() if entry.step_key == "subject"]))
    succeeded = next((e.timestamp for e in trial.entries() if e.dagster_event and e.dagster_event.is_job_success), None)
    figures["remote result to run success, s"] = f"{succeeded - published:.1f}" if succeeded else "failed"
    figures["bytes moved per event"] = f"{size / events:,.0f}"
    figures["EMR calls per minute"] = f"{calls / minutes:.1f}"

    trial = again(tiny, "chatter-then-die", 3.0)
    finish(trial.start())
    received = len([entry for entry in trial.entries() if (entry.user_message or "").startswith("event ")])
    figures["events lost when killed, of 30"] = str(30 - received)

    configure(tiny, 1)
    tiny.monkeypatch.setenv("TINY_START_SECONDS", str(YARN_START_SECONDS))
    trial = again(tiny, "fail-once", 1.0)
    finish(trial.start())
    tiny.monkeypatch.delenv("TINY_START_SECONDS")
    configure(tiny, 0)
    stale = trial.count("STEP_UP_FOR_RETRY") - 1
    outcome = "run succeeds" if trial.count("STEP_SUCCESS") else "run fails"
    figures["stale events on a retry"] = f"{max(0, stale)} ({outcome})"

    trial = again(tiny, "sleep", 120.0)
    process = trial.start()
    step_id = tiny.wait_until_running()
    process.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    step, active = tiny.emr.clusters[tiny.target.id].steps[step_id], ("RUNNING", "CANCEL_PENDING")
    while step.state in active and time.monotonic() - sent < GIVE_UP_SECONDS:
        time.sleep(0.1)
    reached = f"{time.monotonic() - sent:.1f} s" if step.state == "CANCELLED" else f"not in {GIVE_UP_SECONDS:.0f} s"
    figures["terminate reaches the step"] = reached
    finish(process)
    return figures


def again(tiny: TinyLocation, does: str, seconds: float) -> Trial:
    shutil.rmtree(tiny.folder / "home")
    for name in ("starts", "published"):
        (tiny.folder / name).unlink(missing_ok=True)
    return Trial(tiny, does, seconds)


def finish(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(240)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def ours(tiny: TinyLocation, retries: int) -> None:
    """The product's own settings, not the tests' hasty ones."""
    tiny.configure(retries=retries, poll_seconds=10.0, heartbeat_seconds=20.0, cancel_seconds=30.0)


def upstream(tiny: TinyLocation, retries: int) -> None:
    """As its documentation shows it, on a folder laid out so that it can be imported."""
    ours(tiny, retries)
    package = tiny.folder / "package"
    shutil.copytree(HERE / "tiny_location", package / "tiny_location", dirs_exist_ok=True)
    shutil.copytree(Path(fruit_assets.__file__).parent, package / "fruit_assets", dirs_exist_ok=True)
    settings = {
        "cluster_id": tiny.target.id,
        "region_name": tiny.emr.region,
        "staging_bucket": BUCKET,
        "staging_prefix": "upstream",
        "local_job_package_path": str(package),
        "deploy_local_job_package": True,
        "spark_config": {},
        # Its default, CANCEL_AND_WAIT, is refused by EMR where steps run side by side.
        "action_on_failure": "CONTINUE",
    }
    tiny.monkeypatch.setenv("TINY_UPSTREAM", json.dumps(settings))


LAUNCHERS: dict[str, Configure] = {"fruit_assets": ours, "dagster-aws": upstream}


@click.command()
@click.option("--launcher", type=click.Choice(list(LAUNCHERS)), multiple=True, default=list(LAUNCHERS))
def main(launcher: tuple[str, ...]) -> None:
    """Measure the launchers and print the table."""
    columns: dict[str, dict[str, str]] = {}
    for title in launcher:
        configure = LAUNCHERS[title]
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
            emr = stack.enter_context(EmrSimulator(work / "emr", runner=plain_python))
            for name, value in emr.environment().items():
                monkeypatch.setenv(name, value)
            emr.create_bucket(BUCKET)
            folder = work / "location"
            folder.mkdir()
            staging = StagingStore(f"s3://{BUCKET}/ours")
            tiny = stack.enter_context(tiny_location_on(emr, staging, folder, monkeypatch))
            columns[title] = measure(tiny, configure)
    table = Table("", *columns, title="EMR step launchers")
    for row in columns[launcher[0]]:
        table.add_row(row, *(figures[row] for figures in columns.values()))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
