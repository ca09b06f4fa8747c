"""The peer on plain Python: a pool of processes, each with its extractor, that write one Parquet file per chunk.

Put here what a good engineer writes in an hour, and nothing of ours; it runs alone, as `python -m ... IMAGES OUT
--network MODEL`. What all peers share is in `job.py`.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import count, repeat
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.peers.job import PeerJob, job_from, path_and_label, rows, write_components
from fruit_assets_tests.benchmarks.plain_inference import PlainExtractor

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Bytes of images to their features.
Features = Callable[[Sequence[bytes]], "np.ndarray"]
# Loads a network at a precision.
Load = Callable[[str, str], Features]
IMAGES_PER_CHUNK = 256
# Of this process: set once, when the pool starts it.
_features_of: Features


def write_features(job: PeerJob, loader: Load) -> None:
    """Compute the features of all images with what `loader` gives in every process."""
    job.features_folder.mkdir(parents=True)
    with ProcessPoolExecutor(job.workers, initializer=start, initargs=(loader, job.network, job.precision)) as pool:
        for _ in pool.map(_write_chunk, repeat(job), count(), job.chunks_of(IMAGES_PER_CHUNK)):
            pass


def start(loader: Load, network: str, precision: str) -> None:
    """Load the network in this process."""
    global _features_of
    _features_of = loader(network, precision)


def _write_chunk(job: PeerJob, number: int, files: Sequence[str]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(chunk_rows(job, files), job.features_folder / f"part-{number:06}.parquet")


def chunk_rows(job: PeerJob, files: Sequence[str]) -> "pa.Table":
    """`path, label, features` of some images, in a process that has the network."""
    contents = []
    for file in files:
        with open(file, "rb") as opened:  # noqa: PTH123
            contents.append(opened.read())
    named = [path_and_label(job.images, file) for file in files]
    return rows([path for path, _ in named], [label for _, label in named], _features_of(contents))


def load(network: str, precision: str) -> Features:
    return PlainExtractor(network, precision).features


def main(arguments: Sequence[str]) -> int:
    job = job_from(arguments)
    write_features(job, load)
    write_components(job)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
