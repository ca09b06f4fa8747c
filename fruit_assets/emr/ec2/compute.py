"""EMR on EC2: the steps of one cluster behind the `Compute` interface.

Put here calls about a cluster and its steps. Finding and creating clusters is `clusters.py`.
"""

import shlex
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, LostAnswerError, call_with_retries, client, interruptible_sleep, pages
from fruit_assets.emr.compute import AtCapacityError, ComputeFailure, StepStatus, Submission
from fruit_assets.emr.cost import Cost, Prices
from fruit_assets.emr.ec2.answers import ClusterFacts, advice_on, cluster_facts, running_instance, step_status
from fruit_assets.emr.ec2.instance_hours import RunningInstance, cost_between
from fruit_assets.emr.ec2.logs import bootstrap_errors
from fruit_assets.emr.errors import PermanentError, TransientError
from fruit_assets.emr.logs import log_links, log_tails

# EMR counts every string of HadoopJarStep together (AddJobFlowSteps).
MAX_STEP_CHARACTERS = 10_240


class EmrOnEc2:
    """One cluster. Thread-safe; opens no connection before the first call."""

    def __init__(self, cluster_id: str, region: str | None = None) -> None:
        self.cluster_id = cluster_id
        self._region = region
        self._known_instances: list[RunningInstance] | None = None  # listed once, to save calls

    @property
    def target_id(self) -> str:
        return self.cluster_id

    @property
    def kind(self) -> str:
        return "cluster"

    @cached_property
    def emr(self) -> Any:
        return client("emr", self._region)

    def submit(self, submission: Submission) -> str:
        step = {
            "Name": submission.name,
            # Other values end unrelated steps, and EMR refuses them on clusters that run steps concurrently.
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": _spark_submit(submission)},
        }
        role = {"ExecutionRoleArn": submission.execution_role_arn} if submission.execution_role_arn else {}
        while True:
            try:
                answer = call_with_retries(
                    self.emr.add_job_flow_steps,
                    repeatable=False,
                    JobFlowId=self.cluster_id,
                    Steps=[step],
                    patience=120,
                    **role,
                )
                return str(answer["StepIds"][0])
            except AwsRefusedError as refusal:
                if "maximum number of active steps" in str(refusal).lower():
                    raise AtCapacityError(f"Cluster {self.cluster_id} takes no more steps: {refusal}") from refusal
                raise
            except LostAnswerError:
                # The step may exist: it is submitted again only when it does not appear.
                for wait in (0.0, 2.0, 4.0):
                    interruptible_sleep(wait)
                    started = self.find(submission.name)
                    if started is not None:
                        return started

    def find(self, name: str) -> str | None:
        steps = call_with_retries(self.emr.list_steps, ClusterId=self.cluster_id).get("Steps", [])
        return next((str(step["Id"]) for step in steps if step["Name"] == name), None)

    def statuses(self, wanted: Sequence[str] = ()) -> dict[str, StepStatus]:
        chosen: dict[str, Any] = {"StepIds": list(wanted[:10])} if wanted else {}
        # Little patience: the monitor calls again soon, and reads events in between.
        steps = call_with_retries(self.emr.list_steps, ClusterId=self.cluster_id, patience=3, **chosen).get("Steps", [])
        return {step["Id"]: step_status(step) for step in steps}

    def active(self) -> dict[str, str]:
        listed = pages(self.emr.list_steps, ClusterId=self.cluster_id, StepStates=["PENDING", "RUNNING"])
        return {step["Id"]: step["Name"] for page in listed for step in page.get("Steps", [])}

    def cancel(self, step_id: str, *, force: bool) -> None:
        option = "TERMINATE_PROCESS" if force else "SEND_INTERRUPT"
        answer = call_with_retries(
            self.emr.cancel_steps,
            ClusterId=self.cluster_id,
            StepIds=[step_id],
            StepCancellationOption=option,
            patience=20,
        )
        for info in answer.get("CancelStepsInfoList", []):
            if info.get("Status") == "FAILED":
                raise TransientError(f"EMR refused to cancel step {step_id}: {info.get('Reason', 'no reason')}")

    def cancel_command(self, step_id: str) -> str:
        words = ["aws", "emr", "cancel-steps", "--cluster-id", self.cluster_id, "--step-ids", step_id]
        words += ["--step-cancellation-option", "TERMINATE_PROCESS"]
        return shlex.join(words + (["--region", self._region] if self._region else []))

    def describe(self) -> ClusterFacts:
        """DescribeCluster's answer.

        Raises:
            PermanentError: there is no such cluster; names the region.
        """
        try:
            answer = call_with_retries(self.emr.describe_cluster, ClusterId=self.cluster_id)
        except AwsRefusedError as refusal:
            if refusal.code in ("InvalidRequestException", "ValidationException"):
                raise PermanentError(
                    f"There is no cluster {self.cluster_id} in region {self.emr.meta.region_name} of this account. "
                    "Check the id and the region, or leave the id out to have a cluster created. "
                    f"AWS's message: {refusal}"
                ) from refusal
            raise
        facts = cluster_facts(answer["Cluster"])
        self.__dict__["_described"] = facts  # fills the cached property: saves one call
        return facts

    def failure(self, patience: float = 0.0) -> ComputeFailure | None:
        facts = self.describe()
        if facts.is_alive:
            return None
        bootstrap = ""
        if "BOOTSTRAP" in facts.reason.upper():
            bootstrap = bootstrap_errors(facts.log_uri, self.cluster_id, self._region, patience)
        advice, retryable = advice_on(facts.reason)
        parts = [f"Cluster {self.cluster_id} is {facts.state}.", facts.reason, bootstrap, advice]
        return ComputeFailure(" ".join(part for part in parts if part), retryable, facts.clean_shutdown)

    def log_tails(self, step_id: str) -> dict[str, str]:
        if self._log_uri is None:
            return {}
        return log_tails(f"{self._log_uri}/{self.cluster_id}/steps/{step_id}", self._region)

    def links(self, step_id: str) -> dict[str, str]:
        region = self.emr.meta.region_name
        console = f"https://{region}.console.aws.amazon.com"
        links = {"console": f"{console}/emr/home?region={region}#/clusterDetails/{self.cluster_id}"}
        if self._described.primary_dns:
            # The Spark history server, which lists running applications too; reachable from the cluster's network.
            links["spark ui"] = f"http://{self._described.primary_dns}:18080/?showIncomplete=true"
        if self._log_uri:
            links |= log_links(f"{self._log_uri}/{self.cluster_id}/steps/{step_id}/", region)
        return links

    def instances(self) -> list[RunningInstance]:
        listed = pages(self.emr.list_instances, ClusterId=self.cluster_id, patience=10)
        return [running_instance(row) for page in listed for row in page.get("Instances", [])]

    def cost(
        self, step_id: str, start: datetime, end: datetime, prices: Prices, *, has_ended: bool = False
    ) -> Cost | None:
        if self._known_instances is None:
            self._known_instances = self.instances()
        return cost_between(start, end, self._known_instances, prices, self.cluster_id)

    @cached_property
    def _described(self) -> ClusterFacts:
        return self.describe()

    @property
    def _log_uri(self) -> str | None:
        return self._described.log_uri


def _spark_submit(submission: Submission) -> list[str]:
    conf = dict(submission.spark_conf)
    if submission.deploy_mode == "cluster":
        # A second attempt of YARN's would run the driver again under the same attempt.
        conf |= {"spark.yarn.maxAppAttempts": "1", "spark.yarn.submit.waitAppCompletion": "true"}
    arguments = ["spark-submit", "--master", "yarn", "--deploy-mode", submission.deploy_mode]
    arguments += ["--name", submission.name]
    arguments += [word for key in sorted(conf) for word in ("--conf", f"{key}={conf[key]}")]
    arguments += ["--py-files", submission.py_files] if submission.py_files else []
    arguments += [submission.main, *submission.arguments]
    length = sum(map(len, arguments)) + len("command-runner.jar")
    if length > MAX_STEP_CHARACTERS:
        raise PermanentError(
            f"The step's arguments have {length} characters, the limit of EMR is {MAX_STEP_CHARACTERS}: move settings "
            "from spark_conf to the cluster's configurations."
        )
    return arguments
