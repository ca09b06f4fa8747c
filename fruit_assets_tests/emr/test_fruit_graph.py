"""The fruit graph itself on EMR: every Spark asset a real spark-submit, everything on s3://."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.storage import read_current
from fruit_assets_tests.conftest import Collection, PublishedGraph
from fruit_assets_tests.emr.conftest import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long

BUCKET = "fruit-graph"
KEY = "alias/fruit"
SPARK_ASSETS = ["sampled_images", "image_features", "pca_model", "pca_components"]


@pytest.fixture(scope="module")
def graph_on_emr(
    spark_emr_session: EmrSimulator, collection: Collection, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EmrSimulator, str, subprocess.CompletedProcess[str]]:
    """One `dagster job execute` against EMR; the simulator, the cluster and the finished process."""
    simulator, folder = spark_emr_session, tmp_path_factory.mktemp("graph_on_emr")
    simulator.create_bucket(BUCKET)
    _upload(simulator, collection.images)
    weights = collection.weights
    cluster = start_cluster(simulator, bucket=BUCKET)
    config = folder / "run.yaml"
    config.write_text(json.dumps({"ops": {"sampled_images": {"config": {"fraction": 1.0}}}}))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FRUIT_ASSETS_", "AWS_"))},
        **simulator.environment(),
        "FRUIT_ASSETS_DEPLOYMENT": "emr",
        "FRUIT_ASSETS_IMAGES": f"s3://{BUCKET}/images",
        "FRUIT_ASSETS_STORAGE": f"s3://{BUCKET}/assets",
        "FRUIT_ASSETS_STAGING": f"s3://{BUCKET}/staging",
        "FRUIT_ASSETS_WEIGHTS": weights,
        "FRUIT_ASSETS_EMR_CLUSTER": cluster,
        "FRUIT_ASSETS_SSE": "aws:kms",
        "FRUIT_ASSETS_KMS_KEY_ID": KEY,
    }
    command = ["-m", "dagster", "job", "execute", "-m", "fruit_assets", "-j", "fruit_features_job", "-c", str(config)]
    finished = subprocess.run(
        [sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return simulator, cluster, finished


def _upload(simulator: EmrSimulator, images: Path) -> None:
    s3 = simulator.client("s3")
    files = [path for path in images.rglob("*") if path.suffix == ".jpg"]

    def put(path: Path) -> None:
        s3.put_object(Bucket=BUCKET, Key=f"images/{path.relative_to(images).as_posix()}", Body=path.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, files))


def test_every_spark_asset_is_one_step_and_the_light_ones_are_none(
    graph_on_emr: tuple[EmrSimulator, str, subprocess.CompletedProcess[str]],
) -> None:
    simulator, cluster, finished = graph_on_emr
    assert finished.returncode == 0, finished.stderr[-6000:]
    steps = simulator.clusters[cluster].steps.values()
    assert [step.state for step in steps] == ["COMPLETED"] * len(SPARK_ASSETS)
    assert [next(name for name in SPARK_ASSETS if name in step.config["Name"]) for step in steps] == SPARK_ASSETS


def test_the_result_on_s3_is_the_local_result(
    graph_on_emr: tuple[EmrSimulator, str, subprocess.CompletedProcess[str]],
    published: PublishedGraph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulator, _, finished = graph_on_emr
    assert finished.returncode == 0, finished.stderr[-6000:]
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    for asset, column in (("image_features", "features"), ("pca_components", "pca_features")):
        here, there = _rows(str(published.storage / asset), column), _rows(f"s3://{BUCKET}/assets/{asset}", column)
        assert here[0] == there[0]
        np.testing.assert_allclose(there[1], here[1], atol=1e-3)


def _rows(uri: str, column: str) -> tuple[list[Any], np.ndarray]:
    table = read_current(uri).sort_by("path")
    return list(zip(table["path"].to_pylist(), table["label"].to_pylist(), strict=True)), feature_matrix(table[column])


def test_every_object_is_encrypted_as_asked_whoever_wrote_it(
    graph_on_emr: tuple[EmrSimulator, str, subprocess.CompletedProcess[str]],
) -> None:
    """Spark's files through S3A, manifests and models through boto3, step traffic from both sides."""
    simulator, _, finished = graph_on_emr
    assert finished.returncode == 0, finished.stderr[-6000:]
    s3 = simulator.client("s3")
    for prefix in ("assets/", "staging/"):
        keys = _keys(simulator, prefix)
        assert any(key.endswith(".parquet") for key in keys) == (prefix == "assets/")
        heads = {key: s3.head_object(Bucket=BUCKET, Key=key) for key in keys if not key.endswith("/")}
        asked = {key: (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) for key, head in heads.items()}
        assert {key: how for key, how in asked.items() if how != ("aws:kms", KEY)} == {}


def _keys(simulator: EmrSimulator, prefix: str) -> list[str]:
    pages = simulator.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_no_secret_reaches_steps_or_staging(
    graph_on_emr: tuple[EmrSimulator, str, subprocess.CompletedProcess[str]],
) -> None:
    simulator, _, finished = graph_on_emr
    secret = simulator.environment()["AWS_SECRET_ACCESS_KEY"]
    s3, keys = simulator.client("s3"), _keys(simulator, "staging/")
    assert keys
    assert all(secret.encode() not in s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys)
    assert all(secret not in json.dumps(request.params, default=str) for request in simulator.calls("AddJobFlowSteps"))
    assert secret not in finished.stdout + finished.stderr
