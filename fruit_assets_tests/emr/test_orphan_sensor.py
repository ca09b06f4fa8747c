"""The orphan sensor ends what outlives its run, and nothing else."""

import dagster as dg

from fruit_assets.emr.compute import Submission
from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.orphan_sensor import build_orphan_sensor, cancel_orphans
from fruit_assets.emr.serverless.step_launcher import EmrServerlessStepLauncher
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.targets import BUCKET, TARGETS
from fruit_assets_tests.emr_simulator import EmrSimulator


def test_only_steps_of_ended_runs_are_cancelled(kind: str, emr: EmrSimulator, staging: StagingStore) -> None:
    target = TARGETS[kind](emr)
    launcher_class = EmrServerlessStepLauncher if kind == "application" else EmrPySparkStepLauncher
    launcher = launcher_class(staging=staging.uri, packages=["tiny_location"], **target.launcher)
    emr.client("s3").put_object(Bucket=BUCKET, Key="sleep.py", Body=b"import time; time.sleep(600)")
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [
            instance.create_run_for_job(dg.job(name=name)(lambda: None), status=status)
            for name, status in (("ended", dg.DagsterRunStatus.FAILURE), ("going", dg.DagsterRunStatus.STARTED))
        ]
        names = [f"dagster/{run.run_id}/subject/1" for run in runs]
        names += ["dagster/of-another-instance/subject/1", "a step of another program"]
        compute, _ = launcher.compute_source(staging).acquire()
        step_ids = [compute.submit(Submission(name, f"s3://{BUCKET}/sleep.py", [])) for name in names]
        emr.wait_for(lambda: target.states == ["RUNNING"] * 4)
        (action,) = cancel_orphans(instance, launcher)
        assert f"Cancelled step {step_ids[0]}" in action
        emr.wait_for(lambda: target.states == ["CANCELLED", *["RUNNING"] * 3])
        assert cancel_orphans(instance, launcher) == []
    target.end()


def test_the_sensor_is_off_by_default_and_lists_what_it_cancelled(emr: EmrSimulator, staging: StagingStore) -> None:
    launcher = EmrPySparkStepLauncher(staging=staging.uri, packages=["tiny_location"])
    sensor = build_orphan_sensor(launcher)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance) as context:
        tick = sensor.evaluate_tick(context)
    assert tick.skip_message == "No step outlives its run."
