"""Notebook clusters: started once, from the facts of the deployment."""

import pytest
from click.testing import CliRunner

from fruit_assets.infra.bootstrap_files import deployment_facts, write_facts
from fruit_assets.infra.notebook_cluster import main
from fruit_assets.infra.stack import Stack
from fruit_assets_tests.infra.account import REGION, AwsAccount


@pytest.mark.parametrize(
    ("kind", "application"), [("studio", "JupyterEnterpriseGateway"), ("jupyterhub", "JupyterHub")]
)
def test_a_cluster_is_started_once_with_the_roles_and_tags_of_the_deployment(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, kind: str, application: str
) -> None:
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": "none"}))
    outputs = stack.outputs()
    facts = deployment_facts(outputs, project="fruit-assets", region=REGION)
    write_facts(outputs["StagingUri"], {**facts, "subnets": "subnet-1"}, REGION)
    monkeypatch.setenv("FRUIT_ASSETS_STAGING", outputs["StagingUri"])
    first = CliRunner().invoke(main, [kind])
    assert "is starting" in first.output
    emr = aws.client("emr")
    cluster = emr.describe_cluster(ClusterId=first.output.split()[0])["Cluster"]
    assert application in [item["Name"] for item in cluster["Applications"]]
    assert cluster["ServiceRole"] == outputs["ServiceRole"]
    assert {"Key": "project", "Value": "fruit-assets"} in cluster["Tags"]
    assert "runs already" in CliRunner().invoke(main, [kind]).output
    assert len(emr.list_clusters()["Clusters"]) == 1


def test_without_a_deployment_the_message_says_to_deploy(aws: AwsAccount) -> None:
    result = CliRunner().invoke(main, ["studio"])
    assert result.exit_code == 1
    assert "fruit-assets deploy" in result.output
