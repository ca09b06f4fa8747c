"""Clusters that take no more steps for now."""

import pytest

from fruit_assets.emr.attempt import step_attempt
from fruit_assets_tests.emr.conftest import TinyLocation

pytestmark = pytest.mark.long(15)


@pytest.fixture
def tiny(cluster_tiny: TinyLocation) -> TinyLocation:
    """On a cluster: the requests looked at are those of EMR on EC2."""
    return cluster_tiny


def test_a_step_waits_for_a_full_cluster_and_logs_progress(tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_attempt, "CAPACITY_SECONDS", 1.0)
    full = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
    tiny.emr.faults.refuse("AddJobFlowSteps", "ValidationException", full, times=3)
    outcome = tiny.run()
    assert outcome.success
    assert f"Cluster {tiny.target.id} takes no more steps" in outcome.messages
    assert "Waiting for a free place" in outcome.messages


def test_a_step_waits_for_a_full_cluster_no_longer_than_its_maximum_runtime(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_attempt, "CAPACITY_SECONDS", 0.5)
    full = "Maximum number of active steps for cluster exceeded."
    tiny.emr.faults.refuse("AddJobFlowSteps", "ValidationException", full, times=100)
    outcome = tiny.run(max_runtime_seconds=1.5)
    assert "takes no more steps" in outcome.failure.error.to_string()
