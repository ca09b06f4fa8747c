"""The example of docs/launcher.md runs as a team would run it: a package of its own, Dagster's command, real Spark."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets_tests.emr.targets import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
PAGE = REPOSITORY / "docs" / "launcher.md"
BUCKET = "people-example"

pytestmark = pytest.mark.long(35)


def table_at(emr: EmrSimulator, prefix: str) -> pa.Table:
    s3 = emr.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]
    bodies = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys if key.endswith(".parquet")]
    return pa.concat_tables([pq.read_table(io.BytesIO(body)) for body in bodies])


def test_the_example_filters_people_on_emr(spark_emr_simulator: EmrSimulator, tmp_path: Path) -> None:
    spark_emr_simulator.create_bucket(BUCKET)
    cluster_id = start_cluster(spark_emr_simulator, bucket=BUCKET)
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(map(str, [HERE, REPOSITORY])),
        "PEOPLE_STAGING": f"s3://{BUCKET}/staging",
        "PEOPLE_CLUSTER": cluster_id,
        "PEOPLE_TABLES": f"s3://{BUCKET}/tables",
    }
    command = ["dagster", "job", "execute", "-m", "people_project.definitions", "-j", "people_job"]
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert table_at(spark_emr_simulator, "tables/people_over_50/").to_pylist() == [
        {"name": "Grace", "age": 85},
        {"name": "Katherine", "age": 101},
    ]
    steps = list(spark_emr_simulator.clusters[cluster_id].steps.values())
    assert [step.state for step in steps] == ["COMPLETED", "COMPLETED"]
    archives = [
        item["Key"]
        for item in spark_emr_simulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="staging/code/")["Contents"]
        if item["Key"].endswith(".zip")
    ]
    assert len(archives) == 1
    spark_emr_simulator.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


@pytest.mark.parametrize("name", ["tables.py", "definitions.py"])
def test_the_page_shows_the_code_that_runs(name: str) -> None:
    blocks = re.findall(r"```python title=\"people_project/([\w.]+)\"\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert dict(blocks)[name] == (HERE / "people_project" / name).read_text()


def test_every_test_named_in_the_comparison_exists() -> None:
    named = re.findall(r"`((?:\w+\.)*test_\w+)\.(test_\w+)`", PAGE.read_text())
    assert len(named) > 20
    missing = [
        f"{module}.{name}"
        for module, name in named
        if f"def {name}(" not in (HERE / f"{module.replace('.', '/')}.py").read_text()
    ]
    assert missing == []
