"""Everything that Dagster can put into a step reaches the remote side, and what it does there comes back."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fruit_assets.emr.dagster_internals import ModuleCodePointer, ReconstructableJob, ReconstructableRepository
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.targets import TARGETS
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long(60)

HERE = Path(__file__).parent
KEYS = {
    "dynamic": ("red", "blue", ["red", "green", "blue"]),
    "static": ("small", "large", ["small", "medium", "large"]),
    "hourly": ("2026-01-01-22:00", "2026-01-02-00:00", ["2026-01-01-22:00", "2026-01-01-23:00", "2026-01-02-00:00"]),
    "daily": ("2026-01-30", "2026-01-31", ["2026-01-30", "2026-01-31"]),
    "weekly": ("2026-01-04", "2026-01-11", ["2026-01-04", "2026-01-11"]),
    "monthly": ("2026-02-01", "2026-03-01", ["2026-02-01", "2026-03-01"]),
    "window": ("2026-01-01", "2026-01-03", ["2026-01-01", "2026-01-03"]),
    "multi": ("2026-01-02|small", "2026-01-02|large", ["2026-01-02|small", "2026-01-02|medium", "2026-01-02|large"]),
    "multi_dynamic": ("red|2026-01-02", "red|2026-01-03", ["red|2026-01-02", "red|2026-01-03"]),
}


@dataclass
class Walk:
    """The location, an instance to run it on, and what its steps left."""

    folder: Path
    instance: dg.DagsterInstance

    def run(self, job: str, tags: dict[str, str] | None = None, **options: Any) -> dg.JobExecutionResult:
        return dg.execute_job(reconstructable(job), instance=self.instance, tags=tags, raise_on_error=False, **options)

    @property
    def trace(self) -> list[str]:
        path = self.folder / "trace"
        return path.read_text().splitlines() if path.exists() else []


def reconstructable(name: str) -> ReconstructableJob:
    return ReconstructableJob(ReconstructableRepository(ModuleCodePointer("walk_location", "location", None)), name)


def forget_definitions() -> None:
    """Dagster keeps the jobs it loaded; these depend on variables that tests set."""
    for function in (ReconstructableJob.get_definition, ReconstructableJob.get_repository_definition):
        function.cache_clear()


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as monkeypatch:
        # Second, because Dagster takes the first entry away while it loads a code location.
        monkeypatch.setattr(sys, "path", [sys.path[0], str(HERE), *sys.path[1:]])
        monkeypatch.setenv("WALK_FOLDER", str(folder))
        forget_definitions()
        with dg.instance_for_test() as instance:
            instance.add_dynamic_partitions("colours", ["red", "green", "blue"])
            yield Walk(folder, instance)


@pytest.fixture
def walk(location: Walk) -> Walk:
    (location.folder / "trace").unlink(missing_ok=True)
    return location


def materialized(walk: Walk, result: dg.JobExecutionResult) -> list[Any]:
    return [
        entry.dagster_event.event_specific_data.materialization
        for entry in walk.instance.all_logs(result.run_id)
        if entry.dagster_event and entry.dagster_event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
    ]


@pytest.mark.parametrize("kind", KEYS)
def test_a_partition_of_every_kind_runs(walk: Walk, kind: str) -> None:
    key = KEYS[kind][0]
    result = walk.run(f"{kind}_job", {"dagster/partition": key, **dimensions(kind, key)})
    (materialization,) = materialized(walk, result)
    assert (materialization.partition, materialization.metadata["keys"].value) == (key, [key])


@pytest.mark.parametrize("kind", KEYS)
def test_a_range_of_every_kind_has_its_keys(walk: Walk, kind: str) -> None:
    start, end, keys = KEYS[kind]
    tags = {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}
    found = materialized(walk, walk.run(f"{kind}_job", tags))
    assert sorted(materialization.partition for materialization in found) == sorted(keys)
    assert sorted(found[0].metadata["keys"].value) == sorted(keys)


def dimensions(kind: str, key: str) -> dict[str, str]:
    """The tags that Dagster adds to the run of a multi-dimensional partition."""
    if not kind.startswith("multi"):
        return {}
    first, second = key.split("|")
    names = ("day", "size") if kind == "multi" else ("colour", "day")
    return {f"dagster/partition/{names[0]}": first, f"dagster/partition/{names[1]}": second}


def test_an_input_of_a_dynamic_partition_is_loaded(walk: Walk) -> None:
    assert walk.run("stream_job", {"dagster/partition": "green"}).success


def test_mapped_outputs_are_collected(walk: Walk) -> None:
    result = walk.run("mapped")
    steps = {event.step_key for event in result.all_events if event.is_step_success}
    assert steps == {"split", "double[a]", "double[b]", "add"}
    assert "the sum is 6" in messages(walk, result)


def test_a_downstream_step_of_an_output_that_is_not_yielded_is_skipped(walk: Walk) -> None:
    result = walk.run("optional")
    assert result.success
    assert [event.step_key for event in result.all_events if event.is_step_skipped] == ["double_left"]


def test_aliases_and_nested_graphs_keep_their_names(walk: Walk) -> None:
    result = walk.run("nested")
    assert {event.step_key for event in result.all_events if event.is_step_success} == {
        "inner.number_one",
        "inner.twice",
        "last",
    }


def test_a_resource_with_a_teardown_lives_as_long_as_the_step_and_only_on_the_remote_side(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_PASSWORD", "known to the remote side")
    assert walk.run("session_job").success
    assert walk.trace == ["session opened", "session used", "session closed"]


def test_hooks_get_the_output_values_and_the_exception(walk: Walk) -> None:
    walk.run("hooked")
    assert sorted(walk.trace) == [
        "failure of failing with ValueError('the pears are not ripe')",
        'success of double with {"result": 2}',
        'success of number_one with {"result": 1}',
    ]


def test_retries_by_policy_and_on_request_share_one_count(walk: Walk) -> None:
    result = walk.run("retried")
    assert result.success
    assert sorted(event.step_key for event in result.all_events if event.is_step_up_for_retry) == ["asking", "flaky"]


def test_an_op_without_outputs_runs_in_a_partitioned_job(walk: Walk) -> None:
    assert walk.run("partitioned_op", {"dagster/partition": "blue"}).success
    assert walk.trace == ["without outputs in blue"]


def test_a_subset_of_a_multi_asset_materializes_only_that(walk: Walk) -> None:
    whole = materialized(walk, walk.run("pair_job"))
    part = materialized(walk, walk.run("right_job"))
    assert [[item.asset_key.to_user_string() for item in found] for found in (whole, part)] == [
        ["left", "right"],
        ["right"],
    ]


def test_checks_within_and_beside_an_asset_are_evaluated(walk: Walk) -> None:
    within, beside = walk.run("pair_job"), walk.run("check_job")
    evaluations = [
        event.event_specific_data
        for result in (within, beside)
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert {(item.check_name, item.passed) for item in evaluations} >= {("is_left", True), ("left_is_fresh", False)}


def test_steps_run_in_processes_of_their_own(walk: Walk) -> None:
    result = walk.run("in_processes")
    assert result.success
    assert "the sum is 6" in messages(walk, result)


@pytest.fixture
def walk_on_emr(
    walk: Walk, kind: str, emr: EmrSimulator, staging: StagingStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Walk]:
    """The same location with the real launchers on a simulated cluster and on a simulated application."""
    target = TARGETS[kind](emr)
    settings = {
        "staging": staging.uri,
        "packages": ["walk_location"],
        **target.launcher,
        "environment": {"WALK_FOLDER": str(walk.folder), "SESSION_PASSWORD": "of the node"},
        "not_secret": ["SESSION_PASSWORD"],
        "poll_seconds": 2.0,
    }
    monkeypatch.setenv("WALK_LAUNCHER", json.dumps(settings))
    forget_definitions()
    yield walk
    forget_definitions()
    target.end()


def test_ranges_mapped_outputs_hooks_and_remote_resources_work_on_emr_too(walk_on_emr: Walk) -> None:
    start, end, keys = KEYS["dynamic"]
    tags = {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}
    found = materialized(walk_on_emr, walk_on_emr.run("dynamic_job", tags))
    assert found[0].metadata["keys"].value == keys
    assert "the sum is 6" in messages(walk_on_emr, walk_on_emr.run("mapped"))
    walk_on_emr.run("hooked")
    assert walk_on_emr.run("session_job").success
    assert [line for line in walk_on_emr.trace if line.startswith(("failure", "session"))] == [
        "failure of failing with ValueError('the pears are not ripe')",
        "session opened",
        "session used",
        "session closed",
    ]


def messages(walk: Walk, result: dg.JobExecutionResult) -> str:
    return "\n".join(entry.user_message or "" for entry in walk.instance.all_logs(result.run_id))
