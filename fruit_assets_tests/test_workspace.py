"""The files at the project's top: every way to load the code location, and the instance they configure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef

PROJECT = Path(__file__).parents[1]
MADE = {
    "sampled_images", "feature_extractor", "image_features", "rejected_images",
    "pca_model", "pca_components", "fruit_recognition",
}  # fmt: skip


def _run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the environment that runs the tests, from the project's folder as a user would."""
    binaries = Path(sys.executable).parent
    return subprocess.run(
        [str(binaries / command[0]), *command[1:]],
        cwd=PROJECT,
        env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "250", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("dagster", "definitions", "validate", "-w", "workspace.yaml"),
        ("dagster", "definitions", "validate"),
        ("dg", "check", "defs"),
    ],
    ids=" ".join,
)
def test_the_code_location_loads(command):
    result = _run(*command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_dg_lists_every_asset_and_switch():
    result = _run("dg", "list", "defs", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    for name in (
        *MADE,
        "raw_images",
        "fruit_features_job",
        "refresh_every_night",
        "refresh_on_change",
        "watch_raw_images",
    ):
        assert f'"{name}"' in result.stdout


def test_a_wrong_setting_is_reported_before_anything_runs():
    result = _run("dagster", "definitions", "validate", FRUIT_ASSETS_DEPLOYMENT="cloud")
    assert result.returncode != 0
    assert "FRUIT_ASSETS_DEPLOYMENT is 'cloud'" in result.stdout + result.stderr


@pytest.fixture
def instance(tmp_path):
    """The instance that `dagster.yaml` describes, with a home of its own."""
    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        yield instance


def test_the_instance_sends_no_telemetry_and_shows_no_greeting(instance):
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


def test_dead_runs_are_noticed_and_lost_processes_retried_once(instance):
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_resume_run_attempts == 0
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 1


def test_one_spark_at_a_time_and_the_rest_waits_as_whole_runs(instance):
    pools = instance.get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity.value) == (1, "run")


def test_old_ticks_are_not_kept_for_ever(instance):
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import TickStatus

    for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE):
        days = instance.get_tick_retention_settings(kind)
        assert all(days[status] > 0 for status in (TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE))


def test_every_asset_that_needs_spark_is_in_its_pool(make_settings, tmp_path):
    from fruit_assets.definitions import build_defs

    job = build_defs(make_settings(tmp_path)).resolve_job_def("fruit_features_job")
    pools = {node.name: node.definition.pool for node in job.nodes}
    spark = {"sampled_images", "image_features", "pca_model", "pca_components"}
    assert {name for name, pool in pools.items() if pool == "spark"} == spark


def test_the_production_instance_differs_only_in_where_it_stores(tmp_path):
    local = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    production = yaml.safe_load((PROJECT / "docs" / "dagster-postgres.yaml").read_text())
    assert "postgres" in production.pop("storage")
    assert production == local
