"""The deployments (`local`, `emr`, `emr-serverless`): which resources each one gives the same assets.

Put here the choice and its values, from settings. What a resource does belongs in its own module.
"""

from typing import TYPE_CHECKING, Any

from dagster import InitResourceContext, ResourceDefinition

from fruit_assets.assets.event_log import EventLogConnection
from fruit_assets.assets.features.image_features import WorkerCache
from fruit_assets.assets.resources import CorePrice, ImageCollection, WeightsSetting
from fruit_assets.assets.run_config_check import RunConfigCheck
from fruit_assets.emr.cost import load_prices
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP
from fruit_assets.settings import Settings
from fruit_assets.spark.resource import ClusterSpark, LocalSpark
from fruit_assets.storage.io_managers import AssetStorage, VersionIOManager

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

    from fruit_assets.emr.step_launcher import PySparkStepLauncher

# Nodes of a cluster have their own disk; the orchestrator's cache folder means nothing there.
_CLUSTER_CACHE = "/tmp/fruit_assets"  # noqa: S108
# Each of its four vCPUs is a whole core, so that seconds measured on cores can be priced.
_PRICED_INSTANCE, _PRICED_CORES = "m7a.xlarge", 4
# Looked for in the first second of a step, so that a missing one is named before any work.
_MODULES_ON_NODES = (
    "boto3", "dagster", "dagster_aws", "dagster_pyspark", "deltalake", "matplotlib", "numpy", "openvino", "pandas",
    "PIL", "pyarrow", "pyspark", "simplejpeg", "sklearn",
)  # fmt: skip
# What later steps of a local run import, for the time in which its process only waits for Spark; in small portions,
# because the imports should stop as soon as Spark has started.
_WANTED_LATER = (
    "pyarrow.parquet", "matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.sparse", "scipy.special",
    "scipy.stats", "sklearn.discriminant_analysis", "sklearn.neighbors", "threadpoolctl",
)  # fmt: skip

# What tasks import first; pandas for pyarrow, which imports it with the first array.
_WANTED_BY_WORKERS = ("pandas", "fruit_assets.features.featurization")


def resources_for(settings: Settings) -> dict[str, Any]:
    """Resources of a deployment by name; making them contacts nothing and starts nothing."""
    storage = AssetStorage(
        uri=settings.storage, retention_days=settings.retention_days, sse=settings.sse, kms_key_id=settings.kms_key_id
    )
    shared = {
        "storage": storage,
        "io_manager": VersionIOManager(
            storage=storage,
            run_config_check=RunConfigCheck(),
            event_log=EventLogConnection(keep_open="event_log" in settings.fast_start),
        ),
        "images": ImageCollection(
            uri=settings.images, demo=settings.images_are_demo, inventory=settings.inventory or ""
        ),
        "weights": WeightsSetting(value=settings.weights),
        "core_price": _core_price(settings),
        "s3": _s3(settings),
    }
    return shared | (_emr(settings) if settings.runs_on_emr else _local(settings))


def _s3(settings: Settings) -> ResourceDefinition:
    """S3 for assets written for `dagster_aws`, imported by the step that asks for it: that takes half a second."""

    def s3(_: InitResourceContext) -> "S3Resource":
        from dagster_aws.s3 import S3Resource

        return S3Resource(region_name=settings.aws_region, endpoint_url=settings.aws_endpoint_url)

    return ResourceDefinition(s3)


def _core_price(settings: Settings) -> CorePrice:
    prices = load_prices(settings.prices)
    basis = f"{_PRICED_INSTANCE} on EMR, on demand, {prices.region}, {prices.date}; seconds of workers only"
    return CorePrice(usd_per_core_hour=prices.per_core_hour(_PRICED_INSTANCE, _PRICED_CORES), basis=basis)


def _local(settings: Settings) -> dict[str, Any]:
    spark = LocalSpark(
        driver_memory=settings.driver_memory,
        java_home=settings.java_home,
        cache=str(settings.cache),
        imports=list(_WANTED_LATER),
        worker_imports=list(_WANTED_BY_WORKERS),
        fast_start=sorted(settings.fast_start),
    )
    return {
        "spark": spark,
        "worker_cache": WorkerCache(folder=str(settings.cache)),
        # Local steps run where they are.
        "step_launcher": ResourceDefinition.none_resource(),
    }


def _region(settings: Settings) -> dict[str, str]:
    """A node without a configured region takes S3's oldest, which delta-rs does not correct."""
    return {"AWS_DEFAULT_REGION": settings.aws_region} if settings.aws_region else {}


def _s3a_encryption(settings: Settings) -> dict[str, str]:
    """For frames written by Spark itself; files of the product's own tasks are encrypted by the store."""
    algorithm = {"AES256": "AES256", "aws:kms": "SSE-KMS"}.get(settings.sse or "")
    values = {"algorithm": algorithm, "key": settings.kms_key_id}
    return {f"spark.hadoop.fs.s3a.encryption.{name}": value for name, value in values.items() if value}


def emr_launcher(settings: Settings) -> "PySparkStepLauncher":
    """The step launcher of a deployment on EMR: on a cluster, or on EMR Serverless."""
    shared: dict[str, Any] = {
        "staging": settings.staging or "",  # settings refuse a deployment on EMR without it
        "region": settings.aws_region,
        "environment": settings.for_cluster() | _region(settings),
        "packages": ["fruit_assets"],
        "modules": list(_MODULES_ON_NODES),
        "encryption": settings.encryption,
        "spark_conf": _s3a_encryption(settings),
        "prices": settings.prices,
    }
    if settings.deployment == "emr-serverless":
        from fruit_assets.emr.serverless.step_launcher import EmrServerlessStepLauncher

        spec = str(BOOTSTRAP / "application.json")
        return EmrServerlessStepLauncher(application_id=settings.emr_application, application_spec=spec, **shared)
    from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher

    spec = str(BOOTSTRAP / "cluster.json")
    return EmrPySparkStepLauncher(cluster_id=settings.emr_cluster, cluster_spec=spec, **shared)


def _emr(settings: Settings) -> dict[str, Any]:
    return {
        "spark": ClusterSpark(),
        "worker_cache": WorkerCache(folder=_CLUSTER_CACHE),
        "step_launcher": emr_launcher(settings),
    }
