"""Keep Python's garbage collector from traversing objects that stay.

Put here what spares a process of ours collections that find nothing. Dagster and the definitions are some hundreds
of thousands of objects that live as long as the process: looking through them again and again, and once more when
the interpreter ends, costs a short run a fifth of its seconds.
"""

import atexit
import gc

# The default looks every 700 allocations.
_ALLOCATIONS = 50_000


def freeze_gc() -> None:
    """Call when the code location is loaded."""
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])
    # The interpreter collects once more before it ends; the memory goes with the process anyway.
    atexit.register(gc.freeze)
