"""The step launcher: Dagster's resource that sends an asset's step to EMR and brings back what it says.

Put here the order of things and the translation to Dagster's failures. Each thing itself has its
own module beside this one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.step_launcher import StepLauncher
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from pydantic import Field

from fruit_assets.emr.cluster import Clusters
from fruit_assets.emr.cluster_spec import deployed_spec
from fruit_assets.emr.compute import Compute
from fruit_assets.emr.cost import load_prices
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.step_attempt import StepAttempt
from fruit_assets.emr.step_request import checked_environment
from fruit_assets.errors import FruitAssetsError, PermanentError


class EmrPySparkStepLauncher(dg.ConfigurableResource[Any], StepLauncher):
    """Runs each step that requires this resource as a step of an EMR cluster. Constructing it costs nothing."""

    staging: str = Field(description="s3://bucket/prefix for requests, events, output and code.")
    encryption: dict[str, str] = Field(
        default={}, description="ServerSideEncryption and SSEKMSKeyId of what is written there; {} is the bucket's own."
    )
    package: str = Field(description="Import name of the package that holds the code location; it is shipped.")
    cluster_id: str | None = Field(default=None, description="A running cluster; None finds or makes one.")
    cluster_spec: str | None = Field(default=None, description="File that RunJobFlow's parameters are read from.")
    cluster_variables: dict[str, str] = Field(default={}, description="Values for the spec's ${names}.")
    region: str | None = Field(default=None, description="AWS region; None leaves it to boto3.")
    environment: dict[str, str] = Field(default={}, description="Set on the cluster before code is imported.")
    modules: list[str] = Field(default=["boto3", "dagster", "pyspark"], description="Needed on the cluster.")
    spark_conf: dict[str, str] = Field(default={}, description="Spark settings of every step.")
    deploy_mode: Literal["client", "cluster"] = Field(
        default="client", description="client: a cancelled step takes its YARN application with it."
    )
    poll_seconds: float = Field(default=10.0, ge=2.0, description="Between two questions to EMR, over all steps.")
    heartbeat_seconds: float = Field(default=20.0, gt=0, description="A step stops after six missed beats.")
    max_runtime_seconds: float | None = Field(
        default=None, gt=0, description="Longest a step may take, queue included."
    )
    cancel_seconds: float = Field(default=30.0, gt=0, description="Patience after each of the two cancel requests.")
    log_wait_seconds: float = Field(
        default=360.0, ge=0, description="Patience for EMR's logs of a step that died mute."
    )
    prices: str | None = Field(default=None, description="Price table that overrides the package's.")

    def launch_step(self, step_context: StepExecutionContext) -> Iterator[DagsterEvent]:
        """Run the step on EMR; yields its events as they happen.

        Raises:
            Failure: with `allow_retries=False` where another try cannot help; the run is then not retried either.
            RetryRequested: the step died, and the asset has a retry policy.
        """
        flight = StepAttempt(self, step_context)
        try:
            yield from flight.events()
        except FruitAssetsError as error:
            raise self._translated(error, flight.failure_metadata(error), step_context) from error

    def _translated(
        self, error: FruitAssetsError, metadata: dict[str, Any], context: StepExecutionContext
    ) -> Exception:
        permanent = isinstance(error, PermanentError)
        failure = dg.Failure(description=str(error), metadata=metadata, allow_retries=not permanent)
        if permanent:
            # A failed step fails the run, and the run would be retried as a whole by the daemon.
            context.instance.add_run_tags(context.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false"})
            return failure
        policy = context.op_retry_policy
        if policy is None:
            return failure
        # Dagster applies the policy where the step runs; what ends the step from outside never gets there.
        context.log.error(f"{error}")
        return dg.RetryRequested(policy.max_retries, policy.calculate_delay(context.previous_attempt_count + 1))

    def check(self) -> None:
        """Refuse wrong settings before anything is sent or costs.

        Raises:
            PermanentError: what looks like a secret would be sent, or the price table cannot be read.
        """
        checked_environment(self.environment)
        load_prices(self.prices)

    def compute(self, staging: StagingStore) -> tuple[Compute, str]:
        """The cluster to use, and how it came to be, in a few words."""
        clusters = Clusters(staging, self.region)
        if self.cluster_id:
            return clusters.given(self.cluster_id), "given by its id"
        if not self.cluster_spec:
            raise PermanentError("The step launcher has neither a cluster_id nor a cluster_spec: give it one of them.")
        spec = deployed_spec(Path(self.cluster_spec), staging, self.region, self.cluster_variables)
        compute, is_new = clusters.find_or_create(spec)
        return compute, "made for this run" if is_new else "found by its tag"
