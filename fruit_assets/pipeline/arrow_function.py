"""The shape of the functions that Spark's workers run over Arrow batches.

Put here the type they share. What each does belongs beside the frame it makes.
"""

from collections.abc import Callable, Iterable
from typing import Any

# `DataFrame.mapInArrow` gives a function the record batches of one partition and takes those it yields.
ArrowFunction = Callable[[Iterable[Any]], Iterable[Any]]
