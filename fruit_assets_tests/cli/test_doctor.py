"""`fruit-assets doctor`: what it looks at, how it says it, and what it exits with."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fruit_assets.cli import main
from fruit_assets.infra.bootstrap_files import deployment_facts, upload_bootstrap, write_facts
from fruit_assets.infra.stack import Stack
from fruit_assets_tests.infra.account import REGION, AwsAccount, aws, moto_server

__all__ = ["aws", "moto_server"]


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def sections(result: Result) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in json.loads(result.stdout):
        found.setdefault(row["section"], {})[row["subject"]] = row["status"]
    return found


@pytest.fixture
def ready(aws: AwsAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsAccount:
    """Everything in place for a run on EMR, as user `ana` with the orchestrator policy."""
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": "public"}))
    outputs = stack.outputs()
    aws.finish_bucket(outputs["BucketName"])
    (tmp_path / "a.whl").write_bytes(b"wheel")
    upload_bootstrap(outputs["StagingUri"], {"x86_64": tmp_path}, region=REGION)
    write_facts(outputs["StagingUri"], deployment_facts(outputs, project="fruit-assets", region=REGION), REGION)
    aws.client("s3").put_object(Bucket=outputs["BucketName"], Key="images/Apple/1.jpg", Body=b"x")
    (tmp_path / "weights.h5").write_bytes(b"x")
    aws.client("ec2").enable_ebs_encryption_by_default()
    _sign_in_as_ana(aws, outputs["OrchestratorPolicyArn"], monkeypatch)
    (tmp_path / ".env").write_text(
        f"FRUIT_ASSETS_DEPLOYMENT=emr\nFRUIT_ASSETS_STORAGE={outputs['StorageUri']}\nFRUIT_ASSETS_WEIGHTS=weights.h5\n"
        f"FRUIT_ASSETS_STAGING={outputs['StagingUri']}\nFRUIT_ASSETS_IMAGES={outputs['ImagesUri']}\n"
    )
    return aws


def _sign_in_as_ana(aws: AwsAccount, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="ana")
    iam.attach_user_policy(UserName="ana", PolicyArn=policy)
    key = iam.create_access_key(UserName="ana")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])


def test_an_account_that_is_ready_passes_on_every_line(ready: AwsAccount) -> None:
    result = doctor("--format", "json")
    found = sections(result)
    assert list(found) == ["This machine", "Settings", "AWS", "EMR"]
    assert {
        name: status for part in ("Settings", "AWS", "EMR") for name, status in found[part].items() if status != "ok"
    } == {}
    assert set(found["EMR"]) == {
        "Deployment", "Release", "Service role", "Node role", "Pass service role", "Pass node role", "Network",
        "Bootstrap files", "On-Demand vCPU", "Spot vCPU", "Node disks",
    }  # fmt: skip
    assert result.exit_code == 0


def test_emr_serverless_is_looked_at_where_runs_use_it(ready: AwsAccount) -> None:
    settings = Path(".env").read_text()
    Path(".env").write_text(settings.replace("DEPLOYMENT=emr", "DEPLOYMENT=emr-serverless"))
    result = doctor("--format", "json")
    found = sections(result)
    assert list(found) == ["This machine", "Settings", "AWS", "EMR Serverless"]
    assert found["EMR Serverless"] == {
        "Deployment": "ok", "Release": "ok", "Job role": "ok", "Pass job role": "problem", "Environment": "problem",
        "vCPU": "ok",
    }  # fmt: skip
    assert result.exit_code == 1, "neither the policy nor the environment was deployed for EMR Serverless"


def test_the_table_is_for_people(ready: AwsAccount) -> None:
    result = doctor()
    assert "Pass node role" in result.output
    assert "0 to correct" in result.output


def test_before_anything_is_deployed_doctor_says_to_deploy(aws: AwsAccount) -> None:
    Path(".env").write_text(
        "FRUIT_ASSETS_DEPLOYMENT=emr\nFRUIT_ASSETS_STORAGE=s3://nobody/assets\nFRUIT_ASSETS_STAGING=s3://nobody/staging\n"
        "FRUIT_ASSETS_IMAGES=s3://nobody/images\n"
    )
    result = doctor()
    assert result.exit_code == 1
    assert "Run `fruit-assets deploy`" in " ".join(result.output.split())
    assert "deployment.json is missing" in " ".join(result.output.split())


def test_a_small_quota_stops_a_run_before_it_costs_time(ready: AwsAccount) -> None:
    ready.quotas["L-1216C47A"] = 5.0
    result = doctor("--format", "json")
    assert result.exit_code == 1
    assert sections(result)["EMR"]["On-Demand vCPU"] == "problem"


def test_a_cluster_that_would_start_with_unencrypted_disks_is_reported_and_does_not_stop_a_run(
    ready: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.client("ec2").disable_ebs_encryption_by_default()
    result = doctor("--format", "json")
    assert (result.exit_code, sections(result)["EMR"]["Node disks"]) == (0, "warning")


def test_without_credentials_the_rest_is_still_looked_at(ready: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = doctor("--format", "json")
    found: dict[str, Any] = sections(result)
    assert result.exit_code == 1
    assert found["AWS"] == {"Credentials": "problem"}
    assert found["This machine"]["Python"] == "ok"


def test_a_local_deployment_needs_no_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("FRUIT_ASSETS_WEIGHTS=random\n")
    result = doctor("--format", "json")
    assert set(sections(result)) == {"This machine", "Settings"}
    assert result.exit_code == 0


def test_every_wrong_setting_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("FRUIT_ASSETS_DEPLOYMENT=moon\nFRUIT_ASSETS_COLOUR=red\n")
    result = doctor()
    assert result.exit_code == 1
    assert "FRUIT_ASSETS_COLOUR" in result.output
    assert "'moon'" in result.output
