"""The local Spark: its settings, and how it starts.

Put here what a Spark on one machine needs. On a cluster `spark-submit` and the EMR configurations have
decided all of this already. When it starts is decided in `background.py`.
"""

import atexit
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.errors import FruitAssetsError, PermanentError
from fruit_assets.settings import FAST_START_MEASURES, process_environment, set_variables, unset_variables
from fruit_assets.spark.fast_start.cds_archive import ClassData, class_data
from fruit_assets.spark.java import require_java
from fruit_assets.spark.machine_memory import MachineMemory
from fruit_assets.spark.site import SiteConf, chooses_collector, installed_spark, unrelated_variables
from fruit_assets.spark.start_failure import why_spark_did_not_start
from fruit_assets.temporary_folder import TemporaryFolder

if TYPE_CHECKING:
    from pyspark import SparkContext

_log = logging.getLogger(__name__)
_GIB, _MIB = 2**30, 2**20
# The kernel takes paths of 107 bytes, macOS of 103; the names of folder and socket have 65.
_LONGEST_TEMPORARY_FOLDER = 38


@dataclass(frozen=True)
class LocalSparkOptions:
    """How to run Spark on this machine.

    Attributes:
        master: Spark master URL.
        driver_memory: heap, such as `4g`; None takes a quarter of the machine, 1 to 8 GiB.
        java_home: where Java is; None looks on the PATH.
        cache: folder for jars and class data.
        conf: further Spark settings, which win.
        fast_start: the measures to start sooner that are in use.
    """

    cache: Path
    master: str = "local[*]"
    driver_memory: str | None = None
    java_home: str | None = None
    conf: dict[str, str] | None = None
    fast_start: frozenset[str] = FAST_START_MEASURES


def local_conf(options: LocalSparkOptions) -> dict[str, str]:
    """Spark settings for this machine."""
    cores = len(os.sched_getaffinity(0))
    conf = {
        "spark.master": options.master,
        "spark.app.name": "fruit_assets",
        "spark.driver.memory": options.driver_memory or _default_memory(),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # What a site settles for its clusters: modes, ports that its firewalls let through, processors of a task.
        "spark.submit.deployMode": "client",
        "spark.driver.port": "0",
        "spark.blockManager.port": "0",
        "spark.task.cpus": "1",
        "spark.driver.extraJavaOptions": _java_options(cores),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",  # progress goes to the run's log
        "spark.log.level": "ERROR",
        # Moments are 6.6 MB; what is larger than this, the driver fetches over a connection that it must make first.
        "spark.task.maxDirectResultSize": "16m",
        "spark.sql.shuffle.partitions": str(2 * cores),
        "spark.sql.warehouse.dir": str(options.cache / "spark-warehouse"),
        **PIPELINE_CONF,
    }
    daemon = "fast_start.worker_daemon" if "worker_daemon" in options.fast_start else "idle_workers"
    conf["spark.python.daemon.module"] = f"fruit_assets.spark.{daemon}"
    return conf | (options.conf or {})


# For tasks and for frames of our tables, wherever they run; the EMR configurations hold the same.
PIPELINE_CONF = {
    # A task that fails shows the frames of our code; and frames get the workers that tasks have, not others.
    "spark.executorEnv.SPARK_SIMPLIFIED_TRACEBACK": "1",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
    # A crash in native code is otherwise only "Python worker exited unexpectedly".
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    # For DataFrames that users write: no marker files, and no second renaming, which S3 implements as a copy.
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    "spark.sql.parquet.compression.codec": "zstd",
    # Listing a few hundred files takes the driver less time than a Spark job.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
}


def start_local_context(options: LocalSparkOptions) -> "SparkContext":
    """Start Spark in this process, or return the context that is already there.

    Raises:
        PermanentError: no Java, or Spark does not start; the message carries the reason.
    """
    if not _jvm_runs():
        _set_variables()
    shared = class_data_for(options)
    conf = local_conf(options)
    if not _jvm_runs():
        conf = _worker_sockets() | conf
    return _create(conf, shared)


def _set_variables() -> None:
    """Have pyspark and Spark's scripts start this Spark, whatever else the environment is meant for."""
    for name, why in (unrelated := unrelated_variables(process_environment())).items():
        _log.warning("%s is ignored by a local run: %s.", name, why)
    unset_variables(unrelated)
    # Spark runs its Python workers with this interpreter, whatever `python3` is on the PATH.
    set_variables({"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable})
    set_variables({"SPARK_LOCAL_IP": "127.0.0.1"}, override=False)


def _create(conf: dict[str, str], shared: ClassData | None) -> "SparkContext":
    """The context; should it fail with an archive of classes, then once more without."""
    from pyspark import SparkConf, SparkContext

    options = shared.options() if shared else conf["spark.driver.extraJavaOptions"]
    conf = {**conf, "spark.driver.extraJavaOptions": options}
    try:
        context = SparkContext.getOrCreate(SparkConf().setAll(list(conf.items())))
    except FruitAssetsError:
        raise
    # py4j and the launcher raise several unrelated types here; all mean that there is no Spark.
    except Exception as error:
        if shared is not None and options != shared.java_options:
            shared.discard()
            if (gateway := SparkContext._gateway) is not None:
                # Pyspark would go on with a gateway to a JVM that has ended.
                gateway.proc.kill()
                SparkContext._gateway = SparkContext._jvm = None
            return _create({**conf, "spark.driver.extraJavaOptions": shared.java_options}, shared)
        reason = why_spark_did_not_start(error, conf)
        raise PermanentError(f"Spark does not start on {conf['spark.master']}: {reason}") from error
    if shared is not None:
        shared.settle()
    return context


def class_data_for(options: LocalSparkOptions) -> ClassData | None:
    """Where the classes of this JVM are archived; None for options of the caller, or when a JVM runs already."""
    java = require_java(options.java_home)
    home = _spark_home()
    if (
        home is None
        or _jvm_runs()
        or "class_data" not in options.fast_start
        or "spark.driver.extraJavaOptions" in (options.conf or {})
    ):
        return None
    return class_data(java, home / "jars", local_conf(options)["spark.driver.extraJavaOptions"], options.cache)


def _spark_home() -> Path | None:
    """Where Spark is installed, without importing it."""
    home = process_environment().get("SPARK_HOME")
    return Path(home) if home else installed_spark()


def _jvm_runs() -> bool:
    context = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    return getattr(context, "_gateway", None) is not None


def _worker_sockets() -> dict[str, str]:
    """Settings that have the JVM and the workers talk over sockets in a folder.

    Over TCP every task waits 40 ms for an acknowledgement that the kernel delays.
    """
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_TEMPORARY_FOLDER:
        return {}
    folder = TemporaryFolder()
    # Spark leaves the sockets behind.
    atexit.register(folder.remove)
    return {"spark.python.unix.domain.socket.enabled": "true", "spark.python.unix.domain.socket.dir": str(folder.path)}


def _default_memory() -> str:
    quarter = MachineMemory.measure().total // 4
    # A container of 1.5 GiB has no room for a heap of 1 GiB beside the workers.
    return f"{min(quarter // _GIB, 8)}g" if quarter >= _GIB else f"{max(quarter // _MIB, 512)}m"


def _java_options(cores: int) -> str:
    # The JVM only moves bytes here: start-up counts, peak speed of compiled code does not.
    options = "-XX:TieredStopAtLevel=1 -XX:-UsePerfData"
    environment = process_environment()
    if chooses_collector(environment, SiteConf.of(environment).values):
        return options
    return f"{'-XX:+UseSerialGC' if cores <= 4 else '-XX:+UseParallelGC'} {options}"
