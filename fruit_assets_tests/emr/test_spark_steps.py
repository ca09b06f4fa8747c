"""Steps under a real spark-submit: executors get the shipped code, and no JVM outlives its step."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import TinyLocation, eventually, tiny_location_on
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long(50)


@pytest.fixture
def spark_tiny(
    kind: str, spark_emr_simulator: EmrSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyLocation]:
    bucket = f"spark-steps-{uuid.uuid4().hex}"
    spark_emr_simulator.create_bucket(bucket)
    staging = StagingStore(f"s3://{bucket}/staging")
    with tiny_location_on(spark_emr_simulator, staging, tmp_path, monkeypatch, kind) as location:
        yield location


def test_driver_and_executors_run_the_shipped_code(spark_tiny: TinyLocation) -> None:
    outcome = spark_tiny.run("spark", spark_conf={"spark.sql.shuffle.partitions": "2"})
    assert outcome.success
    assert "summed to 999000" in outcome.messages
    assert "shipped-code" in outcome.materialization["file"]


def test_a_terminated_run_leaves_no_jvm_and_no_python_behind(spark_tiny: TinyLocation) -> None:
    process = spark_tiny.start("sleep")
    step_id = spark_tiny.wait_until_running()
    pid = int((spark_tiny.folder / "starts").read_text().split()[2])
    driver = psutil.Process(pid)
    process.terminate()
    process.wait()
    assert spark_tiny.states == ["CANCELLED"]
    psutil.wait_procs([driver], timeout=300)
    assert not driver.is_running()

    def left() -> list[psutil.Process]:
        return [found for found in psutil.process_iter(["cmdline"]) if step_id in " ".join(found.info["cmdline"] or [])]

    eventually(lambda: left() == [])  # a JVM ends after its driver
