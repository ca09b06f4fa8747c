"""Tests of the local session: its settings, its interpreter, its early start, and progress while it works."""

import errno
import importlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.spark import session as session_module
from fruit_assets.spark.fast_start import worker_daemon
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import ClusterSpark, LocalSpark
from fruit_assets.spark.session import LocalSparkOptions, local_conf
from fruit_assets.spark.tasks import TaskError, broadcast, collect, run_tasks, task_number
from fruit_assets.spark.this_process import ThisProcess


def test_settings_of_the_caller_win_and_memory_is_named_or_chosen(tmp_path):
    chosen = local_conf(LocalSparkOptions(tmp_path))
    assert chosen["spark.driver.memory"].endswith("g")
    assert 1 <= int(chosen["spark.driver.memory"].removesuffix("g")) <= 8
    named = local_conf(LocalSparkOptions(tmp_path, driver_memory="900m", conf={"spark.app.name": "mine"}))
    assert named["spark.driver.memory"] == "900m"
    assert named["spark.app.name"] == "mine"


def test_workers_run_this_interpreter_and_import_this_package(spark):
    def describe(batches):
        import pyarrow as pa

        import fruit_assets

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"interpreter": [sys.executable], "package": [fruit_assets.__file__]})

    import fruit_assets

    [row] = spark.range(1, numPartitions=1).mapInArrow(describe, "interpreter string, package string").collect()
    assert row.asDict() == {"interpreter": sys.executable, "package": fruit_assets.__file__}


def test_workers_are_forked_from_a_process_that_has_imported_the_runtime(spark):
    def describe(batches):
        import pyarrow as pa

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"imported": ["openvino" in sys.modules, "simplejpeg" in sys.modules]})

    rows = spark.range(1, numPartitions=1).mapInArrow(describe, "imported boolean").collect()
    assert [row["imported"] for row in rows] == [True, True]


def test_workers_do_without_the_archives_that_python_reads_again_before_every_task(spark):
    def describe(batches):
        import pyarrow as pa

        for _ in batches:
            archives = [entry for entry in sys.path if entry.endswith((".zip", ".jar")) and "python3" not in entry]
            yield pa.RecordBatch.from_pydict({"archives": [" ".join(archives)]})

    [row] = spark.range(1, numPartitions=1).mapInArrow(describe, "archives string").collect()
    assert row["archives"] == ""


def test_spark_s_archives_stay_where_nothing_else_holds_pyspark(monkeypatch, tmp_path):
    path = [str(tmp_path / "pyspark.zip"), str(tmp_path / "py4j-0.10.9.9-src.zip"), str(tmp_path)]
    monkeypatch.setattr(sys, "path", list(path))
    worker_daemon.prefer_installed_spark()
    assert sys.path == path
    for name in ("pyspark", "py4j"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    importlib.invalidate_caches()
    worker_daemon.prefer_installed_spark()
    assert sys.path == [str(tmp_path)]


def test_jvm_and_workers_talk_over_sockets_in_a_folder_that_is_short_enough(monkeypatch):
    conf = session_module._worker_sockets()
    assert Path(conf["spark.python.unix.domain.socket.dir"]).stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/long" * 20)
    assert session_module._worker_sockets() == {}


def test_a_resource_gives_one_context_and_a_session_on_it(spark, tmp_path):
    resource = LocalSpark(cache=str(tmp_path))
    assert resource.context() is resource.context() is spark.sparkContext
    assert resource.session().sparkContext is spark.sparkContext


class _Local(LocalSpark):
    """Whose context is asked for and not started."""

    def context(self):
        return None


@pytest.mark.parametrize(
    ("resource", "size", "parts"),
    [
        (_Local(cache="/c"), (1024, 2**25), min(8, len(os.sched_getaffinity(0)))),
        (_Local(cache="/c", master="local[3]"), (1, 1), 3),
        (_Local(cache="/c", master="local[30]"), (1, 1), 8),
        (_Local(cache="/c"), (1025, 1), None),
        (_Local(cache="/c"), (1, 2**25 + 1), None),
        (_Local(cache="/c", master="local-cluster[2,1,1024]"), (1, 1), None),
        (_Local(cache="/c", fast_start=["background"]), (1, 1), None),
    ],
)
def test_small_work_is_done_in_this_process_where_sparks_workers_would_be_on_this_machine(resource, size, parts):
    tasks = resource.runner_for(*size)
    assert (None if tasks is None else tasks.defaultParallelism) == parts


def test_on_a_cluster_small_work_too_is_for_its_workers(spark):
    assert ClusterSpark().runner_for(1, 1) is spark.sparkContext


def test_tasks_in_this_process_give_what_the_workers_give(spark):
    results = []
    for tasks in (ThisProcess(2), spark.sparkContext):
        factor = broadcast(tasks, 2)

        def multiplied(part, factor=factor):
            yield pa.RecordBatch.from_pydict({"task": [task_number()], "multiplied": [factor.value * part]})

        results.append(collect(run_tasks(tasks, [1, 2, 3], multiplied)).to_pydict())
    assert results[0] == results[1] == {"task": [0, 1, 2], "multiplied": [2, 4, 6]}
    assert task_number() == 0  # the driver's own files are no task's


def test_faults_of_the_machine_in_this_process_are_named_and_other_errors_stay():
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/part")

    def refused(_):
        raise StorageError("Cannot write /data.")

    with pytest.raises(TaskError, match=r"\[ENOSPC\] No space left on device: '/data/part'"):
        collect(run_tasks(ThisProcess(1), [b""], full))
    with pytest.raises(StorageError, match=r"\ACannot write /data\.\Z"):
        collect(run_tasks(ThisProcess(1), [b""], refused))
    with pytest.raises(ZeroDivisionError):
        collect(run_tasks(ThisProcess(1), [b""], lambda _: 1 / 0))


def test_a_long_job_reports_its_tasks_and_a_short_one_nothing(spark, tmp_path):
    mark = tmp_path / "reported"

    def until_reported(batches):
        for batch in batches:
            while not mark.exists():
                time.sleep(0.05)
            yield batch

    def report(text):
        reported.append(text)
        mark.touch()

    reported: list[str] = []
    with reported_progress(spark.sparkContext, report, "featurizing", every_seconds=0.2):
        spark.range(12, numPartitions=12).mapInArrow(until_reported, "id bigint").collect()
    assert reported
    # Other work of the session may be under way too.
    assert all(re.match(r"featurizing: \d+ of \d+ tasks done \(\d+ %\) after \d+ s\.", text) for text in reported)
    quiet: list[str] = []
    with reported_progress(spark.sparkContext, quiet.append, "featurizing", every_seconds=3600):
        spark.range(1).collect()
    assert quiet == []
