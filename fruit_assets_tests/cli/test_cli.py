"""Tests of the main job as people start it: `dagster job execute` in a process of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from deltalake import DeltaTable
from PIL import Image

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.images.listing import list_images
from fruit_assets.object_store.stores import open_store
from fruit_assets.settings import FAST_START_MEASURES
from fruit_assets.storage import read_current
from fruit_assets_tests.assets.conftest import copy_some
from fruit_assets_tests.conftest import Collection, PublishedGraph

pytestmark = pytest.mark.long(110)

JOB = [
    str(Path(sys.executable).parent / "dagster"),
    "job",
    "execute",
    "-m",
    "fruit_assets",
    "-j",
    "fruit_features_job",
]
PROJECT = Path(__file__).parents[2]
DG = [str(Path(sys.executable).parent / "dg"), "launch", "--job", "fruit_features_job"]
# How they begin: of its use of pydantic, of one of its own properties, of the command.
_WARNINGS_OF_DAGSTER = ("The `__fields__` attribute", "InitResourceContext.dagster_run")
_WARNING_OF_THE_COMMAND = "Function `job_execute_command` is superseded"
_TABLES = ("sampled_images", "image_features", "rejected_images", "pca_components")
_EVERYTHING = {"ops": {"sampled_images": {"config": {"fraction": 1.0}}}}

# What security guides, and the administrators of clusters, put into spark-defaults.conf.
_HARDENED = """
spark.io.encryption.enabled          true
spark.authenticate=true
spark.network.crypto.enabled:        true
spark.network.crypto.saslFallback    false
spark.acls.enable                    true
spark.redaction.regex                (?i)secret|password|token|path
spark.ssl.enabled                    true
spark.eventLog.enabled               true
spark.eventLog.dir                   file://{folder}
spark.serializer                     org.apache.spark.serializer.KryoSerializer
spark.kryo.registrationRequired      true
spark.python.worker.reuse            false
spark.submit.deployMode              cluster
spark.master                         yarn
spark.task.cpus                      4
spark.port.maxRetries                0
spark.driver.port                    22
spark.blockManager.port              22
spark.driver.defaultJavaOptions      -XX:+UseG1GC
spark.dynamicAllocation.enabled      true
"""
_UNRELATED = {
    "SPARK_REMOTE": "sc://elsewhere",
    "SPARK_CONNECT_MODE_ENABLED": "1",
    "SPARK_API_MODE": "connect",
    "SPARK_HOME": "/opt/spark-3.5",
    "PYSPARK_SUBMIT_ARGS": "--master yarn pyspark-shell",
    "PYSPARK_GATEWAY_PORT": "1",
    "PYSPARK_GATEWAY_SECRET": "hidden",
    "PYSPARK_PYTHON": "/usr/bin/python2",
    "JAVA_TOOL_OPTIONS": "-XX:+UseG1GC",
}


@pytest.fixture
def environment(published: PublishedGraph, collection: Collection, tmp_path: Path) -> dict[str, str]:
    """Settings of a project whose storage holds what the shared run published; no DAGSTER_HOME."""
    shutil.copytree(published.storage, tmp_path / "assets")
    return {
        **os.environ,
        "FRUIT_ASSETS_IMAGES": str(collection.images),
        "FRUIT_ASSETS_WEIGHTS": collection.weights,
        "FRUIT_ASSETS_STORAGE": str(tmp_path / "assets"),
        "FRUIT_ASSETS_DRIVER_MEMORY": "1g",
    }


def _command(tmp_path: Path, config: dict | None) -> list[str]:
    if config is None:
        return JOB
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return [*JOB, "-c", str(tmp_path / "config.yaml")]


def _execute(tmp_path: Path, environment: dict[str, str], config: dict | None = None) -> tuple[int, str]:
    done = subprocess.run(
        _command(tmp_path, config), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def _state(storage: Path) -> dict[str, object]:
    versions = {path.parent.name: DeltaTable(path.parent).version() for path in storage.glob("*/_delta_log")}
    return {**versions, **{name: read_current(f"{storage}/{name}") for name in _TABLES}}


def test_the_job_runs_on_the_whole_collection_and_a_second_time_infers_nothing(environment, collection, tmp_path):
    storage = tmp_path / "assets"
    shutil.rmtree(storage / "image_features")
    shutil.rmtree(storage / "pca_components")
    code, text = _execute(tmp_path, environment, _EVERYTHING)
    assert code == 0, text[-3000:]
    assert "RUN_SUCCESS" in text
    assert f"{collection.image_count} images to infer at f32, 0 to take over" in text
    rows = {name: read_current(f"{storage}/{name}") for name in _TABLES}
    assert rows["image_features"].num_rows == rows["pca_components"].num_rows == collection.image_count
    assert rows["rejected_images"].num_rows == 0
    assert len(set(rows["pca_components"]["label"].to_pylist())) == collection.label_count
    assert {len(row) for row in rows["pca_components"]["pca_features"].to_pylist()} == {80}

    code, text = _execute(tmp_path, environment, _EVERYTHING)
    assert code == 0, text[-3000:]
    assert f"0 images to infer at f32, {collection.image_count} to take over" in text
    assert read_current(f"{storage}/image_features").equals(rows["image_features"])
    assert read_current(f"{storage}/pca_components").equals(rows["pca_components"])
    left = {path.name for path in tmp_path.iterdir()} - {"assets", "config.yaml"}
    assert not left, "a run leaves nothing beside its assets"


@pytest.mark.parametrize("private_bucket", ["proxy"], indirect=True)
def test_the_job_runs_from_s3_to_s3_with_the_same_rows_as_between_folders(
    private_bucket, environment, published, collection, tmp_path
):
    """Behind a private CA and a proxy; without S3A, so no Spark file system can have been opened."""
    bucket = private_bucket
    copy_some(collection, tmp_path / "images", classes=3, per_class=3)
    for folder, prefix in (
        (tmp_path / "images", "fruit é/images"),
        (tmp_path / "assets" / "feature_extractor", "assets/feature_extractor"),
    ):
        store = open_store(f"s3://{bucket}/{prefix}")
        for path in folder.rglob("*"):
            if path.is_file():
                store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    environment |= {
        "FRUIT_ASSETS_IMAGES": f"s3://{bucket}/fruit é/images",
        "FRUIT_ASSETS_STORAGE": f"s3://{bucket}/assets",
        "FRUIT_ASSETS_CACHE": str(tmp_path / "cache"),
    }
    config = {"ops": {**_EVERYTHING["ops"], "pca_model": {"config": {"n_components": 3}}}}
    code, text = _execute(tmp_path, environment, config)
    assert code == 0, text[-3000:]
    features = read_current(f"s3://{bucket}/assets/image_features")
    here = list_images(str(tmp_path / "images")).table
    assert sorted(features["path"].to_pylist()) == here["path"].to_pylist()
    known = read_current(f"{published.storage}/image_features")
    expected = dict(zip(known["sha256"].to_pylist(), feature_matrix(known["features"]), strict=True))
    for digest, row in zip(features["sha256"].to_pylist(), feature_matrix(features["features"]), strict=True):
        assert np.abs(row - expected[digest]).max() < 1e-4
    assert read_current(f"s3://{bucket}/assets/pca_components").num_rows == 9
    assert not (tmp_path / "cache" / "jars").exists()
    assert "mean.npy" in read_current(f"s3://{bucket}/assets/pca_model")["name"].to_pylist()


@pytest.mark.parametrize("private_bucket", ["private CA"], indirect=True)
def test_objects_that_may_not_be_read_replace_nothing_and_the_next_run_takes_over_what_was_there(
    private_cloud, private_bucket, environment, published, collection, tmp_path
):
    copy_some(collection, tmp_path / "images", classes=3, per_class=5)
    images = sorted(path for path in (tmp_path / "images").rglob("*") if path.is_file())
    store = open_store(f"s3://{private_bucket}/fruits")
    for path in images[:5]:
        store.put(path.relative_to(tmp_path / "images").as_posix(), path.read_bytes())
    store.put(f"/{images[5].name}", images[5].read_bytes())  # as a careless upload makes it: its label would be ''
    for asset in _TABLES:
        shutil.rmtree(tmp_path / "assets" / asset)
    environment |= {"FRUIT_ASSETS_IMAGES": f"s3://{private_bucket}/fruits"}
    code, text = _execute(tmp_path, environment)
    assert code == 0, text[-3000:]
    before = _state(tmp_path / "assets")
    assert before["image_features"].num_rows == 5, "the image without a label does not take part"
    assert "" not in before["sampled_images"]["label"].to_pylist()
    assert f"1 image(s) lie in no class folder of s3://{private_bucket}/fruits and take no part" in text

    for path in images[6:]:
        store.put(path.relative_to(tmp_path / "images").as_posix(), path.read_bytes())
    private_cloud.unreadable.add(f"/{private_bucket}/fruits")
    code, text = _execute(tmp_path, environment)
    assert code != 0
    assert _state(tmp_path / "assets") == before
    assert f"images of s3://{private_bucket}/fruits cannot be read; 50% may be. The commonest cause, " in text
    assert re.search(r"times among \d+ that were looked into: access denied.*, such as .+/\S+\.jpg\.", text)
    private_cloud.unreadable.clear()
    code, text = _execute(tmp_path, environment)
    assert code == 0, text[-3000:]
    assert "9 images to infer at f32, 5 to take over" in text


def _add_large_images(folder: Path, count: int) -> None:
    """Images of few bytes that take half a second each to decode."""
    large = BytesIO()
    Image.new("RGB", (8000, 8000), (9, 99, 200)).save(large, "JPEG", quality=30)
    (folder / "large").mkdir()
    for number in range(count):
        (folder / "large" / f"{number}.jpg").write_bytes(large.getvalue() + number.to_bytes(4, "big"))


def test_a_job_killed_in_the_middle_of_writing_leaves_what_was_published(environment, collection, tmp_path):
    copy_some(collection, tmp_path / "images", classes=3, per_class=20)
    _add_large_images(tmp_path / "images", 40)  # work for seconds, so that the kill comes before its end
    environment["FRUIT_ASSETS_IMAGES"] = str(tmp_path / "images")
    before = _state(tmp_path / "assets")
    config = {"ops": {**_EVERYTHING["ops"], "image_features": {"config": {"reuse": False}}}}
    versions = tmp_path / "assets" / "image_features" / "data"
    known = set(versions.iterdir())
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(tmp_path, config), env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while not any(list(new.glob("*.parquet")) for new in set(versions.iterdir()) - known):
            assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    after = _state(tmp_path / "assets")
    unchanged = {name for name in before if before[name] == after[name]}
    assert unchanged >= {"image_features", "rejected_images", "pca_model", "pca_components", "fruit_recognition"}
    rows = DeltaTable(tmp_path / "assets" / "image_features").to_pyarrow_table()
    assert read_current(f"{tmp_path}/assets/image_features").num_rows == rows.num_rows


def test_without_java_the_job_names_the_fix_and_publishes_nothing_that_needs_spark(environment, tmp_path):
    before = _state(tmp_path / "assets")
    environment = {name: value for name, value in environment.items() if name != "JAVA_HOME"}
    environment["PATH"] = str(Path(sys.executable).parent)
    other = {"ops": {"sampled_images": {"config": {"fraction": 0.9, "seed": 1}}}}
    code, text = _execute(tmp_path, environment, other)
    assert code != 0
    assert "Spark needs Java 17 or newer, and there is none on this machine. Install a Java 17" in text
    after = _state(tmp_path / "assets")
    for asset in ("feature_extractor", "sampled_images"):  # an export and a few images need no Java
        del before[asset], after[asset]
    assert after == before
    # What is there already can be published again without Java.
    code, text = _execute(tmp_path, environment, _EVERYTHING)
    assert code == 0, text[-3000:]


def test_wrong_settings_are_all_listed_before_anything_starts(environment, tmp_path):
    environment |= {
        "FRUIT_ASSETS_DEPLOYMENT": "cloud",
        "FRUIT_ASSETS_RETENTION_DAYS": "none",
        "FRUIT_ASSETS_IMAGE": "typo",
    }
    code, text = _execute(tmp_path, environment, _EVERYTHING)
    assert code != 0
    assert "3 setting(s) need attention" in text
    assert "Traceback" not in text
    for problem in (
        "FRUIT_ASSETS_DEPLOYMENT is 'cloud'",
        "FRUIT_ASSETS_RETENTION_DAYS is 'none'",
        "FRUIT_ASSETS_IMAGE is not a",
    ):
        assert problem in text


@pytest.mark.parametrize(
    ("line", "name", "value", "message"),
    [
        (JOB, "FRUIT_ASSETS_STORAGE", '"assets"', "begins and ends with quotation marks"),
        (JOB, "AWS_ENDPOINT_URL", "minio:9000", "begin it with http:// or https://"),
        (DG, "FRUIT_ASSETS_WEIGHTS", str(PROJECT), "this is a folder; name the weights file in it"),
    ],
    ids=["quotes", "no scheme", "folder"],
)
def test_a_wrong_setting_is_one_line_without_a_traceback(environment, line, name, value, message):
    environment[name] = value
    done = subprocess.run(line, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "1 setting(s) need attention" in text
    assert f"{name} " in text
    assert message in text
    assert "Traceback" not in text


@pytest.mark.parametrize("command", ["dagster", "dg"])
def test_both_commands_run_the_job_where_all_warnings_but_those_of_dagster_itself_are_errors(
    environment, tmp_path, command
):
    """Dagster refuses to start under a plain `error`: it warns of itself before it loads this project."""
    if command == "dagster":
        shutil.rmtree(tmp_path / "assets" / "feature_extractor")
    starts = [_WARNING_OF_THE_COMMAND] * (command == "dagster") + [*_WARNINGS_OF_DAGSTER]
    # Shown, so that the list has none that Dagster does not raise any more.
    environment["PYTHONWARNINGS"] = ",".join(["error", *(f"default:{start}" for start in starts)])
    line = _command(tmp_path, _EVERYTHING) if command == "dagster" else [*DG, *_command(tmp_path, _EVERYTHING)[-2:]]
    done = subprocess.run(line, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    assert "RUN_SUCCESS" in text
    assert [start for start in starts if start not in text] == []


def test_the_page_on_settings_lists_the_warnings_of_dagster_that_must_be_ignored():
    starts = (_WARNING_OF_THE_COMMAND, *_WARNINGS_OF_DAGSTER)
    page = (PROJECT / "docs" / "settings.md").read_text()
    assert f"PYTHONWARNINGS='{','.join(['error', *(f'ignore:{start}' for start in starts)])}'" in page


def test_wrong_run_config_is_listed_in_full_before_anything_starts(environment, tmp_path):
    before = _state(tmp_path / "assets")
    config = {
        "ops": {
            "sampled_images": {"config": {"fraction": 2.0, "min_per_class": 5, "max_per_class": 3}},
            "image_features": {"config": {"batch_size": 0}},
        }
    }
    code, text = _execute(tmp_path, environment, config)
    assert code != 0
    assert "ops.sampled_images.config.fraction: Input should be less than or equal to 1 (it is 2.0)" in text
    assert "ops.image_features.config.batch_size: Input should be greater than or equal to 1 (it is 0)" in text
    assert _state(tmp_path / "assets") == before


def test_the_job_runs_under_what_security_guides_recommend_and_beside_variables_of_another_spark(environment, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "events").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(_HARDENED.format(folder=tmp_path / "events"))
    # Without small tasks of this process: what Spark broadcasts is encrypted, too.
    measures = ",".join(sorted(FAST_START_MEASURES - {"small_tasks"}))
    environment |= {**_UNRELATED, "SPARK_CONF_DIR": str(tmp_path / "conf"), "FRUIT_ASSETS_FAST_START": measures}
    config = {"ops": {**_EVERYTHING["ops"], "pca_model": {"config": {"n_components": 40}}}}
    code, text = _execute(tmp_path, environment, config)
    assert code == 0, text[-3000:]
    rows = read_current(f"{tmp_path}/assets/pca_components")["pca_features"].to_pylist()
    assert {len(row) for row in rows} == {40}
    assert any((tmp_path / "events").iterdir()), "the event log that the site wants is written"
    for name in ("SPARK_REMOTE", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT"):
        assert f"{name} is ignored by a local run" in text
    assert "hidden" not in text
