"""The orphan sensor: cancels steps whose run has ended, found by the names of the launcher's steps.

Put here the sensor and its check. It covers one rare case: the run's process was killed, and the step
does not notice the missing heartbeat. It is off by default.
"""

from collections.abc import Iterator

import dagster as dg

from fruit_assets.emr.compute import Compute
from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.launcher_settings import LauncherSettings
from fruit_assets.emr.protocol.attempt import run_of


def orphans(instance: dg.DagsterInstance, compute: Compute) -> Iterator[tuple[str, str]]:
    """Step ids and run ids of active steps whose run has ended.

    Runs that this instance does not know belong to another Dagster instance and are skipped.
    """
    for step_id, name in compute.active().items():
        run_id = run_of(name)
        run = instance.get_run_by_id(run_id) if run_id else None
        if run is not None and run.is_finished:
            yield step_id, run.run_id


def cancel_orphans(instance: dg.DagsterInstance, launcher: LauncherSettings) -> list[str]:
    """Cancel the orphans on every target of the launcher; one sentence for each step."""
    actions = []
    for compute in launcher.compute_source(launcher.open_staging()).owned():
        for step_id, run_id in orphans(instance, compute):
            try:
                compute.cancel(step_id, force=True)
                actions.append(f"Cancelled step {step_id} on {compute.target_id}: its run {run_id} has ended.")
            except ActionableError as error:
                actions.append(f"{error} Cancel it by hand: {compute.cancel_command(step_id)}")
    return actions


def build_orphan_sensor(launcher: LauncherSettings, seconds: int = 300) -> dg.SensorDefinition:
    """A sensor that cancels orphans every few minutes. It launches no runs; its ticks list what it cancelled.

    Args:
        launcher: the step launcher of the steps.
        seconds: between two checks.
    """

    @dg.sensor(
        name="emr_orphan_sensor",
        description="Cancels EMR steps whose run has ended.",
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        # A sensor must have a target; this one never requests a run.
        job_name=None,
    )
    def emr_orphan_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        actions = cancel_orphans(context.instance, launcher)
        for sentence in actions:
            context.log.info(sentence)
        return dg.SkipReason(" ".join(actions) or "No step outlives its run.")

    return emr_orphan_sensor
