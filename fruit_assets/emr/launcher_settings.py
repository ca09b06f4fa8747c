"""Settings that every step launcher has, whichever service runs the steps.

Put here fields and their checks. Settings of one service belong to its own launcher
(`ec2/step_launcher.py`), the course of an attempt to `attempt/`.
"""

from abc import abstractmethod
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from fruit_assets.emr.compute import ComputeSource
from fruit_assets.emr.cost import load_prices
from fruit_assets.emr.protocol.step_request import checked_environment
from fruit_assets.emr.staging import StagingStore


class LauncherSettings(dg.ConfigurableResource[Any]):
    """Where requests and code go, what a step gets, and how long to wait. Constructing it costs nothing."""

    staging: str = Field(description="s3://bucket/prefix for requests, events, output and code.")
    encryption: dict[str, str] = Field(
        default={}, description="ServerSideEncryption and SSEKMSKeyId of what is written there; {} is the bucket's own."
    )
    package: str = Field(description="Import name of the package that holds the code location; it is shipped.")
    region: str | None = Field(default=None, description="AWS region; None leaves it to boto3.")
    environment: dict[str, str] = Field(default={}, description="Set on the node before code is imported.")
    modules: list[str] = Field(default=["boto3", "dagster", "pyspark"], description="Needed on the node.")
    spark_conf: dict[str, str] = Field(default={}, description="Spark settings of every step.")
    deploy_mode: Literal["client", "cluster"] = Field(
        default="client", description="client: a cancelled step takes its YARN application with it."
    )
    poll_seconds: float = Field(default=10.0, ge=2.0, description="Between two status calls to EMR, over all steps.")
    heartbeat_seconds: float = Field(default=20.0, gt=0, description="A step stops after six missed beats.")
    max_runtime_seconds: float | None = Field(
        default=None, gt=0, description="Longest a step may take, queue included."
    )
    cancel_seconds: float = Field(default=30.0, gt=0, description="Patience after each of the two cancel requests.")
    log_wait_seconds: float = Field(
        default=360.0, ge=0, description="Patience for EMR's logs of a step that died without output."
    )
    prices: str | None = Field(default=None, description="Price table that overrides the package's.")

    def open_staging(self) -> StagingStore:
        """The staging prefix."""
        return StagingStore(self.staging, self.region, self.encryption)

    @abstractmethod
    def compute_source(self, staging: StagingStore) -> ComputeSource:
        """Where targets for steps come from."""

    def check(self) -> None:
        """Refuse wrong settings before anything is sent or costs.

        Raises:
            PermanentError: what looks like a secret would be sent, or the price table cannot be read.
        """
        checked_environment(self.environment)
        load_prices(self.prices)
