"""Temporary folders that do not outlive their process for long, even if it was killed.

Put here how they are created and removed. What they contain belongs to their users.
"""

import fcntl
import shutil
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TextIO

_PREFIX = "fruit-assets-"
_LOCK = "lock"


class TemporaryFolder:
    """A folder that is removed with this object, at the latest when the process ends.

    A process that is killed leaves its folders; the next one that needs a folder removes them. A lock, which the
    kernel releases when a process ends, tells them from those in use.

    Attributes:
        path: of the folder.
    """

    def __init__(self, kind: str = "") -> None:
        _remove_abandoned(tempfile.gettempdir())
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}"))
        unlocked = self.path / f"{_LOCK}.new"
        lock = unlocked.open("w")
        self._remove = weakref.finalize(self, _remove, self.path, lock)
        with suppress(OSError):  # some file systems have no locks: nothing is found to be abandoned there
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Named only now: other processes look for the name.
        unlocked.rename(self.path / _LOCK)

    def remove(self) -> None:
        self._remove()


def _remove(path: Path, lock: TextIO) -> None:
    shutil.rmtree(path, ignore_errors=True)
    lock.close()


@cache
def _remove_abandoned(parent: str) -> None:
    for lock in Path(parent).glob(f"{_PREFIX}*/{_LOCK}"):
        # In use, of another user, or removed meanwhile.
        with suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
