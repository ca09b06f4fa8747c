"""Errors of the machine, as opposed to errors of a file: a full disk is not a damaged image.

Put here which system errors are the machine's. Who meets them raises them on, under their own name.
"""

import errno

_MACHINE = {
    errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.EROFS,
    errno.EFBIG, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO,
    errno.EAGAIN, errno.ENOLCK,
}  # fmt: skip

# More than decoding the largest image that is allowed takes.
_MUCH_MEMORY = 2**31


def machine_fault(error: BaseException | None) -> OSError | None:
    """The machine's error that this one is, or was raised because of; None when there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _MACHINE:
            return error
        error = error.__cause__ or error.__context__
    return None


def named(error: OSError) -> str:
    """The error with the name that manuals have for it, as in `[ENOSPC] No space left on device: '/tmp/x'`."""
    place = f": {error.filename!r}" if error.filename is not None else ""
    return f"[{errno.errorcode[error.errno or 0]}] {error.strerror}{place}"


def is_short_of_memory() -> bool:
    """Whether a MemoryError is the machine's: a file that is damaged may ask for more than any machine has."""
    import mmap

    try:
        # Nothing is written to it, so no memory is taken.
        mmap.mmap(-1, _MUCH_MEMORY).close()
    except OSError:
        return True
    return False
