"""EMR's answers about clusters, steps and instances, translated to the launcher's terms.

Put here pure translations of answers. The calls are in `compute.py` and `clusters.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fruit_assets.emr.compute import Phase, StepStatus
from fruit_assets.emr.ec2.instance_hours import RunningInstance

# Codes of a StateChangeReason with these suffixes are failures; all others are clean shutdowns.
_FAILURE_SUFFIXES = ("_FAILURE", "_ERROR", "_TIMEOUT")
_PHASES: dict[str, Phase] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "CANCEL_PENDING": "cancelling",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "INTERRUPTED": "lost",
}
ALIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster as DescribeCluster returns it."""

    cluster_id: str
    name: str
    state: str
    reason: str
    log_uri: str | None
    region: str
    primary_dns: str
    tags: dict[str, str]

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE

    @property
    def clean_shutdown(self) -> bool:
        """Whether the cluster ended without a failure: it was idle, or a person ended it."""
        return not any(suffix in self.reason for suffix in _FAILURE_SUFFIXES)


def step_status(step: dict[str, Any]) -> StepStatus:
    """A row of ListSteps."""
    status = step.get("Status", {})
    failure = status.get("FailureDetails") or {}
    details = [failure.get("Reason", ""), failure.get("Message", "")]
    started = (status.get("Timeline") or {}).get("StartDateTime")
    return StepStatus(
        step_id=step["Id"],
        state=status.get("State", "UNKNOWN"),
        phase=_PHASES.get(status.get("State", ""), "unknown"),
        reason=(status.get("StateChangeReason") or {}).get("Message", "") or "",
        failure=": ".join(part for part in details if part),
        log_file=failure.get("LogFile", "") or "",
        applications=tuple((step.get("AdditionalInfo") or {}).get("ResourceManagerApplicationIds", [])),
        started=started.isoformat() if started else "",
    )


def cluster_facts(cluster: dict[str, Any]) -> ClusterFacts:
    """The cluster of DescribeCluster."""
    status = cluster.get("Status", {})
    change = status.get("StateChangeReason") or {}
    details = [
        f"{detail.get('ErrorCode', '')}: {detail.get('ErrorMessage', '')} {detail.get('ErrorData') or ''}".strip()
        for detail in status.get("ErrorDetails") or []
    ]
    reason = ": ".join(part for part in (change.get("Code"), change.get("Message")) if part)
    log_uri = cluster.get("LogUri")
    # EMR returns s3n:// for a URI given as s3://, and the string "None" when there is none.
    has_logs = log_uri not in (None, "", "None")
    arn = cluster.get("ClusterArn", "")
    return ClusterFacts(
        cluster_id=cluster["Id"],
        name=cluster.get("Name", ""),
        state=status.get("State", "UNKNOWN"),
        reason=(f"EMR's reason: {reason}." if reason else "") + "".join(f" {detail}." for detail in details),
        log_uri="s3://" + str(log_uri).split("://", 1)[-1].rstrip("/") if has_logs else None,
        region=arn.split(":")[3] if arn.count(":") > 3 else "",
        primary_dns=cluster.get("MasterPublicDnsName") or "",
        tags={tag["Key"]: tag.get("Value", "") for tag in cluster.get("Tags") or []},
    )


def running_instance(row: dict[str, Any]) -> RunningInstance:
    """A row of ListInstances."""
    timeline = (row.get("Status") or {}).get("Timeline") or {}
    since = timeline.get("ReadyDateTime") or timeline.get("CreationDateTime") or datetime.now(UTC)
    return RunningInstance(
        row.get("InstanceType") or "unknown", row.get("Market") or "ON_DEMAND", since, timeline.get("EndDateTime")
    )


def advice_on(reason: str) -> tuple[str, bool]:
    """Advice about a cluster that has ended, and whether a retry can help."""
    code = reason.upper()
    if "BOOTSTRAP_FAILURE" in code:
        return "The bootstrap action failed: correct it and deploy it again.", False
    if "VALIDATION_ERROR" in code:
        return "EMR refused the cluster: check roles, subnet, quotas and instance types in the cluster spec.", False
    if "INSTANCE_FLEET_TIMEOUT" in code or "INSTANCE_FAILURE" in code:
        return "EC2 had no capacity: try again, or add instance types to the cluster spec.", True
    if "USER_REQUEST" in code:
        return "A user terminated it: run again to create a new cluster, or set the id of a running one.", False
    if "INTERNAL_ERROR" in code:
        return "AWS failed internally: try again.", True
    return "Run again to create a new cluster, or set the id of a running one.", False
