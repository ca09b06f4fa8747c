"""The fruit graph itself on EMR: every Spark asset a real spark-submit, everything on s3://."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.storage import read_current
from fruit_assets_tests.conftest import Collection, PublishedGraph
from fruit_assets_tests.emr.targets import application_variables, start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator
from fruit_assets_tests.emr_simulator.serverless.environment import light_environment

pytestmark = pytest.mark.long(150)

KEY = "alias/fruit"
SPARK_ASSETS = ["sampled_images", "image_features", "pca_model", "pca_components"]


@dataclass(frozen=True)
class RemoteGraph:
    """One run of the graph: where it ran, the finished process, and names and states of its steps."""

    simulator: EmrSimulator
    bucket: str
    finished: subprocess.CompletedProcess[str]
    steps: list[tuple[str, str]]
    submits: str


@pytest.fixture(scope="module")
def graph_on_emr(
    kind: str, spark_emr_session: EmrSimulator, collection: Collection, tmp_path_factory: pytest.TempPathFactory
) -> RemoteGraph:
    """One `dagster job execute` against a cluster that is given, or an application that the run creates."""
    simulator, folder = spark_emr_session, tmp_path_factory.mktemp("graph_on_emr")
    bucket = simulator.create_bucket(f"fruit-graph-{kind}")
    _upload(simulator, bucket, collection.images)
    weights = collection.weights
    if kind == "cluster":
        cluster = start_cluster(simulator, bucket=bucket)
        chosen = {"FRUIT_ASSETS_DEPLOYMENT": "emr", "FRUIT_ASSETS_EMR_CLUSTER": cluster}
    else:
        _deploy_application(simulator, bucket)
        chosen = {"FRUIT_ASSETS_DEPLOYMENT": "emr-serverless"}
    config = folder / "run.yaml"
    config.write_text(json.dumps({"ops": {"sampled_images": {"config": {"fraction": 1.0}}}}))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FRUIT_ASSETS_", "AWS_"))},
        **simulator.environment(),
        **chosen,
        "FRUIT_ASSETS_IMAGES": f"s3://{bucket}/images",
        "FRUIT_ASSETS_STORAGE": f"s3://{bucket}/assets",
        "FRUIT_ASSETS_STAGING": f"s3://{bucket}/staging",
        "FRUIT_ASSETS_WEIGHTS": weights,
        "FRUIT_ASSETS_SSE": "aws:kms",
        "FRUIT_ASSETS_KMS_KEY_ID": KEY,
    }
    command = ["-m", "dagster", "job", "execute", "-m", "fruit_assets", "-j", "fruit_features_job", "-c", str(config)]
    finished = subprocess.run(
        [sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if kind == "cluster":
        steps = [(step.config["Name"], step.state) for step in simulator.clusters[cluster].steps.values()]
        return RemoteGraph(simulator, bucket, finished, steps, "AddJobFlowSteps")
    created = [one for one in simulator.serverless.applications.values() if one.tags.get("project") == "orchard"]
    (application,) = created
    steps = [(run.request["name"], run.state) for run in application.job_runs.values()]
    return RemoteGraph(simulator, bucket, finished, steps, "StartJobRun")


def _deploy_application(simulator: EmrSimulator, bucket: str) -> None:
    """What `fruit-assets deploy` leaves in the staging bucket: a packed environment, and where it is."""
    s3, encryption = simulator.client("s3"), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}
    s3.put_object(Bucket=bucket, Key="environment.tar.gz", Body=light_environment())
    facts = json.dumps(application_variables(bucket)).encode()
    s3.put_object(Bucket=bucket, Key="staging/bootstrap/deployment.json", Body=facts, **encryption)


def _upload(simulator: EmrSimulator, bucket: str, images: Path) -> None:
    s3 = simulator.client("s3")
    files = [path for path in images.rglob("*") if path.suffix == ".jpg"]

    def put(path: Path) -> None:
        s3.put_object(Bucket=bucket, Key=f"images/{path.relative_to(images).as_posix()}", Body=path.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, files))


def test_every_spark_asset_is_one_step_and_the_light_ones_are_none(
    graph_on_emr: RemoteGraph,
) -> None:
    assert graph_on_emr.finished.returncode == 0, graph_on_emr.finished.stderr[-6000:]
    names, states = zip(*graph_on_emr.steps, strict=True)
    assert set(states) <= {"COMPLETED", "SUCCESS"}
    assert [next(asset for asset in SPARK_ASSETS if asset in name) for name in names] == SPARK_ASSETS


def test_the_result_on_s3_is_the_local_result(
    graph_on_emr: RemoteGraph,
    published: PublishedGraph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulator, bucket, finished = graph_on_emr.simulator, graph_on_emr.bucket, graph_on_emr.finished
    assert finished.returncode == 0, finished.stderr[-6000:]
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    for asset, column in (("image_features", "features"), ("pca_components", "pca_features")):
        here, there = _rows(str(published.storage / asset), column), _rows(f"s3://{bucket}/assets/{asset}", column)
        assert here[0] == there[0]
        np.testing.assert_allclose(there[1], here[1], atol=1e-3)


def _rows(uri: str, column: str) -> tuple[list[Any], np.ndarray]:
    table = read_current(uri).sort_by("path")
    return list(zip(table["path"].to_pylist(), table["label"].to_pylist(), strict=True)), feature_matrix(table[column])


def test_every_writer_encrypts_every_object_as_configured(
    graph_on_emr: RemoteGraph,
) -> None:
    """Spark's files through S3A, tables through delta-rs, step traffic from both sides."""
    simulator, bucket, finished = graph_on_emr.simulator, graph_on_emr.bucket, graph_on_emr.finished
    assert finished.returncode == 0, finished.stderr[-6000:]
    s3 = simulator.client("s3")
    for prefix in ("assets/", "staging/"):
        keys = _keys(simulator, bucket, prefix)
        assert any(key.endswith(".parquet") for key in keys) == (prefix == "assets/")
        heads = {key: s3.head_object(Bucket=bucket, Key=key) for key in keys if not key.endswith("/")}
        asked = {key: (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) for key, head in heads.items()}
        assert {key: how for key, how in asked.items() if how != ("aws:kms", KEY)} == {}


def _keys(simulator: EmrSimulator, bucket: str, prefix: str) -> list[str]:
    pages = simulator.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_no_secret_reaches_steps_or_staging(
    graph_on_emr: RemoteGraph,
) -> None:
    simulator, bucket, finished = graph_on_emr.simulator, graph_on_emr.bucket, graph_on_emr.finished
    secret = simulator.environment()["AWS_SECRET_ACCESS_KEY"]
    s3, keys = simulator.client("s3"), _keys(simulator, bucket, "staging/")
    assert keys
    assert all(secret.encode() not in s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    assert all(
        secret not in json.dumps(request.params, default=str) for request in simulator.calls(graph_on_emr.submits)
    )
    assert secret not in finished.stdout + finished.stderr
