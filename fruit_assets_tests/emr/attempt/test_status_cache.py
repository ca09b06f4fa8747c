"""For any number of waiting callers, EMR is asked once per interval, and no step is left out."""

import itertools
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from fruit_assets.emr.attempt.status_cache import StepStatusCache
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import eventually, start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator


def add_steps(emr: EmrSimulator, cluster_id: str, count: int, command: list[str]) -> list[str]:
    steps = [
        {
            "Name": f"n{n}",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": command},
        }
        for n in range(count)
    ]
    return list(emr.client("emr").add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)["StepIds"])


def test_twenty_waiting_processes_call_emr_at_most_once_in_two_seconds(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path
) -> None:
    cluster_id = start_cluster(emr, steps_at_once=20)
    end = tmp_path / "end"
    step_ids = add_steps(emr, cluster_id, 20, ["sh", "-c", f"until [ -e {end} ]; do sleep 0.2; done"])
    seen: dict[str, str] = {}

    def calls() -> list[datetime]:
        found = [*emr.calls("ListSteps"), *emr.calls("DescribeStep")]
        return sorted(call.at for call in found if call.params["ClusterId"] == cluster_id)

    def wait(step_id: str) -> None:
        # Everything of its own, as in a process of its own: they share the bucket and nothing else.
        board = StepStatusCache(EmrOnEc2(cluster_id), StagingStore(staging.uri), 2.0)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and seen.get(step_id) != "COMPLETED":
            status = board.status(step_id)
            seen[step_id] = status.state if status else "unknown"
            time.sleep(0.5)

    threads = [threading.Thread(target=wait, args=(step_id,)) for step_id in step_ids]
    for thread in threads:
        thread.start()
    eventually(lambda: len(calls()) >= 3)
    end.touch()
    for thread in threads:
        thread.join()
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(calls())]
    assert set(seen.values()) == {"COMPLETED"}
    assert min(gaps) >= 2.0


def test_a_step_older_than_the_newest_fifty_is_still_found(emr: EmrSimulator, staging: StagingStore) -> None:
    cluster_id = start_cluster(emr)
    (oldest,) = add_steps(emr, cluster_id, 1, ["true"])
    add_steps(emr, cluster_id, 60, ["true"])
    board = StepStatusCache(EmrOnEc2(cluster_id), staging, 2.0)
    eventually(lambda: board.status(oldest) is not None)


def test_an_unreadable_status_object_is_written_again(emr: EmrSimulator, staging: StagingStore) -> None:
    cluster_id = start_cluster(emr)
    (step_id,) = add_steps(emr, cluster_id, 1, ["true"])
    staging.put(f"clusters/{cluster_id}/steps.json", b"not json")
    board = StepStatusCache(EmrOnEc2(cluster_id), staging, 2.0)
    eventually(lambda: board.status(step_id))


@pytest.mark.parametrize(
    ("state", "is_final"),
    [("COMPLETED", True), ("INTERRUPTED", True), ("CANCEL_PENDING", False), ("HIBERNATING", False)],
)
def test_only_the_four_end_states_are_final(
    emr: EmrSimulator, staging: StagingStore, state: str, is_final: bool
) -> None:
    cluster_id = start_cluster(emr)
    (step_id,) = add_steps(emr, cluster_id, 1, ["sleep", "600"])
    emr.set_step_state(step_id, state)
    status = EmrOnEc2(cluster_id).statuses()[step_id]
    assert (status.state, status.is_final) == (state, is_final)
