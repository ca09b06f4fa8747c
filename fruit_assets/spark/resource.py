"""The `spark` resource of the assets: a session, only when one is asked for.

Put here how Dagster gets its Spark in each deployment. Settings of the session belong in `session.py`.
"""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from fruit_assets.spark.early_session import EarlySession
from fruit_assets.spark.session import PIPELINE_CONF, LocalSparkOptions, S3Access

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkResource(dg.ConfigurableResource[Any]):
    """A Spark session. Loading the code location or planning a run starts none."""

    @abstractmethod
    def session(self) -> "SparkSession":
        """The session; the first call may take seconds."""

    def prepare(self) -> None:
        """Say that a session will be wanted soon; does not wait for it."""

    @property
    def parallelism(self) -> int:
        """Tasks that run at the same time."""
        return int(self.session().sparkContext.defaultParallelism)


class LocalSpark(SparkResource):
    """Spark inside this process, started in the background as soon as somebody says that it will be wanted.

    `dagster_pyspark.LazyPySparkResource` imports pyspark with the code location and starts the JVM only
    when a step is already waiting for it; this one does neither.
    """

    master: str = "local[*]"
    driver_memory: str | None = None
    java_home: str | None = None
    cache: str
    s3: bool = False
    endpoint_url: str | None = None
    region: str | None = None
    sse: str | None = None
    kms_key_id: str | None = None
    conf: dict[str, str] = Field(default_factory=dict)
    imports: list[str] = Field(default_factory=list, description="Modules to import while waiting for the JVM.")
    _early: EarlySession | None = PrivateAttr(default=None)

    def prepare(self) -> None:
        if self._early is None:
            self._early = EarlySession(self._options(), self.imports)

    def session(self) -> "SparkSession":
        self.prepare()
        assert self._early is not None  # noqa: S101  prepare() has just set it
        return self._early.get()

    def _options(self) -> LocalSparkOptions:
        access = S3Access(self.endpoint_url, self.region, self.sse, self.kms_key_id) if self.s3 else None
        return LocalSparkOptions(
            cache=Path(self.cache),
            master=self.master,
            driver_memory=self.driver_memory,
            java_home=self.java_home,
            s3=access,
            conf=dict(self.conf),
        )


class ClusterSpark(SparkResource):
    """The session of the `spark-submit` that this step runs in, on a cluster.

    The orchestrator has this resource too, and never asks it for a session.
    """

    def session(self) -> "SparkSession":
        from pyspark.sql import SparkSession

        session = SparkSession.builder.getOrCreate()
        for name, value in PIPELINE_CONF.items():
            if name.startswith("spark.sql."):  # the others were fixed when the application started
                session.conf.set(name, value)
        return session
