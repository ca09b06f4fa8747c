"""Processes of their own in which models are exported, and how they say what went wrong.

Put here starting one, waiting for it, and its report. What it exports belongs in `export.py` and
`quantization.py`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fruit_assets.errors import InputError
from fruit_assets.settings import process_environment

_REPORT = "error.txt"
_SHOWN_OF_A_LOG = 2000


class ExportProcess:
    """A running `python -m MODULE REQUEST FOLDER`.

    Args:
        module: what to run.
        request: its first argument.

    Attributes:
        folder: a temporary one, its second argument; it goes with this object.
    """

    def __init__(self, module: str, request: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="export-")
        self.folder = Path(self._temporary.name)
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
            report = self.folder / _REPORT
            log = self._log.read_text(errors="replace")[-_SHOWN_OF_A_LOG:]
            raise InputError(report.read_text() if report.is_file() else f"Exporting the extractor failed:\n{log}")

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
