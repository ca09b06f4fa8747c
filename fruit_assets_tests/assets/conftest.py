"""A small graph of one's own: few images, and the extractor that the shared run exported."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import Field

from fruit_assets.assets.graph import ASSETS
from fruit_assets.resources import resources_for
from fruit_assets.settings import Settings
from fruit_assets.spark.resource import LocalSpark, SparkResource
from fruit_assets.spark.this_process import ThisProcess
from fruit_assets.storage import read_current
from fruit_assets.storage.delta.version import Version
from fruit_assets_tests.conftest import Collection, MakeSettings, PublishedGraph, materialised_metadata

Run = dg.ExecuteInProcessResult


class NoSpark(SparkResource):
    """Where no step may ask for Spark."""

    def prepare(self) -> None:
        raise AssertionError("Spark was asked for")

    def context(self) -> Any:
        raise AssertionError("Spark was asked for")


class UnannouncedSpark(NoSpark):
    """A Spark of this machine that is neither announced nor waited for, because the work is small."""

    def prepare_for(self, rows: int, size: float) -> None:
        pass

    def runner_for(self, rows: int, size: float) -> ThisProcess:
        return ThisProcess(2)


class WorkersOnly(LocalSpark):
    """Whose workers do all that tasks can do."""

    fast_start: list[str] = Field(default_factory=list)


@dataclass
class Graph:
    """Assets on a storage of their own."""

    settings: Settings
    instance: dg.DagsterInstance
    replaced: dict[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> Path:
        return Path(self.settings.images)

    def run(
        self,
        *assets: str,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        success: bool = True,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Materialise some assets, all when none is named; every image is sampled unless the config says otherwise."""
        ops: dict[str, Any] = {"sampled_images": {"fraction": 1.0}, "pca_model": {"n_components": 3}} | dict(
            config or {}
        )
        chosen = [
            name
            for name in ops
            if not assets or name in assets or (name == "image_features" and "rejected_images" in assets)
        ]
        result = dg.materialize(
            ASSETS,
            selection=list(assets) or None,
            resources={**resources_for(self.settings), **self.replaced},
            run_config={"ops": {name: {"config": ops[name]} for name in chosen}},
            instance=self.instance,
            tags=tags,
            raise_on_error=False,
        )
        assert result.success == success, self.failure(result)
        return result

    def featurize(self, **config: Any) -> dict[str, Any]:
        """Sample and featurise; returns the metadata of image_features."""
        result = self.run(
            "sampled_images",
            "feature_extractor",
            "image_features",
            "rejected_images",
            config={"image_features": config},
        )
        return materialised_metadata(result, "image_features")

    def failure(self, result: Run) -> str:
        """What a failed run says to people, from its steps or from before them."""
        errors = [getattr(event.event_specific_data, "error", None) for event in result.all_events if event.is_failure]
        return "\n".join(error.to_string() for error in errors if error is not None)

    def table(self, asset: str) -> pa.Table:
        return read_current(f"{self.settings.storage}/{asset}").sort_by("path")

    def current(self, asset: str) -> Version:
        return resources_for(self.settings)["storage"].table(asset).current()


@pytest.fixture
def make_graph(
    published: PublishedGraph, collection: Collection, make_settings: MakeSettings, tmp_path: Path
) -> Callable[..., Graph]:
    """A graph on an empty storage whose extractor is there already; settings may be overridden."""
    instance = dg.DagsterInstance.ephemeral()

    def make(**overrides: Any) -> Graph:
        settings = make_settings(tmp_path, **{"weights": collection.weights, **overrides})
        source = published.storage / "feature_extractor"
        if not settings.storage.startswith("s3://"):
            shutil.copytree(source, Path(settings.storage) / "feature_extractor", dirs_exist_ok=True)
        return Graph(settings, instance)

    return make


@pytest.fixture
def graph(make_graph: Callable[..., Graph], collection: Collection) -> Graph:
    """Twelve images of three classes."""
    made = make_graph()
    copy_some(collection, made.images, classes=3, per_class=4)
    return made


def copy_some(collection: Collection, target: Path, *, classes: int, per_class: int) -> None:
    """Copy the first images of the first classes of the collection."""
    folders: dict[str, list[Path]] = {}
    for path in sorted(collection.images.glob("Training/*/*.jpg")):
        folders.setdefault(path.parent.name, []).append(path)
    for label, paths in list(folders.items())[:classes]:
        (target / label).mkdir(parents=True)
        for path in paths[:per_class]:
            shutil.copy(path, target / label / path.name)
