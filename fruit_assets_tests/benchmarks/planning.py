"""Planning for millions of images: the driver's memory and seconds for a listing, a choice and both increments.

Put here the driver's work before a task starts, on a synthetic listing without images or workers. The keys, which grow
with the number of images, are read from Parquet files of a previous version; those of the sample from a Delta table,
by the functions that `sampled_images` calls.
"""

import argparse
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from fruit_assets_tests.benchmarks.cold_process import PYTHON
from fruit_assets_tests.benchmarks.options import parser_for, scratch_folder
from fruit_assets_tests.benchmarks.report import MIB, Ratio, Report, mib

if TYPE_CHECKING:
    import pyarrow as pa

    from fruit_assets.keys.key_table import KeyTable
    from fruit_assets.storage.parquet_files import DataFile

FULL: list[list[str]] = [["--images", "10000000"]]
MOST_SECONDS, MOST_BYTES = 180.0, 1.5e9
_CLASSES = 1000
# Rows of a file: of the sample some 6 kB of JPEG each, of features one task's.
_ROWS = {"sample": 5000, "features": 1024}
_NEW_IMAGES = 100
_ROOT = "s3://made-up/collection"
_MODULE = "fruit_assets_tests.benchmarks.planning"


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=100_000, help="images of the collection (%(default)s)")
    made.add_argument("--fraction", type=float, default=0.9, help="share that is sampled (%(default)s)")
    made.add_argument("--phase", choices=("prepare", "plan"), help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    if given.phase == "prepare":
        _prepare(given.folder, given.images, given.fraction)
        return 0
    if given.phase == "plan":
        _plan(given.folder, given.images, given.fraction)
        return 0
    with scratch_folder() as scratch:
        asked = ["--images", str(given.images), "--fraction", str(given.fraction), "--folder", str(scratch)]
        for phase in ("prepare", "plan"):
            subprocess.run([PYTHON, "-m", _MODULE, *asked, "--phase", phase], check=True)
    return 0


def _listing(images: int) -> "pa.RecordBatchReader":
    """A listing in an order that is not that of the paths."""
    from fruit_assets.images.file_listing import ListedFile, files_stream

    step = 7919  # a prime: every number comes once
    return files_stream(
        ListedFile(
            f"Training/variety {number % _CLASSES:04}/image_{number:09}.jpg",
            4000 + number % 4000,
            f'"{number * 2654435761 % 2**64:032x}"',
        )
        for number in (place * step % images for place in range(images))
    )


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _prepare(folder: Path, images: int, fraction: float) -> None:
    """The versions before: the keys of all chosen rows but a few, in files of the sample and of features."""
    from fruit_assets.images.listing import images_of
    from fruit_assets.images.sampling import SamplePlan, choose

    chosen = choose(images_of(_ROOT, _listing(images)).files, SamplePlan(fraction))
    last = chosen.num_rows - _NEW_IMAGES
    for name, columns in (("sample", ["path", "label", "size", "stamp"]), ("features", ["path", "label"])):
        _write_keys(folder / name / "data", chosen.chunks(columns, _ROWS[name]), last)
    _publish_sample(folder / "sample")


def _publish_sample(folder: Path) -> None:
    from fruit_assets.images.fetching import SAMPLE_SCHEMA
    from fruit_assets.object_store.stores import LocalStore
    from fruit_assets.storage.delta.columns import columns_of
    from fruit_assets.storage.delta.table import Table
    from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS

    table, facts = Table(LocalStore(folder)), {"root": _ROOT, "unread": 0, ROW_GROUP_ROWS: _ROWS["sample"]}
    table.commit(table.stage(_files(folder), columns_of(SAMPLE_SCHEMA), "before", None, facts))


def _write_keys(folder: Path, chunks: "Iterator[pa.Table]", rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    left = rows
    for number, chunk in zip(count(), chunks, strict=False):
        some = chunk.slice(0, left)
        left -= some.num_rows
        digests = pa.array(map(_digest, some["path"].to_pylist()), pa.string())
        if some.num_rows:
            pq.write_table(some.append_column("sha256", digests), folder / f"{number:06}.parquet", compression="zstd")


def _files(folder: Path) -> "list[DataFile]":
    import pyarrow.parquet as pq

    from fruit_assets.storage.parquet_files import DataFile

    paths = sorted(folder.glob("data/*.parquet"))
    return [DataFile(f"data/{path.name}", path.stat().st_size, pq.read_metadata(path).num_rows) for path in paths]


class _Phases:
    """Seconds of the phases, and the memory of this process at the end and at most in each."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, int]] = []
        self._process = psutil.Process()
        self._started = time.perf_counter()

    def done(self, name: str) -> None:
        now = time.perf_counter()
        self.rows.append((name, now - self._started, _peak_bytes()))
        print(f"{name}: {now - self._started:.1f} s, {mib(_peak_bytes())}", flush=True)
        self._started = time.perf_counter()


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def _plan(folder: Path, images: int, fraction: float) -> None:
    # What a driver has in memory anyway.
    import pyspark  # noqa: F401

    import fruit_assets.definitions  # noqa: F401
    from fruit_assets.features.increments import KEYS, KnownKeys, plan_increment
    from fruit_assets.images.known_rows import known_rows, why_not_comparable
    from fruit_assets.images.listing import class_counts, images_of
    from fruit_assets.images.sample_increment import increment_of
    from fruit_assets.images.sampling import SamplePlan, choose, content_digest
    from fruit_assets.keys.row_keys import row_keys
    from fruit_assets.object_store.stores import LocalStore
    from fruit_assets.storage.delta.table import Table

    report = Report("planning", {"images": images, "fraction": fraction})
    phases = _Phases()
    phases.done("(start: imports)")
    listing = images_of(_ROOT, _listing(images))
    phases.done("listing, made up and sorted")
    listing.data_version()
    phases.done("version of the collection")
    chosen = choose(listing.files, SamplePlan(fraction))
    class_counts(chosen)
    phases.done("choice")
    database = chosen.database
    table = Table(LocalStore(folder / "sample"))
    before = table.current()
    assert not why_not_comparable(before, _ROOT)
    rows = known_rows(table, _ROOT, before)
    increment = increment_of(chosen, rows.version.store, rows.version.files, rows.listed)
    phases.done("sample: rows to keep and to fetch")
    sample = _published(increment.kept, increment.copied, increment.fetched)
    content_digest(sample)
    phases.done("version of the sample's content")
    feature_files = _files(folder / "features")
    known = row_keys(LocalStore(folder / "features"), feature_files, KEYS, database)
    plan = plan_increment(sample, KnownKeys(known, feature_files, len(feature_files), None))
    wanted = plan.to_compute()
    phases.done("features: rows to keep and to compute")
    assert increment.fetched.num_rows == wanted.num_rows == _NEW_IMAGES
    _add_tables(report, phases, plan.kept_count + plan.copied.num_rows)


def _published(kept: "KeyTable", copied: "KeyTable", fetched: "KeyTable") -> "KeyTable":
    """The sample as it will be: what stays, and what has been fetched, with made-up digests."""
    query = """
    select path, label, sha256, row_number() over () - 1 as row from (
    select path, label, sha256 from {table} union all select path, label, sha256 from {copied}
    union all select path, label, sha256(path) from {fetched})
    """
    return kept.select(query, copied=copied, fetched=fetched)


def _add_tables(report: Report, phases: _Phases, kept: int) -> None:
    rows: list[Any] = [(name, f"{seconds:.1f}", mib(peak)) for name, seconds, peak in phases.rows]
    report.table("Phases of the driver", ("phase", "seconds", "peak of the process"), rows)
    seconds = sum(seconds for _, seconds, _ in phases.rows[1:])
    report.detail("kept", kept)
    report.ratios(
        "Limits",
        [
            Ratio("seconds of planning", seconds, MOST_SECONDS, at_most=True),
            Ratio("peak memory in MiB", max(peak for _, _, peak in phases.rows) / MIB, MOST_BYTES / MIB, at_most=True),
        ],
    )
    report.save()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
