"""The `spark` resource of the assets, which starts Spark when an asset first needs it.

Put here how Dagster gets its Spark in each deployment. Its settings belong in `session.py`.
"""

import os
import re
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from fruit_assets.settings import FAST_START_MEASURES
from fruit_assets.spark.background import BackgroundSpark
from fruit_assets.spark.session import PIPELINE_CONF, LocalSparkOptions
from fruit_assets.spark.this_process import TaskRunner, ThisProcess

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# A second of requests to S3, 16 at a time.
_FEW_ROWS, _FEW_BYTES = 1024, 32 * 2**20
# Spark's workers are processes of this machine.
_LOCAL_MASTER = re.compile(r"local\[(?:(?P<cores>[1-9]\d*)|\*)\]")


class SparkResource(dg.ConfigurableResource[Any]):
    """A running Spark. Loading the code location or planning a run does not start it.

    Assets written for `dagster_pyspark` can use its attributes `spark_session` and `spark_context`.
    """

    @abstractmethod
    def context(self) -> "SparkContext":
        """The context that runs tasks; the first call may take seconds."""

    def runner_for(self, rows: int, size: float) -> TaskRunner:
        """What runs tasks on so many rows of so many bytes together: this process, where Spark's start takes longer."""
        return self.context()

    def session(self) -> "SparkSession":
        """A session on it, for DataFrames and SQL; the assets of this project do not need one."""
        from pyspark.sql import SparkSession

        self.context()
        return SparkSession.builder.getOrCreate()

    @property
    def spark_session(self) -> "SparkSession":
        return self.session()

    @property
    def spark_context(self) -> "SparkContext":
        return self.context()

    def prepare(self) -> None:
        """Start Spark in the background, because the step will need it."""

    def prepare_for(self, rows: int, size: float) -> None:
        """The same, where `runner_for` would run tasks on so many rows of so many bytes on Spark."""
        self.prepare()


class LocalSpark(SparkResource):
    """Spark inside this process, started in the background as soon as a step announces that it will need it.

    `dagster_pyspark.LazyPySparkResource` imports pyspark when the code location is loaded, and starts the JVM only
    when a step already waits for it; this resource does neither.
    """

    master: str = "local[*]"
    driver_memory: str | None = None
    java_home: str | None = None
    cache: str
    conf: dict[str, str] = Field(default_factory=dict)
    imports: list[str] = Field(default_factory=list, description="Modules to import while waiting for the JVM.")
    worker_imports: list[str] = Field(
        default_factory=list, description="Modules for workers to import before there is work for them."
    )
    fast_start: list[str] = Field(
        default_factory=lambda: sorted(FAST_START_MEASURES), description="Measures to start sooner."
    )
    _background: BackgroundSpark | None = PrivateAttr(default=None)

    def prepare(self) -> None:
        if "background" in self.fast_start:
            self._start()

    def context(self) -> "SparkContext":
        return self._start().context()

    def prepare_for(self, rows: int, size: float) -> None:
        if self._cores_here(rows, size) is None:
            self.prepare()

    def runner_for(self, rows: int, size: float) -> TaskRunner:
        cores = self._cores_here(rows, size)
        return self.context() if cores is None else ThisProcess(cores)

    def _cores_here(self, rows: int, size: float) -> int | None:
        """Cores of this machine where this process runs such tasks; None where Spark does."""
        local = _LOCAL_MASTER.fullmatch(self.master) if "small_tasks" in self.fast_start else None
        if local is None or rows > _FEW_ROWS or size > _FEW_BYTES:
            return None
        return int(local["cores"] or len(os.sched_getaffinity(0)))

    def _start(self) -> BackgroundSpark:
        if self._background is None:
            imported = (self.imports, self.worker_imports) if "imports" in self.fast_start else ()
            self._background = BackgroundSpark(self._options(), *imported)
        return self._background

    def _options(self) -> LocalSparkOptions:
        return LocalSparkOptions(
            cache=Path(self.cache),
            master=self.master,
            driver_memory=self.driver_memory,
            java_home=self.java_home,
            conf=dict(self.conf),
            fast_start=frozenset(self.fast_start),
        )


class ClusterSpark(SparkResource):
    """The Spark of the `spark-submit` that this step runs in, on a cluster.

    The orchestrator has this resource too, and never requests a context from it.
    """

    def context(self) -> "SparkContext":
        from pyspark import SparkConf, SparkContext

        # All other settings were fixed when the application was submitted.
        ours = [(name, value) for name, value in PIPELINE_CONF.items() if name.startswith("spark.sql.")]
        return SparkContext.getOrCreate(SparkConf().setAll(ours))
