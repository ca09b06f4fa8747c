"""Tests of the Spark that starts in the background: who waits for it, what it has ready."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread, current_thread

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.spark import background
from fruit_assets.spark.background import BackgroundSpark
from fruit_assets.spark.session import LocalSparkOptions

# In a process of its own: which processes fork workers when Spark has just started, and after a job of frames.
_SPARK = """
import json, sys, time
from contextlib import suppress
from pathlib import Path
import psutil
from pyspark.sql import SparkSession
from fruit_assets.spark.background import BackgroundSpark
from fruit_assets.spark.session import LocalSparkOptions

def forked_from():
    found = {}
    for process in psutil.Process().children(recursive=True):
        # Spark's scripts start processes that end, or become others, while they are looked at.
        with suppress(psutil.Error, AttributeError):
            if "pyspark.worker" in process.cmdline() and process.parent().name() == "java":
                found[process.pid] = len(process.children())
    return found

early = BackgroundSpark(LocalSparkOptions(Path(sys.argv[1]), "local[2]", driver_memory="512m"))
while not any(forked_from().values()):
    time.sleep(0.05)
before = forked_from()
early.context()
SparkSession.builder.getOrCreate().range(4).mapInArrow(lambda batches: batches, "id bigint").toArrow()
print(json.dumps([before, forked_from()]), flush=True)
"""

_ENDING = """
import sys, time
from pathlib import Path
import psutil
from fruit_assets.spark.background import BackgroundSpark
from fruit_assets.spark.session import LocalSparkOptions

BackgroundSpark(LocalSparkOptions(Path(sys.argv[1]), "local[1]", driver_memory="512m", fast_start=frozenset()))
while not psutil.Process().children():
    time.sleep(0.01)
"""


@pytest.fixture
def end_of_slow() -> Event:
    """Set when the import of `slow` may end."""
    return Event()


@pytest.fixture
def imported(monkeypatch, end_of_slow):
    """Names in the order in which they are imported, with the thread that does; `slow` ends when it may."""
    names: list[tuple[str, str]] = []

    def importing(name):
        names.append((name, current_thread().name))
        if name == "no_such_module":
            raise ModuleNotFoundError(name)
        if name == "broken_module":
            raise AttributeError(name)
        if name == "panicking":
            raise BaseException(name)
        if name == "slow":
            assert end_of_slow.wait(300)

    monkeypatch.setattr(background, "import_module", importing)
    return names


def _wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def _starting(monkeypatch, spark, imported, until=None):
    """Spark starts as soon as the import of a module has begun."""

    def start(options):
        while until and until not in [name for name, _ in imported]:
            time.sleep(0.01)
        return spark

    monkeypatch.setattr(background, "start_local_context", start)


def test_modules_are_imported_while_spark_starts_and_a_missing_one_is_ignored(spark, tmp_path, monkeypatch, imported):
    _starting(monkeypatch, spark, imported, until="wanted_later")
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["no_such_module", "broken_module", "wanted_later"])
    assert early.context() is early.context() is spark
    here = current_thread().name
    assert imported[-4:] == [
        ("pyspark", here), ("no_such_module", here), ("broken_module", here), ("wanted_later", here),
    ]  # fmt: skip


def test_a_caller_imports_until_spark_has_started_and_the_rest_is_imported_beside_its_first_job(
    spark, tmp_path, monkeypatch, imported, end_of_slow
):
    _starting(monkeypatch, spark, imported, until="slow")
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["slow", "slow", "last"])
    Thread(target=lambda: early._future.result() and end_of_slow.set()).start()  # Spark starts during an import
    early.context()
    assert [name for name, thread in imported if thread == current_thread().name] == ["pyspark", "slow"]
    _wait_for(lambda: ("last", "spark-start") in imported)


def test_the_rest_is_imported_also_while_no_caller_waits(spark, tmp_path, monkeypatch, imported, end_of_slow):
    end_of_slow.set()
    _starting(monkeypatch, spark, imported)
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["slow", "last"])
    _wait_for(lambda: imported[-2:] == [("slow", "spark-start"), ("last", "spark-start")])
    assert early.context() is spark


@pytest.mark.parametrize(("waits", "modules"), [(False, ("wanted",)), (True, ())])
def test_workers_import_ahead_only_where_no_caller_competes_for_the_cores(tmp_path, monkeypatch, waits, modules):
    importing, warmed = Event(), Event()
    asked: list[tuple[str, ...]] = []

    def import_until_warm(name):
        if name == "slow":
            importing.set()
            assert warmed.wait(60)

    def warm(context, names):
        asked.append(names)
        warmed.set()

    monkeypatch.setattr(background, "import_module", import_until_warm)
    monkeypatch.setattr(background, "start_local_context", lambda options: importing.wait(60) if waits else True)
    monkeypatch.setattr(background, "warm_up", warm)
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["slow"], ["wanted"])
    if waits:
        early.context()
    assert warmed.wait(60)
    assert asked == [modules]


def test_the_modules_of_workers_are_imported_by_them(spark, tmp_path):
    module, mark = tmp_path / "leaves_a_mark.py", tmp_path / "mark"
    module.write_text(f"open({str(mark)!r}, 'w').close()\n")
    spark.sparkContext.addPyFile(str(module))
    background.warm_up(spark.sparkContext, ["no_such_module", "leaves_a_mark"])
    assert mark.exists()


def test_an_import_that_ends_its_thread_blocks_no_caller(spark, tmp_path, monkeypatch, imported, end_of_slow):
    ending: list = []
    raised: list = []
    monkeypatch.setattr(background.atexit, "register", ending.append)
    # Expected here: Python would print a traceback.
    monkeypatch.setattr(threading, "excepthook", lambda ended: raised.append((ended.thread.name, str(ended.exc_value))))
    end_of_slow.set()
    _starting(monkeypatch, spark, imported)
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["slow", "panicking", "last"])
    _wait_for(lambda: raised)
    assert early.context() is early.context() is spark
    [stop] = ending
    stop()
    assert raised == [("spark-start", "panicking")]
    assert imported[-1] == ("panicking", "spark-start")


def test_a_process_that_ends_finishes_the_current_import_and_skips_the_rest(
    spark, tmp_path, monkeypatch, imported, end_of_slow
):
    ending: list = []
    monkeypatch.setattr(background.atexit, "register", ending.append)
    _starting(monkeypatch, spark, imported)
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["slow", "slow", "slow"])
    early._future.result()
    early.context()
    [stop] = ending
    with ThreadPoolExecutor(1) as pool:
        _wait_for(lambda: ("slow", "spark-start") in imported)
        stopped = pool.submit(stop)
        _wait_for(lambda: not early._imports)
        assert not stopped.done()
        end_of_slow.set()
        stopped.result()
    early.context()
    assert [name for name, _ in imported] == ["pyspark", "slow"]


def test_an_interrupt_while_a_caller_waits_blocks_no_later_caller(spark, tmp_path, monkeypatch, imported):
    _starting(monkeypatch, spark, imported, until="panicking")
    early = BackgroundSpark(LocalSparkOptions(tmp_path), ["panicking"])
    with pytest.raises(BaseException, match="panicking"):
        early.context()
    assert early.context() is spark


def test_a_process_that_ends_while_spark_starts_leaves_nothing_behind_and_prints_no_stack_trace(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _ENDING, str(tmp_path)],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "Exception" not in done.stderr
    # The JVM removes its own folders after the process has ended.
    deadline = time.monotonic() + 60
    while (left := sorted(temporary.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_a_session_that_cannot_start_says_why_where_it_is_asked_for(tmp_path):
    early = BackgroundSpark(LocalSparkOptions(tmp_path, java_home=str(tmp_path / "no jdk")))
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"JAVA_HOME is .*no jdk"):
            early.context()


def test_workers_start_before_they_are_asked_for_and_frames_take_them(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _SPARK, str(tmp_path)], capture_output=True, text=True, timeout=300, check=True
    )
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert len(before) == 1, "a process that workers are forked from"
    assert after.keys() == before.keys(), "another one for frames"
