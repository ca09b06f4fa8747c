"""The `spark` resource of the assets: Spark, only when it is asked for.

Put here how Dagster gets its Spark in each deployment. Its settings belong in `session.py`.
"""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from fruit_assets.spark.fast_start.background_spark import BackgroundSpark
from fruit_assets.spark.session import PIPELINE_CONF, LocalSparkOptions

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession


class SparkResource(dg.ConfigurableResource[Any]):
    """A running Spark. Loading the code location or planning a run starts none."""

    @abstractmethod
    def context(self) -> "SparkContext":
        """The context, which runs tasks; the first call may take seconds."""

    def session(self) -> "SparkSession":
        """A session on it, for frames and SQL; none of our own assets needs one."""
        from pyspark.sql import SparkSession

        self.context()
        return SparkSession.builder.getOrCreate()

    def prepare(self) -> None:
        """Say that Spark will be wanted soon; does not wait for it."""


class LocalSpark(SparkResource):
    """Spark inside this process, started in the background as soon as somebody says that it will be wanted.

    `dagster_pyspark.LazyPySparkResource` imports pyspark with the code location and starts the JVM only
    when a step is already waiting for it; this one does neither.
    """

    master: str = "local[*]"
    driver_memory: str | None = None
    java_home: str | None = None
    cache: str
    conf: dict[str, str] = Field(default_factory=dict)
    imports: list[str] = Field(default_factory=list, description="Modules to import while waiting for the JVM.")
    _early: BackgroundSpark | None = PrivateAttr(default=None)

    def prepare(self) -> None:
        if self._early is None:
            self._early = BackgroundSpark(self._options(), self.imports)

    def context(self) -> "SparkContext":
        self.prepare()
        assert self._early is not None  # noqa: S101  prepare() has just set it
        return self._early.context()

    def _options(self) -> LocalSparkOptions:
        return LocalSparkOptions(
            cache=Path(self.cache),
            master=self.master,
            driver_memory=self.driver_memory,
            java_home=self.java_home,
            conf=dict(self.conf),
        )


class ClusterSpark(SparkResource):
    """The Spark of the `spark-submit` that this step runs in, on a cluster.

    The orchestrator has this resource too, and never asks it for a context.
    """

    def context(self) -> "SparkContext":
        from pyspark import SparkConf, SparkContext

        # The others were fixed when the application was submitted.
        ours = [(name, value) for name, value in PIPELINE_CONF.items() if name.startswith("spark.sql.")]
        return SparkContext.getOrCreate(SparkConf().setAll(ours))
