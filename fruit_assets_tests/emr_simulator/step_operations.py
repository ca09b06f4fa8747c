"""EMR's operations on steps, each a method named like the operation.

Put here limits and refusals in EMR's own words. Running and stopping belongs to the agents.
"""

from typing import Any

from fruit_assets_tests.emr_simulator.agents import Agents
from fruit_assets_tests.emr_simulator.clusters import Cluster, Clusters
from fruit_assets_tests.emr_simulator.paging import page
from fruit_assets_tests.emr_simulator.serialisation import invalid_request, validation_error
from fruit_assets_tests.emr_simulator.steps import LONGEST_STEP, MOST_ACTIVE_STEPS, Step

_MOST_STEPS_A_REQUEST = 100
_UNMODIFIABLE = "A job flow that is shutting down, terminated, or finished may not be modified."


class StepOperations:
    """Answers for one account."""

    def __init__(self, clusters: Clusters, agents: Agents) -> None:
        self._clusters = clusters
        self._agents = agents

    def AddJobFlowSteps(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        unknown = validation_error("Specified job flow ID not valid.")
        cluster = self._clusters.find(params["JobFlowId"], region, unknown)
        self._refuse_steps(cluster, params)
        steps = [
            Step(config, params.get("ExecutionRoleArn"), log_uri=_log_uri(config) or cluster.log_uri)
            for config in params["Steps"]
        ]
        cluster.steps.update({step.id: step for step in steps})
        self._clusters.changed.notify_all()
        return {"StepIds": [step.id for step in steps]}

    def DescribeStep(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._clusters.find(params["ClusterId"], region)
        step = self._steps(cluster, [params["StepId"]])[0]
        self._refresh(cluster, step)
        return {"Step": step.description()}

    def ListSteps(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._clusters.find(params["ClusterId"], region)
        step_ids = params.get("StepIds")
        if step_ids and len(step_ids) > 10:
            raise invalid_request("StepIds must contain at most 10 step ids.")
        # EMR lists the newest first.
        steps = self._steps(cluster, step_ids) if step_ids else list(reversed(cluster.steps.values()))
        states = params.get("StepStates")
        kept = [step for step in steps if not states or (step.reported_state or step.state) in states]
        for step in kept:
            self._refresh(cluster, step)
        return page("Steps", [step.summary() for step in kept], params)

    def CancelSteps(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._clusters.find(params["ClusterId"], region)
        if len(params["StepIds"]) > _MOST_STEPS_A_REQUEST:
            raise invalid_request(f"At most {_MOST_STEPS_A_REQUEST} steps can be cancelled in a request.")
        option = params.get("StepCancellationOption", "SEND_INTERRUPT")
        agent = self._agents.agent(cluster.id)
        answers = []
        for step_id in params["StepIds"]:
            step = cluster.steps.get(step_id)
            if step is None:
                answers.append({"StepId": step_id, "Status": "FAILED", "Reason": f"Step {step_id} does not exist."})
            elif agent.cancel(step, option):
                answers.append({"StepId": step_id, "Status": "SUBMITTED"})
            else:
                reason = f"Step {step_id} is in a terminal state {step.state} and cannot be cancelled."
                answers.append({"StepId": step_id, "Status": "FAILED", "Reason": reason})
        return {"CancelStepsInfoList": answers}

    def _refuse_steps(self, cluster: Cluster, params: dict[str, Any]) -> None:
        if not cluster.accepts_steps:
            raise validation_error(_UNMODIFIABLE)
        if len(params["Steps"]) > _MOST_STEPS_A_REQUEST:
            raise validation_error(f"At most {_MOST_STEPS_A_REQUEST} steps can be added in a request.")
        if len(cluster.active_steps()) + len(params["Steps"]) > MOST_ACTIVE_STEPS:
            raise validation_error(
                "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
            )
        if params.get("ExecutionRoleArn") and "SecurityConfiguration" not in cluster.request:
            raise validation_error(
                "Runtime roles are not supported on this cluster. Please remove the ExecutionRoleArn parameter."
            )
        for step in map(Step, params["Steps"]):
            if step.length > LONGEST_STEP:
                raise validation_error(f"The step '{step.config['Name']}' exceeds {LONGEST_STEP} characters.")
            if cluster.concurrency > 1 and step.action_on_failure != "CONTINUE":
                raise validation_error(
                    f"ActionOnFailure {step.action_on_failure} is not supported with StepConcurrencyLevel > 1."
                )

    def _steps(self, cluster: Cluster, step_ids: list[str]) -> list[Step]:
        unknown = [step_id for step_id in step_ids if step_id not in cluster.steps]
        if unknown:
            raise invalid_request(f"Step id '{unknown[0]}' is not valid.")
        return [cluster.steps[step_id] for step_id in step_ids]

    def _refresh(self, cluster: Cluster, step: Step) -> None:
        if step.started_at is not None:
            self._agents.execution(step.id).refresh_applications()


def _log_uri(config: dict[str, Any]) -> str | None:
    """The step's own place for logs, `s3://` with a final slash."""
    uri = config.get("StepMonitoringConfiguration", {}).get("S3MonitoringConfiguration", {}).get("LogUri")
    return None if uri is None else "s3://" + uri.split("://", 1)[1].rstrip("/") + "/"
