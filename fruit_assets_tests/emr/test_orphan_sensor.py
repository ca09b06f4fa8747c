"""The orphan sensor ends what outlives its run, and nothing else."""

import dagster as dg

from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.orphan_sensor import build_orphan_sensor, cancel_orphans
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator


def launcher_on(staging: StagingStore, cluster_id: str | None) -> EmrPySparkStepLauncher:
    return EmrPySparkStepLauncher(staging=staging.uri, package="tiny_location", cluster_id=cluster_id)


def test_only_steps_of_ended_runs_are_cancelled(emr: EmrSimulator, staging: StagingStore) -> None:
    cluster_id = start_cluster(emr)
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [
            instance.create_run_for_job(dg.job(name=name)(lambda: None), status=status)
            for name, status in (("ended", dg.DagsterRunStatus.FAILURE), ("going", dg.DagsterRunStatus.STARTED))
        ]
        names = [f"dagster/{run.run_id}/subject/1" for run in runs]
        names += ["dagster/of-another-instance/subject/1", "somebody's own step"]
        sleep = {"Jar": "command-runner.jar", "Args": ["sleep", "60"]}
        steps = [{"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": sleep} for name in names]
        step_ids = emr.client("emr").add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)["StepIds"]
        for step_id in step_ids:
            emr.wait_for_step(step_id, "RUNNING")
        (action,) = cancel_orphans(instance, launcher_on(staging, cluster_id))
        assert f"Cancelled step {step_ids[0]}" in action
        assert emr.wait_for_step(step_ids[0]) == "CANCELLED"
        assert [emr.clusters[cluster_id].steps[step_id].state for step_id in step_ids[1:]] == ["RUNNING"] * 3
        assert cancel_orphans(instance, launcher_on(staging, cluster_id)) == []
    emr.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


def test_the_sensor_is_off_by_default_and_says_what_it_did(emr: EmrSimulator, staging: StagingStore) -> None:
    sensor = build_orphan_sensor(launcher_on(staging, None))
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance) as context:
        tick = sensor.evaluate_tick(context)
    assert tick.skip_message == "No step outlives its run."
