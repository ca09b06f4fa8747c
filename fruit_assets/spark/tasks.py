"""Tasks on Spark's workers: a function, called once for each of some parts.

Put here how work gets to the workers and results get back, as Arrow streams. Spark's frames are not used for
it: starting their side of the JVM costs every run half a second and more. What tasks read and write is in
`spark/reading.py` and `spark/writing.py`.
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
# Spark's message on a failed task: Python's part, and Spark's own frames.
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):.*?(?=\n\s*\tat |\Z)", re.DOTALL)
# Where it says what was raised, and of which class. The last of chained errors is what the task failed with.
_RAISED = re.compile(r"^(?P<name>[\w.]+): ", re.MULTILINE)
_FOR_PEOPLE = {
    f"{kind.__module__}.{kind.__name__}": kind
    for kind in (InputError, ObjectError, PermanentError, StorageError, TransientError)
}
_JAVA_FRAME = re.compile(r"\t(at |\.\.\. \d+ more)")
_REPEATED_FROM = "\nDriver stacktrace:"
_LONGEST = 4000


class TaskError(FruitAssetsError):
    """A task failed, as often as Spark tries, or Spark could not run it; the message holds the task's own error."""


def run_tasks(
    context: TaskRunner, parts: Sequence[Part], function: "Callable[[Part], Iterable[pa.RecordBatch]]"
) -> "RDD[bytes] | LocalRun":
    """A lazy run of `function` for every part, each in a task of its own.

    Args:
        context: the Spark context, or this process.
        parts: what the tasks get, in the order in which they start. Of one task it must stay well below 128 MiB,
            beyond which Spark sends nothing to an executor.
        function: from a part to record batches.

    Returns:
        An Arrow stream for every record batch that the function yields.
    """
    with _named_faults():
        return context.parallelize(list(parts), max(1, len(parts))).mapPartitions(_as_streams(function))


def broadcast(context: TaskRunner, value: Any) -> "Broadcast[Any] | Held":
    """A value for all tasks; arrays go as bytes, or pyspark fails under `spark.io.encryption.enabled`.

    Raises:
        TaskError: this machine cannot hold it, such as with a full temporary folder.
    """
    with _named_faults():
        return context.broadcast(value)


@contextmanager
def _named_faults() -> Iterator[None]:
    """Name what the machine lacks when pyspark writes to the temporary folder; it would call it a pickling error."""
    try:
        yield
    except Exception as error:
        if (fault := machine_fault(error)) is None:
            raise
        raise TaskError(f"Spark cannot write what its tasks need below {gettempdir()}: {named(fault)}.") from error


def _as_streams(function: "Callable[[Part], Iterable[pa.RecordBatch]]") -> Callable[[Iterable[Part]], Iterator[bytes]]:
    def as_streams(parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            yield from map(stream_of, function(part))

    return as_streams


def collect(run: "RDD[bytes] | LocalRun") -> "pa.Table":
    """Run, and give what all tasks yield, in the order of their parts.

    Raises:
        TaskError: a task failed, or could not be run.
    """
    try:
        streams = run.collect()
    except FruitAssetsError:
        raise  # of a task in this process
    # py4j's error, what pyspark makes of it where frames are in use as well, or pickle's.
    except Exception as error:
        if (fault := machine_fault(error)) is not None:
            raise TaskError(f"Spark could not run the tasks: {named(fault)}.") from error
        if isinstance(run, LocalRun):
            raise
        raise _failure(str(error)) from error
    return table_of(streams)


def stream_of(rows: "pa.Table | pa.RecordBatch") -> bytes:
    """Rows as an Arrow stream, and of a slice no more than that."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def table_of(streams: Iterable[bytes]) -> "pa.Table":
    """All rows of some streams of one schema; a table without columns of none."""
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
    """What a task raised for people to act on, as if this process had raised it; any other failure as a TaskError."""
    found = _TRACEBACK.search(message.partition(_REPEATED_FROM)[0])
    text = found[0].rstrip() if found else ""
    raised = list(_RAISED.finditer(text))
    if raised and raised[-1]["name"] in _FOR_PEOPLE:
        return _FOR_PEOPLE[raised[-1]["name"]](text[raised[-1].end() :])
    return TaskError(_told_by(message))


def _told_by(message: str) -> str:
    """What a person needs of an error of the JVM's: Python's words where there are any, and no Java frames."""
    once = message.partition(_REPEATED_FROM)[0]
    if found := _TRACEBACK.search(once):
        return f"A task on the workers failed. {_within_limit(found[0].rstrip())}"
    text = "\n".join(line for line in once.splitlines() if not _JAVA_FRAME.match(line))
    return f"Spark could not run the tasks. {_within_limit(text.strip())}"


def _within_limit(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}\n...\n{text[-_LONGEST // 2 :]}"
