"""Processes of steps: started in a session of their own, signalled and killed like EMR does it.

Put here what is true of any process of a step. Which command it runs is decided by the runners.
"""

import contextlib
import os
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

import psutil


class StepProcess(Protocol):
    """What a step's execution needs of a process."""

    @property
    def pid(self) -> int: ...

    def wait(self) -> int:
        """Wait for the end; the exit code, or minus the number of the signal that ended it."""

    def send(self, signum: int, tree: bool) -> None:
        """Send a signal to the process, and with `tree` to all its descendants."""


class ChildProcess:
    """A real process, its output in files."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path, logs: Path) -> None:
        with (logs / "stdout").open("ab") as stdout, (logs / "stderr").open("ab") as stderr:
            self._child = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait(self) -> int:
        return self._child.wait()

    def send(self, signum: int, tree: bool) -> None:
        # PySpark's workers lead process groups of their own, so the tree is walked, not the group.
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            descendants = psutil.Process(self.pid).children(recursive=True) if tree else []
            if self._child.poll() is None:
                os.kill(self.pid, signum)
            for descendant in descendants:
                with contextlib.suppress(psutil.NoSuchProcess):
                    descendant.send_signal(signum)


class CallableProcess:
    """A Python function in a thread, in place of a process."""

    pid = 0

    def __init__(
        self, function: Callable[[TextIO, TextIO], int | None], interrupted: threading.Event, logs: Path
    ) -> None:
        self._interrupted = interrupted
        self._code = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(function, logs), daemon=True)
        self._thread.start()

    def wait(self) -> int:
        self._done.wait()
        return self._code

    def send(self, signum: int, tree: bool) -> None:
        """A function cannot be killed: it is asked to stop, and after SIGKILL not waited for."""
        self._interrupted.set()
        if signum == signal.SIGKILL and not self._done.is_set():
            self._code = -signum
            self._done.set()

    def _run(self, function: Callable[[TextIO, TextIO], int | None], logs: Path) -> None:
        with (logs / "stdout").open("a") as stdout, (logs / "stderr").open("a") as stderr:
            try:
                code = function(stdout, stderr) or 0
            # The function stands in for a foreign program: whatever it raises is its exit code.
            except BaseException:
                traceback.print_exc(file=stderr)
                code = 1
        if not self._done.is_set():
            self._code = code
            self._done.set()
