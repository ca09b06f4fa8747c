"""Whether nodes' disks are encrypted: by the configuration that a run would send, by the account, or not."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from fruit_assets.emr.ec2.cluster_spec import deployed_spec
from fruit_assets.emr.ec2.clusters import Clusters
from fruit_assets.emr.staging import StagingStore
from fruit_assets.infra.bootstrap_files import deployment_facts, write_facts
from fruit_assets.infra.checks.disk_checks import check_disks_of_cluster, check_disks_of_new_clusters
from fruit_assets.infra.checks.findings import Finding
from fruit_assets.infra.cluster_size import SPEC
from fruit_assets.infra.stack import Stack
from fruit_assets_tests.infra.account import REGION, AwsAccount


def deployed(**parameters: str) -> dict[str, str]:
    """Outputs of a stack whose facts are where a run finds them."""
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": "none", **parameters}))
    outputs = stack.outputs()
    write_facts(outputs["StagingUri"], deployment_facts(outputs, project="fruit-assets", region=REGION), REGION)
    return outputs


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_with_a_key_of_ones_own_clusters_have_encrypted_disks(aws: AwsAccount) -> None:
    outputs = deployed(Encryption="kms")
    staging = StagingStore(outputs["StagingUri"], REGION)
    finding = only(check_disks_of_new_clusters(outputs["StagingUri"], REGION))
    assert (finding.status, outputs["KeyArn"] in finding.detail) == ("ok", True)
    # And the cluster that a run makes is of the configuration that was looked at.
    compute, _ = Clusters(staging, REGION).find_or_create(deployed_spec(SPEC, staging, REGION, {}))
    made = aws.client("emr").describe_cluster(ClusterId=compute.cluster_id)["Cluster"]
    assert made["SecurityConfiguration"] == outputs["SecurityConfiguration"]
    assert only(check_disks_of_cluster(compute.cluster_id, REGION)) == finding


def test_without_a_key_the_account_decides_and_doctor_says_how(aws: AwsAccount) -> None:
    staging = deployed(Encryption="s3")["StagingUri"]
    finding = only(check_disks_of_new_clusters(staging, REGION))
    assert (finding.status, finding.detail) == ("warning", "not encrypted")
    assert "fruit-assets deploy --encryption kms" in finding.remedy
    assert f"aws ec2 enable-ebs-encryption-by-default --region {REGION}" in finding.remedy
    aws.client("ec2").enable_ebs_encryption_by_default()
    assert only(check_disks_of_new_clusters(staging, REGION)).status == "ok"


def test_a_cluster_made_without_a_configuration_is_checked_too(aws: AwsAccount) -> None:
    emr = aws.client("emr")
    instances: dict[str, Any] = {"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1}
    cluster = emr.run_job_flow(Name="c", ReleaseLabel="emr-spark-8.1.0", Instances=instances)["JobFlowId"]
    assert only(check_disks_of_cluster(cluster, REGION)).status == "warning"


def test_encryption_of_attached_volumes_alone_is_reported_as_that(aws: AwsAccount) -> None:
    outputs = deployed()
    disks = {"LocalDiskEncryptionConfiguration": {"EncryptionKeyProviderType": "AwsKms", "AwsKmsKey": "key"}}
    encryption = {"EnableAtRestEncryption": True, "AtRestEncryptionConfiguration": disks}
    emr, name = aws.client("emr"), outputs["SecurityConfiguration"]
    emr.delete_security_configuration(Name=name)
    emr.create_security_configuration(
        Name=name, SecurityConfiguration=json.dumps({"EncryptionConfiguration": encryption})
    )
    finding = only(check_disks_of_new_clusters(outputs["StagingUri"], REGION))
    assert (finding.status, "root volumes are not" in finding.detail) == ("warning", True)


def test_a_deleted_configuration_stops_runs(aws: AwsAccount) -> None:
    outputs = deployed()
    aws.client("emr").delete_security_configuration(Name=outputs["SecurityConfiguration"])
    finding = only(check_disks_of_new_clusters(outputs["StagingUri"], REGION))
    assert (finding.status, "does not exist" in finding.detail) == ("problem", True)


def test_a_caller_without_permission_learns_what_to_attach(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = deployed()["StagingUri"]
    monkeypatch.setattr("fruit_assets.infra.checks.disk_checks._by_account", _refused)
    finding = only(check_disks_of_new_clusters(staging, REGION))
    assert (finding.status, "cannot be checked" in finding.detail) == ("warning", True)


def _refused(_: str) -> bool:
    from fruit_assets.emr.aws import AwsRefusedError

    raise AwsRefusedError("EC2 GetEbsEncryptionByDefault: access denied", "UnauthorizedOperation")
