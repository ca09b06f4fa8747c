"""`fruit-assets deploy`: asks, does, can be repeated, and writes settings that the project accepts."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fruit_assets.cli import main
from fruit_assets.cli.deploy_plan import standing_cost
from fruit_assets.emr.serverless.application_spec import load_application_spec
from fruit_assets.emr.spec_file import deployed_variables
from fruit_assets.emr.staging import StagingStore
from fruit_assets.infra.bootstrap_files import bootstrap_digest, read_facts
from fruit_assets.infra.checks.serverless_checks import SPEC
from fruit_assets.settings import load_settings
from fruit_assets_tests.infra.account import ACCOUNT, REGION, AwsAccount, aws, moto_server

__all__ = ["aws", "moto_server"]

BUCKET = f"fruit-assets-{ACCOUNT}-{REGION}"


@pytest.fixture(autouse=True)
def wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wheelhouse of one small file per architecture; real ones are built in the tests of the bootstrap action."""

    def build(requirements: Path, architecture: str, cache: Path, report: object) -> Path:
        folder = tmp_path / "wheels" / architecture
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{requirements.stem}-1-{architecture}.whl").write_bytes(b"wheel")
        return folder

    def pack(wheelhouse: Path, architecture: str, report: object) -> Path:
        packed = wheelhouse / "environment.tar.gz"
        packed.write_bytes(architecture.encode())
        return packed

    monkeypatch.setattr("fruit_assets.cli.deploy.build_wheelhouse", build)
    monkeypatch.setattr("fruit_assets.cli.deploy.pack_environment", pack)


def deploy(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["deploy", "--network", "none", *arguments], input=answer)


def keys(aws: AwsAccount) -> set[str]:
    return {item["Key"] for item in aws.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def test_a_first_deployment_shows_the_plan_asks_and_leaves_everything_in_place(aws: AwsAccount) -> None:
    result = deploy(answer="y\n")
    assert result.exit_code == 0, result.output
    assert "New stack fruit-assets" in result.output
    assert "OrchestratorPolicy" in result.output
    assert "about 0 USD a month" in result.output
    folder = f"staging/bootstrap/{bootstrap_digest()}"
    assert keys(aws) == {
        "staging/bootstrap/deployment.json",
        f"{folder}/install_runtime.sh",
        f"{folder}/requirements-node.txt",
        f"{folder}/requirements-node-tensorflow.txt",
        f"{folder}/wheels/x86_64/requirements-node-1-x86_64.whl",
        f"{folder}/wheels/aarch64/requirements-node-1-aarch64.whl",
    }
    facts = json.loads(
        aws.client("s3").get_object(Bucket=BUCKET, Key="staging/bootstrap/deployment.json")["Body"].read()
    )
    assert facts["bootstrap_uri"] == f"s3://{BUCKET}/{folder}"
    assert facts["instance_profile"] == f"fruit-assets-emr-nodes-{REGION}"


def test_the_settings_written_are_the_ones_that_runs_read(aws: AwsAccount) -> None:
    Path(".env").write_text("# mine\nFRUIT_ASSETS_WEIGHTS=random\nOTHER='a b'\nFRUIT_ASSETS_STORAGE=data/assets\n")
    assert deploy("--yes").exit_code == 0
    settings = load_settings(folder=Path.cwd())
    assert (settings.deployment, settings.weights) == ("emr", "random")
    assert settings.storage == f"s3://{BUCKET}/assets"
    assert settings.staging == f"s3://{BUCKET}/staging"
    assert settings.images == f"s3://{BUCKET}/images"
    assert Path(".env").read_text().startswith("# mine\nFRUIT_ASSETS_WEIGHTS=random\nOTHER='a b'\n")


def test_for_emr_serverless_the_environments_are_uploaded_by_content_and_runs_find_them(aws: AwsAccount) -> None:
    result = deploy("--yes", "--deployment", "emr-serverless")
    assert result.exit_code == 0, result.output
    assert "orchestrator-serverless" in result.output
    assert load_settings(folder=Path.cwd()).deployment == "emr-serverless"
    digest = hashlib.sha256(b"aarch64").hexdigest()
    assert f"staging/bootstrap/environments/{digest}-aarch64.tar.gz" in keys(aws)
    staging = StagingStore(f"s3://{BUCKET}/staging")
    spec = load_application_spec(SPEC, deployed_variables(staging, REGION, {}))
    assert spec.job_runs.execution_role_arn.endswith(f"role/fruit-assets-emr-jobs-{REGION}")
    uri = spec.job_runs.spark_conf["spark.archives"].removesuffix("#environment")
    assert uri.removeprefix(f"s3://{BUCKET}/") in keys(aws)
    assert spec.job_runs.log_uri == f"s3://{BUCKET}/logs/"
    before = read_facts(staging.uri, REGION)
    assert deploy("--yes").exit_code == 0, "a later deployment stays with what is in use"
    assert load_settings(folder=Path.cwd()).deployment == "emr-serverless"
    assert deploy("--yes", "--deployment", "emr").exit_code == 0
    assert read_facts(staging.uri, REGION) == before, "the environments are still known"


def test_images_that_lie_in_s3_already_stay_where_they_are(aws: AwsAccount) -> None:
    Path(".env").write_text("FRUIT_ASSETS_IMAGES=s3://orchard/fruits\n")
    assert deploy("--yes").exit_code == 0
    assert load_settings(folder=Path.cwd()).images == "s3://orchard/fruits"


def test_a_second_deployment_asks_nothing_and_uploads_nothing(aws: AwsAccount) -> None:
    assert deploy("--yes").exit_code == 0
    before = Path(".env").stat().st_mtime_ns
    again = deploy()
    assert again.exit_code == 0, again.output
    assert "nothing to change" in again.output
    assert "0 uploaded, 5 already" in again.output
    assert Path(".env").stat().st_mtime_ns == before


def test_no_for_an_answer_changes_nothing(aws: AwsAccount) -> None:
    result = deploy(answer="n\n")
    assert result.exit_code == 1
    assert "Nothing was changed" in result.output
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert aws.client("cloudformation").describe_stacks()["Stacks"] == []
    assert not Path(".env").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--no-wheels",), set()),
        (("--arch", "aarch64", "--tensorflow"), {"aarch64/requirements-node-tensorflow-1-aarch64.whl"}),
    ],
)
def test_the_wheels_uploaded_are_the_ones_asked_for(
    aws: AwsAccount, arguments: tuple[str, ...], expected: set[str]
) -> None:
    assert deploy("--yes", *arguments).exit_code == 0
    assert {key.split("/wheels/")[1] for key in keys(aws) if "/wheels/" in key} == expected


@pytest.mark.parametrize(
    ("parameters", "usd"),
    [({}, 47), ({"Network": "public"}, 0), ({"Network": "private", "Encryption": "kms"}, 48)],
)
def test_standing_costs_are_shown_before_they_arise(parameters: dict[str, str], usd: int) -> None:
    assert standing_cost(parameters) == usd


def test_a_changed_option_is_shown_before_it_is_made(aws: AwsAccount) -> None:
    assert deploy("--yes").exit_code == 0
    changed = deploy("--images-bucket", "orchard", answer="n\n")
    assert "Make these changes?" in changed.output
    assert "s3://orchard" not in Path(".env").read_text()


def test_without_credentials_the_message_says_how_to_get_them(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = deploy("--yes")
    assert result.exit_code == 1
    assert "Sign in again" in result.output


def test_without_a_region_the_message_names_the_variable(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    result = deploy("--yes")
    assert result.exit_code == 1
    assert "AWS_DEFAULT_REGION" in result.output


def test_wrong_settings_do_not_keep_deploy_from_correcting_them(aws: AwsAccount) -> None:
    Path(".env").write_text("FRUIT_ASSETS_DEPLOYMENT=emr\n")
    assert deploy("--yes").exit_code == 0
    assert load_settings(folder=Path.cwd()).deployment == "emr"
