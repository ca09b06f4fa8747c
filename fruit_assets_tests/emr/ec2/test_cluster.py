"""Clusters: found, made once however many ask, never ended by mistake, and honest about why they failed."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fruit_assets.emr.aws import AwsRefusedError
from fruit_assets.emr.ec2 import clusters as cluster_module
from fruit_assets.emr.ec2.cluster_spec import ClusterSpec, deployed_spec
from fruit_assets.emr.ec2.clusters import Clusters
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.spec_file import OWNER_TAG, SPEC_TAG
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr.conftest import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

SPEC = Path(__file__).parents[3] / "bootstrap" / "cluster.json"
FACTS = {
    "project": "orchard",
    "region": "us-east-1",
    "service_role": "orchard-service",
    "instance_profile": "orchard-nodes",
    "subnets": "subnet-0a,subnet-0b",
    "bucket": "orchard",
    "security_configuration": "orchard-security",
    "kms_key": "arn:aws:kms:us-east-1:123456789012:key/0f",
}


@pytest.fixture
def spec(staging: StagingStore) -> ClusterSpec:
    """The project's own spec, as a deployment fills it in; no two tests share a cluster."""
    facts = {**FACTS, "log_uri": f"{staging.uri}/logs/", "bootstrap_uri": f"{staging.uri}/bootstrap/0123"}
    staging.put("bootstrap/deployment.json", json.dumps(facts).encode())
    staging.put("bootstrap/0123/install_runtime.sh", b"#!/bin/bash\n")
    return deployed_spec(SPEC, staging, "us-east-1", {})


@pytest.fixture(autouse=True)
def no_cluster_stays(emr: EmrSimulator) -> Iterator[None]:
    before = set(emr.clusters)
    yield
    for cluster_id in set(emr.clusters) - before:
        emr.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


def made(emr: EmrSimulator, spec: ClusterSpec) -> list[Any]:
    return [call for call in emr.calls("RunJobFlow") if call.params["Name"] == spec.name and call.status == 200]


def test_run_job_flow_has_every_parameter_the_launcher_relies_on(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec
) -> None:
    compute, is_new = Clusters(staging).find_or_create(spec)
    (call,) = made(emr, spec)
    asked = call.params
    assert is_new
    assert compute.cluster_id in emr.clusters
    assert asked["ReleaseLabel"] == "emr-spark-8.1.0"
    assert asked["Applications"] == [{"Name": "Spark"}]
    assert (asked["ServiceRole"], asked["JobFlowRole"]) == ("orchard-service", "orchard-nodes")
    assert asked["LogUri"] == f"{staging.uri}/logs/"
    assert asked["AutoTerminationPolicy"] == {"IdleTimeout": 1800}
    assert asked["StepConcurrencyLevel"] == 3
    assert asked["VisibleToAllUsers"] is True
    assert "Steps" not in asked
    # Without these two lines nodes would start, unencrypted and open to the old metadata service.
    assert asked["SecurityConfiguration"] == "orchard-security"
    assert asked["LogEncryptionKmsKeyId"] == FACTS["kms_key"]
    assert (asked["EbsRootVolumeSize"], asked["ScaleDownBehavior"]) == (32, "TERMINATE_AT_TASK_COMPLETION")
    tags = {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
    assert tags.pop(OWNER_TAG)
    assert tags == {
        SPEC_TAG: spec.digest,
        "for-use-with-amazon-emr-managed-policies": "true",
        "project": "orchard",
    }
    (bootstrap,) = asked["BootstrapActions"]
    assert bootstrap["ScriptBootstrapAction"]["Path"] == f"{staging.uri}/bootstrap/0123/install_runtime.sh"
    assert asked["Configurations"] == json.loads(SPEC.with_name("configurations.json").read_text())


def test_the_fleets_are_on_demand_where_a_loss_would_end_the_run_and_spot_elsewhere(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec
) -> None:
    Clusters(staging).find_or_create(spec)
    instances = made(emr, spec)[0].params["Instances"]
    fleets = {fleet["InstanceFleetType"]: fleet for fleet in instances["InstanceFleets"]}
    assert instances["Ec2SubnetIds"] == ["subnet-0a", "subnet-0b"]
    assert instances["KeepJobFlowAliveWhenNoSteps"] is True
    assert "TerminationProtected" not in instances
    assert (fleets["MASTER"]["TargetOnDemandCapacity"], fleets["CORE"]["TargetOnDemandCapacity"]) == (1, 1)
    assert "TargetSpotCapacity" not in {**fleets["MASTER"], **fleets["CORE"]}
    assert fleets["TASK"]["TargetSpotCapacity"] == 1
    assert len(fleets["TASK"]["InstanceTypeConfigs"]) >= 5
    spot = fleets["TASK"]["LaunchSpecifications"]["SpotSpecification"]
    assert (spot["TimeoutAction"], spot["AllocationStrategy"]) == ("SWITCH_TO_ON_DEMAND", "price-capacity-optimized")
    limits = made(emr, spec)[0].params["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits["MaximumOnDemandCapacityUnits"] == limits["MaximumCoreCapacityUnits"] == 1
    assert limits["MaximumCapacityUnits"] > 1


def test_ten_concurrent_callers_create_one_cluster(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "interruptible_sleep", lambda _: __import__("time").sleep(0.2))
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: Clusters(StagingStore(staging.uri)).find_or_create(spec), range(10)))
    assert len(made(emr, spec)) == 1
    assert len({compute.cluster_id for compute, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1


def test_a_lost_answer_does_not_create_a_second_cluster(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec
) -> None:
    emr.faults.drop_connection("RunJobFlow", times=1, after=True)
    compute, _ = Clusters(staging).find_or_create(spec)
    named = [cluster.id for cluster in emr.clusters.values() if cluster.request["Name"] == spec.name]
    assert named == [compute.cluster_id]


def test_a_running_cluster_is_found_by_its_tag_even_without_the_claim(staging: StagingStore, spec: ClusterSpec) -> None:
    first, _ = Clusters(staging).find_or_create(spec)
    staging.delete(f"clusters/{spec.digest}.json")
    again, is_new = Clusters(staging).find_or_create(spec)
    assert (again.cluster_id, is_new) == (first.cluster_id, False)


def test_a_terminated_cluster_is_replaced(emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec) -> None:
    clusters = Clusters(staging)
    first, _ = clusters.find_or_create(spec)
    clusters.terminate(first.cluster_id)
    emr.wait_for(lambda: not first.describe().is_alive)
    second, is_new = clusters.find_or_create(spec)
    assert is_new
    assert second.cluster_id != first.cluster_id


def test_changed_files_on_the_nodes_require_another_cluster(staging: StagingStore, spec: ClusterSpec) -> None:
    other = deployed_spec(SPEC, staging, "us-east-1", {"bootstrap_uri": f"{staging.uri}/bootstrap/4567"})
    assert other.digest != spec.digest


def test_a_claim_whose_owner_died_is_taken_over(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging.put(f"clusters/{spec.digest}.json", b'{"claimed_by": "a process that was killed"}')
    monkeypatch.setattr(cluster_module, "CLAIM_SECONDS", 2.0)
    assert Clusters(staging).find_or_create(spec)[1]
    assert len(made(emr, spec)) == 1


def test_a_refused_cluster_releases_the_claim_and_is_reported_with_advice(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec
) -> None:
    emr.faults.refuse("RunJobFlow", "ValidationException", "Invalid InstanceProfile: orchard-nodes.")
    with pytest.raises(AwsRefusedError, match=r"Invalid InstanceProfile.*Create the roles first"):
        Clusters(staging).find_or_create(spec)
    assert Clusters(staging).find_or_create(spec)[1], "the next caller need not wait for the claim to expire"


def test_a_failed_bootstrap_is_reported_with_emrs_reason_and_the_scripts_stderr(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec
) -> None:
    emr.faults.fail_bootstrap("pip: no matching wheel for plums")
    compute, _ = Clusters(staging).find_or_create(spec)
    emr.wait_for(lambda: emr.clusters[compute.cluster_id].state == "TERMINATED_WITH_ERRORS")
    failure = compute.failure(patience=120.0)
    assert failure is not None
    assert "BOOTSTRAP_FAILURE" in failure.message
    assert "pip: no matching wheel for plums" in failure.message
    assert "correct it and deploy it again" in failure.message
    assert not failure.retryable
    with pytest.raises(PermanentError, match="no matching wheel"):
        Clusters(staging).get(compute.cluster_id)


@pytest.mark.parametrize(
    ("code", "emr_reason", "words", "retryable"),
    [
        ("VALIDATION_ERROR", "EMR service role role/orchard is invalid", "check roles, subnet, quotas", False),
        ("INSTANCE_FLEET_TIMEOUT", "no Spot capacity", "add instance types to the cluster spec", True),
        ("INTERNAL_ERROR", "EC2 failed", "try again", True),
        ("USER_REQUEST", "Terminated by user request", "run again to create a new cluster", False),
    ],
)
def test_a_terminated_cluster_is_reported_with_emrs_reason_and_advice(
    emr: EmrSimulator, code: str, emr_reason: str, words: str, retryable: bool
) -> None:
    cluster_id = start_cluster(emr)
    emr.faults.lose_cluster(cluster_id, code, emr_reason)
    failure = EmrOnEc2(cluster_id).failure()
    assert failure is not None
    assert f"EMR's reason: {code}: {emr_reason}" in failure.message
    assert words in failure.message
    assert (failure.retryable, failure.clean_shutdown) == (retryable, code == "USER_REQUEST")


def test_a_cluster_of_another_owner_is_never_terminated(emr: EmrSimulator, staging: StagingStore) -> None:
    theirs = start_cluster(emr)
    with pytest.raises(PermanentError, match="was not created by this project"):
        Clusters(staging).terminate(theirs)
    assert emr.clusters[theirs].state == "WAITING"
    assert theirs not in [facts.cluster_id for facts in Clusters(staging).owned()]


def test_a_cluster_of_another_deployment_in_the_same_account_is_neither_used_nor_ended(
    emr: EmrSimulator, staging: StagingStore, spec: ClusterSpec
) -> None:
    theirs, _ = Clusters(staging.subprefix("another")).find_or_create(spec)
    clusters = Clusters(staging)
    assert list(clusters.owned()) == []
    with pytest.raises(PermanentError, match="was not created by this project"):
        clusters.terminate(theirs.cluster_id)
    assert emr.clusters[theirs.cluster_id].ending is None


def test_a_missing_deployment_is_reported_in_one_list(staging: StagingStore) -> None:
    with pytest.raises(PermanentError) as caught:
        deployed_spec(SPEC, staging, None, {})
    for name in ("service_role", "instance_profile", "bootstrap_uri", "project", "security_configuration"):
        assert f"${{{name}}} has no value: deploy first" in str(caught.value)
