"""The tests in several processes at once: how many, what comes first, and what is made once for all.

Put here what knows of pytest-xdist, and of what processes beside each other must not take twice. It hands out whole
modules (`--dist loadscope`), so that fixtures of a module or of the session are built once in a process; what is too
dear even for that is shared by `made_once`.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

# More would wait for cores, and for the longest modules, rather than for steps, browsers and JVMs to start.
_MOST_PROCESSES = 4
# A test process with TensorFlow, its JVM, and what its tests start.
_BYTES_PER_PROCESS = 3 * 2**30
# Seconds of a module that is `long` and does not say how long.
_LONG = 60.0


def process_count(config: pytest.Config) -> int:
    """Processes for `-n auto`: a few for all tests, two more than cores because many wait; none for chosen ones."""
    if [name.rstrip("/") for name in config.args] != config.getini("testpaths"):
        return 0
    room = psutil.virtual_memory().available // _BYTES_PER_PROCESS
    return max(1, min(_MOST_PROCESSES, len(os.sched_getaffinity(0)) + 2, room))


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """The modules marked `long` before the others, by their seconds: one that starts last delays the whole run."""
    return sorted(items, key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("long")
    if marker is None:
        return 0.0
    return float(marker.args[0]) if marker.args else _LONG


def free_port() -> int:
    """A port for a server that is started later, of those that the kernel gives to no other process meanwhile."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first process to ask for it makes while the others wait; read only from then on.

    Args:
        tmp_path_factory: of this process; the folder lies where all processes of the run find it.
        name: of the folder.
        make: fills the folder, which does not exist yet.
    """
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what an attempt that failed has left
            make(folder)
            done.touch()
    return folder
