"""Removal of what `deploy` created, of remains of EMR that block it, and after two confirmations of the data.

Put here the deletions that CloudFormation cannot do. Confirmations are the command's part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client, pages
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.serverless.applications import delete_application
from fruit_assets.emr.serverless.compute import EmrServerless

_ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"]
_DELETE_AT_ONCE = 1000


@dataclass(frozen=True)
class BucketContent:
    """The content of a bucket, overwritten and deleted versions included."""

    versions: int
    bytes: int


def living_clusters(project: str, region: str) -> list[str]:
    """`id name state` of every running cluster with this project's tag."""
    emr = client("emr", region)
    found = []
    for cluster in (row for page in pages(emr.list_clusters, ClusterStates=_ALIVE) for row in page["Clusters"]):
        described = call_with_retries(emr.describe_cluster, ClusterId=cluster["Id"])["Cluster"]
        tags = {tag["Key"]: tag.get("Value") for tag in described.get("Tags", [])}
        if tags.get("project") == project:
            found.append(f"{cluster['Id']} {cluster['Name']} {cluster['Status']['State']}")
    return found


def delete_applications(project: str, region: str) -> list[str]:
    """Delete every EMR Serverless application with this project's tag; `id name` of each.

    Raises:
        PermanentError: job runs of one have not ended; nothing has been deleted.
    """
    api = client("emr-serverless", region)
    alive = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]
    rows = [row for page in pages(api.list_applications, states=alive) for row in page["applications"]]
    ours = [row for row in rows if _tag_of(api, row["id"]) == project]
    busy = [f"{row['id']} {row['name']}" for row in ours if EmrServerless(row["id"], region).active()]
    if busy:
        listed = "\n  ".join(busy)
        raise PermanentError(
            f"Job runs have not ended on applications:\n  {listed}\nWait or cancel them, and run destroy again."
        )
    for row in ours:
        delete_application(EmrServerless(row["id"], region))
    return [f"{row['id']} {row['name']}" for row in ours]


def _tag_of(api: Any, application_id: str) -> str | None:
    found = call_with_retries(api.get_application, applicationId=application_id)["application"]
    return dict(found.get("tags", {})).get("project")


def remove_emr_security_groups(vpc: str, region: str) -> list[str]:
    """Delete the security groups that EMR created in the stack's network, which block its removal.

    Returns:
        Names of the deleted groups.
    """
    ec2 = client("ec2", region)
    groups = call_with_retries(ec2.describe_security_groups, Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
        "SecurityGroups"
    ]
    ours = [group for group in groups if group["GroupName"].startswith("ElasticMapReduce-")]
    for group in ours:
        for revoke, rules in (
            (ec2.revoke_security_group_ingress, group["IpPermissions"]),
            (ec2.revoke_security_group_egress, group["IpPermissionsEgress"]),
        ):
            if rules:
                call_with_retries(revoke, GroupId=group["GroupId"], IpPermissions=rules)
    for group in ours:
        call_with_retries(ec2.delete_security_group, GroupId=group["GroupId"])
    return [group["GroupName"] for group in ours]


def bucket_content(bucket: str, region: str) -> BucketContent | None:
    """The content of the bucket; None when there is no such bucket."""
    versions = size = 0
    try:
        for version in _versions(client("s3", region), bucket):
            versions += 1
            size += version.get("Size", 0)
    except AwsRefusedError as error:
        if error.code in ("NoSuchBucket", "404"):
            return None
        raise
    return BucketContent(versions, size)


def delete_bucket(bucket: str, region: str, report: Callable[[int], None] = lambda _: None) -> int:
    """Delete every version of every object, then the bucket. This cannot be undone.

    Returns:
        Number of versions deleted.
    """
    s3 = client("s3", region)
    deleted = 0
    batch: list[dict[str, str]] = []
    for version in list(_versions(s3, bucket)):
        batch.append({"Key": version["Key"], "VersionId": version["VersionId"]})
        if len(batch) == _DELETE_AT_ONCE:
            deleted += _delete(s3, bucket, batch)
            batch = []
            report(deleted)
    deleted += _delete(s3, bucket, batch)
    uploads = [row for page in pages(s3.list_multipart_uploads, Bucket=bucket) for row in page.get("Uploads", [])]
    for upload in uploads:
        call_with_retries(s3.abort_multipart_upload, Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    call_with_retries(s3.delete_bucket, Bucket=bucket)
    return deleted


def retire_key(key_arn: str, region: str) -> None:
    """Schedule the deletion of the key in 30 days; until then it can be cancelled."""
    call_with_retries(client("kms", region).schedule_key_deletion, KeyId=key_arn, PendingWindowInDays=30)


def _delete(s3: Any, bucket: str, batch: list[dict[str, str]]) -> int:
    if batch:
        call_with_retries(s3.delete_objects, Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
    return len(batch)


def _versions(s3: Any, bucket: str) -> Iterator[dict[str, Any]]:
    """Every version and every delete marker."""
    for page in pages(s3.list_object_versions, Bucket=bucket):
        yield from page.get("Versions", [])
        yield from page.get("DeleteMarkers", [])
