"""Tests of a sample that is brought up to date through the graph: what is fetched, kept and removed, and by whom."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fruit_assets.resources import resources_for
from fruit_assets.spark.resource import LocalSpark
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.assets.conftest import Graph, NoSpark, UnannouncedSpark, WorkersOnly
from fruit_assets_tests.conftest import materialised_metadata
from fruit_assets_tests.storage.tables import stage_table

pytestmark = pytest.mark.long(60)


def _sample(graph: Graph, **config: Any) -> dict[str, Any]:
    result = graph.run("sampled_images", config={"sampled_images": {"fraction": 1.0, **config}})
    return materialised_metadata(result, "sampled_images")


def _counts(metadata: dict[str, Any]) -> dict[str, int]:
    names = ("fetched", "kept", "copied", "removed")
    return {name: metadata[f"images_{name}"] for name in names if metadata[f"images_{name}"]}


def _paths(graph: Graph) -> set[str]:
    return {file.path for file in graph.current("sampled_images").files}


def test_a_run_of_the_graph_fetches_and_featurises_only_what_is_new(graph, capfd):
    first = materialised_metadata(graph.run(), "sampled_images")
    assert (_counts(first), first["read_again"]) == ({"fetched": 12}, True)
    before, features = _paths(graph), {file.path for file in graph.current("image_features").files}
    image = next(graph.images.rglob("*.jpg"))
    image.with_name("new.jpg").write_bytes(image.read_bytes() + b"\0")
    capfd.readouterr()
    result = graph.run()
    assert f"Fetched 1 new or changed images; kept 12 in {len(before)} file(s); removed 0." in capfd.readouterr().err
    again = materialised_metadata(result, "sampled_images")
    assert (_counts(again), again["read_again"]) == ({"fetched": 1, "kept": 12}, True)
    assert before < _paths(graph)
    of_features = materialised_metadata(result, "image_features")
    assert (of_features["computed"], of_features["reused"]) == (1, 12)
    assert features < {file.path for file in graph.current("image_features").files}
    assert graph.table("pca_components").num_rows == 13


def test_nothing_new_is_neither_fetched_nor_committed_and_needs_no_spark(graph):
    _sample(graph)
    version = graph.current("sampled_images")
    graph.replaced["spark"] = NoSpark()
    metadata = _sample(graph)
    assert (_counts(metadata), metadata["read_again"]) == ({"kept": 12}, False)
    assert graph.current("sampled_images") == version


def test_spark_is_announced_before_the_listing_of_the_first_sample_only_where_the_run_featurises_it(graph):
    graph.replaced["spark"] = NoSpark()
    asked = graph.run("sampled_images", "image_features", "rejected_images", success=False)
    assert "Spark was asked for" in graph.failure(asked)
    shutil.rmtree(graph.images)
    asked = graph.run("sampled_images", "image_features", "rejected_images", success=False)
    assert "Spark was asked for" in graph.failure(asked)
    assert "does not exist" in graph.failure(graph.run("sampled_images", success=False))


def test_a_sample_alone_announces_spark_only_for_many_images(graph, monkeypatch):
    spark = LocalSpark(cache=str(graph.settings.cache))
    announced = []
    monkeypatch.setattr(LocalSpark, "prepare", lambda _: announced.append(True))
    graph.replaced["spark"] = spark
    _sample(graph)
    assert not announced
    shutil.rmtree(Path(graph.settings.storage) / "sampled_images")
    monkeypatch.setattr("fruit_assets.spark.resource._FEW_ROWS", 11)
    _sample(graph)
    assert announced


def test_few_images_are_fetched_without_waiting_for_spark_and_the_rows_are_those_that_its_workers_write(graph):
    rows = []
    for spark in (UnannouncedSpark(), WorkersOnly(cache=str(graph.settings.cache))):
        graph.replaced["spark"] = spark
        assert _counts(_sample(graph)) == {"fetched": 12}
        rows.append((graph.table("sampled_images").to_pylist(), graph.current("sampled_images").facts))
        shutil.rmtree(Path(graph.settings.storage) / "sampled_images")
    assert rows[0] == rows[1]


def test_a_file_of_removed_images_leaves_the_table_without_spark(graph):
    _sample(graph)
    version = graph.current("sampled_images")
    victim = version.files[0]
    for path in sorted(graph.images.rglob("*.jpg")):
        if victim.least["path"] <= path.relative_to(graph.images).as_posix() <= victim.greatest["path"]:
            path.unlink()
    graph.replaced["spark"] = NoSpark()
    metadata = _sample(graph)
    assert _counts(metadata) == {"kept": 12 - victim.rows, "removed": victim.rows}
    assert not metadata["read_again"]
    assert _paths(graph) == {file.path for file in version.files} - {victim.path}


def test_the_rows_beside_removed_and_changed_images_are_copied_and_not_fetched(graph):
    _sample(graph)
    removed, changed = sorted(graph.images.rglob("*.jpg"))[:2]
    removed.unlink()
    changed.write_bytes(changed.read_bytes() + b"\0")
    counts = _counts(_sample(graph))
    assert (counts["fetched"], counts["removed"]) == (1, 1)
    assert counts.get("copied", 0) + counts.get("kept", 0) == 10
    rows = graph.table("sampled_images").to_pylist()
    assert {row["path"]: row["content"] for row in rows} == {
        path.relative_to(graph.images).as_posix(): path.read_bytes() for path in graph.images.rglob("*.jpg")
    }


def test_after_its_folder_was_removed_the_sample_is_fetched_anew_and_the_features_stay(graph):
    graph.featurize()
    files = graph.current("image_features").files
    shutil.rmtree(Path(graph.settings.storage) / "sampled_images")
    metadata = graph.featurize()
    assert (metadata["computed"], metadata["reused"]) == (0, 12)
    assert graph.current("image_features").files == files
    assert graph.current("sampled_images").row_count == 12


def test_a_new_stamp_of_the_same_bytes_leaves_the_features_nothing_to_do(graph):
    graph.featurize()
    version = graph.current("sampled_images").facts["data_version"]
    image = next(graph.images.rglob("*.jpg"))
    image.write_bytes(image.read_bytes())
    metadata = graph.featurize()
    assert (metadata["computed"], metadata["reused"]) == (0, 12)
    assert graph.current("sampled_images").facts["data_version"] == version
    assert image.stat().st_mtime_ns == int(
        dict(zip(*graph.table("sampled_images").select(["path", "stamp"]).to_pydict().values(), strict=True))[
            image.relative_to(graph.images).as_posix()
        ]
    )


def test_a_larger_fraction_fetches_what_it_adds_and_another_seed_what_it_changes(graph):
    _sample(graph, fraction=0.5)
    chosen = set(graph.table("sampled_images")["path"].to_pylist())
    assert _counts(_sample(graph, fraction=0.75)) == {"fetched": 3, "kept": 6}
    before = set(graph.table("sampled_images")["path"].to_pylist())
    assert chosen < before
    metadata = _sample(graph, fraction=0.75, seed=1)
    after = set(graph.table("sampled_images")["path"].to_pylist())
    assert metadata["images_fetched"] == len(after - before)
    assert metadata["images_removed"] == len(before - after)


def test_a_sample_by_an_earlier_release_is_fetched_anew_and_the_log_says_why(graph, capfd):
    _sample(graph)
    version = graph.current("sampled_images")
    facts = dict(version.facts)
    table = Table(version.store)
    earlier = stage_table(version.read_table(["path", "label", "sha256", "content"]), VersionWriter(table, "earlier"))
    table.commit(earlier.with_facts(**facts))
    metadata = _sample(graph)
    assert _counts(metadata) == {"fetched": 12}
    assert "was made by an earlier release, without the columns size and stamp" in capfd.readouterr().err
    assert graph.current("sampled_images").facts == facts
    assert {"size", "stamp"} < set(graph.table("sampled_images").column_names)


# A run that fetches slowly, so that it can be killed in the middle: with a reader of this file's, which workers get by
# value.
_SLOW_RUN = """
import json, pathlib, sys, time
import dagster as dg
from fruit_assets.assets.graph import ASSETS
from fruit_assets.images import fetching
from fruit_assets.resources import resources_for
from fruit_assets.spark.resource import LocalSpark
from fruit_assets.settings import load_settings

def slowly(root):
    def read(path):
        time.sleep(0.2)
        with open(f"{root}/{path}", "rb") as file:
            return file.read()
    return read

fetching._file_reader = slowly
fetching._IMAGES_PER_FETCH_TASK = 20
fetching.SECONDS_PER_FILE = 0.5
settings = load_settings(json.loads(sys.argv[1]), pathlib.Path.cwd())
config = {"ops": {"sampled_images": {"config": {"fraction": 1.0}}}}
dg.materialize(ASSETS, selection=["sampled_images"], resources=resources_for(settings), run_config=config)
"""


# By Spark's workers, or by the killed process itself.
@pytest.mark.parametrize("fast_start", ["background", "small_tasks"])
def test_after_a_kill_only_what_no_complete_file_holds_is_fetched(graph, capfd, tmp_path, fast_start):
    image = next(graph.images.rglob("*.jpg")).read_bytes()
    for number in range(388):
        (graph.images / "many" / f"{number:03}.jpg").parent.mkdir(exist_ok=True)
        (graph.images / "many" / f"{number:03}.jpg").write_bytes(image + b"\0" * number)
    table = Path(graph.settings.storage) / "sampled_images"
    places = {"FRUIT_ASSETS_IMAGES": graph.settings.images, "FRUIT_ASSETS_STORAGE": graph.settings.storage}
    values = json.dumps({**places, "FRUIT_ASSETS_DRIVER_MEMORY": "1g", "FRUIT_ASSETS_FAST_START": fast_start})
    run = subprocess.Popen([sys.executable, "-c", _SLOW_RUN, values], cwd=tmp_path)
    try:
        while len(list(table.glob("data/*/*.parquet"))) < 3:
            assert run.poll() is None
            time.sleep(0.02)
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    assert resources_for(graph.settings)["storage"].table("sampled_images").current_or_none() is None
    metadata = _sample(graph)
    recovered = metadata["images_recovered"]
    assert 3 * 20 <= recovered < 400
    assert metadata["images_fetched"] == 400 - recovered
    assert f"Recovered {recovered} images from complete files of runs" in capfd.readouterr().err
    rows = graph.table("sampled_images").to_pylist()
    assert {row["path"]: row["content"] for row in rows} == {
        path.relative_to(graph.images).as_posix(): path.read_bytes() for path in graph.images.rglob("*.jpg")
    }
    assert _counts(_sample(graph)) == {"kept": 400}
