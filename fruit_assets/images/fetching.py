"""The bytes of the chosen images, fetched by tasks: of Spark's workers or, where images are few, of this process.

Put here how images are read from where the collection lies. Which images are chosen belongs in `sampling.py`, looking
into the bytes in `decoding.py`.
"""

import hashlib
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.errors import InputError, ObjectError
from fruit_assets.keys.key_table import KeyTable
from fruit_assets.machine_faults import machine_fault
from fruit_assets.object_store.s3_location import parse_s3_uri
from fruit_assets.object_store.s3_store import S3Store
from fruit_assets.spark.tasks import collect, run_tasks, stream_of
from fruit_assets.spark.this_process import TaskRunner
from fruit_assets.spark.writing import SECONDS_PER_FILE, RowWriter, WriteTarget, data_files_from, files_schema
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_SCHEMA = "path string, label string, sha256 string, size bigint, stamp string, content binary"
SAMPLE_COLUMNS = [column.split()[0] for column in SAMPLE_SCHEMA.split(", ")]
_LISTED = ("path", "label", "size", "stamp")
# Rows of one Parquet row group: what a featurization task has at least, and what a request for keys reads from S3.
_IMAGES_PER_GROUP = 64
# A million photographs of 6 kB are 2,200 requests at 512 rows, and 15,800 at 64.
_MOST_IMAGES_PER_GROUP, _LARGE_GROUP_BYTES = 512, 8 * 2**20
_GROUPS_PER_CORE = 64  # so that the last task of a core is little of its work
_IMAGES_PER_FETCH_TASK = 8192
# Keys of one Spark job are in the driver's memory, some 100 bytes each.
_IMAGES_PER_JOB = 2**19
_ROW_GROUP_BYTES = 64 * 2**20
_READERS_PER_WORKER = 16  # small objects cost latency, not bandwidth
_IMAGES_PER_CALL = 4
_IMAGES_IN_FLIGHT = 64  # bounds a worker's memory when the images are large
_LOOKED_INTO = 16  # unread images, for why
LARGEST_IMAGE_BYTES = 256 * 2**20  # not a photograph of a fruit any more


def fetch_images(
    context: TaskRunner, root: str, chosen: KeyTable, target: WriteTarget, notes: Mapping[str, int] | None = None
) -> list[DataFile]:
    """Fetch the bytes of images into files with the columns of `SAMPLE_SCHEMA`.

    Tasks do it, many images at a time. An image that has vanished since the listing, or that may not be
    read, is a row with null `content` and `sha256`: it is rejected later, by name. Such rows are in files of their own,
    because they are tried again by every later run.

    Args:
        context: the Spark context, or this process.
        root: the collection's folder or `s3://` URI.
        chosen: `path, label, size, stamp` of the images, sorted by path.
        target: where and how to write.
        notes: for a run that recovers files of this one.
    """
    parallelism = int(context.defaultParallelism)
    files: list[DataFile] = []
    for keys in chosen.chunks(_LISTED, _IMAGES_PER_JOB):
        # As many tasks as all cores can share evenly, each with neighbours: a reader of a few images wants
        # some of one label.
        tasks = parallelism * math.ceil(keys.num_rows / (_IMAGES_PER_FETCH_TASK * parallelism))
        files += data_files_from(
            collect(run_tasks(context, _portions(keys, tasks), _fetcher(root, target, notes or {})))
        )
    return files


def _portions(keys: "pa.Table", tasks: int) -> list[bytes]:
    """The keys in `tasks` streams."""
    size = max(1, math.ceil(keys.num_rows / tasks))
    return [stream_of(keys.slice(start, size)) for start in range(0, keys.num_rows, size)]


def row_group_rows(images: int, average_bytes: float, parallelism: int) -> int:
    """Rows of one row group of the sample, so that its tasks are even and well filled, and fit into memory.

    Groups are larger where there are many small images, because keys are read group by group.
    """
    few = max(16, min(_IMAGES_PER_GROUP, math.ceil(images / (4 * parallelism))))
    many = min(_MOST_IMAGES_PER_GROUP, images // (_GROUPS_PER_CORE * parallelism))
    small_enough = math.floor(_LARGE_GROUP_BYTES / max(1.0, average_bytes))
    return min(max(few, min(many, small_enough)), rows_that_fit(average_bytes))


def rows_that_fit(average_bytes: float) -> int:
    """Images of this size that may be in one row group: a worker has it in memory."""
    return max(1, math.floor(_ROW_GROUP_BYTES / max(1.0, average_bytes)))


def _fetcher(root: str, target: WriteTarget, notes: Mapping[str, int]) -> Callable[[bytes], Iterator["pa.RecordBatch"]]:
    def fetch(portion: bytes) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa
        import pyarrow.compute as pc

        writer = RowWriter(target, lambda: notes, SECONDS_PER_FILE)
        of_unread = RowWriter(target, lambda: notes)
        read = _s3_reader(root) if root.startswith("s3://") else _file_reader(root)

        def read_some(paths: list[str]) -> list[tuple[bytes | None, str | None]]:
            contents = [read(path) for path in paths]
            return [(content, None if content is None else hashlib.sha256(content).hexdigest()) for content in contents]

        with ThreadPoolExecutor(_READERS_PER_WORKER) as pool:
            for keys in _slices(portion, _IMAGES_IN_FLIGHT):
                paths = keys.column("path").to_pylist()
                some = [paths[start : start + _IMAGES_PER_CALL] for start in range(0, len(paths), _IMAGES_PER_CALL)]
                found = list(chain.from_iterable(pool.map(read_some, some)))
                columns = {name: keys.column(name) for name in _LISTED}
                columns["sha256"] = pa.array([digest for _, digest in found], pa.string())
                columns["content"] = pa.array([content for content, _ in found], pa.binary())
                rows = pa.RecordBatch.from_pydict(columns).select(SAMPLE_COLUMNS)
                unread = rows["sha256"].is_null()
                writer.write(rows.filter(pc.invert(unread)))
                of_unread.write(rows.filter(unread))
        yield pa.RecordBatch.from_pydict({"files": [writer.close() + of_unread.close()]}, files_schema())

    return fetch


def _slices(portion: bytes, rows: int) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in pa.ipc.open_stream(portion):
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _file_reader(root: str) -> Callable[[str], bytes | None]:
    def read(path: str) -> bytes | None:
        try:
            # Opening a named pipe would block.
            descriptor = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            _raise_fault(error)
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_IMAGE_BYTES:
                return None
            with open(descriptor, "rb", closefd=False, buffering=0) as file:
                return file.read()
        except OSError as error:
            _raise_fault(error)
            return None
        finally:
            os.close(descriptor)

    return read


def _raise_fault(error: OSError) -> None:
    """Raise what is the machine's fault: it would make every image a rejected one."""
    if machine_fault(error) is not None:
        raise error


def require_readable(keys: KeyTable, root: str, allowed: float) -> None:
    """Raise when too many images of a sample could not be read; the message names the commonest cause, with an example.

    Args:
        keys: `path, sha256` of the sample; sha256 is null where nothing could be read.
        root: the collection's folder or `s3://` URI.
        allowed: largest share of them.
    """
    rows, unread = keys.values("count(*), count(*) - count(sha256)")
    if unread <= allowed * rows:
        return
    paths = keys.select("select path from {table} where sha256 is null order by path")
    looked_into = paths.every(-(-unread // _LOOKED_INTO)).to_table()["path"].to_pylist()
    causes = [(_why_unread(root, path), path) for path in looked_into]
    [(cause, count)] = Counter(cause for cause, _ in causes).most_common(1)
    example = next(path for each, path in causes if each == cause)
    raise InputError(
        f"{unread} of {rows} images of {root} cannot be read; {allowed:.0%} may be. "
        f"The commonest cause, {count} times among {len(causes)} that were looked into: {cause}, such as {example}. "
        "Nothing was published, the previous version stays. Correct the permissions or FRUIT_ASSETS_IMAGES, or raise "
        "max_rejected_share."
    )


def _why_unread(root: str, path: str) -> str:
    try:
        if root.startswith("s3://"):
            S3Store(parse_s3_uri(root)).get(path, LARGEST_IMAGE_BYTES)
        else:
            os.close(os.open(f"{root}/{path}", os.O_RDONLY | os.O_NONBLOCK))
    except KeyError:
        return "it does not exist any more"
    except OSError as error:
        return error.strerror or str(error)
    except ObjectError as error:
        # Without the address, which differs between images.
        return str(error).rstrip(".").partition(f"{path}: ")[2] or str(error).rstrip(".")
    return "it is no regular file, or larger than 256 MiB"


def _s3_reader(root: str) -> Callable[[str], bytes | None]:
    store = S3Store(parse_s3_uri(root))

    def read(path: str) -> bytes | None:
        try:
            return store.get(path, LARGEST_IMAGE_BYTES)
        # Deleted, refused or too large is about this image; anything else (throttling, an expired token) about the job.
        except (KeyError, ObjectError):
            return None

    return read


def read_few(root: str, paths: list[str]) -> list[bytes | None]:
    """The bytes of a few images of a collection, in this process; None for those that cannot be read."""
    read = _s3_reader(root) if root.startswith("s3://") else _file_reader(root)
    with ThreadPoolExecutor(_READERS_PER_WORKER) as pool:
        return list(pool.map(read, paths))
