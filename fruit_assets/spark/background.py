"""A Spark that starts in the background, with workers that are ready before there is work for them.

Put here what goes on beside the run while Spark starts. How it starts belongs in `session.py`.
"""

import atexit
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib import import_module
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from fruit_assets.spark.session import LocalSparkOptions, start_local_context

if TYPE_CHECKING:
    from pyspark import SparkContext

# A process has one Spark.
_starting = Lock()
# Longer than any start; a process that ends does not wait for one that hangs.
_START_SECONDS = 15.0


class BackgroundSpark:
    """A Spark that starts in the background, so that other work can go on meanwhile.

    Args:
        options: how to run Spark.
        imports: modules that this process needs later. A caller that waits for Spark imports them meanwhile; the
            rest is imported when Spark has started, beside whatever the process does then.
        worker_imports: modules that the workers need, imported where they start before there is work for them.
    """

    def __init__(
        self, options: LocalSparkOptions, imports: Sequence[str] = (), worker_imports: Sequence[str] = ()
    ) -> None:
        self._imports = deque(imports)
        self._worker_imports = tuple(worker_imports)
        # Held while the rest is imported.
        self._importing = Lock()
        self._future: Future[SparkContext] = Future()
        self._awaited = Event()
        # Set when the caller's own job is about to start the workers.
        self._has_job = Event()
        # Here, before the JVM can be started: beside other imports it takes several times as long. An import that
        # fails is explained by the thread, which repeats it.
        _import("pyspark")
        Thread(target=self._start, args=(options,), name="spark-start", daemon=True).start()
        atexit.register(self._end)

    def context(self) -> "SparkContext":
        """The context; waits for it, and raises what starting it raised."""
        self._awaited.set()
        # The thread that has just started Spark may empty the queue.
        with suppress(IndexError):
            while not self._future.done():
                _import(self._imports.popleft())
        self._has_job.set()
        return self._future.result()

    def _start(self, options: LocalSparkOptions) -> None:
        try:
            with _starting:
                context = start_local_context(options)
        # Any error is raised again where the context is asked for.
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(context)
            if not self._has_job.is_set():
                # A caller that waits imports modules itself, and both compete for the cores.
                warm_up(context, () if self._awaited.is_set() else self._worker_imports)
            self._import_the_rest()

    def _import_the_rest(self) -> None:
        # A caller that waits, and `_end`, may empty the queue at any time.
        with self._importing, suppress(IndexError):
            while True:
                _import(self._imports.popleft())

    def _end(self) -> None:
        """Wait, when the process ends, for what must not be cut off; skip the rest.

        A start that is cut off leaves a temporary folder behind and prints a stack trace of Java. Unloading during an
        import can segfault.
        """
        self._imports.clear()
        self._has_job.set()
        wait([self._future], _START_SECONDS)
        with self._importing:
            pass


def _import(name: str) -> None:
    """Import ahead of time; an import that fails is repeated, and explained, where the module is used."""
    with suppress(Exception):
        import_module(name)


def warm_up(context: "SparkContext", modules: Sequence[str] = ()) -> None:
    """Start the Python workers, and load the JVM's side of them, before there is work for them."""

    def imported(rows: Iterable[Any]) -> Iterator[Any]:
        for name in modules:
            _import(name)
        yield from rows

    # The first real job reports what is wrong with the workers; and the process, or Spark, may be ending.
    with suppress(Exception):
        tasks = context.defaultParallelism
        context.parallelize(list(range(tasks)), tasks).mapPartitions(imported).collect()
