"""Build the class data sharing (CDS) archive of the classes that Spark loads, in a separate process.

Run as `python -m fruit_assets.spark.cds_build FOLDER KEY JAVA_OPTIONS`. Put here how an archive is recorded
and stored; when one is used or missing is decided in `fast_start/cds_archive.py`.
"""

import fcntl
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.spark.fast_start.cds_archive import ClassData, archive_name
from fruit_assets.spark.session import LocalSparkOptions, start_local_context
from fruit_assets.temporary_folder import TemporaryFolder

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext

_KEPT = 3
_MEMORY = "1g"
_NICE = 19
# A build may outlive the run that started it by this time at most; an idle machine needs a third of it.
_MAX_SECONDS = 60


def make_archive(missing: ClassData) -> bool:
    """Start Spark, run a small job of each kind, and archive the classes that were loaded.

    Concurrent processes build one archive, and readers see a complete one or none. Returns whether it exists.
    """
    with _locked(missing) as has_lock:
        if has_lock and not missing.is_made:
            part = missing.folder / f".{missing.key}.part"
            part.unlink(missing_ok=True)
            try:
                _record(part, missing)
                _publish(part, missing)
            finally:
                part.unlink(missing_ok=True)
    return missing.is_made


@contextmanager
def _locked(missing: ClassData) -> Iterator[bool]:
    """Whether this process may build the archive; the lock is released when the process ends."""
    missing.folder.mkdir(parents=True, exist_ok=True)
    with missing.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _record(part: Path, missing: ClassData) -> None:
    from pyspark import SparkContext

    recording = f"{missing.java_options} -XX:ArchiveClassesAtExit={part} -Xlog:disable"
    folder = TemporaryFolder("class-data-")
    conf = {"spark.driver.extraJavaOptions": recording}
    context = start_local_context(LocalSparkOptions(folder.path, "local[2]", driver_memory=_MEMORY, conf=conf))
    gateway = SparkContext._gateway
    assert gateway is not None  # noqa: S101  Spark runs
    _warm_up(context, folder.path)
    context.stop()
    # The JVM ends when its standard input is closed, and writes the archive then.
    gateway.proc.stdin.close()
    gateway.proc.wait()


def _warm_up(context: "SparkContext", folder: Path) -> None:
    """Use each part of Spark that a run uses, so that the JVM loads its classes."""
    from pyspark.sql import SparkSession

    shared = context.broadcast(1)
    numbers = context.parallelize([1, 2, 3, 4], 4).map(lambda number: (number % 2, number + shared.value))
    numbers.partitionBy(2, int).values().collect()
    context.statusTracker().getActiveStageIds()
    session = SparkSession.builder.getOrCreate()
    target = f"file:{folder}/rows"
    session.range(8).mapInArrow(_unchanged, "id bigint").write.parquet(target)
    session.read.schema("id bigint").parquet(target).where("id > 3").toArrow()


def _unchanged(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    yield from batches


def _publish(part: Path, missing: ClassData) -> None:
    with part.open("rb") as file:
        # The content must be on the disk before the file gets the name by which readers trust it.
        os.fsync(file.fileno())
    part.replace(missing.folder / archive_name(missing.key, part))
    others = sorted(missing.folder.glob("*.jsa"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[_KEPT:]:
        old.unlink(missing_ok=True)


def _lower_priority() -> None:
    """Run at the lowest priority, so that the build does not slow down the next run."""
    os.nice(_NICE)
    # Linux first shares the cores between sessions, and this process has its own session.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def main(arguments: Sequence[str]) -> int:
    """Build the archive named by folder and key, for a JVM with the options of the third argument."""
    folder, key, java_options = arguments
    _lower_priority()
    signal.signal(signal.SIGALRM, _time_out)
    signal.alarm(_MAX_SECONDS)
    try:
        return 0 if make_archive(ClassData(Path(folder), key, Path(os.devnull), java_options)) else 1
    finally:
        _end_jvm()


def _time_out(*_: object) -> None:
    raise TimeoutError(f"The archive of classes was not finished after {_MAX_SECONDS} s.")


def _end_jvm() -> None:
    """Kill the JVM and the scripts that start it."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
