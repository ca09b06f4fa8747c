import os

import dagster as dg
from people_project.tables import ParquetTables
from pyspark.sql import DataFrame, SparkSession

from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.orphan_sensor import build_orphan_sensor

ROWS = [("Ada", 36), ("Grace", 85), ("Katherine", 101), ("Mary", 44)]


@dg.asset(required_resource_keys={"step_launcher"})
def people() -> DataFrame:
    return SparkSession.builder.getOrCreate().createDataFrame(ROWS, "name string, age int")


@dg.asset(
    required_resource_keys={"step_launcher"},
    op_tags={"emr/spark_conf": {"spark.sql.shuffle.partitions": 2}},
)
def people_over_50(people: DataFrame) -> DataFrame:
    return people.where("age > 50").orderBy("name")


launcher = EmrPySparkStepLauncher(
    staging=os.environ["PEOPLE_STAGING"],  # s3://bucket/prefix
    packages=["people_project"],
    cluster_id=os.environ["PEOPLE_CLUSTER"],
    environment={name: os.environ[name] for name in ("PEOPLE_STAGING", "PEOPLE_CLUSTER", "PEOPLE_TABLES")},
)

defs = dg.Definitions(
    assets=[people, people_over_50],
    jobs=[dg.define_asset_job("people_job")],
    sensors=[build_orphan_sensor(launcher)],
    resources={"step_launcher": launcher, "io_manager": ParquetTables(root=os.environ["PEOPLE_TABLES"])},
)
