"""Processes of their own in which models are exported, and how they say what went wrong.

Put here starting one, waiting for it, and its report. What it exports belongs in `export.py` and
`quantization.py`.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fruit_assets.errors import InputError
from fruit_assets.settings import process_environment
from fruit_assets.temporary_folder import TemporaryFolder

_REPORT = "error.txt"
_SHOWN_OF_A_LOG = 2000
# The model in two formats, of the largest network.
_ROOM = 64 * 2**20


class ExportProcess:
    """A running `python -m MODULE REQUEST FOLDER`.

    Args:
        module: what to run.
        request: its first argument.

    Attributes:
        folder: a temporary one, its second argument; it goes with this object.
    """

    def __init__(self, module: str, request: str) -> None:
        self._temporary = TemporaryFolder("export-")
        self.folder = self._temporary.path
        self._log = self.folder / "export.log"
        # The address and secret of this process's JVM, which the environment holds while it connects, stay here.
        # Keras and TensorFlow warn of themselves, which PYTHONWARNINGS=error would make a failure.
        # OpenVINO's tools send usage data home unless they believe that they run in a CI.
        environment = {**process_environment(without=["PYSPARK_GATEWAY", "PYTHONWARNINGS"]), "CI": "true"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, request, str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def finish(self, message: bytes = b"") -> None:
        """Write to the process's input what it waits for, and wait for its end.

        Raises:
            InputError: it failed; the message is its report, or the end of its log.
        """
        try:
            self._process.communicate(message)
        except BaseException:
            self.stop()
            raise
        if self._process.returncode != 0:
            raise InputError(self._why_failed())

    def _why_failed(self) -> str:
        report = self.folder / _REPORT
        if report.is_file() and (reported := report.read_text()):
            return reported
        free = shutil.disk_usage(self.folder).free
        if free < _ROOM:
            return (
                f"Exporting the extractor failed: {self.folder.parent} has {free / 1e6:.0f} MB left, and it needs "
                f"{_ROOM / 1e6:.0f} MB. Free some, or name another folder in TMPDIR."
            )
        killed = f" (ended by signal {-self._process.returncode})" if self._process.returncode < 0 else ""
        advice = ", as the kernel does where memory runs out" if self._process.returncode == -signal.SIGKILL else ""
        log = self._log.read_text(errors="replace")[-_SHOWN_OF_A_LOG:]
        return f"Exporting the extractor failed{killed}{advice}:\n{log}"

    def stop(self) -> None:
        """Give up; what it would have made is not wanted any more."""
        self._process.kill()
        self._process.communicate()


def reporting(folder: Path, work: Callable[[], None]) -> int:
    """Do the work of such a process; its exit code, after leaving what a person must mend as a report."""
    try:
        work()
    except InputError as error:
        (folder / _REPORT).write_text(str(error))
        return 1
    return 0
