"""Errors of the machine, as opposed to errors of a file: a full disk is not a damaged image.

Put here which system errors are faults of the machine. Callers raise them with their name instead of rejecting a file.
"""

import errno

_MACHINE = {
    errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.EROFS,
    errno.EFBIG, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO,
    errno.EAGAIN, errno.ENOLCK,
}  # fmt: skip

# More than is needed to decode the largest allowed image.
_PROBED_BYTES = 2**31


def machine_fault(error: BaseException | None) -> OSError | None:
    """The fault of the machine in the chain of this error's causes; None when there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _MACHINE:
            return error
        error = error.__cause__ or error.__context__
    return None


def named(error: OSError) -> str:
    """The error with its symbolic name, as in `[ENOSPC] No space left on device: '/tmp/x'`."""
    place = f": {error.filename!r}" if error.filename is not None else ""
    return f"[{errno.errorcode[error.errno or 0]}] {error.strerror}{place}"


def is_short_of_memory() -> bool:
    """Whether a MemoryError is a fault of the machine: a damaged file may request more than any machine has."""
    import mmap

    try:
        # Reserves address space only: no page is written.
        mmap.mmap(-1, _PROBED_BYTES).close()
    except OSError:
        return True
    return False
