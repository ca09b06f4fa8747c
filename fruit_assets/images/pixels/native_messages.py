"""What native decoders print: libtiff and libjpeg write warnings to the standard error, and name no file.

Put here how such lines are kept out of a process's log, so that they can be logged with the file that they are about.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STANDARD_ERROR = 2


@contextmanager
def captured_messages() -> Iterator[Callable[[], list[str]]]:
    """Capture the standard error inside the block; a call gives the lines since the last one."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        before = os.dup(_STANDARD_ERROR)
        os.dup2(kept.fileno(), _STANDARD_ERROR)
        read = 0

        def lines() -> list[str]:
            nonlocal read
            size = os.fstat(kept.fileno()).st_size
            if size == read:
                return []
            text = os.pread(kept.fileno(), size - read, read).decode(errors="replace")
            read = size
            return [line.strip() for line in text.splitlines() if line.strip()]

        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
