"""A few new images beside many: what a run costs that has little to do.

Put here the cost of an increment: seconds, bytes and memory of a run after some images were added to a collection that
has been published. The collection is made of hard links, so that a million files need no disk; its copies share their
features, as identical files do. The new images are distinct.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fruit_assets_tests.benchmarks.image_set import Source, with_comment
from fruit_assets_tests.benchmarks.memory_watch import DRIVER
from fruit_assets_tests.benchmarks.options import PRECISIONS, add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.report import Ratio, Report, mib
from fruit_assets_tests.benchmarks.whole_job import JobRun, Storage, WholeJob

FULL: list[list[str]] = [["--images", "1000000"]]
_COMPONENTS = "pca_components"
_REFITS = ("always", "when_needed")
_MOST_SECONDS = {"always": 39.0, "when_needed": 25.0}
_MOST_BYTES = 100e6


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=5000, help="files of the collection (%(default)s)")
    made.add_argument("--new", type=int, default=100, help="images that are added for each further run (%(default)s)")
    made.add_argument("--precision", choices=PRECISIONS, default="f32")
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("new_images", vars(given))
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        images = link_image_set(origin, given.images, scratch / "images", scratch / "originals")
        job = WholeJob(images, given.images, origin.weights, scratch, given.precision)
        print(f"  {given.images:,} images, from nothing", flush=True)
        first, storage = job.cold()
        rows = [_row("from nothing", first, _files(storage))]
        ratios = []
        for number, refit in enumerate(_REFITS):
            _add(origin, given.new, images, number)
            before = _files(storage)
            print(f"  {given.new} new images, refit {refit}", flush=True)
            run = replace(job, refit=refit).run(storage)
            written = {file: size for file, size in _files(storage).items() if file not in before}
            rows.append(_row(f"{given.new} new, refit {refit}", run, written))
            beside = sum(size for file, size in written.items() if not file.startswith(_COMPONENTS))
            name = f"{given.new} new, refit {refit}"
            ratios.append(
                Ratio(
                    f"{name}: seconds / {_MOST_SECONDS[refit]:.0f}",
                    run.seconds / _MOST_SECONDS[refit],
                    1.0,
                    at_most=True,
                )
            )
            ratios.append(
                Ratio(f"{name}: bytes beside the components / 100 MB", beside / _MOST_BYTES, 1.0, at_most=True)
            )
            ratios.append(Ratio(f"from nothing / {name}", first.seconds / run.seconds))
        # With the refit of the run before: another one is another basis.
        rows.append(_row("nothing new", replace(job, refit=_REFITS[-1]).run(storage), {}))
    columns = ("run", "seconds", "images inferred", "driver's peak memory", "MB written", "of it components")
    report.table(f"{given.images:,} images", columns, rows)
    report.ratios("Targets", ratios)
    report.save()
    return 0


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


def _files(storage: Storage) -> dict[str, int]:
    """Path below the storage -> bytes."""
    root = storage.assets
    return {str(file.relative_to(root)): file.stat().st_size for file in root.rglob("*") if file.is_file()}


def _row(name: str, run: JobRun, written: dict[str, int]) -> tuple[str, ...]:
    components = sum(size for file, size in written.items() if file.startswith(_COMPONENTS))
    return (
        name,
        f"{run.seconds:.1f}",
        f"{run.computed:,}",
        mib(run.process.memory.peak(DRIVER)),
        f"{sum(written.values()) / 1e6:.1f}",
        f"{components / 1e6:.1f}",
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
