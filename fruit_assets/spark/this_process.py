"""Tasks in this process: the part of a SparkContext that our tasks use, for work that is shorter than Spark's start.

Put here what stands in for Spark where the work is small. What counts as small belongs in `resource.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from pyspark import SparkContext

# What runs tasks.
TaskRunner = Union["SparkContext", "ThisProcess"]
_MOST_PARTS = 8
_number_here: ContextVar[int] = ContextVar("number of the task that this process runs", default=0)


class ThisProcess:
    """Runs tasks one after the other where it is called.

    Attributes:
        defaultParallelism: into how many parts work is divided, as a SparkContext of this machine would; at most 8.
    """

    def __init__(self, cores: int) -> None:
        self.defaultParallelism = min(cores, _MOST_PARTS)

    def parallelize(self, parts: Iterable[Any], _: int) -> "LocalRun":
        return LocalRun([[part] for part in parts], iter)

    def broadcast(self, value: Any) -> "Held":
        return Held(value)


@dataclass(frozen=True)
class LocalRun:
    """A lazy run of `function`, once for each of the parts."""

    parts: Sequence[Iterable[Any]]
    function: Callable[[Any], Iterable[Any]]

    def mapPartitions(self, function: Callable[[Any], Iterable[Any]]) -> "LocalRun":  # noqa: N802  Spark's name
        before = self.function
        return LocalRun(self.parts, lambda part: function(before(part)))

    def collect(self) -> list[Any]:
        """What the function yields for all parts, in their order."""
        try:
            return list(self._results())
        finally:
            _number_here.set(0)

    def _results(self) -> Iterator[Any]:
        for number, part in enumerate(self.parts):
            _number_here.set(number)
            yield from self.function(part)


@dataclass(frozen=True)
class Held:
    """What stands in for a broadcast value."""

    value: Any


def number_here() -> int:
    """The number of the task that this process runs; 0 outside of tasks."""
    return _number_here.get()
