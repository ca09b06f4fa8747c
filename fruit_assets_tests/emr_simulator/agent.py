"""Agents: one per cluster, moving it from STARTING to its end and running its steps.

Put here the state machines of EMR. The lock of the register guards every change; processes are
started and signalled by the executions.
"""

import signal
import threading
import time

from fruit_assets_tests.emr_simulator.clusters import Cluster
from fruit_assets_tests.emr_simulator.execution import StepExecution
from fruit_assets_tests.emr_simulator.node import Node
from fruit_assets_tests.emr_simulator.provisioning import ClusterFailure, failed_bootstrap, wrong_role
from fruit_assets_tests.emr_simulator.steps import Step, now
from fruit_assets_tests.emr_simulator.world import World


class ClusterAgent:
    """Lives as long as its cluster."""

    def __init__(self, cluster: Cluster, world: World) -> None:
        self.cluster = cluster
        self.executions: dict[str, StepExecution] = {}
        self._world = world
        self._changed = world.clusters.changed
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"cluster {cluster.id}", daemon=True)

    def cancel(self, step: Step, option: str) -> bool:
        """Cancel a step; False when it is past that. Hold the register's lock."""
        if step.state == "PENDING":
            step.cancel_option = option
            step.end("CANCELLED", "Step cancelled by user request")
        elif step.state in ("RUNNING", "CANCEL_PENDING"):
            step.state, step.cancel_option = "CANCEL_PENDING", option
            execution = self.executions[step.id]
            stop = execution.terminate if option == "TERMINATE_PROCESS" else execution.interrupt
            threading.Thread(target=stop, daemon=True).start()
        else:
            return False
        self._changed.notify_all()
        return True

    def terminate(self, code: str, message: str, ending: str = "TERMINATED") -> None:
        """Begin to end the cluster. Hold the register's lock."""
        if self.cluster.accepts_steps:
            self.cluster.ending = ending
            self.cluster.change("TERMINATING", message, code)
            self._changed.notify_all()

    def lose(self, failure: ClusterFailure) -> None:
        """The cluster fails."""
        with self._changed:
            self.cluster.error_details.append(failure.details())
            self.terminate(failure.code, failure.message, "TERMINATED_WITH_ERRORS")

    def end_idle(self) -> None:
        """The auto-termination policy strikes."""
        with self._changed:
            self.terminate("ALL_STEPS_COMPLETED", "Auto-terminated after being idle")

    def stop(self) -> None:
        """The simulator closes: end every process at once."""
        self._stopped.set()
        with self._changed:
            self.terminate("USER_REQUEST", "The simulator was closed.")
        self.thread.join(timeout=30)
        for execution in list(self.executions.values()):
            execution.terminate()
            execution.thread.join(timeout=30)

    def _run(self) -> None:
        try:
            self._work()
        # A mistake of the simulator must end the cluster with a reason, not leave tests waiting for it.
        except Exception as error:
            self.lose(ClusterFailure("INTERNAL_ERROR", f"the simulator failed: {error!r}", "INTERNAL_ERROR"))
            raise
        finally:
            self._end()

    def _work(self) -> None:
        node = self._provision()
        if node is None:
            return
        with self._changed:
            while self.cluster.accepts_steps:
                self._start_steps(node)
                self._settle()
                self._changed.wait(self._seconds_of_idleness_left())

    def _provision(self) -> Node | None:
        """STARTING and BOOTSTRAPPING; the primary node, or None when it did not get through."""
        pace, cluster = self._world.pace, self.cluster
        self._pause(pace.starting)
        if failure := wrong_role(cluster, self._world):
            self.lose(failure)
            return None
        with self._changed:
            if cluster.accepts_steps:
                cluster.change("BOOTSTRAPPING", "Running bootstrap actions")
        self._pause(pace.bootstrapping)
        if cluster.accepts_steps and (failure := failed_bootstrap(cluster, self._world)):
            self.lose(failure)
            return None
        node = self._world.build_node(cluster)
        with self._changed:
            if cluster.accepts_steps:
                cluster.ready_at = cluster.idle_since = now()
                cluster.change("WAITING", "Cluster ready to run steps.")
        return node

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while self.cluster.accepts_steps and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _start_steps(self, node: Node) -> None:
        """First come, first served, as many at once as the cluster allows."""
        running = sum(step.state in ("RUNNING", "CANCEL_PENDING") for step in self.cluster.steps.values())
        pending = [step for step in self.cluster.steps.values() if step.state == "PENDING"]
        for step in pending[: max(0, self.cluster.concurrency - running)]:
            execution = StepExecution(step, self.cluster, node, self._world)
            self.executions[step.id] = execution
            execution.start()

    def _settle(self) -> None:
        """What follows from the steps for the cluster."""
        cluster = self.cluster
        self._act_on_failures()
        if not cluster.accepts_steps:
            return
        if cluster.active_steps():
            cluster.idle_since = None
            if cluster.state != "RUNNING":
                cluster.change("RUNNING", "Running step")
        elif not cluster.keep_alive:
            self.terminate("ALL_STEPS_COMPLETED", "Steps completed")
        elif cluster.idle_since is None:
            cluster.idle_since = now()
            last = max(cluster.steps.values(), key=lambda step: step.ended_at or step.created_at)
            cluster.change("WAITING", f"Cluster ready after last step {last.state.lower()}.")
        elif self._seconds_of_idleness_left() == 0:
            self.end_idle()

    def _act_on_failures(self) -> None:
        if self.cluster.concurrency > 1:
            return
        for step in self.cluster.steps.values():
            if step.state != "FAILED" or step.ended_at is None:
                continue
            if step.action_on_failure == "TERMINATE_CLUSTER":
                self.terminate("STEP_FAILURE", "Shut down as step failed", "TERMINATED_WITH_ERRORS")
            elif step.action_on_failure == "CANCEL_AND_WAIT":
                for other in self.cluster.steps.values():
                    if other.state == "PENDING" and other.created_at <= step.ended_at:
                        other.end("CANCELLED", "Step cancelled because an earlier step failed")

    def _seconds_of_idleness_left(self) -> float | None:
        """Until the auto-termination policy strikes; None while it cannot."""
        policy, since = self.cluster.auto_termination, self.cluster.idle_since
        if policy is None or since is None:
            return None
        idle = (now() - since).total_seconds()
        return max(0.0, float(policy.get("IdleTimeout", 3600)) * self._world.pace.idle_scale - idle)

    def _end(self) -> None:
        """TERMINATING to the end: pending steps are cancelled, running ones killed and interrupted."""
        with self._changed:
            doomed = self.cluster.active_steps()
            for step in doomed:
                step.end("CANCELLED" if step.state == "PENDING" else "INTERRUPTED", "Job terminated")
        for step in doomed:
            if step.id in self.executions:
                self.executions[step.id].kill(signal.SIGKILL, tree=True)
        if not self._stopped.is_set():
            time.sleep(self._world.pace.terminating)
        with self._changed:
            self.cluster.state = self.cluster.ending or "TERMINATED"
            self.cluster.ended_at = now()
            self._changed.notify_all()
