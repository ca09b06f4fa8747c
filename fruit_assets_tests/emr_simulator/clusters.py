"""A cluster as EMR keeps it: what was asked for, its state and timeline, and how the API describes it.

Put here what DescribeCluster and ListClusters show, and the register of all clusters. What moves a
cluster from state to state is its agent.
"""

import datetime
import threading
from dataclasses import dataclass, field
from typing import Any

from fruit_assets_tests.emr_simulator.instances import Collection, collections_of
from fruit_assets_tests.emr_simulator.serialisation import EmrError, invalid_request
from fruit_assets_tests.emr_simulator.steps import Step, new_id, now

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
_COPIED = (
    "LogEncryptionKmsKeyId", "ReleaseLabel", "Configurations", "SecurityConfiguration", "AutoScalingRole",
    "ServiceRole", "ScaleDownBehavior", "CustomAmiId", "EbsRootVolumeSize", "EbsRootVolumeIops",
    "EbsRootVolumeThroughput", "RepoUpgradeOnBoot", "KerberosAttributes", "OSReleaseLabel",
    "MonitoringConfiguration", "SessionEnabled",
)  # fmt: skip


@dataclass
class Cluster:
    """One cluster.

    Attributes:
        request: the parameters of RunJobFlow.
        reason: `Code` and `Message` of the last change of state.
        idle_since: when it last became idle; None while it works.
        ending: the state it will end in, once it is terminating.
    """

    request: dict[str, Any]
    region: str
    account: str
    id: str = field(default_factory=lambda: new_id("j"))
    state: str = "STARTING"
    reason: dict[str, str] = field(default_factory=dict)
    error_details: list[dict[str, Any]] = field(default_factory=list)
    created_at: datetime.datetime = field(default_factory=now)
    ready_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    idle_since: datetime.datetime | None = None
    ending: str | None = None
    steps: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instances = self.request["Instances"]
        self.tags: dict[str, str] = {tag["Key"]: tag.get("Value", "") for tag in self.request.get("Tags", [])}
        self.collections: list[Collection] = collections_of(instances)
        self.keep_alive = bool(instances.get("KeepJobFlowAliveWhenNoSteps", False))
        self.protected = bool(instances.get("TerminationProtected", False))
        self.concurrency = int(self.request.get("StepConcurrencyLevel", 1))
        self.auto_termination: dict[str, Any] | None = self.request.get("AutoTerminationPolicy")
        self.managed_scaling: dict[str, Any] | None = self.request.get("ManagedScalingPolicy")

    @property
    def arn(self) -> str:
        return f"arn:aws:elasticmapreduce:{self.region}:{self.account}:cluster/{self.id}"

    @property
    def log_uri(self) -> str | None:
        """Where logs are archived, `s3://` with a final slash."""
        uri = self.request.get("LogUri")
        return None if not uri else "s3://" + uri.split("://", 1)[1].rstrip("/") + "/"

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def accepts_steps(self) -> bool:
        return self.ending is None and not self.has_ended

    def active_steps(self) -> list[Step]:
        return [step for step in self.steps.values() if step.is_active]

    def change(self, state: str, message: str = "", code: str | None = None) -> None:
        self.state = state
        self.reason = ({"Code": code} if code else {}) | ({"Message": message} if message else {})

    def summary(self) -> dict[str, Any]:
        """The `ClusterSummary` of ListClusters."""
        times = {"CreationDateTime": self.created_at, "ReadyDateTime": self.ready_at, "EndDateTime": self.ended_at}
        status: dict[str, Any] = {
            "State": self.state,
            "StateChangeReason": self.reason,
            "Timeline": {name: time for name, time in times.items() if time is not None},
        }
        if self.error_details:
            status["ErrorDetails"] = self.error_details
        hours = sum(len(collection.instances) for collection in self.collections)
        return {
            "Id": self.id,
            "Name": self.request["Name"],
            "Status": status,
            "NormalizedInstanceHours": hours,
            "ClusterArn": self.arn,
        }

    def description(self) -> dict[str, Any]:
        """The `Cluster` of DescribeCluster."""
        instances = self.request["Instances"]
        attributes = {"IamInstanceProfile": self.request.get("JobFlowRole", "")}
        attributes |= {key: instances[key] for key in ("Ec2KeyName", "Ec2SubnetId") if key in instances}
        if subnets := instances.get("Ec2SubnetIds"):
            attributes |= {"RequestedEc2SubnetIds": subnets, "Ec2SubnetId": subnets[0]}
        description = self.summary() | {
            "Ec2InstanceAttributes": attributes,
            "InstanceCollectionType": "INSTANCE_FLEET" if instances.get("InstanceFleets") else "INSTANCE_GROUP",
            "AutoTerminate": not self.keep_alive,
            "TerminationProtected": self.protected,
            "VisibleToAllUsers": True,
            "Applications": [{"Name": app["Name"]} for app in self.request.get("Applications", [])],
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
            "StepConcurrencyLevel": self.concurrency,
        }
        if self.ready_at is not None:
            description["MasterPublicDnsName"] = "ip-10-0-0-4.ec2.internal"
        if self.log_uri is not None:
            description["LogUri"] = self.log_uri.replace("s3://", "s3n://", 1)
        return description | {key: self.request[key] for key in _COPIED if key in self.request}


class Clusters:
    """All clusters of the account. Hold `changed` while reading or changing any of them; notify it after a change."""

    def __init__(self) -> None:
        self.by_id: dict[str, Cluster] = {}
        self.changed = threading.Condition(threading.RLock())

    def find(self, cluster_id: str, region: str, error: EmrError | None = None) -> Cluster:
        """The cluster of that id in that region, or EMR's error."""
        cluster = self.by_id.get(cluster_id)
        if cluster is None or cluster.region != region:
            raise error or invalid_request(f"Cluster id '{cluster_id}' is not valid.")
        return cluster

    def step(self, step_id: str) -> Step:
        """The step of that id, in whichever cluster."""
        for cluster in self.by_id.values():
            if step_id in cluster.steps:
                return cluster.steps[step_id]
        raise KeyError(f"no cluster has a step {step_id}")
