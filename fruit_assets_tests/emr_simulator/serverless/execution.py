"""One job run: its way to a worker, its process, its end and its logs.

Put here the life of a job run from SUBMITTED to its terminal state. Which requests may begin one is
decided by the operations; how a command is built by the runners.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from fruit_assets_tests.emr_simulator import runners
from fruit_assets_tests.emr_simulator.logs import read_logs
from fruit_assets_tests.emr_simulator.node import Node
from fruit_assets_tests.emr_simulator.processes import StepProcess
from fruit_assets_tests.emr_simulator.serverless.applications import ENDED, JobRun
from fruit_assets_tests.emr_simulator.serverless.image import DriverNode, unpack_archives
from fruit_assets_tests.emr_simulator.steps import now
from fruit_assets_tests.emr_simulator.world import World

_REFUSED_ROLE = (
    "Could not assume execution role {} because it does not exist or is not set up with the required trust "
    "relationship."
)
_NO_CAPACITY = (
    "ApplicationMaxCapacityExceededException: Worker could not be allocated as the application has exceeded "
    "maximumCapacity settings."
)
_NO_QUOTA = "Job failed as account has reached the service limit on the maximum vCPU it can use concurrently."
_DEFAULT_EXECUTORS = 3


@dataclass(frozen=True)
class JobRunPace:
    """Seconds of each state before RUNNING, and seconds of ours for one second of a grace period."""

    scheduling: float = 0.05
    grace_scale: float = 0.1


class JobRunExecution:
    """Runs a job run in a thread of its own."""

    def __init__(self, run: JobRun, node: Callable[[JobRun], DriverNode], world: World, pace: JobRunPace) -> None:
        self.run = run
        self._build_node = node
        self._node: DriverNode | None = None
        self._world = world
        self._pace = pace
        self._changed = world.clusters.changed
        self._process: StepProcess | None = None
        self._started = threading.Event()
        self.thread = threading.Thread(target=self._live, name=f"job run {run.id}", daemon=True)

    @property
    def node(self) -> Node | None:
        return self._node

    def cancel(self, grace: int) -> None:
        """Cancel the job run. Hold the register's lock."""
        if self.run.state in ("RUNNING", "CANCELLING"):
            self.run.change("CANCELLING", "The job run is being cancelled.")
            self.run.grace = grace
            threading.Thread(target=self._stop, args=(grace,), daemon=True).start()
        else:
            self.run.change("CANCELLED", "The job run was cancelled before it started.")
        self._changed.notify_all()

    def fail(self, details: str) -> None:
        """EMR Serverless loses the driver's worker."""
        with self._changed:
            self.run.change("FAILED", details)
            self._changed.notify_all()
        self.kill()

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send a signal to the driver's container: to its first process; after SIGKILL nothing in it is left."""
        if not self._started.wait(timeout=60) or self._process is None:
            return
        self._process.send(signum, tree=False)
        if signum == signal.SIGKILL:
            self._end_container()

    def _stop(self, grace: int) -> None:
        if grace and self._world.faults.take("ignore_interrupt") is None:
            self.kill(signal.SIGTERM)
        deadline = time.monotonic() + grace * self._pace.grace_scale
        while self.run.state not in ENDED and time.monotonic() < deadline:
            if self.run.grace == 0:  # a later request without a grace period
                break
            time.sleep(0.05)
        self.kill()

    def _live(self) -> None:
        try:
            if self._wait_for_workers():
                self._work()
        # A mistake of the simulator must end the job run with a reason, not leave tests waiting for it.
        except Exception as error:
            with self._changed:
                self.run.change("FAILED", f"the simulator failed: {error!r}")
            raise
        finally:
            with self._changed:
                self._changed.notify_all()

    def _wait_for_workers(self) -> bool:
        """PENDING, QUEUED and SCHEDULED; False when the job run ended there."""
        run, application = self.run, self.run.application
        self._enter("PENDING", "The job run is being scheduled.")
        with self._changed:
            while run.state not in ENDED and self._is_full():
                run.change("QUEUED", "The job run waits for others to end.")
                self._changed.wait(0.1)
        self._enter("SCHEDULED", "Resources are being allocated.")
        while run.state not in ENDED:
            with self._changed:
                application.refresh()
                if application.state == "STARTED":
                    break
            time.sleep(0.02)
        failure = self._failure_to_start()
        if failure and run.state not in ENDED:
            with self._changed:
                run.change("FAILED", failure)
        return run.state not in ENDED

    def _enter(self, state: str, details: str) -> None:
        time.sleep(self._pace.scheduling)
        with self._changed:
            if self.run.state not in ENDED:
                self.run.change(state, details)
                self._changed.notify_all()

    def _is_full(self) -> bool:
        """First come, first served."""
        application = self.run.application
        return application.active.index(self.run) >= application.most_runs_at_once

    def _failure_to_start(self) -> str | None:
        order = self._world.faults.take("capacity")
        if order is not None:
            return _NO_QUOTA if order.text == "account" else _NO_CAPACITY
        role = self.run.request["executionRoleArn"]
        if self._world.faults.take("role") is not None or (self._world.check_roles and not self._has_role(role)):
            return _REFUSED_ROLE.format(role)
        return None

    def _has_role(self, role: str) -> bool:
        iam = self._world.own_client("iam")
        try:
            iam.get_role(RoleName=role.rpartition("/")[2])
        except iam.exceptions.NoSuchEntityException:
            return False
        return True

    def _work(self) -> None:
        run, self._node = self.run, self._build_node(self.run)
        with self._changed:
            if run.state in ENDED:
                return
            executors = run.spark_conf.get("spark.executor.instances", _DEFAULT_EXECUTORS)
            run.workers, run.started_at = 1 + int(executors), now()
            run.change("RUNNING", "The driver is running.")
            self._changed.notify_all()
        try:
            self._process = self._start(self._node)
        # Whatever keeps a program from starting is written to the driver's stderr, as the image would.
        except Exception as error:
            (self._node.logs(run.id) / "stderr").write_text(f"{type(error).__name__}: {error}\n")
        self._started.set()
        code = 1 if self._process is None else self._process.wait()
        self._end_container()
        with self._changed:
            run.exit_code = code
            if run.state not in ENDED:
                self._conclude(code)
        self._archive(self._node)

    def _start(self, node: DriverNode) -> StepProcess:
        run = self.run
        if self._world.faults.take("hang") is not None:
            return runners.start_hung(node, run.id)
        unpack_archives(
            run.spark_conf.get("spark.archives", ""), node.working_directory(run.id), self._world.cluster_s3
        )
        driver = run.driver
        words = [*_without_archives(run.spark_options), driver["entryPoint"], *driver.get("entryPointArguments", [])]
        return runners.start(self._world.runner, node, run.id, ["spark-submit", *words], self._world.cluster_s3)

    def _conclude(self, code: int) -> None:
        if self.run.state == "CANCELLING":
            self.run.change("CANCELLED", "The job run was cancelled.")
        elif code == 0:
            self.run.change("SUCCESS", "Job run completed successfully.")
        else:
            details = f"Job failed, please check complete logs in configured logging destination. ExitCode: {code}."
            self.run.change("FAILED", details)

    def _end_container(self) -> None:
        """Nothing in a container outlives its first process."""
        pid = self._process.pid if self._process is not None else 0
        if not pid:
            return
        for found in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(found) == pid:
                    os.kill(found, signal.SIGKILL)

    def _archive(self, node: Node) -> None:
        folder = f"applications/{self.run.application.id}/jobs/{self.run.id}/SPARK_DRIVER"
        logs: dict[str, Any] = {f"{folder}/{name}": text for name, text in read_logs(node.logs(self.run.id)).items()}
        self._world.archive.archive(self.run.log_uri, logs)


def _without_archives(options: list[str]) -> list[str]:
    """The driver's container has them already; here Spark would fetch them once more."""
    kept: list[str] = []
    words = iter(options)
    for word in words:
        value = next(words, "") if word == "--conf" else ""
        if value.startswith("spark.archives="):
            continue
        kept += [word, value] if word == "--conf" else [word]
    return kept
