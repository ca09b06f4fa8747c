"""One running step: its process, its logs, and what EMR concludes when it ends.

Put here the life of a step from RUNNING to its terminal state. When it may start is decided by the
cluster's agent; how the command is built by the runners.
"""

import re
import signal
import threading
import time
from typing import TYPE_CHECKING

from fruit_assets_tests.emr_simulator import runners
from fruit_assets_tests.emr_simulator.clusters import Cluster
from fruit_assets_tests.emr_simulator.logs import read_logs
from fruit_assets_tests.emr_simulator.node import Node
from fruit_assets_tests.emr_simulator.processes import StepProcess
from fruit_assets_tests.emr_simulator.steps import Step, now

if TYPE_CHECKING:
    from fruit_assets_tests.emr_simulator.world import World

_APPLICATION = re.compile(r"application_\d+_\d+")
# The last line that looks like a cause is what EMR shows as the message of a failure.
_CAUSE = re.compile(
    r"^(Exception in thread .*|Caused by: .*|(?:[\w.]+\.)?\w*(?:Error|Exception)(?::.*)?)$", re.MULTILINE
)
_HADOOP_JAR = "hadoop jar /var/lib/aws/emr/step-runner/hadoop-jars/command-runner.jar"


class StepExecution:
    """Runs a step in a thread of its own."""

    def __init__(self, step: Step, cluster: Cluster, node: Node, world: "World") -> None:
        self.step = step
        self._cluster = cluster
        self._node = node
        self._world = world
        self._process: StepProcess | None = None
        self._started = threading.Event()
        self._interrupted = False
        self.thread = threading.Thread(target=self._run, name=f"step {step.id}", daemon=True)

    def start(self) -> None:
        """Make the step RUNNING and start its process. Hold the register's lock."""
        self.step.state = "RUNNING"
        self.step.started_at = now()
        if self._node.master != "yarn":
            epoch = int(self._cluster.created_at.timestamp() * 1000)
            self.step.application_ids = [f"application_{epoch}_{list(self._cluster.steps).index(self.step.id) + 1:04d}"]
        self.thread.start()

    def interrupt(self) -> None:
        """SEND_INTERRUPT: SIGTERM to the child process only."""
        if self._world.faults.take("ignore_interrupt") is None:
            self._interrupted = True
            self.kill(signal.SIGTERM, tree=False)

    def terminate(self) -> None:
        """TERMINATE_PROCESS: SIGKILL to the child and its descendants."""
        self._interrupted = True
        self.kill(signal.SIGKILL, tree=True)

    def kill(self, signum: int, tree: bool) -> None:
        if self._started.wait(timeout=60) and self._process is not None:
            self._process.send(signum, tree)

    def refresh_applications(self) -> None:
        """Find the YARN applications its log names so far."""
        stderr = self._node.logs(self.step.id) / "stderr"
        if self._node.master == "yarn" and stderr.exists():
            self.step.application_ids = sorted(set(_APPLICATION.findall(stderr.read_text(errors="replace"))))

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._process = self._start_process()
        # Whatever keeps a program from starting is written to the step's stderr, as the node would.
        except Exception as error:
            (self._node.logs(self.step.id) / "stderr").write_text(f"{type(error).__name__}: {error}\n")
        self._started.set()
        exit_code = 1 if self._process is None else self._process.wait()
        self._write_controller_log(exit_code, time.monotonic() - began)
        with self._world.clusters.changed:
            if self.step.is_active:
                self._conclude(exit_code)
            self._world.clusters.changed.notify_all()
        self._archive_logs()

    def _start_process(self) -> StepProcess:
        jar = self.step.config["HadoopJarStep"]["Jar"]
        if jar != "command-runner.jar":
            raise ValueError(f"the simulator runs command-runner.jar only, not {jar}")
        if self._world.faults.take("hang") is not None:
            return runners.start_hung(self._node, self.step.id)
        return runners.start(self._world.runner, self._node, self.step.id, self.step.args, self._world.cluster_s3)

    def _conclude(self, exit_code: int) -> None:
        """Set the terminal state. Hold the register's lock."""
        step = self.step
        step.exit_code = exit_code
        self.refresh_applications()
        if self._interrupted and step.cancel_option:
            step.end("CANCELLED", "Step cancelled by user request")
        elif exit_code == 0:
            step.end("COMPLETED")
        else:
            step.end("FAILED")
            step.failure = self._failure()

    def _failure(self) -> dict[str, str]:
        """EMR's guess at the root cause."""
        failure = {"Reason": "Unknown Error."}
        stderr = self._node.logs(self.step.id) / "stderr"
        causes = _CAUSE.findall(stderr.read_text(errors="replace")) if stderr.exists() else []
        if causes:
            failure["Message"] = causes[-1][:1000]
        if self.step.log_uri:
            failure["LogFile"] = f"{self.step.log_uri}{self._cluster.id}/steps/{self.step.id}/stderr.gz"
        return failure

    def _write_controller_log(self, exit_code: int, seconds: float) -> None:
        logs = self._node.logs(self.step.id)
        command = " ".join([_HADOOP_JAR, *self.step.args])
        level, ending = ("INFO", "succeeded") if exit_code == 0 else ("WARN", "failed")
        lines = [
            f"INFO Ensure step {self.step.id} jar file command-runner.jar",
            f"INFO startExec '{command}'",
            f"INFO Environment:\n{runners.describe(self._node.environment(self.step.id))}",
            f"INFO redirectOutput to {logs}/stdout",
            f"INFO redirectError to {logs}/stderr",
            f"INFO Working dir {self._node.working_directory(self.step.id)}",
            f"INFO ProcessRunner started child process {self._process.pid if self._process else 'none'}",
            f"INFO waitProcessCompleted ended with exit code {exit_code} : {command}",
            f"INFO total process run time: {seconds:.0f} seconds",
            f"{level} Step {ending} with exitCode {exit_code} and took {seconds:.0f} seconds",
        ]
        (logs / "controller").write_text("\n".join(lines) + "\n")
        (logs / "syslog").touch()

    def _archive_logs(self) -> None:
        logs = read_logs(self._node.logs(self.step.id))
        named = {f"{self._cluster.id}/steps/{self.step.id}/{name}": content for name, content in logs.items()}
        if self._world.yarn is not None:
            for application in self.step.application_ids:
                for name, content in self._world.yarn.container_logs(application).items():
                    named[f"{self._cluster.id}/containers/{application}/{name}"] = content
        self._world.archive.archive(self.step.log_uri, named, self._cluster.request.get("LogEncryptionKmsKeyId"))
