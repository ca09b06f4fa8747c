"""Checks of what EMR Serverless needs, each in its good and its bad case."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fruit_assets.infra.bootstrap_files import deployment_facts, upload_environment
from fruit_assets.infra.checks import serverless_checks
from fruit_assets.infra.checks.findings import Finding
from fruit_assets.infra.identity import Identity
from fruit_assets.infra.stack import Stack
from fruit_assets_tests.infra.account import ACCOUNT, REGION, AwsAccount

DAGSTER = Identity(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/dagster/session", REGION)


@pytest.fixture
def facts(aws: AwsAccount, tmp_path: Path) -> dict[str, str]:
    """A deployment with the environment of one architecture, and the role `dagster` with the serverless policy."""
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": "none"}))
    outputs = stack.outputs()
    iam = aws.client("iam")
    iam.create_role(RoleName="dagster", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="dagster", PolicyArn=outputs["ServerlessPolicyArn"])
    packed = tmp_path / "environment.tar.gz"
    packed.write_bytes(b"packed")
    uri = upload_environment(outputs["StagingUri"], packed, "x86_64", REGION)
    return deployment_facts(outputs, project="fruit-assets", region=REGION, environments={"x86_64": uri})


def statuses(findings: Iterable[Finding]) -> list[str]:
    found = list(findings)
    assert all(bool(finding.remedy) == (finding.status != "ok") for finding in found)
    return [finding.status for finding in found]


def spec_with(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "application.json"
    path.write_text(json.dumps(json.loads(serverless_checks.SPEC.read_text()) | changes))
    return path


def test_the_release_and_the_spark_that_is_installed_are_a_pair(tmp_path: Path) -> None:
    assert statuses(serverless_checks.check_release()) == ["ok"]
    older = spec_with(tmp_path, releaseLabel="emr-spark-8.0.0")
    (finding,) = serverless_checks.check_release(older)
    assert (finding.status, "Spark 4.0" in finding.detail) == ("problem", True)


def test_the_job_role_exists_is_assumed_by_the_service_and_may_be_passed(
    aws: AwsAccount, facts: dict[str, str]
) -> None:
    assert statuses(serverless_checks.check_job_role(facts, DAGSTER)) == ["ok", "ok"]
    stranger = Identity(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/stranger/session", REGION)
    aws.client("iam").create_role(RoleName="stranger", AssumeRolePolicyDocument="{}")
    assert statuses(serverless_checks.check_job_role(facts, stranger)) == ["ok", "problem"]
    other = facts | {"job_role_arn": f"arn:aws:iam::{ACCOUNT}:role/dagster"}
    assert statuses(serverless_checks.check_job_role(other, DAGSTER)) == ["problem", "problem"]
    assert statuses(serverless_checks.check_job_role(facts | {"job_role_arn": "arn:aws:iam::1:role/x"}, DAGSTER)) == [
        "problem"
    ]
    assert statuses(serverless_checks.check_job_role({}, DAGSTER)) == ["problem"]


def test_the_environment_of_the_applications_architecture_is_there(
    aws: AwsAccount, facts: dict[str, str], tmp_path: Path
) -> None:
    assert statuses(serverless_checks.check_environment(facts, REGION)) == ["ok"]
    assert statuses(serverless_checks.check_environment({}, REGION)) == ["problem"]
    (mixed,) = serverless_checks.check_environment(facts, REGION, spec_with(tmp_path, architecture="ARM64"))
    assert "${environment_aarch64}" in mixed.remedy
    bucket, _, key = facts["environment_x86_64"].removeprefix("s3://").partition("/")
    aws.client("s3").delete_object(Bucket=bucket, Key=key)
    (missing,) = serverless_checks.check_environment(facts, REGION)
    assert (missing.status, "is missing" in missing.detail) == ("problem", True)


def test_a_quota_below_the_maximum_capacity_is_reported_with_both_numbers(aws: AwsAccount) -> None:
    assert statuses(serverless_checks.check_vcpu_quota(REGION)) == ["ok"]
    aws.quotas[serverless_checks.VCPU_QUOTA] = 16.0
    (finding,) = serverless_checks.check_vcpu_quota(REGION)
    assert (finding.status, "16 allowed" in finding.detail, "100" in finding.detail) == ("warning", True, True)


def test_an_application_that_is_named_takes_job_runs(aws: AwsAccount) -> None:
    api = aws.client("emr-serverless")
    # moto knows no labels like emr-spark-8.1.0
    made = api.create_application(name="a", releaseLabel="emr-7.0.0", type="SPARK", clientToken="a")["applicationId"]
    assert statuses(serverless_checks.check_application(made, REGION)) == ["ok"]
    api.stop_application(applicationId=made)
    api.delete_application(applicationId=made)
    assert statuses(serverless_checks.check_application(made, REGION)) == ["problem"]
    assert statuses(serverless_checks.check_application("00nowhere", REGION)) == ["problem"]
