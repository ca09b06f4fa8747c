"""What the launcher's tests run on: a cluster of EMR on EC2, or an application of EMR Serverless.

Put here what the two do differently, in one vocabulary: states are EMR on EC2's words. What every
test does with them is in `conftest.py`.
"""

import uuid
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from fruit_assets.emr.compute import Compute
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.serverless.compute import EmrServerless
from fruit_assets.emr.serverless.job_runs import JobSettings
from fruit_assets_tests.emr_simulator import EmrSimulator
from fruit_assets_tests.emr_simulator.serverless.environment import light_environment

BUCKET = "step-launcher-tests"
ROLE = "arn:aws:iam::123456789012:role/orchard-jobs"
APPLICATION_SPEC = Path(__file__).parents[2] / "bootstrap" / "application.json"
_FINAL = ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")
_WORDS = {"SUCCESS": "COMPLETED", "CANCELLING": "CANCEL_PENDING"} | dict.fromkeys(
    ("SUBMITTED", "SCHEDULED", "QUEUED"), "PENDING"
)


@dataclass(frozen=True)
class Submitted:
    """What the last step was submitted with."""

    spark_conf: dict[str, str]
    py_files: str
    role: str | None


class Target(Protocol):
    """A cluster or an application with the steps that tests sent to it.

    Attributes:
        id: as AWS spells it.
        kind: `cluster` or `application`.
        submits, polls, cancels: the API's operations.
    """

    id: str
    kind: str
    submits: str
    polls: str
    cancels: str

    @property
    def launcher(self) -> dict[str, Any]:
        """Launcher settings that name it."""

    @property
    def compute(self) -> Compute: ...

    @property
    def step_ids(self) -> list[str]: ...

    @property
    def states(self) -> list[str]: ...

    @property
    def cancel_requests(self) -> list[str]:
        """`polite` or `force`, in order."""

    @property
    def submitted(self) -> Submitted: ...

    def install(self, folder: Path) -> None:
        """Make the packages in a folder part of every node's Python."""

    def logs_of(self, step_id: str) -> str:
        """The folder of a step's logs."""

    def cancel_from_elsewhere(self, step_id: str) -> None: ...

    def report(self, step_id: str, state: str) -> None:
        """Have the API report a state, whatever the step does."""

    def kill(self, step_id: str) -> None: ...

    def lose(self, reason: str) -> None:
        """The machines under its steps are taken away."""

    def keep_busy(self, until: Path) -> None:
        """Run one step at a time, and before all others one that ends when there is a file at `until`."""

    def end(self) -> None: ...


class ClusterTarget:
    """A cluster of its own."""

    kind, submits, polls, cancels = "cluster", "AddJobFlowSteps", "ListSteps", "CancelSteps"

    def __init__(self, emr: EmrSimulator, bucket: str = BUCKET, cluster_id: str | None = None) -> None:
        self._emr = emr
        self._bucket = bucket
        self.id = cluster_id or start_cluster(emr, bucket=bucket)

    @property
    def launcher(self) -> dict[str, Any]:
        return {"cluster_id": self.id}

    @property
    def compute(self) -> Compute:
        return EmrOnEc2(self.id)

    @property
    def step_ids(self) -> list[str]:
        return list(self._emr.clusters[self.id].steps)

    @property
    def states(self) -> list[str]:
        return [step.state for step in self._emr.clusters[self.id].steps.values()]

    @property
    def cancel_requests(self) -> list[str]:
        calls = [call for call in self._emr.calls(self.cancels) if call.params["ClusterId"] == self.id]
        words = {"SEND_INTERRUPT": "polite", "TERMINATE_PROCESS": "force"}
        return [words[call.params["StepCancellationOption"]] for call in calls]

    @property
    def submitted(self) -> Submitted:
        calls = [call for call in self._emr.calls(self.submits) if call.params["JobFlowId"] == self.id]
        (step,) = calls[-1].params["Steps"]
        words = list(step["HadoopJarStep"]["Args"])
        after = {name: [value for word, value in pairwise(words) if word == name] for name in ("--conf", "--py-files")}
        conf = dict(setting.split("=", 1) for setting in after["--conf"])
        return Submitted(conf, "".join(after["--py-files"]), calls[-1].params.get("ExecutionRoleArn"))

    def install(self, folder: Path) -> None:
        (packages,) = self._emr.node_root(self.id).glob("python/lib/*/site-packages")
        (packages / "project.pth").write_text(f"{folder}\n")

    def logs_of(self, step_id: str) -> str:
        return f"s3://{self._bucket}/logs/{self.id}/steps/{step_id}/"

    def cancel_from_elsewhere(self, step_id: str) -> None:
        self._emr.client("emr").cancel_steps(
            ClusterId=self.id, StepIds=[step_id], StepCancellationOption="SEND_INTERRUPT"
        )

    def report(self, step_id: str, state: str) -> None:
        self._emr.set_step_state(step_id, state)

    def kill(self, step_id: str) -> None:
        self._emr.faults.kill_step(step_id, tree=True)

    def lose(self, reason: str) -> None:
        self._emr.faults.lose_cluster(self.id, "INSTANCE_FAILURE", reason)

    def keep_busy(self, until: Path) -> None:
        client = self._emr.client("emr")
        client.modify_cluster(ClusterId=self.id, StepConcurrencyLevel=1)
        waiting = {"Jar": "command-runner.jar", "Args": ["python3", "-c", _busy(until)]}
        step = {"Name": "busy", "ActionOnFailure": "CONTINUE", "HadoopJarStep": waiting}
        client.add_job_flow_steps(JobFlowId=self.id, Steps=[step])

    def end(self) -> None:
        self._emr.client("emr").terminate_job_flows(JobFlowIds=[self.id])


class ApplicationTarget:
    """An application of its own, whose job runs get a packed environment."""

    kind, submits, polls, cancels = "application", "StartJobRun", "ListJobRuns", "CancelJobRun"

    def __init__(self, emr: EmrSimulator, bucket: str = BUCKET) -> None:
        self._emr = emr
        self._bucket = bucket
        self._environment = "environment.tar.gz"
        emr.client("s3").put_object(Bucket=bucket, Key=self._environment, Body=light_environment())
        serverless = emr.client("emr-serverless")
        answer = serverless.create_application(
            name="given", releaseLabel="emr-spark-8.1.0", type="SPARK", clientToken=uuid.uuid4().hex
        )
        self.id = str(answer["applicationId"])
        # Until it has been created it takes no job runs.
        emr.wait_for(lambda: serverless.get_application(applicationId=self.id)["application"]["state"] != "CREATING")

    @property
    def launcher(self) -> dict[str, Any]:
        variables = application_variables(self._bucket, self._environment)
        return {
            "application_id": self.id,
            "application_spec": str(APPLICATION_SPEC),
            "application_variables": variables,
            "billing_wait_seconds": 10.0,
        }

    @property
    def compute(self) -> Compute:
        return EmrServerless(self.id, settings=JobSettings(log_uri=f"s3://{self._bucket}/logs"))

    @property
    def step_ids(self) -> list[str]:
        return list(self._emr.serverless.applications[self.id].job_runs)

    @property
    def states(self) -> list[str]:
        runs = self._emr.serverless.applications[self.id].job_runs.values()
        return [_WORDS.get(run.state, run.state) for run in runs]

    @property
    def cancel_requests(self) -> list[str]:
        calls = [call for call in self._emr.calls(self.cancels) if call.params["applicationId"] == self.id]
        return ["polite" if "shutdownGracePeriodInSeconds" in call.params else "force" for call in calls]

    @property
    def submitted(self) -> Submitted:
        request = list(self._emr.serverless.applications[self.id].job_runs.values())[-1].request
        (defaults,) = request["configurationOverrides"]["applicationConfiguration"]
        words = request["jobDriver"]["sparkSubmit"].get("sparkSubmitParameters", "").split()
        return Submitted(defaults["properties"], "".join(words[1:]), request["executionRoleArn"])

    def install(self, folder: Path) -> None:
        self._emr.client("s3").put_object(
            Bucket=self._bucket, Key=f"{self.id}.tar.gz", Body=light_environment(str(folder))
        )
        self._environment = f"{self.id}.tar.gz"

    def logs_of(self, step_id: str) -> str:
        return f"s3://{self._bucket}/logs/applications/{self.id}/jobs/{step_id}/"

    def cancel_from_elsewhere(self, step_id: str) -> None:
        self._emr.client("emr-serverless").cancel_job_run(applicationId=self.id, jobRunId=step_id)

    def report(self, step_id: str, state: str) -> None:
        self._emr.serverless.job_run(step_id).reported_state = state

    def kill(self, step_id: str) -> None:
        self._emr.serverless.execution(step_id).kill()

    def lose(self, reason: str) -> None:
        for run in self._emr.serverless.applications[self.id].active:
            self._emr.serverless.execution(run.id).fail(reason)

    def keep_busy(self, until: Path) -> None:
        self._emr.serverless.applications[self.id].request["schedulerConfiguration"] = {"maxConcurrentRuns": 1}
        self._emr.client("s3").put_object(Bucket=self._bucket, Key=f"{self.id}.py", Body=_busy(until).encode())
        driver = {"entryPoint": f"s3://{self._bucket}/{self.id}.py"}
        self._emr.client("emr-serverless").start_job_run(
            applicationId=self.id, executionRoleArn=ROLE, jobDriver={"sparkSubmit": driver}
        )

    def end(self) -> None:
        for run in self._emr.serverless.applications[self.id].active:
            self.kill(run.id)


TARGETS: dict[str, type[ClusterTarget] | type[ApplicationTarget]] = {
    "cluster": ClusterTarget,
    "application": ApplicationTarget,
}


def is_final(state: str) -> bool:
    return state in _FINAL


def _busy(until: Path) -> str:
    """A program that ends when there is a file."""
    return f"import os, time\nwhile not os.path.exists({str(until)!r}):\n    time.sleep(0.1)\n"


def application_variables(bucket: str = BUCKET, environment: str = "environment.tar.gz") -> dict[str, str]:
    """What a deployment would fill into `bootstrap/application.json`."""
    return {
        "project": "orchard",
        "job_role_arn": ROLE,
        "environment_x86_64": f"s3://{bucket}/{environment}",
        "log_uri": f"s3://{bucket}/logs/",
    }


def start_cluster(emr: EmrSimulator, steps_at_once: int = 10, bucket: str = BUCKET) -> str:
    answer = emr.client("emr").run_job_flow(
        Name="given",
        ReleaseLabel="emr-spark-8.1.0",
        LogUri=f"s3://{bucket}/logs/",
        JobFlowRole="nodes",
        ServiceRole="service",
        Applications=[{"Name": "Spark"}],
        StepConcurrencyLevel=steps_at_once,
        Instances={
            "KeepJobFlowAliveWhenNoSteps": True,
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1}],
        },
    )
    cluster_id = str(answer["JobFlowId"])
    emr.wait_for(lambda: emr.clusters[cluster_id].state == "WAITING")
    return cluster_id
