"""Command line options that the benchmarks share.

Put here options with the same meaning in all benchmarks, and their scratch folder.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fruit_assets_tests.benchmarks.image_set import Source, source

PRECISIONS = ("f32", "bf16", "int8")


def parser_for(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser with the first line of the module's docstring as its help."""
    summary = (doc or "").strip().splitlines()[0]
    return argparse.ArgumentParser(prog=f"python -m {module}", description=summary)


def add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--collection", help="folder of images; FRUIT_ASSETS_TEST_DATA/fruits or demo images by default"
    )
    parser.add_argument(
        "--weights", help="as FRUIT_ASSETS_WEIGHTS; FRUIT_ASSETS_TEST_DATA/weights or random by default"
    )


def add_repeats(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument("--repeats", type=int, default=default, help="rounds; figures are medians (%(default)s)")


def add_precisions(parser: argparse.ArgumentParser, default: tuple[str, ...] = PRECISIONS) -> None:
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(default))


@contextmanager
def scratch_folder(below: Path | None = None) -> Iterator[Path]:
    """An empty folder that is removed at the end, with everything that the contenders wrote; in TMPDIR by default."""
    with tempfile.TemporaryDirectory(prefix="fruit-assets-benchmark-", dir=below) as folder:
        yield Path(folder).resolve()


def source_of(arguments: argparse.Namespace, scratch: Path) -> Source:
    return source(arguments.collection, arguments.weights, scratch)
