"""Which images are in the sample, and their bytes.

Put here the choice, which depends on paths and a seed alone, and the Spark job that fetches what was
chosen. Listing belongs in `listing.py`, looking into the bytes in `decoding.py`.
"""

import hashlib
import math
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.errors import InputError
from fruit_assets.images.listing import ImageListing
from fruit_assets.spark.arrow_streams import stream_of
from fruit_assets.spark.reading import ROW_GROUP_ROWS
from fruit_assets.spark.tasks import collect, run_tasks
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, files_schema, stage_written
from fruit_assets.storage.tables import VersionWriter
from fruit_assets.storage.versions import StagedVersion

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark import SparkContext

SAMPLE_SCHEMA = "path string, label string, sha256 string, content binary"
_PATHS_AT_A_TIME = 8192
# Rows of one Parquet row group: what a featurization task has at least.
_IMAGES_PER_GROUP = 64
_IMAGES_PER_FETCH_TASK = 8192
_ROW_GROUP_BYTES = 64 * 2**20
_READERS_PER_WORKER = 16  # small objects cost latency, not bandwidth
_IMAGES_PER_CALL = 4
_IMAGES_IN_FLIGHT = 64  # bounds a worker's memory when the images are large
LARGEST_IMAGE_BYTES = 256 * 2**20  # not a photograph of a fruit any more


@dataclass(frozen=True)
class SamplePlan:
    """How much of every class to take.

    Attributes:
        fraction: share of each class, in (0, 1].
        min_per_class: images kept of every class at least, as far as it has them.
        max_per_class: images kept of every class at most; None for no limit.
        seed: another seed, another sample.
    """

    fraction: float = 0.01
    min_per_class: int = 1
    max_per_class: int | None = None
    seed: int = 0

    def size_of_class(self, available: int) -> int:
        """Images to take of a class of `available` images: the rounded share, within the limits."""
        wanted = max(math.floor(self.fraction * available + 0.5), self.min_per_class)
        if self.max_per_class is not None:
            wanted = min(wanted, self.max_per_class)
        return min(wanted, available)


def choose(listing: "pa.Table", plan: SamplePlan) -> "pa.Table":
    """The chosen rows of a listing (`path, label, ...`), sorted by path.

    Every image has a rank within its class that depends on the seed and its path alone, and a class
    gives its lowest ranks. So the choice does not depend on listing order, machine or storage, and a
    larger fraction only adds images.
    """
    import numpy as np

    labels = listing["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    available = np.bincount(labels)
    wanted = np.array([plan.size_of_class(int(count)) for count in available], np.int64)
    if (wanted == available).all():
        return listing.sort_by("path")
    ranks = _ranks(listing["path"], plan.seed)
    order = np.lexsort((ranks[:, 1], ranks[:, 0], labels))
    first_of_class = np.cumsum(available) - available
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - first_of_class[labels[order]]
    return listing.filter(place < wanted[labels]).sort_by("path")


def _ranks(paths: "pa.ChunkedArray", seed: int) -> "np.ndarray":
    """(n, 2) uint64 as good as drawn at random for every path; they compare by the first, then the second."""
    import numpy as np

    key = str(seed).encode()
    ranks = bytearray()
    for chunk in paths.chunks:
        for start in range(0, len(chunk), _PATHS_AT_A_TIME):
            for path in chunk.slice(start, _PATHS_AT_A_TIME).to_pylist():
                ranks += hashlib.blake2b(path.encode(), digest_size=16, key=key).digest()
    return np.frombuffer(ranks, ">u8").reshape(-1, 2)


def fetch_sample(
    context: "SparkContext", listing: ImageListing, chosen: "pa.Table", writing: VersionWriter
) -> StagedVersion:
    """Fetch the bytes of the chosen images and stage them: `path, label, sha256, content`.

    The workers do it, many images at a time. An image that has vanished since the listing, or that may not be
    read, is a row with null `content` and `sha256`: it is rejected later, by name.

    Args:
        context: the Spark context.
        listing: the collection, for its root.
        chosen: the rows to fetch, sorted by path.
        writing: the asset's folder, run and attempt.
    """
    parallelism = int(context.defaultParallelism)
    target = WriteTarget.of(writing, row_group_rows(chosen, parallelism))
    # As many tasks as all cores can share evenly, each with neighbours: whoever looks at a few images wants
    # some of one label.
    tasks = parallelism * math.ceil(chosen.num_rows / (_IMAGES_PER_FETCH_TASK * parallelism))
    portions = _portions(chosen.select(["path", "label"]), tasks)
    told = collect(run_tasks(context, portions, _fetcher(listing.root, target)))
    return stage_written(writing, data_files_from(told), SAMPLE_SCHEMA, {ROW_GROUP_ROWS: target.row_group_rows})


def content_digest(keys: "pa.Table") -> str:
    """A digest of `path, label, sha256` of a sample, whatever the order of its rows."""
    digest, before = hashlib.sha256(b"["), ""
    for batch in keys.sort_by("path").to_batches(max_chunksize=_PATHS_AT_A_TIME):
        rows = zip(*(batch.column(name).to_pylist() for name in ("path", "label", "sha256")), strict=True)
        digest.update((before + ", ".join(map(repr, rows))).encode())
        before = ", "
    digest.update(b"]")
    return digest.hexdigest()[:32]


def _portions(keys: "pa.Table", tasks: int) -> list[bytes]:
    """The keys in `tasks` streams."""
    size = max(1, math.ceil(keys.num_rows / tasks))
    return [stream_of(keys.slice(start, size)) for start in range(0, keys.num_rows, size)]


def row_group_rows(chosen: "pa.Table", parallelism: int) -> int:
    """Rows of one row group of the sample, so that its tasks are even and well filled, and fit into memory."""
    import pyarrow.compute as pc

    average = max(1.0, float(pc.mean(chosen["size"]).as_py()))
    images: int = min(_IMAGES_PER_GROUP, math.ceil(chosen.num_rows / (4 * parallelism)))
    return max(1, min(max(images, 16), math.floor(_ROW_GROUP_BYTES / average)))


def require_enough(chosen: "pa.Table") -> None:
    """Raise InputError when the sample is too small for anything to be made of it."""
    if chosen.num_rows < 2:
        raise InputError(
            f"The sample holds {chosen.num_rows} image(s); components need at least 2. "
            "Raise `fraction` or `min_per_class` of sampled_images."
        )


def _fetcher(root: str, target: WriteTarget) -> Callable[[bytes], Iterator["pa.RecordBatch"]]:
    def fetch(portion: bytes) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        writer = RowWriter(target)
        read = _s3_reader(root) if root.startswith("s3://") else _file_reader(root)

        def read_some(paths: list[str]) -> list[tuple[bytes | None, str | None]]:
            contents = [read(path) for path in paths]
            return [(content, None if content is None else hashlib.sha256(content).hexdigest()) for content in contents]

        with ThreadPoolExecutor(_READERS_PER_WORKER) as pool:
            for keys in _slices(portion, _IMAGES_IN_FLIGHT):
                paths = keys.column("path").to_pylist()
                some = [paths[start : start + _IMAGES_PER_CALL] for start in range(0, len(paths), _IMAGES_PER_CALL)]
                found = list(chain.from_iterable(pool.map(read_some, some)))
                columns = [
                    keys.column("path"),
                    keys.column("label"),
                    pa.array([digest for _, digest in found], pa.string()),
                    pa.array([content for content, _ in found], pa.binary()),
                ]
                writer.write(pa.RecordBatch.from_arrays(columns, ["path", "label", "sha256", "content"]))
        yield pa.RecordBatch.from_pydict({"files": [writer.close()]}, files_schema())

    return fetch


def _slices(portion: bytes, rows: int) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in pa.ipc.open_stream(portion):
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _file_reader(root: str) -> Callable[[str], bytes | None]:
    def read(path: str) -> bytes | None:
        try:
            # Opening a named pipe would wait for ever.
            descriptor = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_IMAGE_BYTES:
                return None
            with open(descriptor, "rb", closefd=False, buffering=0) as file:
                return file.read()
        except OSError:
            return None
        finally:
            os.close(descriptor)

    return read


def _s3_reader(root: str) -> Callable[[str], bytes | None]:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    config = Config(max_pool_connections=_READERS_PER_WORKER, retries={"mode": "standard", "max_attempts": 8})
    client = boto3.client("s3", config=config)

    def read(path: str) -> bytes | None:
        try:
            response = client.get_object(Bucket=bucket, Key=f"{prefix}/{path}" if prefix else path)
        except ClientError as error:
            # Gone or refused is about this image; anything else (throttling, an expired token) is about the job.
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "AccessDenied", "403"):
                return None
            raise
        return response["Body"].read() if response["ContentLength"] <= LARGEST_IMAGE_BYTES else None

    return read


def read_few(root: str, paths: list[str]) -> list[bytes | None]:
    """The bytes of a few images of a collection, in this process; None for those that cannot be read."""
    read = _s3_reader(root) if root.startswith("s3://") else _file_reader(root)
    with ThreadPoolExecutor(_READERS_PER_WORKER) as pool:
        return list(pool.map(read, paths))
