"""Checks of what a cluster needs, each in its good and its bad case."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.infra.bootstrap_files import deployment_facts, upload_bootstrap
from fruit_assets.infra.checks import emr_checks
from fruit_assets.infra.checks.findings import Finding, checked
from fruit_assets.infra.cluster_size import release_label, vcpus, vcpus_of_spec
from fruit_assets.infra.identity import Identity
from fruit_assets.infra.stack import Stack
from fruit_assets_tests.infra.account import ACCOUNT, REGION, AwsAccount

DAGSTER = Identity(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/dagster/session", REGION)


@pytest.fixture
def facts(aws: AwsAccount) -> dict[str, str]:
    """A deployment with a network, and the role `dagster` with the orchestrator policy."""
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": "public"}))
    outputs = stack.outputs()
    iam = aws.client("iam")
    iam.create_role(RoleName="dagster", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="dagster", PolicyArn=outputs["OrchestratorPolicyArn"])
    return deployment_facts(outputs, project="fruit-assets", region=REGION)


def statuses(findings: Iterable[Finding]) -> list[str]:
    found = list(findings)
    assert all(bool(finding.remedy) == (finding.status != "ok") for finding in found)
    return [finding.status for finding in found]


def test_the_release_must_have_the_spark_that_is_installed_and_be_offered(aws: AwsAccount) -> None:
    assert statuses(emr_checks.check_release(release_label(), REGION)) == ["ok"]
    (finding,) = emr_checks.check_release("emr-spark-8.0.0", REGION)
    assert (finding.status, "Spark 4.0" in finding.detail) == ("problem", True)
    assert statuses(emr_checks.check_release("emr-spark-9.9.9", REGION)) == ["warning", "problem"]


def test_roles_that_deploy_made_are_in_order(aws: AwsAccount, facts: dict[str, str]) -> None:
    assert statuses(emr_checks.check_roles(facts, REGION)) == ["ok", "ok"]


def test_roles_that_are_missing_or_trust_another_are_problems(aws: AwsAccount, facts: dict[str, str]) -> None:
    iam = aws.client("iam")
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    iam.update_assume_role_policy(RoleName=facts["service_role"], PolicyDocument=json.dumps(trust))
    found = list(emr_checks.check_roles({**facts, "instance_profile": "gone"}, REGION))
    assert statuses(found) == ["problem", "problem"]
    assert "cannot be assumed by elasticmapreduce" in found[0].detail


def test_who_has_the_orchestrator_policy_may_pass_both_roles(aws: AwsAccount, facts: dict[str, str]) -> None:
    assert statuses(emr_checks.check_pass_role(facts, DAGSTER)) == ["ok", "ok"]


def test_a_caller_without_permission_learns_which_policy_to_attach(aws: AwsAccount, facts: dict[str, str]) -> None:
    aws.client("iam").create_role(RoleName="visitor", AssumeRolePolicyDocument="{}")
    visitor = Identity(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/visitor/session", REGION)
    found = list(emr_checks.check_pass_role(facts, visitor))
    assert statuses(found) == ["problem", "problem"]
    assert "orchestrator policy" in found[0].remedy
    assert f"arn:aws:iam::{ACCOUNT}:role/visitor" in found[0].detail


def test_who_may_not_ask_is_not_accused(aws: AwsAccount, facts: dict[str, str]) -> None:
    nobody = Identity(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody/session", REGION)
    assert statuses(emr_checks.check_pass_role(facts, nobody)) == ["warning", "warning"]


def test_subnets_need_the_tag_and_free_addresses(aws: AwsAccount, facts: dict[str, str]) -> None:
    assert statuses(emr_checks.check_network(facts, REGION)) == ["ok", "ok"]
    ec2 = aws.client("ec2")
    first, _ = facts["subnets"].split(",")
    ec2.delete_tags(Resources=[first], Tags=[{"Key": emr_checks.MANAGED_POLICY_TAG}])
    small = ec2.create_subnet(VpcId=facts["vpc"], CidrBlock="10.61.15.0/28")["Subnet"]["SubnetId"]
    ec2.create_tags(Resources=[small], Tags=[{"Key": emr_checks.MANAGED_POLICY_TAG, "Value": "true"}])
    for _ in range(5):
        ec2.create_network_interface(SubnetId=small)
    found = emr_checks.check_network({**facts, "subnets": f"{first},{small}"}, REGION)
    assert statuses(found) == ["problem", "problem"]
    assert statuses(emr_checks.check_network({**facts, "subnets": ""}, REGION)) == ["warning"]


@pytest.mark.parametrize(
    ("on_demand", "spot", "expected"),
    [(64.0, 64.0, ["ok", "ok"]), (5.0, 64.0, ["problem", "ok"]), (64.0, 0.0, ["ok", "warning"])],
)
def test_quotas_are_compared_with_the_cluster_of_the_spec(
    aws: AwsAccount, on_demand: float, spot: float, expected: list[str]
) -> None:
    aws.quotas = {"L-1216C47A": on_demand, "L-34B43A08": spot}
    assert statuses(emr_checks.check_quotas(vcpus_of_spec(), REGION)) == expected


def test_the_size_of_a_cluster_is_read_from_its_spec(tmp_path: Path) -> None:
    spec = tmp_path / "cluster.json"
    kinds = [{"InstanceType": "m8i.2xlarge", "WeightedCapacity": 2}, {"InstanceType": "m8i.xlarge"}]
    fleets = [
        {"TargetOnDemandCapacity": 1, "InstanceTypeConfigs": [{"InstanceType": "m8i.xlarge"}]},
        {"TargetOnDemandCapacity": 3, "TargetSpotCapacity": 4, "InstanceTypeConfigs": kinds},
    ]
    groups = [{"InstanceType": "c8i.large", "InstanceCount": 2, "Market": "SPOT"}]
    spec.write_text(json.dumps({"Instances": {"InstanceFleets": fleets, "InstanceGroups": groups}}))
    assert vcpus_of_spec(spec) == {"On-Demand vCPU": 4 + 16, "Spot vCPU": 16 + 4}
    assert [vcpus(kind) for kind in ("m8i.xlarge", "r8g.16xlarge", "c8i.large")] == [4, 64, 2]


def test_bootstrap_files_must_be_the_present_ones(aws: AwsAccount, facts: dict[str, str], tmp_path: Path) -> None:
    staging = f"s3://{facts['bucket']}/staging"
    assert statuses(emr_checks.check_bootstrap(staging, facts, REGION)) == ["problem"]
    (tmp_path / "a.whl").write_bytes(b"wheel")
    assert upload_bootstrap(staging, {"x86_64": tmp_path}, region=REGION) == (4, 0)
    assert statuses(emr_checks.check_bootstrap(staging, facts, REGION)) == ["ok"]
    older = {**facts, "bootstrap_uri": f"{staging}/bootstrap/0123456789abcdef"}
    assert statuses(emr_checks.check_bootstrap(staging, older, REGION)) == ["problem"]


def test_a_named_cluster_must_be_alive(aws: AwsAccount) -> None:
    emr = aws.client("emr")
    instances = {"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1, "MasterInstanceType": "m8i.xlarge"}
    cluster = emr.run_job_flow(Name="c", ReleaseLabel="emr-spark-8.1.0", Instances=instances)["JobFlowId"]
    assert statuses(emr_checks.check_cluster(cluster, REGION)) == ["ok"]
    emr.terminate_job_flows(JobFlowIds=[cluster])
    assert statuses(emr_checks.check_cluster(cluster, REGION)) == ["problem"]
    assert statuses(emr_checks.check_cluster("j-NOBODY", REGION)) == ["problem"]


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/dagster/i-0abc", f"arn:aws:iam::{ACCOUNT}:role/dagster"),
        (f"arn:aws:iam::{ACCOUNT}:user/ana", f"arn:aws:iam::{ACCOUNT}:user/ana"),
    ],
)
def test_a_session_stands_for_its_role(arn: str, principal: str) -> None:
    assert Identity(ACCOUNT, arn, REGION).role_or_user_arn == principal


def test_a_check_that_fails_is_a_finding_and_keeps_what_it_had_found() -> None:
    def check() -> Iterable[Finding]:
        yield Finding("Thing", "ok", "one half")
        raise PermanentError("the other half is missing")

    found = checked("Thing", check)
    assert [(finding.status, finding.detail) for finding in found] == [
        ("ok", "one half"),
        ("problem", "the other half is missing"),
    ]
