"""Our contender: the whole graph by `dagster job execute`, in a cold process.

Put here how the job is configured and started, and what state its storage is in before. What the run
says afterwards is read in `run_log.py`.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from fruit_assets_tests.benchmarks.cold_process import PROJECT, PYTHON, ColdRun, environment, run_cold
from fruit_assets_tests.benchmarks.memory_watch import DEFAULT_INTERVAL, SizeOf, resident
from fruit_assets_tests.benchmarks.run_log import RunLog, read_run_log

_DEFAULT_COMPONENTS = 80
_CONFIGURATION = PROJECT / "dagster.yaml"
_FINISH_CLASS_DATA = """
import sys, time
from pathlib import Path
from fruit_assets.spark.cds_build import make_archive
from fruit_assets.spark.session import LocalSparkOptions, class_data_for
missing = class_data_for(LocalSparkOptions(Path(sys.argv[1])))
for _ in range(600):
    if make_archive(missing):
        break
    time.sleep(1)
"""


@dataclass(frozen=True)
class JobRun:
    """A finished job: its process and its event log."""

    process: ColdRun
    log: RunLog

    @property
    def seconds(self) -> float:
        return self.process.seconds

    @property
    def exported(self) -> bool:
        """Whether this run had to export the extractor."""
        return bool(self.log.metadata["feature_extractor"]["exported_by_this_run"])

    @property
    def images(self) -> int:
        return int(self.log.metadata["pca_components"]["dagster/row_count"])

    @property
    def computed(self) -> int:
        return int(self.log.metadata["image_features"]["computed"])


@dataclass(frozen=True)
class WholeJob:
    """The job on one image set.

    Attributes:
        images: the image set.
        count: images in it.
        weights: value for FRUIT_ASSETS_WEIGHTS.
        scratch: folder for storages, caches and logs.
        precision: of the features.
        input_size: of the extractor.
        driver_memory: value for FRUIT_ASSETS_DRIVER_MEMORY; None leaves the choice to the project.
        fast_start: value for FRUIT_ASSETS_FAST_START.
        refit: of the components; None leaves it to the project.
        variables: of the environment; they override those that name places.
    """

    images: Path
    count: int
    weights: str
    scratch: Path
    precision: str = "f32"
    input_size: int = 224
    driver_memory: str | None = None
    fast_start: str = "on"
    refit: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def with_fast_start(self, value: str) -> "WholeJob":
        return replace(self, fast_start=value)

    def cold(self, *, interval: float = DEFAULT_INTERVAL, size_of: SizeOf = resident) -> "tuple[JobRun, Storage]":
        """Run with an empty storage and an empty cache: what the very first run on a machine does."""
        storage = Storage.new(self.scratch)
        run = self.run(storage, interval=interval, size_of=size_of)
        storage.finish_class_data()
        return run, storage

    def run(self, storage: "Storage", *, interval: float = DEFAULT_INTERVAL, size_of: SizeOf = resident) -> JobRun:
        """Run with a storage as it is.

        Raises:
            ColdProcessFailed: the run failed.
        """
        command, variables = self.command(storage)
        process = run_cold(command, storage.home, variables, name="job", interval=interval, size_of=size_of)
        return JobRun(process, read_run_log(storage.home))

    def command(self, storage: "Storage") -> tuple[list[str], dict[str, str]]:
        """The command of the job, and its whole environment."""
        home = storage.home
        home.mkdir(exist_ok=True)
        if _CONFIGURATION.is_file():
            shutil.copy(_CONFIGURATION, home)
        config = home / "run_config.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        command = [
            PYTHON,
            "-m",
            "dagster",
            "job",
            "execute",
            "-m",
            "fruit_assets",
            "-j",
            "fruit_features_job",
            "-c",
            str(config),
        ]
        return command, self._variables(storage, home)

    def _variables(self, storage: "Storage", home: Path) -> dict[str, str]:
        memory = {"FRUIT_ASSETS_DRIVER_MEMORY": self.driver_memory} if self.driver_memory else {}
        places = {
            "DAGSTER_HOME": str(home),
            "FRUIT_ASSETS_IMAGES": str(self.images),
            "FRUIT_ASSETS_STORAGE": str(storage.assets),
            "FRUIT_ASSETS_CACHE": str(storage.cache),
            "FRUIT_ASSETS_WEIGHTS": self.weights,
            "FRUIT_ASSETS_FAST_START": self.fast_start,
        }
        return environment(**{**places, **memory, **self.variables})

    def _config(self) -> dict[str, object]:
        settings = {
            "sampled_images": {"fraction": 1.0},
            "feature_extractor": {"input_size": self.input_size},
            "image_features": {"precision": self.precision},
            "pca_model": {
                "n_components": min(_DEFAULT_COMPONENTS, self.count),
                **({"refit": self.refit} if self.refit else {}),
            },
        }
        return {"ops": {name: {"config": values} for name, values in settings.items()}}


@dataclass(frozen=True)
class Storage:
    """Published assets, and the cache and the DAGSTER_HOME of the machine they were made on.

    Attributes:
        folder: holds both, and the logs of the runs.
    """

    folder: Path

    @staticmethod
    def new(scratch: Path) -> "Storage":
        number = len(list(scratch.glob("storage-*")))
        folder = scratch / f"storage-{number}"
        folder.mkdir(parents=True)
        return Storage(folder)

    @property
    def assets(self) -> Path:
        return self.folder / "assets"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def with_extractor_only(self, scratch: Path) -> "Storage":
        """A new storage that has this one's extractor and no other asset; the machine is the same."""
        fresh = Storage.new(scratch)
        machine = [(folder, fresh.folder) for folder in (self.cache, self.home)]
        for folder, target in [(self.assets / "feature_extractor", fresh.assets), *machine]:
            if folder.is_dir():
                shutil.copytree(folder, target / folder.name, symlinks=True)
        return fresh

    def finish_class_data(self) -> None:
        """Wait for what a first run leaves to a process of its own, or make it, so that no later run is beside it."""
        run_cold([PYTHON, "-c", _FINISH_CLASS_DATA, str(self.cache)], self.folder, environment(), name="class-data")

    def remove(self) -> None:
        shutil.rmtree(self.folder)
