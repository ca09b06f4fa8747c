"""EMR Serverless of one account as tests use it.

Put here what a test may see and order. How EMR Serverless behaves belongs to the other modules.
"""

from pathlib import Path
from typing import Any

from fruit_assets_tests.emr_simulator.serverless.applications import ENDED, Application, JobRun
from fruit_assets_tests.emr_simulator.serverless.execution import JobRunExecution, JobRunPace
from fruit_assets_tests.emr_simulator.serverless.image import DriverNode, driver_environment
from fruit_assets_tests.emr_simulator.serverless.operations import ServerlessOperations
from fruit_assets_tests.emr_simulator.world import World


class ServerlessService:
    """Applications and job runs.

    Args:
        account: its number.
        work_dir: where drivers have their containers.
        master: the local master Spark runs on.
        idle_scale: seconds of ours for one second of an idle timeout.
        pace: of job runs.
    """

    world: World
    endpoint_url: str

    def __init__(self, account: str, work_dir: Path, master: str, idle_scale: float, pace: JobRunPace) -> None:
        self._work_dir = work_dir
        self._master = master
        self.pace = pace
        self.operations = ServerlessOperations(
            account, self._begin, pace=pace.scheduling, idle_scale=idle_scale, billing_delay=4 * pace.scheduling
        )

    @property
    def applications(self) -> dict[str, Application]:
        """Applications by id, the terminated ones included."""
        return self.operations.applications

    def job_run(self, job_run_id: str) -> JobRun:
        return self.operations.executions[job_run_id].run

    def execution(self, job_run_id: str) -> JobRunExecution:
        return self.operations.executions[job_run_id]

    def log(self, job_run_id: str, name: str) -> str:
        """What a driver has written to `stdout` or `stderr` so far, before any upload."""
        node = self.execution(job_run_id).node
        log = node.logs(job_run_id) / name if node is not None else None
        return log.read_text(errors="replace") if log is not None and log.exists() else ""

    def stop(self) -> None:
        """The simulator closes: end every driver at once."""
        for execution in self.operations.executions.values():
            if execution.run.state not in ENDED:
                with self.world.clusters.changed:
                    execution.cancel(0)
        for execution in self.operations.executions.values():
            execution.thread.join(timeout=30)

    def _begin(self, run: JobRun) -> JobRunExecution:
        execution = JobRunExecution(run, self._node, self.world, self.pace)
        execution.thread.start()
        return execution

    def _node(self, run: JobRun) -> DriverNode:
        conf = run.spark_conf
        root = self._work_dir / run.application.id / run.id
        common: Any = (root, self.endpoint_url, run.application.region, self._master, None, conf)
        node = DriverNode(*common, job_run=run.id, driver_environment=driver_environment(conf))
        node.build(with_spark=self.world.runner == "spark")
        return node
