"""A step that is cancelled in the middle of its work: the next run does only what the step did not store."""

import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fruit_assets_tests.conftest import Collection
from fruit_assets_tests.emr.targets import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long(80)

# More than one task.
_COPIES = 200
_ON_CLUSTER = "image_features,rejected_images"


@dataclass(frozen=True)
class _Project:
    """A project whose storage lies in a bucket, and the cluster of its steps."""

    emr: EmrSimulator
    bucket: str
    cluster: str
    folder: Path
    weights: str

    def start(self, assets: str, log: Path, **chosen: str) -> "subprocess.Popen[bytes]":
        """Materialise assets in a process of their own."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FRUIT_ASSETS_", "AWS_"))},
            **self.emr.environment(),
            "FRUIT_ASSETS_IMAGES": str(self.folder / "images"),
            "FRUIT_ASSETS_STORAGE": f"s3://{self.bucket}/assets",
            "FRUIT_ASSETS_STAGING": f"s3://{self.bucket}/staging",
            "FRUIT_ASSETS_WEIGHTS": self.weights,
            "FRUIT_ASSETS_DRIVER_MEMORY": "1g",
            **chosen,
        }
        command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "fruit_assets.definitions"]
        with log.open("wb") as output:
            return subprocess.Popen(
                [*command, "--select", assets], env=environment, cwd=self.folder, stdout=output, stderr=output
            )

    def start_on_cluster(self, assets: str, log: Path) -> "subprocess.Popen[bytes]":
        chosen = {"FRUIT_ASSETS_DEPLOYMENT": "emr", "FRUIT_ASSETS_EMR_CLUSTER": self.cluster}
        # Nodes cannot read a folder of this machine.
        return self.start(assets, log, FRUIT_ASSETS_IMAGES=f"s3://{self.bucket}/images", **chosen)

    def cancel_when_stored(self, asset: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        """Cancel the step of a process when it has stored a file of an asset; returns when the process has ended."""
        self.emr.wait_for(lambda: self.stored_files(asset) > 0 or process.poll() is not None, 600)
        assert self.stored_files(asset) > 0, log.read_text()[-3000:]
        (step,) = self.emr.clusters[self.cluster].steps
        self.emr.client("emr").cancel_steps(
            ClusterId=self.cluster, StepIds=[step], StepCancellationOption="TERMINATE_PROCESS"
        )
        assert process.wait() != 0, log.read_text()[-3000:]
        assert self.emr.clusters[self.cluster].steps[step].state == "CANCELLED"

    def stored_files(self, asset: str) -> int:
        listed = self.emr.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=f"assets/{asset}/data/")
        return sum(item["Key"].endswith(".parquet") for item in listed.get("Contents", []))


@pytest.fixture
def project(spark_emr_session: EmrSimulator, collection: Collection, tmp_path: Path) -> _Project:
    bucket = spark_emr_session.create_bucket(f"cancelled-{secrets.token_hex(4)}")
    cluster = start_cluster(spark_emr_session, bucket=bucket)
    return _Project(spark_emr_session, bucket, cluster, tmp_path, collection.weights)


@pytest.fixture
def features_are_held(project, monkeypatch) -> Iterator[threading.Event]:
    """S3 takes no more files of features as soon as one is stored, before the event is set."""
    from moto.s3.responses import S3Response

    end, original = threading.Event(), S3Response.put_object

    def holding(self, *args, **kwargs):
        features = f"{project.bucket}/assets/image_features/data/" in self.path
        if features and not end.is_set() and project.stored_files("image_features"):
            end.wait(600)
            raise ConnectionAbortedError  # its sender is gone
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(S3Response, "put_object", holding)
        yield end
        end.set()


def test_after_a_cancelled_step_the_next_run_computes_only_what_was_not_stored(
    project, collection, published, tmp_path, features_are_held
):
    content = min(collection.images.rglob("*.jpg")).read_bytes()
    for number in range(_COPIES):
        path = tmp_path / "images" / f"class-{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + number.to_bytes(2, "big"))
    source = published.storage / "feature_extractor"
    for path in (path for path in source.rglob("*") if path.is_file()):
        key = f"assets/feature_extractor/{path.relative_to(source).as_posix()}"
        project.emr.client("s3").put_object(Bucket=project.bucket, Key=key, Body=path.read_bytes())
    log = tmp_path / "sample.log"
    assert project.start("sampled_images", log).wait() == 0, log.read_text()[-3000:]
    log = tmp_path / "cancelled.log"
    process = project.start_on_cluster(_ON_CLUSTER, log)
    project.cancel_when_stored("image_features", process, log)
    features_are_held.set()
    again = tmp_path / "again.log"
    assert project.start_on_cluster(_ON_CLUSTER, again).wait() == 0, again.read_text()[-3000:]
    found = re.search(r"(\d+) images to infer .* (\d+) recovered from files", again.read_text())
    assert found is not None, again.read_text()[-3000:]
    computed, recovered = map(int, found.groups())
    assert computed + recovered == _COPIES
    assert 0 < recovered < _COPIES


@pytest.fixture
def images_are_held(project, monkeypatch) -> Iterator[threading.Event]:
    """S3 hands out no more images as soon as a file of the sample is stored, before the event is set."""
    from moto.s3.responses import S3Response

    end, original = threading.Event(), S3Response.get_object

    def holding(self, *args, **kwargs):
        if f"{project.bucket}/images/" in self.path and project.stored_files("sampled_images"):
            end.wait(600)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(S3Response, "get_object", holding)
        yield end
        end.set()


def test_after_a_cancelled_step_the_next_run_fetches_only_images_that_were_not_stored(
    project, collection, tmp_path, images_are_held
):
    content = min(collection.images.rglob("*.jpg")).read_bytes() + bytes(650_000)
    # A worker asks for 64 images at a time; so many are one file and some more.
    for number in range(70):
        key = f"images/class/{number:02}.jpg"
        project.emr.client("s3").put_object(Bucket=project.bucket, Key=key, Body=content + bytes([number]))
    log = tmp_path / "cancelled.log"
    process = project.start_on_cluster("sampled_images", log)
    project.cancel_when_stored("sampled_images", process, log)
    images_are_held.set()
    again = tmp_path / "again.log"
    run = project.start("sampled_images", again, FRUIT_ASSETS_IMAGES=f"s3://{project.bucket}/images")
    assert run.wait() == 0, again.read_text()[-3000:]
    found = re.search(r"Fetched (\d+) new or changed images; kept (\d+)", again.read_text())
    assert found is not None, again.read_text()[-3000:]
    fetched, recovered = map(int, found.groups())
    assert f"Recovered {recovered} images from complete files" in again.read_text()
    assert fetched + recovered == 70
    assert 0 < recovered <= 64
