"""Accuracy against speed: 1-NN accuracy and images per second by input size and precision.

Put here the trade-off, measured with the plain loop of `plain_featurization.py`, without Spark.
`docs/performance.md` shows its table.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.exported_extractor import export_extractor
from fruit_assets_tests.benchmarks.image_set import make_image_set
from fruit_assets_tests.benchmarks.options import (
    add_precisions,
    add_repeats,
    add_source,
    parser_for,
    scratch_folder,
    source_of,
)
from fruit_assets_tests.benchmarks.plain_featurization import PlainRates, Work, features_in, measure
from fruit_assets_tests.benchmarks.plain_inference import BATCH_SIZES
from fruit_assets_tests.benchmarks.report import Report
from fruit_assets_tests.benchmarks.rounds import alternate

if TYPE_CHECKING:
    import numpy as np

SIZES = (224, 192, 160, 128, 96)
FULL: list[list[str]] = [["--images", "985", "--passes", "4", "--repeats", "3"]]


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=985, help="images to tell apart (%(default)s)")
    made.add_argument(
        "--passes", type=int, default=1, help="repetitions of all images, for a longer measurement (%(default)s)"
    )
    made.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=list(SIZES))
    add_repeats(made, 1)
    add_precisions(made)
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("accuracy_per_second", vars(given))
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        images = make_image_set(origin, given.images, scratch / "images")
        files = sorted(images.rglob("*.jpg"))
        contenders: dict[str, Callable[[], PlainRates]] = {}
        for size in given.sizes:
            folder = scratch / f"extractor-{size}"
            model = export_extractor(origin.weights, size, folder, int8="int8" in given.precisions)
            for precision in given.precisions:
                work = Work(
                    [str(file) for file in files], str(model), size, precision, BATCH_SIZES[precision], given.passes
                )
                contenders[f"{size} {precision}"] = _measured(work, scratch / f"{size}-{precision}")
        rates = alternate(contenders, given.repeats)
        labels = [file.parent.name for file in files]
        accuracies = {
            name: one_nn_accuracy(features_in(scratch / name.replace(" ", "-")), labels) for name in contenders
        }
    _add_tables(report, rates, accuracies)
    report.save()
    return 0


def one_nn_accuracy(features: "np.ndarray", labels: Sequence[str]) -> float:
    """Share of images whose nearest other image (cosine) has the same label.

    Args:
        features: (n, d).
        labels: n labels.
    """
    import numpy as np

    names = np.asarray(labels)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1.0)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return float((names[similarity.argmax(axis=1)] == names).mean())


def _measured(work: Work, folder: Path) -> Callable[[], PlainRates]:
    return lambda: measure(work, folder)


def _add_tables(report: Report, rates: dict[str, list[PlainRates]], accuracies: dict[str, float]) -> None:
    whole = {name: median(run.images_per_second for run in runs) for name, runs in rates.items()}
    inference = {name: median(run.inference_per_second for run in runs) for name, runs in rates.items()}
    base = next(iter(rates))
    rows = []
    for name in rates:
        size, precision = name.split()
        faster = f"{whole[name] / whole[base]:.1f}x"
        rows.append(
            (size, precision, f"{accuracies[name]:.3f}", f"{whole[name]:.0f}", faster, f"{inference[name]:.0f}")
        )
    columns = ("input size", "precision", "1-NN accuracy", "images/s", f"against {base}", "images/s, inference only")
    report.table("Accuracy per second", columns, rows)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
