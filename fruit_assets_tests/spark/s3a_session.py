"""A process with a Spark session of its own that reads and writes `s3://`; prints what it found as JSON.

Run by test_s3a_jars.py: a JVM takes its class path once, so this cannot share another test's session.
"""

import json
import sys
from pathlib import Path

import psutil


def main(bucket: str, endpoint_url: str, region: str, cache: str) -> None:
    from pyspark.sql import SparkSession

    from fruit_assets.spark.s3a_jars import hand_over_credentials, resolve_credentials, s3a_conf, s3a_jars_conf

    credentials = resolve_credentials()
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    conf = s3a_jars_conf(Path(cache)) | s3a_conf(endpoint_url, region, "aws:kms", "alias/fruit", credentials)
    for key, value in conf.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    hand_over_credentials(spark.sparkContext, credentials)

    # Without recursive lookup a folder such as "a=1" is taken for a partition.
    binary = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    images = binary.load(f"s3://{bucket}/images/").select("path", "content").collect()
    one = binary.load(f"s3://{bucket}/images/é%23=# x/a b%20.jpg").count()
    table = f"s3://{bucket}/table"
    spark.range(10).repartition(2).write.mode("overwrite").parquet(table)
    spark.range(20).repartition(2).write.mode("overwrite").parquet(table)
    jvm = psutil.Process().children(recursive=True)
    answer = {
        "images": {row.path: row.content.decode() for row in images},
        "one": one,
        "rows": spark.read.parquet(table).count(),
        "arguments": [argument for process in jvm for argument in process.as_dict(["cmdline"])["cmdline"] or []],
        "conf": dict(spark.sparkContext.getConf().getAll()),
    }
    print(json.dumps(answer))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
