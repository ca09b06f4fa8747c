"""The sweeper: cancels steps whose run has ended, found by the names our steps carry.

Put here the sensor and what it does. It is for the rare case that nobody else could: the run's
process was killed and the step does not see its missing heartbeat. Off until somebody turns it on.
"""

from collections.abc import Iterator

import dagster as dg

from fruit_assets.emr.cluster import Clusters
from fruit_assets.emr.ec2 import EmrOnEc2
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import FruitAssetsError

_ACTIVE = ("PENDING", "RUNNING")


def orphans(instance: dg.DagsterInstance, compute: EmrOnEc2) -> Iterator[tuple[str, str]]:
    """Step ids and run ids of steps that run although their run has ended.

    Runs this instance does not know belong to another Dagster and are left alone.
    """
    for step_id, name in compute.names(_ACTIVE).items():
        parts = name.split("/")
        if len(parts) < 4 or parts[0] != "dagster":
            continue
        run = instance.get_run_by_id(parts[1])
        if run is not None and run.is_finished:
            yield step_id, parts[1]


def sweep(instance: dg.DagsterInstance, staging: StagingStore, region: str | None, cluster_id: str | None) -> list[str]:
    """Cancel the orphans on the cluster given, or on all clusters we made; one sentence for each step."""
    if cluster_id:
        computes = [EmrOnEc2(cluster_id, region)]
    else:
        computes = [EmrOnEc2(facts.cluster_id, region) for facts in Clusters(staging, region).ours()]
    said = []
    for compute in computes:
        for step_id, run_id in orphans(instance, compute):
            try:
                compute.cancel(step_id, force=True)
                said.append(f"Cancelled step {step_id} on {compute.target_id}: its run {run_id} has ended.")
            except FruitAssetsError as error:
                said.append(f"{error} Cancel it by hand: {compute.cancel_command(step_id)}")
    return said


def build_sweeper(
    staging: str, region: str | None = None, cluster_id: str | None = None, seconds: int = 300
) -> dg.SensorDefinition:
    """A sensor that sweeps every few minutes. It launches no runs; what it did is in its ticks.

    Args:
        staging: as the launcher's.
        region: as the launcher's.
        cluster_id: as the launcher's.
        seconds: between two sweeps.
    """

    @dg.sensor(
        name="emr_step_sweeper",
        description="Cancels EMR steps whose run has ended.",
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        # A sensor must have a target; this one never asks for a run.
        job_name=None,
    )
    def emr_step_sweeper(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        said = sweep(context.instance, StagingStore(staging, region), region, cluster_id)
        for sentence in said:
            context.log.info(sentence)
        return dg.SkipReason(" ".join(said) or "No step outlives its run.")

    return emr_step_sweeper
