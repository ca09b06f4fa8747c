"""The peer on Daft: a lazy frame of files, and a class that holds the extractor, on the native runner.

Put here what a user of Daft would write; run it as `python -m ... IMAGES OUT --network MODEL`. Code that all peers
share is in `job.py`.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.peers.job import FEATURES, PeerJob, job_from, rows, write_components
from fruit_assets_tests.benchmarks.plain_inference import PlainExtractor

if TYPE_CHECKING:
    import pyarrow as pa

# Daft's own decoding and resizing give other pixels than PIL's, and so other features: PIL decodes in the class.
_BATCH_SIZE = 64


class Extract:
    """What a worker keeps from batch to batch; Daft's decorators are put on in `_extractor`."""

    def __init__(self, network: str, precision: str) -> None:
        self._extractor = PlainExtractor(network, precision)

    def features(self, contents: Any) -> "pa.Array":
        batch = contents.to_pylist()
        blank = [""] * len(batch)
        return rows(blank, blank, self._extractor.features(batch)).column(FEATURES).combine_chunks()


def write_features(job: PeerJob) -> None:
    import daft
    from daft import col
    from daft.functions import download, get, replace, split

    daft.set_runner_native()
    files = daft.from_glob_path(job.files)
    path = replace(col("path"), f"file://{job.images}/", "")
    label = get(split(col("path"), "/"), -2)
    features = _extractor(job)(download(col("path")))
    files.select(path.alias("path"), label.alias("label"), features.alias(FEATURES)).write_parquet(
        str(job.features_folder)
    )


def _extractor(job: PeerJob) -> Any:
    import daft
    from daft import DataType

    # One process per core; with `use_process=False` 400 images took as long.
    batch = daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=job.batch_size or _BATCH_SIZE)
    decorated = type("Extract", (Extract,), {"features": batch(Extract.features)})
    return daft.cls(decorated, max_concurrency=job.workers, use_process=True)(job.network, job.precision).features


def main(arguments: Sequence[str]) -> int:
    job = job_from(arguments)
    write_features(job)
    write_components(job)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
