"""Tests of the Spark that starts in the background: who waits for it, what it has ready."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.spark import early_start
from fruit_assets.spark.early_start import EarlyStart
from fruit_assets.spark.session import LocalSparkOptions

# In a process of its own: which processes fork workers when Spark has just started, and after a job of frames.
_SPARK = """
import json, sys, time
from contextlib import suppress
from pathlib import Path
import psutil
from pyspark.sql import SparkSession
from fruit_assets.spark.early_start import EarlyStart
from fruit_assets.spark.session import LocalSparkOptions

def forked_from():
    found = {}
    for process in psutil.Process().children(recursive=True):
        # Spark's scripts start processes that end, or become others, while they are looked at.
        with suppress(psutil.Error, AttributeError):
            if "pyspark.worker" in process.cmdline() and process.parent().name() == "java":
                found[process.pid] = len(process.children())
    return found

early = EarlyStart(LocalSparkOptions(Path(sys.argv[1]), "local[2]", driver_memory="512m"))
while not any(forked_from().values()):
    time.sleep(0.05)
before = forked_from()
early.context()
SparkSession.builder.getOrCreate().range(4).mapInArrow(lambda batches: batches, "id bigint").toArrow()
print(json.dumps([before, forked_from(), sys.getswitchinterval()]), flush=True)
"""


def test_whoever_waits_for_a_session_imports_meanwhile_and_a_missing_module_is_no_matter(spark, tmp_path, monkeypatch):
    imported: list[str] = []

    def importing(name):
        imported.append(name)
        if name == "no_such_module":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(early_start, "import_module", importing)
    start = SimpleNamespace(finish=lambda: time.sleep(1) or spark)
    monkeypatch.setattr(early_start.Start, "of", lambda options: start)
    early = EarlyStart(LocalSparkOptions(tmp_path), ["no_such_module", "wanted_later"])
    assert early.context() is early.context() is spark
    assert imported == ["pyspark", "no_such_module", "wanted_later"]


def test_a_session_that_cannot_start_says_why_where_it_is_asked_for(tmp_path):
    early = EarlyStart(LocalSparkOptions(tmp_path, java_home=str(tmp_path / "no jdk")))
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"JAVA_HOME is .*no jdk"):
            early.context()


def test_workers_start_before_they_are_asked_for_and_frames_take_them(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _SPARK, str(tmp_path)], capture_output=True, text=True, timeout=300, check=True
    )
    before, after, interval = json.loads(done.stdout.splitlines()[-1])
    assert len(before) == 1, "a process that workers are forked from"
    assert after.keys() == before.keys(), "another one for frames"
    assert interval == 0.005
