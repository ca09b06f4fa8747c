"""The resources of a deployment serve assets that were written for dagster_pyspark and dagster_aws."""

import dagster as dg
from dagster_aws.s3 import S3Resource
from dagster_pyspark import LazyPySparkResource, PySparkResource

from fruit_assets.resources import resources_for


@dg.asset
def rows(spark: LazyPySparkResource) -> int:
    return spark.spark_session.range(7).count()


@dg.asset
def partitions(spark: PySparkResource) -> int:
    return spark.spark_context.parallelize(range(4), 2).getNumPartitions()


@dg.asset
def objects(s3: S3Resource) -> list[str]:
    buckets = s3.get_client().list_buckets(Prefix="fruit-")["Buckets"]
    return [bucket["Name"] for bucket in buckets]


def _made(asset: dg.AssetsDefinition, settings) -> object:
    resources = {name: value for name, value in resources_for(settings).items() if name in ("spark", "s3")}
    result = dg.materialize([asset], resources=resources)
    return result.output_for_node(asset.key.path[-1])


def test_an_asset_written_for_dagster_pyspark_gets_its_session_and_context(spark, make_settings, tmp_path):
    settings = make_settings(tmp_path)
    assert (_made(rows, settings), _made(partitions, settings)) == (7, 2)


def test_an_asset_written_for_dagster_aws_gets_its_client_through_proxy_and_private_ca(
    private_bucket, make_settings, tmp_path
):
    assert private_bucket in _made(objects, make_settings(tmp_path))
