"""The contenders of `against_peers`: how each is started, and how its output is checked.

Put here processes and outcomes. The order of measurements and the tables belong in `against_peers.py`, the peers'
programs in the files `on_*.py` and in `notebook_pipeline.py`.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.storage import read_current
from fruit_assets_tests.benchmarks.cold_process import PYTHON, ColdProcessFailed, ColdRun, environment, run_cold
from fruit_assets_tests.benchmarks.image_set import Source, make_image_set
from fruit_assets_tests.benchmarks.memory_watch import proportional
from fruit_assets_tests.benchmarks.peers import on_duckdb, on_shards
from fruit_assets_tests.benchmarks.peers.agreement import Agreement, DifferentImages, Reference
from fruit_assets_tests.benchmarks.peers.job import COMPONENTS, FEATURES
from fruit_assets_tests.benchmarks.whole_job import Storage, WholeJob

if TYPE_CHECKING:
    import pyarrow as pa

NOTEBOOK, SPARK_KERAS, OURS, OURS_WITH_EXPORT = "notebook", "spark-keras", "ours", "ours-export"
# Those that get the exported extractor.
SPARK, RAY, DAFT, SHARDS, PROCESSES, DUCKDB, ONNX = "spark", "ray", "daft", "shards", "processes", "duckdb", "onnx"
# Rarely, because to count shared pages once the kernel walks all of them.
_SECONDS_BETWEEN_LOOKS = 2.0
_COMPONENTS = 80
# Of the run that leaves the extractor, its batch sizes and Spark's archive of classes: enough to measure the former.
_IMAGES_OF_FIRST_RUN = 600
_PACKAGE = "fruit_assets_tests.benchmarks"
# ONNX Runtime has no bf16 on these processors.
_ONNX_PRECISIONS = ("f32", "int8")
# Peers that leave something else than Parquet files.
_OWN_STORES = {"on_shards": on_shards.read_table, "on_duckdb": on_duckdb.read_table}
# Otherwise they would write to the user's home folder and send usage statistics.
_QUIET = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "true", "DAFT_PROGRESS_BAR": "0"}


@dataclass(frozen=True)
class Measured:
    """A contender's run that computed all images.

    Attributes:
        seconds: of the whole process.
        peak_memory: of all its processes together, shared pages counted once, bytes.
        agreement: of its features with Keras'.
    """

    seconds: float
    peak_memory: int
    agreement: Agreement


@dataclass(frozen=True)
class Failed:
    """A contender's run that ended with an error or without some images."""

    reason: str


Outcome = Measured | Failed


@dataclass(frozen=True)
class Course:
    """The input of all contenders at one size.

    Attributes:
        images: the image set.
        count: images in it.
        origin: what it was made from, and the weights.
        model: the exported extractor.
        reference: Keras' features of some of the images.
        peers_python: interpreter of the environment that has the peers.
        scratch: folder for what they write.
    """

    images: Path
    count: int
    origin: Source
    model: Path
    reference: Reference
    peers_python: Path
    scratch: Path

    def peer(self, module: str, python: str | Path, precision: str, network: str | None = None) -> Measured:
        """Run a peer's module, which leaves one table of features and one of components.

        Args:
            module: in this folder.
            python: the interpreter to run it.
            precision: of the features.
            network: what to run; the exported model when None.
        """
        command = [*self._command(python, f"peers.{module}"), "--network", network or str(self.model)]
        run = self._run([*command, "--precision", precision])
        own = _OWN_STORES.get(module)
        features = own(self._out) if own else self._table(self._out / FEATURES)
        return self._measured(run, features, self._table(self._out / COMPONENTS))

    def notebook(self) -> Measured:
        """Run the notebook's pipeline, whose one table holds features and components."""
        run = self._run([*self._command(PYTHON, "notebook_pipeline"), "--weights", self.origin.weights])
        both = self._table(self._out)
        return self._measured(run, both, both)

    def ours(self, precision: str, extractor: Storage | None) -> Measured:
        """Run this project's job, with a storage that has the extractor, or with an empty one."""
        job = WholeJob(self.images, self.count, self.origin.weights, self.scratch, precision)
        storage = extractor.with_extractor_only(self.scratch) if extractor else Storage.new(self.scratch)
        try:
            run = job.run(storage, interval=_SECONDS_BETWEEN_LOOKS, size_of=proportional)
            if run.exported == (extractor is not None) or run.computed != self.count:
                raise ColdProcessFailed(f"exported: {run.exported}, computed: {run.computed} of {self.count} images")
            features = read_current(str(storage.assets / "image_features"), ["path", FEATURES])
            components = read_current(str(storage.assets / "pca_components"), ["path"])
        finally:
            storage.remove()
        return self._measured(run.process, features, components)

    @property
    def _out(self) -> Path:
        return self.scratch / "peer" / "out"

    def _command(self, python: str | Path, module: str) -> list[str]:
        components = str(min(_COMPONENTS, self.count))
        return [str(python), "-m", f"{_PACKAGE}.{module}", str(self.images), str(self._out), "--components", components]

    def _run(self, command: Sequence[str]) -> ColdRun:
        shutil.rmtree(self._out.parent, ignore_errors=True)
        variables = environment(PYSPARK_PYTHON=PYTHON, PYSPARK_DRIVER_PYTHON=PYTHON, **_QUIET)
        return run_cold(command, self._out.parent, variables, interval=_SECONDS_BETWEEN_LOOKS, size_of=proportional)

    def _table(self, folder: Path) -> "pa.Table":
        import pyarrow.dataset as ds

        found = ds.dataset(folder, format="parquet")
        return found.to_table(columns=[name for name in ("path", FEATURES) if name in found.schema.names])

    def _measured(self, run: ColdRun, features: "pa.Table", components: "pa.Table") -> Measured:
        self.reference.check_paths(components)
        return Measured(run.seconds, run.memory.peak_of_tree, self.reference.agreement(features))


class Extractors:
    """Storages with only an exported extractor, created once per precision by a run of a few images.

    Args:
        origin: of the images and the weights.
        scratch: folder for them.
    """

    def __init__(self, origin: Source, scratch: Path) -> None:
        self._origin = origin
        self._scratch = scratch
        self._made: dict[str, Storage] = {}

    def at(self, precision: str) -> Storage:
        if precision not in self._made:
            images = make_image_set(self._origin, _IMAGES_OF_FIRST_RUN, self._scratch / "first")
            job = WholeJob(images, _IMAGES_OF_FIRST_RUN, self._origin.weights, self._scratch, precision)
            _, self._made[precision] = job.cold()
        return self._made[precision]


def contenders(
    course: Course, extractors: Extractors, peer_precisions: Sequence[str], precisions: Sequence[str]
) -> dict[str, Callable[[], Outcome]]:
    """All contenders by name, `<program>-<precision>`; one that fails is an outcome like any other."""
    runs: dict[str, Callable[[], Measured]] = {
        f"{NOTEBOOK}-f32": course.notebook,
        f"{SPARK_KERAS}-f32": partial(course.peer, "on_spark", PYTHON, "f32", course.origin.weights),
    }
    for precision in peer_precisions:
        runs[f"{SPARK}-{precision}"] = partial(course.peer, "on_spark", PYTHON, precision)
        for program in (RAY, DAFT, SHARDS, PROCESSES, DUCKDB, ONNX):
            if program != ONNX or precision in _ONNX_PRECISIONS:
                runs[f"{program}-{precision}"] = partial(course.peer, f"on_{program}", course.peers_python, precision)
    for precision in precisions:
        runs[f"{OURS}-{precision}"] = partial(_with_extractor, course, extractors, precision)
    for precision in precisions:
        runs[f"{OURS_WITH_EXPORT}-{precision}"] = partial(course.ours, precision, None)
    return {name: partial(_outcome, run) for name, run in runs.items()}


def program_of(contender: str) -> str:
    return contender.rpartition("-")[0]


def _with_extractor(course: Course, extractors: Extractors, precision: str) -> Measured:
    return course.ours(precision, extractors.at(precision))


def _outcome(run: Callable[[], Measured]) -> Outcome:
    try:
        return run()
    except (ColdProcessFailed, DifferentImages) as failure:
        return Failed(str(failure))
