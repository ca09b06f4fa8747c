"""The disks of nodes: encrypted by the cluster's security configuration, by the account, or not at all.

Put here that one question. EMR encrypts local disks with a key in KMS or with a Java class of one's own, with nothing
that S3 manages; an account may have every new EBS volume encrypted. What `deploy` asks for is in
`bootstrap/template.yaml`.
"""

import json
from collections.abc import Iterator
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client
from fruit_assets.emr.ec2.cluster_spec import deployed_spec
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import FruitAssetsError
from fruit_assets.infra.checks.findings import Finding, ok, problem, warning
from fruit_assets.infra.cluster_size import SPEC

_SUBJECT = "Node disks"


def check_disks_of_new_clusters(staging: str, region: str) -> Iterator[Finding]:
    """Encryption of the next cluster's disks, from the request that a run would send."""
    request = deployed_spec(SPEC, StagingStore(staging, region), region, {}).run_job_flow()
    yield _finding(request.get("SecurityConfiguration"), region)


def check_disks_of_cluster(cluster_id: str, region: str) -> Iterator[Finding]:
    """Encryption of the disks of the cluster that the settings name."""
    cluster = call_with_retries(client("emr", region).describe_cluster, patience=5, ClusterId=cluster_id)["Cluster"]
    yield _finding(cluster.get("SecurityConfiguration"), region)


def _finding(name: str | None, region: str) -> Finding:
    try:
        disks = _local_disks(name, region)
        by_account = _by_account(region)
    except AwsRefusedError as error:
        if "does not exist" in str(error):
            remedy = "Run `fruit-assets deploy`: clusters cannot start without it."
            return problem(_SUBJECT, f"the security configuration {name} does not exist", remedy)
        return _unknown(error)
    except FruitAssetsError as error:
        return _unknown(error)
    if disks.get("EnableEbsEncryption"):
        return ok(_SUBJECT, f"encrypted with {disks.get('AwsKmsKey', 'a key in KMS')}")
    if by_account:
        return ok(_SUBJECT, "encrypted: the account encrypts every new EBS volume")
    also = " (attached volumes are, root volumes are not)" if disks else ""
    return warning(
        _SUBJECT,
        f"not encrypted{also}",
        "Images and features lie on them while a cluster lives. Run `fruit-assets deploy --encryption kms`, or have "
        f"the account encrypt new EBS volumes, for nothing: aws ec2 enable-ebs-encryption-by-default --region {region}",
    )


def _local_disks(name: str | None, region: str) -> dict[str, Any]:
    """The part of a security configuration for local disks; empty when there is none."""
    if name is None:
        return {}
    found = call_with_retries(client("emr", region).describe_security_configuration, patience=5, Name=name)
    encryption = json.loads(found["SecurityConfiguration"]).get("EncryptionConfiguration") or {}
    if not encryption.get("EnableAtRestEncryption"):
        return {}
    return dict((encryption.get("AtRestEncryptionConfiguration") or {}).get("LocalDiskEncryptionConfiguration") or {})


def _by_account(region: str) -> bool:
    return bool(
        call_with_retries(client("ec2", region).get_ebs_encryption_by_default, patience=5)["EbsEncryptionByDefault"]
    )


def _unknown(error: FruitAssetsError) -> Finding:
    return warning(_SUBJECT, f"cannot be checked: {error}", "Attach the orchestrator policy that deploy created.")
