"""Tasks on Spark's Python workers: a function is called once for each part.

Put here how parts are sent to the workers and results are returned, as Arrow streams. Spark's DataFrames are not used
for it, because starting Spark SQL costs every run more than half a second. Reading and writing within tasks are in
`reading.py` and `writing.py`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, TypeVar

from fruit_assets.errors import (
    FruitAssetsError,
    InputError,
    ObjectError,
    PermanentError,
    StorageError,
    TransientError,
)
from fruit_assets.machine_faults import machine_fault, named
from fruit_assets.spark.this_process import Held, LocalRun, TaskRunner, number_here

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import RDD, Broadcast

Part = TypeVar("Part")
# From the record batches of one task to those that it yields.
ArrowFunction = Callable[[Iterable[Any]], Iterable[Any]]
# Python's traceback within Spark's message about a failed task, without Spark's Java frames.
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):.*?(?=\n\s*\tat |\Z)", re.DOTALL)
# The class of an exception in a traceback. The last of chained exceptions is the one that the task failed with.
_RAISED = re.compile(r"^(?P<name>[\w.]+): ", re.MULTILINE)
_ACTIONABLE = {
    f"{kind.__module__}.{kind.__name__}": kind
    for kind in (InputError, ObjectError, PermanentError, StorageError, TransientError)
}
_JAVA_FRAME = re.compile(r"\t(at |\.\.\. \d+ more)")
_REPEATED_FROM = "\nDriver stacktrace:"
_LONGEST = 4000


class TaskError(FruitAssetsError):
    """A task failed in all of Spark's attempts, or Spark could not run it; the message has the task's own error."""


def run_tasks(
    context: TaskRunner, parts: Sequence[Part], function: "Callable[[Part], Iterable[pa.RecordBatch]]"
) -> "RDD[bytes] | LocalRun":
    """Lazily run `function` for every part, each in its own task.

    Args:
        context: the Spark context, or this process.
        parts: the input of each task, in the order in which tasks start. One part must stay well below 128 MiB, the
            limit of what Spark sends to an executor.
        function: from a part to record batches.

    Returns:
        An Arrow stream for every record batch that the function yields.
    """
    with _named_faults():
        return context.parallelize(list(parts), max(1, len(parts))).mapPartitions(_as_streams(function))


def broadcast(context: TaskRunner, value: Any) -> "Broadcast[Any] | Held":
    """A value for all tasks. Pass arrays as bytes: pyspark fails otherwise under `spark.io.encryption.enabled`.

    Raises:
        TaskError: this machine cannot store it, for example because the temporary folder is full.
    """
    with _named_faults():
        return context.broadcast(value)


@contextmanager
def _named_faults() -> Iterator[None]:
    """Name a fault of the machine when pyspark writes to the temporary folder, which it reports as a pickling error."""
    try:
        yield
    except Exception as error:
        if (fault := machine_fault(error)) is None:
            raise
        raise TaskError(f"Spark cannot write the input of its tasks to {gettempdir()}: {named(fault)}.") from error


def _as_streams(function: "Callable[[Part], Iterable[pa.RecordBatch]]") -> Callable[[Iterable[Part]], Iterator[bytes]]:
    def as_streams(parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            yield from map(stream_of, function(part))

    return as_streams


def collect(run: "RDD[bytes] | LocalRun") -> "pa.Table":
    """Run the tasks; returns the rows that they yield, in the order of their parts.

    Raises:
        TaskError: a task failed, or could not be run.
    """
    try:
        streams = run.collect()
    except FruitAssetsError:
        raise  # of a task in this process
    # An error of py4j, of pyspark (which converts it once DataFrames are in use), or of pickle.
    except Exception as error:
        if (fault := machine_fault(error)) is not None:
            raise TaskError(f"Spark could not run the tasks: {named(fault)}.") from error
        if isinstance(run, LocalRun):
            raise
        raise _failure(str(error)) from error
    return table_of(streams)


def stream_of(rows: "pa.Table | pa.RecordBatch") -> bytes:
    """Rows as an Arrow stream; of a slice only its own rows."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def table_of(streams: Iterable[bytes]) -> "pa.Table":
    """All rows of streams that share a schema; a table without columns when there is no stream."""
    import pyarrow as pa

    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams]
    return pa.concat_tables(tables) if tables else pa.table({})


def task_number() -> int:
    """The number, among all tasks of a run, of the task that calls this."""
    # A process that has not imported pyspark is no worker of Spark's.
    pyspark = sys.modules.get("pyspark.taskcontext")
    task = None if pyspark is None else pyspark.TaskContext.get()
    return number_here() if task is None else int(task.partitionId())


def _failure(message: str) -> FruitAssetsError:
    """The error of a failed task: an actionable error as the task raised it, any other one as a TaskError.

    Its text is Python's traceback, or else the JVM's message without Java frames.
    """
    once = message.partition(_REPEATED_FROM)[0]
    if (found := _TRACEBACK.search(once)) is None:
        text = "\n".join(line for line in once.splitlines() if not _JAVA_FRAME.match(line))
        return TaskError(f"Spark could not run the tasks. {_within_limit(text.strip())}")
    traceback = found[0].rstrip()
    raised = list(_RAISED.finditer(traceback))
    if raised and raised[-1]["name"] in _ACTIONABLE:
        return _ACTIONABLE[raised[-1]["name"]](traceback[raised[-1].end() :])
    return TaskError(f"A task on the workers failed. {_within_limit(traceback)}")


def _within_limit(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}\n...\n{text[-_LONGEST // 2 :]}"
