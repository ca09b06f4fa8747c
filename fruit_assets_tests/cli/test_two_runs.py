"""Two real runs at once on one storage: each reads what it made, and neither overwrites the other's newer work."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.staged_commit import INPUTS
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets_tests.assets.conftest import copy_some
from fruit_assets_tests.cli.test_cli import JOB
from fruit_assets_tests.conftest import Collection, PublishedGraph

pytestmark = pytest.mark.long(40)


@pytest.fixture
def environment(published: PublishedGraph, collection: Collection, tmp_path: Path) -> dict[str, str]:
    """A project of 24 images whose storage holds the extractor alone."""
    copy_some(collection, tmp_path / "images", classes=3, per_class=8)
    shutil.copytree(published.storage / "feature_extractor", tmp_path / "assets" / "feature_extractor")
    return {
        **os.environ,
        "FRUIT_ASSETS_IMAGES": str(tmp_path / "images"),
        "FRUIT_ASSETS_WEIGHTS": collection.weights,
        "FRUIT_ASSETS_STORAGE": str(tmp_path / "assets"),
        "FRUIT_ASSETS_DRIVER_MEMORY": "1g",
    }


def _start(folder: Path, environment: dict[str, str], fraction: float) -> subprocess.Popen[str]:
    folder.mkdir()
    ops = {"sampled_images": {"config": {"fraction": fraction}}, "pca_model": {"config": {"n_components": 3}}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"ops": ops}))
    return subprocess.Popen(
        [*JOB, "-c", str(folder / "config.yaml")],
        env=environment,
        cwd=folder,
        stdout=(folder / "log").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
    )


def _table(storage: Path, asset: str) -> Table:
    return Table(open_store(str(storage / asset)))


def _paths(version: Version) -> set[str]:
    return set(version.read_table(["path"])["path"].to_pylist())


def test_of_two_runs_at_once_no_result_is_made_of_both(environment: dict[str, str], tmp_path: Path) -> None:
    storage = tmp_path / "assets"
    runs = [_start(tmp_path / "first", environment, 1.0)]
    try:
        while _table(storage, "sampled_images").current_or_none() is None:
            assert runs[0].poll() is None, (tmp_path / "first" / "log").read_text()[-3000:]
            time.sleep(0.05)
        runs.append(_start(tmp_path / "second", environment, 0.5))
        codes = [run.wait() for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    logs = [(tmp_path / name / "log").read_text() for name in ("first", "second")]
    assert 0 in codes, logs[0][-3000:] + logs[1][-3000:]
    for code, log in zip(codes, logs, strict=True):
        assert code == 0 or "Nothing was published. Run it again" in log, log[-3000:]

    sample, features, model, components = (
        _table(storage, name) for name in ("sampled_images", "image_features", "pca_model", "pca_components")
    )
    assert len({commit.run_id for commit in sample.history()}) == 2
    for commit in components.history():
        made_from = commit.facts[INPUTS]
        of_features = features.at(made_from["image_features"])
        assert model.at(made_from["pca_model"]).facts[INPUTS]["image_features"] == of_features.number
        assert model.at(made_from["pca_model"]).run_id == of_features.run_id == commit.run_id
        assert _paths(components.at(commit.number)) == _paths(of_features)
        assert _paths(of_features) == _paths(sample.at(of_features.facts[INPUTS]["sampled_images"]))
    # What is newest belongs together, too.
    assert features.current().facts[INPUTS]["sampled_images"] == sample.current().number
    assert components.current().facts[INPUTS]["image_features"] == features.current().number
