"""Tests of the archive of Spark's classes: used when it fits, removed when it does not, never in the way."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pyspark.find_spark_home import _find_spark_home

from fruit_assets.spark.cds_build import make_archive
from fruit_assets.spark.fast_start.cds_archive import ClassData, archive_name, class_data
from fruit_assets.spark.java import require_java
from fruit_assets.spark.session import LocalSparkOptions, local_conf

_JARS = Path(_find_spark_home(), "jars")

# A session of its own, in a process of its own: what it answers, what the JVM printed, and what is in the cache then.
_SESSION = """
import json, os, sys
from pathlib import Path
from fruit_assets.spark.fast_start import cds_archive as class_data
from fruit_assets.spark.session import LocalSparkOptions, start_local_context
class_data._make_detached = lambda missing: print("WOULD MAKE", missing.key)
if os.environ.get("KILL_JVM"):
    from pyspark.core import context as pyspark_context
    launch_gateway = pyspark_context.launch_gateway
    def dying(*given):
        gateway = launch_gateway(*given)
        gateway.proc.kill()
        pyspark_context.launch_gateway = launch_gateway
        return gateway
    pyspark_context.launch_gateway = dying
context = start_local_context(LocalSparkOptions(Path(sys.argv[1]), "local[1]", driver_memory="512m"))
options = context.getConf().get("spark.driver.extraJavaOptions")
found = {"rows": context.parallelize(range(3)).count(), "archived": "SharedArchiveFile" in options}
print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with an archive for this machine's Java, as a process of its own makes it."""
    folder = tmp_path_factory.mktemp("cache")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from fruit_assets.spark.cds_build import make_archive\n"
        "from fruit_assets.spark.session import LocalSparkOptions, class_data_for\n"
        "assert make_archive(class_data_for(LocalSparkOptions(Path(sys.argv[1]))))"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, timeout=500)
    return folder


def _archive(cache: Path) -> Path:
    [archive] = (cache / "class-data").glob("*.jsa")
    return archive


def _session(cache: Path, **variables: str) -> tuple[dict, str]:
    done = subprocess.run(
        [sys.executable, "-c", _SESSION, str(cache)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={**os.environ, **variables},
    )
    assert "fatal error" not in done.stdout
    [answer] = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(answer), done.stdout + done.stderr


def _with_archive(cache: Path, folder: Path, content: bytes) -> Path:
    """A cache of its own whose archive has this content instead, under the name of the intact one."""
    (folder / "class-data").mkdir()
    archive = folder / "class-data" / _archive(cache).name
    archive.write_bytes(content)
    later = _archive(cache).stat().st_mtime + 2
    os.utime(archive, (later, later))
    return folder


def test_a_session_takes_an_archive_that_fits_and_says_nothing_about_it(cache):
    answer, output = _session(cache)
    assert answer == {"rows": 3, "archived": True}
    assert "WOULD MAKE" not in output
    assert "jsa" not in output
    assert _archive(cache).is_file()


@pytest.mark.parametrize("damage", ["cut off", "empty", "zeros in the middle"])
def test_a_damaged_archive_is_dropped_before_a_jvm_can_crash_on_it(cache, tmp_path, damage):
    content = _archive(cache).read_bytes()
    torn = {
        "cut off": content[: len(content) // 3],
        "empty": b"",
        "zeros in the middle": content[: 20 * 2**20] + bytes(10 * 2**20) + content[30 * 2**20 :],
    }[damage]
    answer, output = _session(_with_archive(cache, tmp_path, torn))
    assert answer == {"rows": 3, "archived": False}
    assert "WOULD MAKE" in output
    assert list((tmp_path / "class-data").glob("*.jsa")) == []


def test_a_jvm_that_dies_while_spark_starts_in_it_is_replaced_by_one_without_the_archive(cache, tmp_path):
    shutil.copytree(cache / "class-data", tmp_path / "class-data")
    answer, _ = _session(tmp_path, KILL_JVM="1")
    assert answer == {"rows": 3, "archived": False}


@pytest.mark.parametrize("variable", ["SPARK_CONF_DIR", "HADOOP_CONF_DIR"])
def test_another_configuration_folder_is_another_class_path_and_needs_another_archive(cache, tmp_path, variable):
    (tmp_path / "spark-defaults.conf").write_text("spark.app.name mine\n")
    answer, output = _session(cache, **{variable: str(tmp_path)})
    assert answer == {"rows": 3, "archived": False}
    assert "WOULD MAKE" in output
    assert _archive(cache).is_file()


def test_an_archive_of_other_jars_is_refused_in_silence_and_made_again(tmp_path):
    foreign, [jar] = tmp_path / "foreign.jsa", _JARS.glob("spark-launcher_*.jar")
    recording = ["-XX:+UseSerialGC", f"-XX:ArchiveClassesAtExit={foreign}", "-Xlog:disable", "-cp", str(jar)]
    main = ["org.apache.spark.launcher.Main", "org.apache.spark.deploy.SparkSubmit"]
    # It finds no Spark beside its jar and ends, having loaded classes.
    subprocess.run([str(require_java()), *recording, *main], check=False, capture_output=True)
    java_options = local_conf(LocalSparkOptions(tmp_path))["spark.driver.extraJavaOptions"]
    found = class_data(require_java(), _JARS, java_options, tmp_path)
    assert found is not None
    found.folder.mkdir()
    foreign.rename(found.folder / archive_name(found.key, foreign))
    answer, output = _session(tmp_path)
    assert answer == {"rows": 3, "archived": True}
    assert "shared archive" not in output
    assert "WOULD MAKE" in output
    assert found.archive is None


def test_a_session_starts_where_the_cache_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    answer, _ = _session(blocked)
    assert answer == {"rows": 3, "archived": False}


def test_the_key_follows_the_jvm_the_jars_and_the_options(tmp_path):
    java, jars = tmp_path / "jdk" / "bin" / "java", tmp_path / "jars"
    java.parent.mkdir(parents=True)
    java.write_text("")
    jars.mkdir()
    (jars / "spark.jar").write_text("1")

    def key(options: str = "-XX:+UseSerialGC") -> str:
        found = class_data(java, jars, options, tmp_path)
        assert found is not None
        return found.key

    before = key()
    assert key() == before
    assert key("-XX:+UseG1GC") != before
    (tmp_path / "jdk" / "release").write_text('JAVA_VERSION="21"')
    other_java = key()
    assert other_java != before
    (jars / "spark.jar").write_text("12")
    assert key() not in (before, other_java)


def test_a_path_that_an_option_of_the_jvm_cannot_carry_does_without(tmp_path):
    assert class_data(Path("/usr/bin/java"), tmp_path, "", tmp_path / "two words") is None


def test_two_processes_make_one_archive_and_a_failed_attempt_is_not_repeated_at_once(tmp_path, monkeypatch):
    from fruit_assets.spark.fast_start import cds_archive as module

    missing = ClassData(tmp_path / "class-data", "key", tmp_path / "log", "")
    missing.folder.mkdir()
    with missing.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not make_archive(missing)
    started: list[object] = []
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **_: started.append(command))
    module._make_detached(missing)
    assert started == []
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(missing.lock, (long_ago, long_ago))
    module._make_detached(missing)
    module._make_detached(missing)
    assert len(started) == 1


def test_nothing_is_started_for_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    from fruit_assets.spark.fast_start import cds_archive as module

    (tmp_path / "cache").write_text("")
    started: list[object] = []
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **_: started.append(command))
    module._make_detached(ClassData(tmp_path / "cache" / "class-data", "key", tmp_path / "log", ""))
    assert started == []


def test_making_an_archive_leaves_the_cores_to_other_processes():
    code = """
import os
from pathlib import Path
from fruit_assets.spark.cds_build import _lower_priority
_lower_priority()
group = Path("/proc/self/autogroup")
print(os.nice(0), group.read_text().split()[-1] if group.exists() else 19)
"""
    # As it is started: in a session of its own, between which Linux shares the cores before it looks at processes.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert done.stdout.split() == ["19", "19"], done.stderr


def test_a_build_that_takes_too_long_ends_with_its_jvm_and_leaves_no_archive(tmp_path):
    code = (
        "import sys, signal\nfrom pathlib import Path\n"
        "from fruit_assets.spark import cds_build\n"
        "from fruit_assets.spark.session import LocalSparkOptions, class_data_for\n"
        "missing = class_data_for(LocalSparkOptions(Path(sys.argv[1])))\n"
        "cds_build._MAX_SECONDS = 1\n"
        "cds_build.main([str(missing.folder), missing.key, missing.java_options])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert "TimeoutError: The archive of classes was not finished after 1 s." in done.stderr
    assert not list((tmp_path / "class-data").glob("*.jsa"))
    deadline = time.monotonic() + 60
    while running := [
        one.pid for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])
    ]:
        assert time.monotonic() < deadline, running
        time.sleep(0.2)
