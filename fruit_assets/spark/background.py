"""A Spark that starts in the background, with workers that are ready before there is work for them.

Put here what goes on beside the run while Spark starts. How it starts belongs in `session.py`.
"""

import atexit
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from fruit_assets.spark.session import LocalSparkOptions, start_local_context

if TYPE_CHECKING:
    from pyspark import SparkContext

# A process has one Spark.
_starting = Lock()


class BackgroundSpark:
    """A Spark that starts in the background, so that other work can go on meanwhile.

    Args:
        options: how to run Spark.
        imports: modules that this process needs later. The thread that waits for Spark imports them meanwhile; the
            rest is imported beside the first job.
        worker_imports: modules that the workers need, imported where they start before there is work for them.
    """

    def __init__(
        self, options: LocalSparkOptions, imports: Sequence[str] = (), worker_imports: Sequence[str] = ()
    ) -> None:
        self._imports = deque(imports)
        self._worker_imports = tuple(worker_imports)
        self._imported = Event()
        self._future: Future[SparkContext] = Future()
        self._awaited = Event()
        # Set when the caller's own job is about to start the workers.
        self._has_job = Event()
        # Here, before the JVM can be started: beside other imports it takes several times as long. An import that
        # fails is explained by the thread, which repeats it.
        _import("pyspark")
        Thread(target=self._start, args=(options,), name="spark-start", daemon=True).start()

    def context(self) -> "SparkContext":
        """The context; waits for it, and raises what starting it raised."""
        if self._awaited.is_set():
            context = self._future.result()
            self._imported.wait()
            return context
        self._awaited.set()
        while self._imports and not self._future.done():
            _import(self._imports.popleft())
        self._has_job.set()
        context = self._future.result()
        Thread(target=self._import_the_rest, name="import-beside-spark", daemon=True).start()
        # Join the import thread at exit: unloading during an import can segfault.
        atexit.register(self._stop_importing)
        return context

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

    def _import_the_rest(self) -> None:
        try:
            # `_stop_importing` may empty the queue at any time.
            with suppress(IndexError):
                while True:
                    _import(self._imports.popleft())
        finally:
            # Also when an import ends this thread, as one that panics in Rust does: others wait for it.
            self._imported.set()

    def _stop_importing(self) -> None:
        self._imports.clear()
        self._imported.wait()


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
