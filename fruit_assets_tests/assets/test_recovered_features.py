"""Tests of runs that end before they publish: the next one computes only what no complete file holds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import boto3
import numpy as np
import psutil
import pytest
from PIL import Image

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.features import featurization
from fruit_assets.features.inference_worker import featurize_batch
from fruit_assets.object_store.stores import open_store
from fruit_assets_tests.assets.conftest import Graph, WorkersOnly, copy_some

pytestmark = pytest.mark.long(40)

FEATURES = ("sampled_images", "image_features", "rejected_images")
_BROKEN = 3

# A run of Spark's workers that never end what is named in its first argument, so that it can be killed in the middle.
_HELD_RUN = """
import json, pathlib, sys, time
import dagster as dg
from fruit_assets.assets.graph import ASSETS
from fruit_assets.features import featurization
from fruit_assets.resources import resources_for
from fruit_assets.settings import load_settings

def held_at(label, whole):
    def held(batch, *others):
        while label in batch["label"].to_pylist():
            time.sleep(0.1)
        return whole(batch, *others)
    return held

featurization.featurize_batch = held_at(sys.argv[1], featurization.featurize_batch)
settings = load_settings(json.loads(sys.argv[2]), pathlib.Path.cwd())
dg.materialize(ASSETS, selection=["image_features", "rejected_images"], resources=resources_for(settings))
"""


def _multiply(graph: Graph, times: int) -> int:
    """Distinct files that show the same; returns how many images there are."""
    for path in sorted(graph.images.rglob("*.jpg")):
        for number in range(1, times):
            path.with_name(f"{path.stem}-{number:03}.jpg").write_bytes(path.read_bytes() + b"\0" * number)
    return sum(1 for _ in graph.images.rglob("*.jpg"))


def _add_noise(graph: Graph, count: int) -> int:
    """Images whose features have little in common; returns how many images there are."""
    folder, noise = max(graph.images.iterdir()), np.random.default_rng(0)
    for number in range(count):
        pixels = noise.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(folder / f"noise-{number:03}.jpg")
    return sum(1 for _ in graph.images.rglob("*.jpg"))


def _break_first(graph: Graph) -> None:
    """Files that are no images; their paths are the first, so the first task has them."""
    first = min(graph.images.iterdir())
    for number in range(_BROKEN):
        (first / f"0-broken-{number}.jpg").write_bytes(b"not an image %d" % number)


def _features(graph: Graph) -> dict[str, np.ndarray]:
    table = graph.table("image_features")
    return dict(zip(table["path"].to_pylist(), feature_matrix(table["features"]), strict=True))


def _left_files(graph: Graph) -> list[Path]:
    return list(Path(graph.settings.storage).glob("image_features/data/*/part-*.parquet"))


def _intention(capfd: pytest.CaptureFixture[str]) -> str:
    """The last run's log line about what it will do."""
    return [line for line in capfd.readouterr().err.splitlines() if "images to infer" in line][-1]


def _kill_when_first_files_are_there(graph: Graph) -> None:
    """Materialise the features in a process of its own, and kill it with all that it has started."""
    places = {"FRUIT_ASSETS_IMAGES": str(graph.images), "FRUIT_ASSETS_STORAGE": graph.settings.storage}
    values = json.dumps({**places, "FRUIT_ASSETS_DRIVER_MEMORY": "1g", "FRUIT_ASSETS_FAST_START": "background"})
    last = max(graph.images.iterdir()).name
    log = graph.images.parent / "killed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _HELD_RUN, last, values],
            cwd=graph.images.parent, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    started: list[psutil.Process] = []
    try:
        while not _left_files(graph):
            assert process.poll() is None, log.read_text()[-3000:]
            # Looked for ahead: on a busy machine that takes as long as the rest of the work.
            with suppress(psutil.NoSuchProcess):
                started = psutil.Process(process.pid).children(recursive=True)
    finally:
        for each in started:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        # Spark's workers lead a process group of their own. Any of them may have ended: the launcher of a JVM, a worker
        # that was idle, the run itself where it failed.
        with suppress(psutil.NoSuchProcess):
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
        process.wait()


def test_after_a_kill_the_next_run_infers_only_what_no_complete_file_holds(graph, capfd):
    total = _multiply(graph, 12)
    _break_first(graph)
    graph.replaced["spark"] = WorkersOnly(cache=str(graph.settings.cache))
    graph.run("sampled_images")
    _kill_when_first_files_are_there(graph)
    assert not (Path(graph.settings.storage) / "image_features" / "_delta_log").exists()
    left = {path.name for path in _left_files(graph)}

    metadata = graph.featurize()
    assert metadata["recovered"] + metadata["computed"] == total
    assert 0 < metadata["recovered"] < total
    intention = _intention(capfd)
    assert f"0 to take over from the previous version, {metadata['recovered']} recovered from files" in intention
    published = graph.current("image_features")
    # They are published as they are.
    assert left == {Path(file.path).name for file in published.files} & left
    assert graph.table("rejected_images").num_rows == _BROKEN
    recovered = _features(graph)

    assert graph.featurize()["committed_by_this_run"] is False
    assert graph.featurize(reuse=False)["computed"] == total
    undisturbed = _features(graph)
    assert recovered.keys() == undisturbed.keys()
    assert max(np.abs(recovered[path] - features).max() for path, features in undisturbed.items()) < 1e-4


def test_after_a_worker_was_lost_the_next_run_infers_what_is_missing(graph, monkeypatch):
    total = _multiply(graph, 8)
    last = max(graph.images.iterdir()).name

    def dying(batch, *others):
        if any(label.as_py() == last for label in batch["label"]) and batch["path"][0].as_py().startswith(last):
            os.kill(os.getpid(), signal.SIGKILL)
        return featurize_batch(batch, *others)

    with monkeypatch.context() as patch:
        patch.setattr(featurization, "featurize_batch", dying)
        graph.run(*FEATURES, success=False)
    metadata = graph.featurize()
    assert metadata["recovered"] + metadata["computed"] == total
    assert metadata["recovered"] > 0
    assert graph.table("image_features").num_rows == total


def test_what_a_lost_worker_left_on_s3_is_recovered(
    make_graph, collection, published, s3_spark, bucket, monkeypatch, capfd
):
    graph = make_graph(storage=f"s3://{bucket}/assets")
    copy_some(collection, graph.images, classes=3, per_class=4)
    total = _multiply(graph, 3)
    source = published.storage / "feature_extractor"
    for path in (path for path in source.rglob("*") if path.is_file()):
        key = f"assets/feature_extractor/{path.relative_to(source).as_posix()}"
        boto3.client("s3").upload_file(str(path), bucket, key)
    last, uri = max(graph.images.rglob("*.jpg")).relative_to(graph.images).as_posix(), graph.settings.storage

    def dying(batch, *others):
        while last in batch["path"].to_pylist():
            if any(open_store(f"{uri}/image_features").list("data/")):
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)
        return featurize_batch(batch, *others)

    with monkeypatch.context() as patch:
        patch.setattr(featurization, "SECONDS_PER_FILE", 0.0)
        patch.setattr(featurization, "featurize_batch", dying)
        graph.run(*FEATURES, success=False)
    metadata = graph.featurize()
    assert metadata["recovered"] + metadata["computed"] == total
    assert 0 < metadata["recovered"] < total
    assert f"{metadata['recovered']} recovered from files" in _intention(capfd)
    assert graph.table("image_features").num_rows == total


def test_what_was_computed_before_the_disk_was_full_is_not_computed_again(graph, small_disk, monkeypatch, capfd):
    total = _add_noise(graph, 160)
    graph.run("sampled_images")
    features = Path(graph.settings.storage) / "image_features"
    features.symlink_to(small_disk)
    # 2 to 5 kB a row, of which 190 kB fit.
    (small_disk / "ballast").write_bytes(bytes(850_000))
    with monkeypatch.context() as patch:
        patch.setattr(featurization, "SECONDS_PER_FILE", 0.0)
        failed = graph.run("image_features", "rejected_images", success=False)
    assert "No space left on device" in graph.failure(failed)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    metadata = graph.featurize()
    assert metadata["recovered"] + metadata["computed"] == total
    assert 0 < metadata["recovered"] < total
    assert f"{metadata['recovered']} recovered from files" in _intention(capfd)
    assert graph.table("image_features").num_rows == total


def test_what_a_check_kept_from_being_published_is_not_computed_again_nor_decoded(graph, capfd):
    total = _multiply(graph, 1)
    _break_first(graph)
    strict = {"max_rejected_share": 0.1}
    failed = graph.run(*FEATURES, config={"image_features": strict}, success=False)
    assert "mostly_readable" in graph.failure(failed)
    metadata = graph.featurize()
    assert (metadata["computed"], metadata["recovered"]) == (0, total)
    assert f"{_BROKEN} are known to be unreadable" in _intention(capfd)
    assert graph.table("rejected_images")["reason"].null_count == 0
    assert graph.table("rejected_images").num_rows == _BROKEN


def test_what_a_run_left_is_not_taken_by_one_with_other_settings_or_without_reuse(graph):
    total = _multiply(graph, 1)
    _break_first(graph)
    strict = {"max_rejected_share": 0.1}
    graph.run(*FEATURES, config={"image_features": strict}, success=False)
    for settings in ({"reuse": False}, {"precision": "bf16"}, {"max_pixels": 10_000_000}):
        metadata = graph.featurize(**settings)
        assert (metadata["computed"], metadata["recovered"]) == (total, 0), settings
        _unpublish(graph)
    assert graph.featurize()["recovered"] == total


def _unpublish(graph: Graph) -> None:
    """Forget all versions, and keep the files."""
    for name in ("image_features", "rejected_images"):
        shutil.rmtree(Path(graph.settings.storage) / name / "_delta_log")
