"""Nearest neighbours among a million published rows: loading time, time per query, recall against float64.

Put here the rows and the comparison. `analysis/similarity.py` is measured.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.options import parser_for, scratch_folder
from fruit_assets_tests.benchmarks.report import Ratio, Report

if TYPE_CHECKING:
    import numpy as np

    from fruit_assets.analysis.similarity import SimilarImages

TARGET_MS, TARGET_RECALL = 200.0, 0.99
FULL: list[list[str]] = [["--rows", "1000000"]]
_ROWS_PER_FILE = 100_000
_GROUPS = 100  # as images of one label, so that neighbours are not equally far


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--rows", type=int, default=1_000_000, help="published rows (%(default)s)")
    made.add_argument("--components", type=int, default=80, help="per row (%(default)s)")
    made.add_argument("--questions", type=int, default=30, help="to ask (%(default)s)")
    made.add_argument("--top", type=int, default=10, help="neighbours of each (%(default)s)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    import numpy as np

    given = parser().parse_args(arguments)
    report = Report("retrieval", vars(given))
    with scratch_folder() as scratch:
        published, points = _published(scratch, given.rows, given.components)
        places = points[:: max(1, given.rows // given.questions)][: given.questions].astype(np.float64)
        started = time.perf_counter()
        published.nearest(places[0], given.top)
        scan = time.perf_counter() - started
        started = time.perf_counter()
        loaded = published.load()
        loading = time.perf_counter() - started
        seconds, hits = [], 0
        for place in places:
            started = time.perf_counter()
            found = loaded.nearest(place, given.top)
            seconds.append(time.perf_counter() - started)
            hits += len({neighbour.path for neighbour in found} & _exact(points, place, given.top))
    figures = [
        ["one question by a scan of the files", f"{scan:.2f} s"],
        ["loading", f"{loading:.2f} s"],
        ["a question after loading, median", f"{1000 * float(np.median(seconds)):.0f} ms"],
        ["a question after loading, slowest", f"{1000 * max(seconds):.0f} ms"],
    ]
    report.table(f"{given.rows:,} rows of {given.components} components, {given.top} neighbours", ["", ""], figures)
    report.ratios(
        "Retrieval",
        [
            Ratio("milliseconds per question, median", 1000 * float(np.median(seconds)), TARGET_MS, at_most=True),
            Ratio("recall against float64", hits / (len(places) * given.top), TARGET_RECALL),
        ],
    )
    report.save()
    return 0


def _published(folder: Path, count: int, components: int) -> "tuple[SimilarImages, np.ndarray]":
    """Rows in groups, as a version of `pca_components`, and their components."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fruit_assets.analysis.pca import PcaModel
    from fruit_assets.analysis.similarity import SimilarImages
    from fruit_assets.object_store.stores import LocalStore
    from fruit_assets.storage.delta.columns import columns_of
    from fruit_assets.storage.delta.table import Table
    from fruit_assets.storage.parquet_files import DataFile

    random = np.random.default_rng(0)
    centres = random.standard_normal((_GROUPS, components), np.float32)
    points = centres[random.integers(0, _GROUPS, count)] + random.standard_normal((count, components), np.float32)
    files = []
    for start in range(0, count, _ROWS_PER_FILE):
        rows = range(start, min(start + _ROWS_PER_FILE, count))
        column = pa.FixedSizeListArray.from_arrays(pa.array(points[rows.start : rows.stop].reshape(-1)), components)
        table = pa.table(
            {
                "path": [_path(row) for row in rows],
                "label": ["label"] * len(rows),
                "pca_features": column.cast(pa.list_(pa.float32())),
            }
        )
        file = folder / f"part-{start:08}.parquet"
        pq.write_table(table, file, row_group_size=_ROWS_PER_FILE // 4)
        files.append(DataFile(file.name, file.stat().st_size, len(rows)))
    columns = columns_of("path string, label string, pca_features array<float>")
    version = Table(LocalStore(folder)).stage(files, columns, "rows", None).version
    zeros, ones = np.zeros(components), np.ones(components)
    model = PcaModel(zeros, ones, np.eye(components), ones, count)
    return SimilarImages(version, model, None, "f32"), points  # type: ignore[arg-type]  # no image is inferred


def _path(row: int) -> str:
    return f"Training/label/{row:08}.jpg"


def _exact(points: "np.ndarray", place: "np.ndarray", top: int) -> set[str]:
    """Paths of the nearest rows, in float64 and sorted completely."""
    import numpy as np

    exact = points.astype(np.float64)
    cosines = exact @ place / np.linalg.norm(exact, axis=1)
    return {_path(int(row)) for row in np.argsort(-cosines)[:top]}


if __name__ == "__main__":
    raise SystemExit(main())
