"""Clusters that are lost under a step or take no more of them."""

import pytest

from fruit_assets.emr.attempt import step_attempt
from fruit_assets_tests.emr.conftest import TinyLocation

pytestmark = pytest.mark.long


@pytest.fixture
def tiny(cluster_tiny: TinyLocation) -> TinyLocation:
    """On a cluster: the requests looked at are those of EMR on EC2."""
    return cluster_tiny


def test_a_jvm_that_is_lost_with_its_cluster_is_explained_by_emr_first_and_is_worth_a_retry(
    tiny: TinyLocation,
) -> None:
    def lose(_: str) -> None:
        def has_failed() -> bool:
            events = [name for name in tiny.staging.list_keys("runs/") if "/events/" in name]
            return any(
                b"Answer from Java side" in (stored.body if (stored := tiny.staging.get(n)) else b"") for n in events
            )

        tiny.emr.wait_for(has_failed)
        tiny.emr.faults.lose_cluster(tiny.target.id, "INSTANCE_FAILURE", "the Spot instance was taken back")

    with tiny.meanwhile(lose):
        outcome = tiny.run("lose-jvm")
    error = outcome.failure.error.to_string()
    assert tiny.states == ["INTERRUPTED"]
    assert 0 < error.index("the Spot instance was taken back") < error.index("Answer from Java side is empty")
    assert "dagster/retry_on_asset_or_op_failure" not in outcome.run.tags


def test_a_lost_jvm_alone_is_retried_too(tiny: TinyLocation) -> None:
    def let_it_end(_: str) -> None:
        tiny.is_enough()

    with tiny.meanwhile(let_it_end):
        outcome = tiny.run("lose-jvm")
    assert "lost its JVM. EMR says" in outcome.failure.error.to_string()
    assert "dagster/retry_on_asset_or_op_failure" not in outcome.run.tags


def test_a_full_cluster_is_waited_for_with_progress(tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_attempt, "CAPACITY_SECONDS", 1.0)
    full = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
    tiny.emr.faults.refuse("AddJobFlowSteps", "ValidationException", full, times=3)
    outcome = tiny.run()
    assert outcome.success
    assert f"Cluster {tiny.target.id} takes no more steps" in outcome.messages
    assert "Waiting for a free place" in outcome.messages


def test_a_full_cluster_is_not_waited_for_beyond_the_allowed_time(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_attempt, "CAPACITY_SECONDS", 0.5)
    full = "Maximum number of active steps for cluster exceeded."
    tiny.emr.faults.refuse("AddJobFlowSteps", "ValidationException", full, times=100)
    outcome = tiny.run(max_runtime_seconds=1.5)
    assert "takes no more steps" in outcome.failure.error.to_string()
