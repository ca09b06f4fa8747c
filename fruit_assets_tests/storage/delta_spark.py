"""Read Delta tables with Spark, in a process of its own: `python -m ... JARS URI...` prints what it finds as JSON.

Put here how a Spark without fruit_assets opens our tables. The jars are delta-spark's and S3A's.
"""

import json
import os
import sys

from pyspark.sql import SparkSession

from fruit_assets_tests.emr_simulator.jar_cache import JarSet

# The release for the pinned pyspark; Spark brings the other groups.
DELTA_SPARK_JARS = JarSet(
    "delta-spark-4.1.0",
    ("io.delta:delta-spark_4.1_2.13:4.1.0",),
    excluded_groups=("org.scala-lang", "org.apache.spark", "org.slf4j", "org.antlr"),
)


def main(jars: str, uris: list[str]) -> None:
    builder = SparkSession.builder.master("local[1]").config("spark.jars", jars).config("spark.ui.enabled", "false")
    options = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": os.environ.get("AWS_ENDPOINT_URL", ""),
        "spark.hadoop.fs.s3a.endpoint.region": os.environ.get("AWS_DEFAULT_REGION", ""),
        "spark.hadoop.fs.s3a.path.style.access": "true",
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    found = {}
    for uri in uris:
        frame = spark.read.format("delta").load(uri)
        history = spark.sql(f"describe history delta.`{uri}`").collect()
        comments = {field.name: field.metadata.get("comment") for field in frame.schema.fields}
        rows = sorted((row.path, row.label, list(row.pca_features)) for row in frame.collect())
        found[uri] = {"rows": rows, "comments": comments, "versions": [row.version for row in history]}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
