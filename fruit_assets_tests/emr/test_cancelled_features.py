"""A step that is cancelled in the middle of `image_features`: the next run computes only what it did not store."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fruit_assets_tests.conftest import Collection
from fruit_assets_tests.emr.targets import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long

# Two tasks for each of two cores: the second ones are running when the first have stored their rows.
_COPIES = 1100
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

    def start_on_cluster(self, log: Path) -> "subprocess.Popen[bytes]":
        chosen = {"FRUIT_ASSETS_DEPLOYMENT": "emr", "FRUIT_ASSETS_EMR_CLUSTER": self.cluster}
        # The features need no image, but nodes cannot read a folder of this machine.
        return self.start(_ON_CLUSTER, log, FRUIT_ASSETS_IMAGES=f"s3://{self.bucket}/images", **chosen)

    @property
    def stored_files(self) -> int:
        listed = self.emr.client("s3").list_objects_v2(Bucket=self.bucket, Prefix="assets/image_features/data/")
        return sum(item["Key"].endswith(".parquet") for item in listed.get("Contents", []))


@pytest.fixture
def project(spark_emr_session: EmrSimulator, collection: Collection, tmp_path: Path) -> _Project:
    """A sample and an extractor, published from this machine."""
    content = min(collection.images.rglob("*.jpg")).read_bytes()
    for number in range(_COPIES):
        path = tmp_path / "images" / f"class-{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + number.to_bytes(2, "big"))
    bucket = spark_emr_session.create_bucket("cancelled-features")
    cluster = start_cluster(spark_emr_session, bucket=bucket)
    made, log = _Project(spark_emr_session, bucket, cluster, tmp_path, collection.weights), tmp_path / "sample.log"
    assert made.start("sampled_images,feature_extractor", log).wait() == 0, log.read_text()[-3000:]
    return made


def test_after_a_cancelled_step_the_next_run_computes_only_what_was_not_stored(project: _Project, tmp_path: Path):
    log = tmp_path / "cancelled.log"
    process = project.start_on_cluster(log)
    project.emr.wait_for(lambda: project.stored_files > 0 or process.poll() is not None, 120)
    assert project.stored_files > 0, log.read_text()[-3000:]
    (step,) = project.emr.clusters[project.cluster].steps
    project.emr.client("emr").cancel_steps(
        ClusterId=project.cluster, StepIds=[step], StepCancellationOption="TERMINATE_PROCESS"
    )
    assert process.wait() != 0, log.read_text()[-3000:]
    assert project.emr.clusters[project.cluster].steps[step].state == "CANCELLED"

    again = tmp_path / "again.log"
    assert project.start_on_cluster(again).wait() == 0, again.read_text()[-3000:]
    found = re.search(r"(\d+) images to infer .* (\d+) recovered from files", again.read_text())
    assert found is not None, again.read_text()[-3000:]
    computed, recovered = map(int, found.groups())
    assert computed + recovered == _COPIES
    assert 0 < recovered < _COPIES
