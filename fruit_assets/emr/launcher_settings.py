"""Settings that every step launcher has, whichever service runs the steps.

Put here fields and their checks. Settings of one service belong to its own launcher
(`ec2/step_launcher.py`), the phases of an attempt to `attempt/`.
"""

from abc import abstractmethod
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from fruit_assets.emr.compute import ComputeSource
from fruit_assets.emr.cost import load_prices
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.node_environment import checked_environment, secret_references
from fruit_assets.emr.staging import StagingStore


class LauncherSettings(dg.ConfigurableResource[Any]):
    """Where requests and code go, what a step gets, and how long to wait. Constructing it calls nothing."""

    staging: str = Field(description="s3://bucket/prefix for requests, events, output and code.")
    encryption: dict[str, str] = Field(
        default={},
        description="ServerSideEncryption and SSEKMSKeyId of objects in the staging prefix; {} is the bucket's own.",
    )
    packages: list[str] = Field(description="Import names of the packages to ship; one holds the code location.")
    exclude: list[str] = Field(default=[], description="Files to leave out: patterns such as orchard/data/*.csv.")
    code: str = Field(
        default="ship", description="ship; s3://... of a zip of the packages; or installed, where nodes have them."
    )
    region: str | None = Field(default=None, description="AWS region; None leaves it to boto3.")
    environment: dict[str, str] = Field(default={}, description="Set on the node before code is imported.")
    secrets: dict[str, str] = Field(
        default={},
        description="By variable: NAME in Secrets Manager, ssm:NAME, or an ARN; then #KEY of a JSON secret. Fetched on "
        "the node by its role before code is imported.",
    )
    not_secret: list[str] = Field(default=[], description="Variables that look like secrets and are none.")
    node_variables: list[str] = Field(default=[], description="Variables that nodes have already, for EnvVar.")
    modules: list[str] = Field(default=["boto3", "dagster", "pyspark"], description="Needed on the node.")
    spark_conf: dict[str, Any] = Field(
        default={}, description="Spark settings of every step; the op tag emr/spark_conf adds to them."
    )
    execution_role_arn: str | None = Field(
        default=None, description="IAM role of every step (EMR runtime role); the op tag emr/execution_role_arn wins."
    )
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
        """Refuse wrong settings before anything is sent or created.

        Raises:
            PermanentError: a value that looks like a secret would be sent, or the price table cannot be read.
        """
        checked_environment(self.environment, self.not_secret)
        secret_references(self.secrets)
        if self.code not in ("ship", "installed") and not self.code.startswith("s3://"):
            raise PermanentError(f"code is {self.code!r}: use ship, installed, or the s3:// URI of a zip.")
        if not self.packages:
            raise PermanentError("packages is empty: name the package that holds the code location.")
        load_prices(self.prices)
