"""Errors of the machine fail a job under their own name; they are not bad images."""

import errno
import os
import re
import resource
from collections.abc import Iterator

import numpy as np
import psutil
import pyarrow as pa
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.images import decoding
from fruit_assets.images.decoding import UnreadableImage, decode
from fruit_assets.images.fetching import read_few
from fruit_assets.machine_faults import machine_fault, named
from fruit_assets.object_store.stores import open_store
from fruit_assets.spark.tasks import TaskError, broadcast, collect, run_tasks
from fruit_assets.spark.writing import RowWriter, WriteTarget, files_schema
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter


@pytest.fixture
def no_file_can_grow() -> Iterator[None]:
    """Writing beyond 64 KiB fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def no_file_can_be_opened() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_image_that_cannot_be_opened_for_want_of_descriptors_fails_the_job(tmp_path, no_file_can_be_opened):
    with pytest.raises(OSError, match="Too many open files"):
        read_few(str(tmp_path), ["image.jpg"])


def test_an_image_that_is_not_there_or_not_a_file_is_a_rejected_one(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file.jpg").write_bytes(b"x")
    paths = ["none.jpg", "pipe.jpg", "folder.jpg", "file.jpg/x.jpg", "x" * 300, "file.jpg"]
    assert read_few(str(tmp_path), paths) == [None] * 5 + [b"x"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ENOMEM, errno.EDQUOT, errno.ESTALE])
def test_a_fault_of_the_machine_while_an_image_is_decoded_keeps_its_name(monkeypatch, code):
    def fail(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(decoding, "_any_image", fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        decode(b"not a JPEG", 32)
    monkeypatch.setattr(decoding, "_any_image", lambda *args: (_ for _ in ()).throw(OSError("broken data stream")))
    with pytest.raises(UnreadableImage):
        decode(b"not a JPEG", 32)


def test_a_machine_without_memory_fails_the_job_and_a_file_that_asks_for_too_much_is_rejected(monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(decoding, "_any_image", fail)
    with pytest.raises(UnreadableImage, match="asks for more memory than its pixels need"):
        decode(b"not a JPEG", 32)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**28, hard))
    try:
        with pytest.raises(MemoryError, match="lower max_pixels of image_features"):
            decode(b"not a JPEG", 32)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_worker_that_cannot_write_its_rows_fails_the_job_with_the_folder_and_the_fix(spark, tmp_path):
    target = WriteTarget.of(VersionWriter(Table(open_store(str(tmp_path))), "run"), 10)

    def write(part):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
        try:
            writer = RowWriter(target)
            writer.write(pa.RecordBatch.from_pydict({"content": [part]}))
            yield pa.RecordBatch.from_pydict({"files": [writer.close()]}, files_schema())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(StorageError) as caught:
        collect(run_tasks(spark.sparkContext, [np.random.default_rng(0).bytes(2**17)], write))
    assert re.fullmatch(
        rf"Cannot write {tmp_path}/\S+\.parquet: File too large\. Check the folder's permissions and free space, or "
        r"point FRUIT_ASSETS_STORAGE elsewhere\.",
        str(caught.value),
    )


def test_a_full_temporary_folder_is_named_and_is_no_pickling_error(spark, no_file_can_grow):
    context = spark.sparkContext
    parts = [np.random.default_rng(0).bytes(2**20)]
    with pytest.raises(TaskError, match=r"\[EFBIG\] File too large"):
        broadcast(context, parts)
    with pytest.raises(TaskError, match=r"\[EFBIG\] File too large"):
        collect(run_tasks(context, parts, lambda part: []))


def test_a_fault_is_found_behind_what_was_raised_because_of_it():
    fault = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    raised = ValueError("could not pickle")
    raised.__context__ = fault  # pyspark raises while it handles the fault
    assert machine_fault(raised) is fault
    assert named(fault) == "[ENOSPC] No space left on device: '/tmp/x'"
    assert machine_fault(FileNotFoundError(errno.ENOENT, "none")) is None
    assert machine_fault(ValueError()) is None
