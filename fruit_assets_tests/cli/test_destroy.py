"""`fruit-assets destroy`: what is deleted, what is kept, and what needs two confirmations."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fruit_assets.cli import main
from fruit_assets.infra.bootstrap_files import deployment_facts, write_facts
from fruit_assets.infra.stack import Stack
from fruit_assets_tests.infra.account import ACCOUNT, REGION, AwsAccount, aws, moto_server

__all__ = ["aws", "moto_server"]

BUCKET = f"fruit-assets-{ACCOUNT}-{REGION}"


@pytest.fixture
def deployed(aws: AwsAccount, request: pytest.FixtureRequest) -> AwsAccount:
    """A deployment with two versions of one object and a delete marker in its bucket."""
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": getattr(request, "param", "none")}))
    aws.finish_bucket(BUCKET)
    outputs = stack.outputs()
    write_facts(outputs["StagingUri"], deployment_facts(outputs, project="fruit-assets", region=REGION), REGION)
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="assets/x/CURRENT", Body=b"1")
    s3.put_object(Bucket=BUCKET, Key="assets/x/CURRENT", Body=b"22")
    s3.delete_object(Bucket=BUCKET, Key="assets/x/CURRENT")
    Path(".env").write_text(
        f"FRUIT_ASSETS_DEPLOYMENT=emr\nFRUIT_ASSETS_STORAGE=s3://{BUCKET}/assets\nFRUIT_ASSETS_WEIGHTS=random\n"
    )
    return aws


def destroy(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["destroy", *arguments], input=answer)


def exists(aws: AwsAccount) -> tuple[bool, bool]:
    """Whether the stack and the bucket exist."""
    buckets = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    return Stack("fruit-assets", REGION).status() is not None, BUCKET in buckets


@pytest.fixture
def retained(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation keeps what the template retains; moto deletes it, so there the bucket is kept from it."""
    from moto.s3.models import FakeBucket

    monkeypatch.setattr(FakeBucket, "delete_from_cloudformation_json", classmethod(lambda *_, **__: None))


def test_the_stack_goes_and_the_data_stays(deployed: AwsAccount, retained: None) -> None:
    result = destroy(answer="y\n")
    assert result.exit_code == 0, result.output
    assert exists(deployed) == (False, True)
    assert f"Kept: s3://{BUCKET}, 4 object versions" in result.output
    assert "FRUIT_ASSETS_DEPLOYMENT=local" in Path(".env").read_text()
    assert f"FRUIT_ASSETS_STORAGE=s3://{BUCKET}/assets" in Path(".env").read_text()


def test_applications_of_this_project_go_with_the_stack_and_others_stay(deployed: AwsAccount, retained: None) -> None:
    api = deployed.client("emr-serverless")
    ids = {}
    for project in ("fruit-assets", "payroll"):
        # moto knows no labels like emr-spark-8.1.0
        answer = api.create_application(
            name=project, releaseLabel="emr-7.0.0", type="SPARK", tags={"project": project}, clientToken=project
        )
        ids[project] = answer["applicationId"]
    result = destroy("--yes")
    assert result.exit_code == 0, result.output
    assert f"Deleted application {ids['fruit-assets']}" in result.output
    states = {row["id"]: row["state"] for row in api.list_applications()["applications"]}
    assert states[ids["payroll"]] == "STARTED"
    assert states.get(ids["fruit-assets"], "TERMINATED") == "TERMINATED"


def test_no_for_an_answer_removes_nothing(deployed: AwsAccount) -> None:
    assert destroy(answer="n\n").exit_code == 1
    assert exists(deployed) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("--data", "--yes"), "\n"),
        (("--data", "--yes"), "yes\n"),
        (("--data", "--yes", "--bucket", "another"), None),
    ],
)
def test_data_asked_for_once_only_is_not_deleted_and_nothing_else_either(
    deployed: AwsAccount, arguments: tuple[str, ...], answer: str | None
) -> None:
    result = destroy(*arguments, answer=answer)
    assert result.exit_code == 1
    assert "nothing was removed" in result.output
    assert exists(deployed) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [(("--data", "--yes"), f"{BUCKET}\n"), (("--data", "--yes", "--bucket", BUCKET), None)],
)
def test_data_asked_for_twice_is_deleted_with_every_version(
    deployed: AwsAccount, retained: None, arguments: tuple[str, ...], answer: str | None
) -> None:
    result = destroy(*arguments, answer=answer)
    assert result.exit_code == 0, result.output
    assert exists(deployed) == (False, False)
    assert "4 versions" in result.output
    assert Path(".env").read_text() == "FRUIT_ASSETS_DEPLOYMENT=local\nFRUIT_ASSETS_WEIGHTS=random\n"


def test_data_that_was_kept_can_be_deleted_later(deployed: AwsAccount, retained: None) -> None:
    assert destroy("--yes").exit_code == 0
    assert destroy("--data", "--bucket", BUCKET).exit_code == 0
    assert exists(deployed) == (False, False)
    assert "Nothing to remove" in destroy().output


def test_a_running_cluster_is_named_and_keeps_everything_in_place(deployed: AwsAccount) -> None:
    emr = deployed.client("emr")
    cluster = emr.run_job_flow(
        Name="fruit-assets-1",
        ReleaseLabel="emr-spark-8.1.0",
        Instances={"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1, "MasterInstanceType": "m8i.xlarge"},
        Tags=[{"Key": "project", "Value": "fruit-assets"}],
    )["JobFlowId"]
    result = destroy("--yes")
    assert result.exit_code == 1
    assert cluster in result.output
    assert "fruit-assets cluster down" in result.output
    assert exists(deployed) == (True, True)


@pytest.mark.parametrize("deployed", ["public"], indirect=True)
def test_security_groups_that_emr_left_in_the_network_go_first(deployed: AwsAccount) -> None:
    ec2 = deployed.client("ec2")
    vpc = Stack("fruit-assets", REGION).outputs()["VpcId"]
    primary, core = (_group(ec2, vpc, name) for name in ("ElasticMapReduce-primary", "ElasticMapReduce-core"))
    for one, other in ((primary, core), (core, primary)):
        rule = {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": [{"GroupId": other}]}
        ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=[rule])
    mine = _group(ec2, vpc, "mine")
    result = destroy("--yes")
    assert "Removed what EMR left in the network: ElasticMapReduce-" in result.output
    groups = {group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    assert not groups & {primary, core}
    assert mine in groups


def _group(ec2: Any, vpc: str, name: str) -> str:
    group: str = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    return group
