"""A few new images beside many: what a run costs that has little to do.

Put here the cost of an increment: seconds, bytes and memory of a run after some images were added to a collection that
has been published. The collection is made of hard links, so that a million files need no disk; its copies share their
features, as identical files do. The new images are distinct. With `--s3` collection and assets lie in moto's S3, and
requests are counted; moto keeps all in memory.
"""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fruit_assets_tests.benchmarks.counted_s3 import CountedS3
from fruit_assets_tests.benchmarks.image_set import Source, with_comment
from fruit_assets_tests.benchmarks.memory_watch import DRIVER
from fruit_assets_tests.benchmarks.options import PRECISIONS, add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.report import Ratio, Report, mib
from fruit_assets_tests.benchmarks.whole_job import JobRun, Storage, WholeJob

FULL: list[list[str]] = [["--images", "1000000"]]
_COMPONENTS = "pca_components"
_REFITS = ("always", "when_needed")
_MOST_SECONDS = {"always": 39.0, "when_needed": 25.0}
_MOST_MB = 100.0


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=5000, help="files of the collection (%(default)s)")
    made.add_argument("--new", type=int, default=100, help="images that are added for each further run (%(default)s)")
    made.add_argument("--precision", choices=PRECISIONS, default="f32")
    made.add_argument("--s3", action="store_true", help="collection and assets on moto's S3; counts requests")
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("new_images", vars(given))
    with scratch_folder() as scratch, CountedS3() if given.s3 else nullcontext() as s3:
        origin = source_of(given, scratch)
        images = link_image_set(origin, given.images, scratch / "images", scratch / "originals")
        job = WholeJob(images, given.images, origin.weights, scratch, given.precision)
        runs = _Runs(job, Storage.new(scratch), s3)
        first = runs.run("from nothing")
        runs.storage.finish_class_data()
        ratios = []
        for number, refit in enumerate(_REFITS):
            _add(origin, given.new, images, number)
            name = f"{given.new} new, refit {refit}"
            run = runs.run(name, refit)
            limits = {
                "seconds": (run.seconds, _MOST_SECONDS[refit]),
                "MB beside the components": (run.beside, _MOST_MB),
            }
            for what, (value, most) in limits.items():
                ratios.append(Ratio(f"{name}: {what} / {most:.0f}", value / most, 1.0, at_most=True))
            ratios.append(Ratio(f"from nothing / {name}", first.seconds / run.seconds))
        # With the refit of the run before: another one is another basis.
        runs.run("nothing new", _REFITS[-1])
    columns = ("run", "seconds", "images inferred", "driver's peak memory", "MB written", "of it components")
    report.table(f"{given.images:,} images", columns, runs.rows)
    if s3 is not None:
        purposes = sorted({purpose for _, count in runs.requests for purpose in count})
        counts = [(name, *(f"{count[purpose]:,}" for purpose in purposes)) for name, count in runs.requests]
        report.table("Requests to S3", ("run", *purposes), counts)
    report.ratios("Targets", ratios)
    report.save()
    return 0


class _Runs:
    """Runs of one storage, one after the other, and their rows in the report.

    Attributes:
        storage: of this machine.
        rows: of the table of runs.
        requests: name of each run, and its requests by purpose.
    """

    def __init__(self, job: WholeJob, storage: Storage, s3: CountedS3 | None) -> None:
        self.storage = storage
        self.rows: list[tuple[str, ...]] = []
        self.requests: list[tuple[str, Counter[str]]] = []
        self._s3 = s3
        self._job = job if s3 is None else replace(job, variables=s3.variables())

    def run(self, name: str, refit: str | None = None) -> "_Figures":
        print(f"  {self._job.count:,} images, {name}", flush=True)
        if self._s3 is not None:
            self._s3.upload(self._job.images)
        before = self._files()
        if self._s3 is not None:
            self._s3.forget()
        run = replace(self._job, refit=refit).run(self.storage)
        if self._s3 is not None:
            self.requests.append((name, self._s3.count()))
        written = {file: size for file, size in self._files().items() if file not in before}
        self.rows.append(_row(name, run, written))
        return _Figures(run.seconds, sum(written.values()) / 1e6 - _components(written))

    def _files(self) -> dict[str, int]:
        """Path below the storage -> bytes."""
        if self._s3 is not None:
            return self._s3.files()
        root = self.storage.assets
        return {str(file.relative_to(root)): file.stat().st_size for file in root.rglob("*") if file.is_file()}


@dataclass(frozen=True)
class _Figures:
    """Seconds of a run, and MB that it wrote beside the components."""

    seconds: float
    beside: float


def link_image_set(origin: Source, count: int, folder: Path, originals: Path) -> Path:
    """Make `count` files in `folder` that are hard links to copies of the collection's files."""
    files = origin.files()
    originals.mkdir(parents=True)
    copies = [Path(shutil.copyfile(file, originals / f"{number}.jpg")) for number, file in enumerate(files[:count])]
    labels = [file.relative_to(origin.collection).parent for file in files]
    for label in set(labels):
        (folder / label).mkdir(parents=True)
    for number in range(count):
        place = number % len(copies)
        os.link(copies[place], folder / labels[place] / f"{place}_{number // len(copies)}.jpg")
    return folder


def _add(origin: Source, count: int, folder: Path, batch: int) -> None:
    files = origin.files()
    for number in range(count):
        file = files[number % len(files)]
        target = folder / file.relative_to(origin.collection).with_name(f"new_{batch}_{number}.jpg")
        target.write_bytes(with_comment(file.read_bytes(), f"new {batch} {number}"))


def _row(name: str, run: JobRun, written: dict[str, int]) -> tuple[str, ...]:
    return (
        name,
        f"{run.seconds:.1f}",
        f"{run.computed:,}",
        mib(run.process.memory.peak(DRIVER)),
        f"{sum(written.values()) / 1e6:.1f}",
        f"{_components(written):.1f}",
    )


def _components(written: dict[str, int]) -> float:
    """MB of components."""
    return sum(size for file, size in written.items() if file.startswith(_COMPONENTS)) / 1e6


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
