"""What can go wrong before a cluster is ready: its roles and its bootstrap actions.

Put here the checks and EMR's account of a failure. Bootstrap scripts are looked for on S3, but not
run: they prepare nodes this machine does not have.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fruit_assets_tests.emr_simulator.clusters import Cluster

if TYPE_CHECKING:
    from fruit_assets_tests.emr_simulator.world import World

_MANUAL = "https://docs.aws.amazon.com/emr/latest/ManagementGuide"


@dataclass(frozen=True)
class ClusterFailure:
    """Why a cluster ends with errors.

    Attributes:
        code: of the StateChangeReason, such as `BOOTSTRAP_FAILURE`.
        message: of the StateChangeReason.
        detail_code: `ErrorCode` of its ErrorDetails.
        facts: `ErrorData` of its ErrorDetails.
    """

    code: str
    message: str
    detail_code: str
    facts: dict[str, str] = field(default_factory=dict)

    def details(self) -> dict[str, Any]:
        """The `ErrorDetail` of the API."""
        facts = self.facts | {"public-doc": f"{_MANUAL}/{self.detail_code}.html"}
        data = [{key: value} for key, value in facts.items()]
        return {"ErrorCode": self.detail_code, "ErrorMessage": self.message, "ErrorData": data}


def wrong_role(cluster: Cluster, world: "World") -> ClusterFailure | None:
    """The failure of a cluster whose service role IAM does not know."""
    role = cluster.request.get("ServiceRole")
    if not world.check_roles or role is None:
        return None
    iam = world.own_client("iam")
    try:
        iam.get_role(RoleName=role.rpartition("/")[2])
    except iam.exceptions.NoSuchEntityException:
        arn = role if role.startswith("arn:") else f"arn:aws:iam::{cluster.account}:role/{role}"
        return ClusterFailure("VALIDATION_ERROR", f"EMR service role {arn} is invalid", "VALIDATION_ERROR")
    return None


def failed_bootstrap(cluster: Cluster, world: "World") -> ClusterFailure | None:
    """The failure of a cluster whose bootstrap action is missing, or was ordered to fail; its log is archived."""
    primary = next((i["Ec2InstanceId"] for group in cluster.collections for i in group.instances), "i-0")
    actions = cluster.request.get("BootstrapActions", [])
    for number, action in enumerate(actions, 1):
        path = action["ScriptBootstrapAction"]["Path"]
        if not _exists(path, world.cluster_s3):
            message = (
                f"Master instance ({primary}) failed attempting to download bootstrap action {number} file from S3"
            )
            return _bootstrap_failure(message, "BOOTSTRAP_FAILURE_BA_DOWNLOAD_FAILED_PRIMARY", primary, number, path)
    order = world.faults.take("bootstrap")
    if order is None:
        return None
    logs = {f"{cluster.id}/node/{primary}/bootstrap-actions/1/stderr": order.text.encode()}
    world.archive.archive(cluster.log_uri, logs)
    path = actions[0]["ScriptBootstrapAction"]["Path"] if actions else ""
    message = f"On the master instance ({primary}), bootstrap action 1 returned a non-zero return code"
    failure = _bootstrap_failure(message, "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE", primary, 1, path)
    failure.facts["return-code"] = "1"
    return failure


def _bootstrap_failure(message: str, detail_code: str, primary: str, number: int, path: str) -> ClusterFailure:
    facts = {"primary-instance-id": primary, "bootstrap-action": str(number), "amazon-s3-path": path}
    return ClusterFailure("BOOTSTRAP_FAILURE", message, detail_code, facts)


def _exists(path: str, s3: Any) -> bool:
    """Whether a script is on S3. Those that AWS provides are not here, and exist."""
    place = urlsplit(path)
    if not place.scheme.startswith("s3") or place.netloc.endswith("elasticmapreduce"):
        return True
    try:
        s3.head_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    except s3.exceptions.ClientError:
        return False
    return True
