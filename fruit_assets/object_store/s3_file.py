"""An object on S3 as a file that Arrow reads in parts. Put here which byte ranges are requested, not how."""

import io
from collections.abc import Callable

# Enough for the footer of a Parquet file, and for small files as a whole.
_TAIL_BYTES = 256 * 2**10


class S3File(io.RawIOBase):
    """An object as a file: every read is a ranged request, except at the end, which the first request has fetched.

    Args:
        read: returns the bytes of an HTTP range, and the size of the whole object.
    """

    def __init__(self, read: Callable[[str], tuple[bytes, int]]) -> None:
        self._read = read
        self._tail, self._size = read(f"bytes=-{_TAIL_BYTES}")
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        start, left = self._position, max(0, self._size - self._position)
        count = left if size is None or size < 0 else min(size, left)
        self._position += count
        in_tail = start - (self._size - len(self._tail))
        if in_tail >= 0:
            return self._tail[in_tail : in_tail + count]
        return self._read(f"bytes={start}-{start + count - 1}")[0] if count else b""
