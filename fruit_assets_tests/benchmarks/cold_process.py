"""Cold processes: started for one measurement, in a defined environment.

Put here how a measured process is started, timed, watched and ended. Its command belongs to the
benchmarks; sampling of memory is in `memory_watch.py`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from fruit_assets_tests.benchmarks.memory_watch import DEFAULT_INTERVAL, Memory, MemoryWatch, SizeOf, resident

PROJECT = Path(__file__).parents[2]
PYTHON = sys.executable
# Variables that locate programs, homes and the time zone; none that configures a contender.
_KEPT_VARIABLES = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "JAVA_HOME", "LD_LIBRARY_PATH")
_SHOWN_OF_A_LOG = 4000


class ColdProcessFailed(Exception):
    """A measured process ended with an error, so there is nothing to compare."""


@dataclass(frozen=True)
class ColdRun:
    """A finished process.

    Attributes:
        seconds: from start to end.
        started_at: seconds since the epoch.
        output: its stdout.
        memory: of it and its descendants.
        ended: False if it was stopped after `patience`.
    """

    seconds: float
    started_at: float
    output: str
    memory: Memory
    ended: bool = True


def environment(**variables: str) -> dict[str, str]:
    """The environment of a measured process: this project, this interpreter, and the given variables.

    Settings of the caller's shell (`FRUIT_ASSETS_*`, `SPARK_*`, `DAGSTER_*`, thread counts) do not reach it.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join([str(Path(PYTHON).parent), kept.get("PATH", os.defpath)])
    base = {"PATH": path, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return {**kept, **base, **variables}


def run_cold(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    *,
    name: str = "run",
    interval: float = DEFAULT_INTERVAL,
    size_of: SizeOf = resident,
    patience: float | None = None,
) -> ColdRun:
    """Run a command to its end in a new process.

    Args:
        command: program and arguments.
        folder: its working directory, with `<name>.out` and `<name>.err`.
        variables: its whole environment, from `environment()`.
        name: of the logs.
        interval: seconds between two samples of its memory.
        size_of: the measure of a process's memory.
        patience: seconds after which it is stopped; None waits for its end.

    Raises:
        ColdProcessFailed: it ended with an error; the message carries the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output, errors = folder / f"{name}.out", folder / f"{name}.err"
    with output.open("wb") as out, errors.open("wb") as err:
        started_at, started = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        watch = MemoryWatch(process.pid, interval, size_of)
        code: int | None
        try:
            code = process.wait(patience)
            seconds = time.perf_counter() - started
        except subprocess.TimeoutExpired:
            seconds, code = time.perf_counter() - started, None
            _end(process)
            process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            memory = watch.stop()
    if code:
        tail = (errors.read_text(errors="replace") + output.read_text(errors="replace"))[-_SHOWN_OF_A_LOG:]
        raise ColdProcessFailed(f"{' '.join(command)} ended with {code}:\n{tail}")
    return ColdRun(seconds, started_at, output.read_text(errors="replace"), memory, ended=code is not None)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process with all its descendants; Spark's workers are in process groups of their own."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
