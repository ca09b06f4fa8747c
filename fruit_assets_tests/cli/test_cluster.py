"""`fruit-assets cluster` as a person at a terminal sees it."""

import json
import uuid
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from fruit_assets.cli import main
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr_simulator import EmrSimulator


@pytest.fixture
def account(emr_simulator: EmrSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrSimulator]:
    """An account into which the project has been deployed."""
    bucket = emr_simulator.create_bucket(f"orchard-{uuid.uuid4().hex}")
    staging = StagingStore(f"s3://{bucket}/staging")
    facts = {
        "project": "orchard",
        "service_role": "service",
        "instance_profile": "nodes",
        "subnets": "",
        "security_configuration": "security",
        "log_uri": f"s3://{bucket}/logs/",
        "bootstrap_uri": staging.uri_of("bootstrap/0123"),
    }
    staging.put("bootstrap/deployment.json", json.dumps(facts).encode())
    staging.put("bootstrap/0123/install_runtime.sh", b"#!/bin/bash\n")
    monkeypatch.setenv("FRUIT_ASSETS_STAGING", staging.uri)
    monkeypatch.setattr("fruit_assets.cli.cluster._POLL_SECONDS", 0.2)
    monkeypatch.setenv("COLUMNS", "200")
    return emr_simulator


def fruit_assets(*words: str, answer: str = "") -> str:
    result = CliRunner().invoke(main, ["cluster", *words], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_a_cluster_goes_up_is_shown_and_comes_down(account: EmrSimulator) -> None:
    assert "No cluster of this project runs" in fruit_assets("status")
    output = fruit_assets("up")
    ((cluster_id, cluster),) = account.clusters.items()
    assert f"{cluster_id} is being created" in output
    assert "WAITING" in output
    assert f"{cluster_id} already runs" in fruit_assets("up")
    shown = fruit_assets("status")
    assert cluster_id in shown
    assert "xlarge on_demand" in shown
    assert "Aborted" in fruit_assets("down", answer="n\n") or cluster.state == "WAITING"
    assert f"{cluster_id} is ending" in fruit_assets("down", "--yes")
    account.wait_for(lambda: cluster.state == "TERMINATED")
    assert len(account.clusters) == 1


def test_a_cluster_given_by_its_id_is_used_and_never_ended(
    account: EmrSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = account.client("emr").run_job_flow(
        Name="theirs",
        ReleaseLabel="emr-spark-8.1.0",
        JobFlowRole="nodes",
        ServiceRole="service",
        Instances={"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1, "MasterInstanceType": "m7g.xlarge"},
    )["JobFlowId"]
    monkeypatch.setenv("FRUIT_ASSETS_EMR_CLUSTER", theirs)
    assert f"{theirs} already runs" in fruit_assets("up")
    assert theirs in fruit_assets("status")
    assert "was not created by this project, so it is kept" in fruit_assets("down", "--yes")
    assert account.clusters[theirs].state == "WAITING"


def test_a_cluster_that_cannot_start_is_reported_with_its_reason(account: EmrSimulator) -> None:
    account.faults.fail_bootstrap("dnf: no space left on device")
    output = fruit_assets("up")
    assert "BOOTSTRAP_FAILURE" in output
    assert "Error: Cluster j-" in output
    assert "dnf: no space left on device" in output


def test_without_a_staging_place_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRUIT_ASSETS_STAGING", raising=False)
    assert "FRUIT_ASSETS_STAGING is not set" in fruit_assets("status")
