"""One application on YARN that computes the features of a published sample, and reports how long that took.

Put here what runs as the driver of the application: it calls what `image_features` calls on a cluster. It runs alone,
as `python -m ... STORAGE OUT --executors 2`, with HADOOP_CONF_DIR and
PYSPARK_PYTHON set.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.cold_process import PROJECT

if TYPE_CHECKING:
    from pyspark import SparkContext

_MEMORY = "512m"
_WAIT_FOR_EXECUTORS = "120s"


@dataclass(frozen=True)
class Pass:
    """All features once.

    Attributes:
        seconds: of the phase.
        decode_seconds: summed over executors.
        inference_seconds: summed over executors.
        images: that were inferred.
    """

    seconds: float
    decode_seconds: float
    inference_seconds: float
    images: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("storage", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--executors", type=int, required=True)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--passes", type=int, default=2)
    given = parser.parse_args(arguments)
    context = _context(given.executors, given.out)
    passes = [asdict(_featurized(context, given, number)) for number in range(given.passes)]
    context.stop()
    print(json.dumps(passes), flush=True)
    return 0


def _context(executors: int, out: Path) -> "SparkContext":
    """An application with all its executors, of one core each, configured as EMR configures them."""
    from pyspark import SparkConf, SparkContext

    from fruit_assets.spark.session import PIPELINE_CONF
    from fruit_assets_tests.emr_simulator.node import LOOPBACK, SHORT_LIVED_JVM, java_home, spark_home

    node = {"JAVA_HOME": java_home(), **LOOPBACK}
    environment = {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **node}
    settings: dict[str, Any] = {
        "spark.master": "yarn",
        "spark.submit.deployMode": "client",
        "spark.yarn.jars": f"local:{spark_home()}/jars/*",
        "spark.yarn.stagingDir": f"file://{out}/staging",
        "spark.executor.instances": executors,
        "spark.executor.cores": 1,
        "spark.executor.memory": _MEMORY,
        "spark.yarn.am.memory": _MEMORY,
        "spark.executor.extraJavaOptions": SHORT_LIVED_JVM,
        "spark.driver.extraJavaOptions": SHORT_LIVED_JVM,
        "spark.yarn.am.extraJavaOptions": SHORT_LIVED_JVM,
        # A cluster that is still granting executors is not what is measured.
        "spark.scheduler.minRegisteredResourcesRatio": 1.0,
        "spark.scheduler.maxRegisteredResourcesWaitingTime": _WAIT_FOR_EXECUTORS,
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        **PIPELINE_CONF,
        **{f"spark.executorEnv.{name}": value for name, value in environment.items()},
        **{f"spark.yarn.appMasterEnv.{name}": value for name, value in node.items()},
    }
    context = SparkContext(conf=SparkConf().setAll([(name, str(value)) for name, value in settings.items()]))
    registered = context._jsc.sc().getExecutorIds().size()
    if registered != executors:
        raise SystemExit(f"YARN gave {registered} executors in {_WAIT_FOR_EXECUTORS}, not {executors}")
    return context


def _featurized(context: "SparkContext", given: argparse.Namespace, number: int) -> Pass:
    from fruit_assets.extractor.specification import ExtractorFiles
    from fruit_assets.features.featurization import FeaturizationOptions, featurize
    from fruit_assets.features.known_features import KnownFeatures, plan_of
    from fruit_assets.object_store.stores import LocalStore
    from fruit_assets.storage.delta.table import Table
    from fruit_assets.storage.staging import VersionWriter

    sample, extractor = (
        Table(LocalStore(given.storage / asset)).current() for asset in ("sampled_images", "feature_extractor")
    )
    increment = plan_of(sample, KnownFeatures(sample.store))
    options = FeaturizationOptions(None, "openvino", given.precision, given.out / "cache")
    writing = VersionWriter(Table(LocalStore(given.out / f"features-{number}")), "benchmark")
    started = time.perf_counter()
    _, figures = featurize(context, increment, ExtractorFiles.of(extractor), options, writing)
    seconds = time.perf_counter() - started
    return Pass(seconds, figures.decode_seconds, figures.inference_seconds, figures.computed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
