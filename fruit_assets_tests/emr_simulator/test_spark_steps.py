"""Steps as real spark-submits on the simulator: what a cluster gives them and how they are stopped."""

import io
import json
import zipfile

import psutil

from fruit_assets_tests.emr_simulator import EmrSimulator
from fruit_assets_tests.emr_simulator.test_simulator import add_step, run_cluster

_COUNT = """
import json, os, sys
import boto3
from pyspark.sql import SparkSession
from shipped import bucket_and_key
spark = SparkSession.builder.getOrCreate()
rows = spark.read.text(sys.argv[1])
answer = {
    "rows": rows.count(),
    "mapped": rows.rdd.map(lambda row: __import__("shipped").__name__).distinct().collect(),
    "defaults": spark.conf.get("spark.sql.shuffle.partitions"),
    "folder": os.listdir("."),
}
bucket, key = bucket_and_key(sys.argv[2])
boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(answer).encode())
"""
_HANG = """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("session is up", flush=True)
spark.range(1).rdd.map(lambda row: time.sleep(600)).count()
"""


def put_code(simulator: EmrSimulator, bucket: str) -> None:
    s3 = simulator.client("s3")
    simulator.create_bucket(bucket)
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("shipped.py", "def bucket_and_key(uri):\n    return uri.removeprefix('s3://').split('/', 1)\n")
    for key, body in (("lib.zip", library.getvalue()), ("count.py", _COUNT.encode()), ("hang.py", _HANG.encode())):
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_spark_submit_takes_everything_from_s3(spark_emr_simulator: EmrSimulator) -> None:
    simulator = spark_emr_simulator
    put_code(simulator, "spark-steps")
    s3 = simulator.client("s3")
    s3.put_object(Bucket="spark-steps", Key="input/a b.txt", Body=b"1\n2\n3\n")
    defaults = {"Classification": "spark-defaults", "Properties": {"spark.sql.shuffle.partitions": "7"}}
    cluster_id = run_cluster(simulator, Configurations=[defaults], LogUri="s3://spark-steps/logs")
    options = ["--master", "yarn", "--deploy-mode", "client", "--py-files", "s3://spark-steps/lib.zip"]
    options += ["--conf", "spark.pyspark.python=/opt/nodes/bin/python", "--executor-memory", "9g"]
    program = ["s3://spark-steps/count.py", "s3://spark-steps/input/", "s3://spark-steps/answer"]
    step_id = add_step(simulator, cluster_id, "spark-submit", *options, *program)
    assert simulator.wait_for_step(step_id) == "COMPLETED", simulator.step_log(step_id, "stderr")
    answer = json.loads(s3.get_object(Bucket="spark-steps", Key="answer")["Body"].read())
    assert answer["rows"] == 3
    assert answer["mapped"] == ["shipped"]
    assert answer["defaults"] == "7"
    assert answer["folder"] == []


def test_cancelling_a_spark_step_leaves_no_process(spark_emr_simulator: EmrSimulator) -> None:
    simulator = spark_emr_simulator
    put_code(simulator, "spark-cancel")
    cluster_id = run_cluster(simulator, StepConcurrencyLevel=2)
    steps = [add_step(simulator, cluster_id, "spark-submit", "s3://spark-cancel/hang.py") for _ in range(2)]
    for step_id in steps:
        simulator.wait_for(lambda step_id=step_id: "session is up" in simulator.step_log(step_id, "stdout"))
    for step_id, option in zip(steps, ("SEND_INTERRUPT", "TERMINATE_PROCESS"), strict=True):
        simulator.client("emr").cancel_steps(ClusterId=cluster_id, StepIds=[step_id], StepCancellationOption=option)
        assert simulator.wait_for_step(step_id) == "CANCELLED"

    def survivors() -> list[psutil.Process]:
        commands = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        return [process for process, command in commands if any(cluster_id in word for word in command)]

    simulator.wait_for(lambda: not survivors())
