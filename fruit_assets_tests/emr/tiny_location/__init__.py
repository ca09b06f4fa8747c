"""A code location small enough to break on purpose: what the step launcher is tested with.

Put here assets that behave badly in one chosen way. It is shipped to the simulated cluster as any
code location is, so it imports nothing of the tests.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg

from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.remote_only import remote_only
from fruit_assets.emr.serverless.step_launcher import EmrServerlessStepLauncher

# The launcher mostly has events of a step that lives so long: then it waits for none of EMR's logs.
_HEARD_SECONDS = 2.5
# As settings are: read while the code is imported.
PASSWORD = os.environ.get("ORCHARD_PASSWORD", "none")


class Py4JNetworkError(Exception):
    """As py4j's, which is not needed for the rest."""


class Vault(dg.ConfigurableResource[Any]):
    """A resource that reads a variable of the node."""

    password: str


class Behaviour(dg.Config):
    """What the subject does once it runs on the cluster."""

    does: str = "succeed"
    seconds: float = 600.0


def folder() -> Path:
    """Where assets leave traces that a test can look at: both sides are on one machine."""
    return Path(os.environ["TINY_FOLDER"])


@dg.asset
def source() -> dg.MaterializeResult:
    """Runs in the orchestrator: it does not require the launcher."""
    return dg.MaterializeResult(data_version=dg.DataVersion("v7"), metadata={"pid": os.getpid()})


def subject(context: dg.AssetExecutionContext, config: Behaviour) -> dg.MaterializeResult:
    """Runs on the cluster."""
    starts = folder() / "starts"
    starts.open("a").write(f"{context.run.run_id} {context.retry_number} {os.getpid()}\n")
    context.log.info("the subject has started")
    print(f"words on stdout from {os.environ.get('TINY_WORD', 'nothing')}", flush=True)
    print("words on stderr", file=sys.stderr, flush=True)
    behave(context, config)
    publish(context.run.run_id)
    if config.does == "die-after-publish":
        linger(config.seconds)
        os.kill(os.getpid(), signal.SIGKILL)
    if config.does == "wait-after-publish":
        linger(config.seconds)
    return dg.MaterializeResult(metadata={"dagster/row_count": 1000, "pid": os.getpid(), "file": __file__})


def behave(context: dg.AssetExecutionContext, config: Behaviour) -> None:
    if config.does == "fail":
        raise ValueError("the pears are not ripe")
    if config.does == "fail-for-good":
        raise dg.Failure("the pears are rotten", allow_retries=False)
    if config.does == "fail-once" and context.retry_number == 0:
        raise ValueError("the first try fails")
    if config.does == "die-once" and context.retry_number == 0:
        time.sleep(_HEARD_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
    if config.does == "exit-zero":
        os._exit(0)
    if config.does.startswith("chatter"):
        for number in range(int(config.seconds * 10)):
            context.log.info(f"event {number}")
            time.sleep(0.1)
    if config.does == "chatter-then-die":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.does == "chatter-then-sleep":
        linger(600.0)
    behave_on_a_node(context, config)
    if config.does == "sleep":
        linger(config.seconds)
    if config.does == "spark":
        count_with_spark(context)


def behave_on_a_node(context: dg.AssetExecutionContext, config: Behaviour) -> None:
    if config.does == "lose-jvm":
        threading.Thread(target=linger, args=[600.0]).start()  # the process stays until the test has seen enough
        raise Py4JNetworkError("Answer from Java side is empty")
    if config.does == "use-secret":
        context.log.info(f"the password has the hash {hashlib.sha256(PASSWORD.encode()).hexdigest()}")


def linger(seconds: float) -> None:
    """Be busy for so long, or until a test has seen enough."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (folder() / "enough").exists():
        time.sleep(0.1)


def count_with_spark(context: dg.AssetExecutionContext) -> None:
    from pyspark.sql import SparkSession

    def twice(batches):  # type: ignore[no-untyped-def]
        import tiny_location.arithmetic as arithmetic  # on the executors: from --py-files

        for batch in batches:
            yield arithmetic.doubled(batch)

    spark = SparkSession.builder.getOrCreate()
    doubled = spark.range(1000, numPartitions=2).mapInArrow(twice, "id long")
    if output := os.environ.get("TINY_OUTPUT"):
        doubled.write.parquet(output)
        doubled = spark.read.parquet(output)
    total = doubled.agg({"id": "sum"}).first()[0]
    context.log.info(f"spark {spark.version} on {spark.sparkContext.master} summed to {total}")


def publish(run_id: str) -> None:
    """Half a result is never visible under its final name."""
    part = folder() / f"{run_id}.part"
    part.write_text("complete")
    part.rename(folder() / "published")


def step_launcher(settings: dict[str, Any]) -> Any:
    """Ours, or for comparison Dagster's own."""
    if "TINY_UPSTREAM" not in os.environ:
        if "application_spec" in settings:
            return EmrServerlessStepLauncher(**settings)
        return EmrPySparkStepLauncher(**settings)
    from dagster_aws.emr import emr_pyspark_step_launcher

    return emr_pyspark_step_launcher.configured(json.loads(os.environ["TINY_UPSTREAM"]))


def tiny_definitions() -> dg.Definitions:
    """The location, configured by the variables of the process that loads it."""
    settings = {"staging": "s3://unused/staging", "packages": ["tiny_location"]}
    settings |= json.loads(os.environ.get("TINY_LAUNCHER", "{}"))
    retries = int(os.environ.get("TINY_RETRIES", "0"))
    policy = dg.RetryPolicy(max_retries=retries, delay=0.1) if retries else None
    vault = os.environ.get("TINY_VAULT")
    keys = {"step_launcher", *(["vault"] if vault else [])}
    tags = json.loads(os.environ.get("TINY_OP_TAGS", "{}"))
    remote = dg.asset(deps=[source], required_resource_keys=keys, retry_policy=policy, op_tags=tags)(subject)
    return dg.Definitions(
        assets=[source, remote],
        jobs=[
            dg.define_asset_job("tiny", selection=["source", "subject"], executor_def=dg.in_process_executor),
            dg.define_asset_job("alone", selection=["subject"], executor_def=dg.in_process_executor),
        ],
        resources={
            "step_launcher": step_launcher(settings),
            **({"vault": remote_only(Vault(password=dg.EnvVar(vault)))} if vault else {}),
        },
    )


def tiny() -> dg.JobDefinition:
    return tiny_definitions().resolve_job_def("tiny")


def alone() -> dg.JobDefinition:
    return tiny_definitions().resolve_job_def("alone")
