"""A Spark that starts in the background, with workers that are ready before there is work for them.

Put here what goes on beside the run while Spark starts. How it starts is in `session.py`.
"""

import atexit
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from fruit_assets.spark.fast_start.defer_pandas import defer_pandas_import
from fruit_assets.spark.session import LocalSparkOptions, Start

if TYPE_CHECKING:
    from pyspark import SparkContext

# Starting Spark is some hundreds of short calls into the JVM. After each of them Python lets another thread that is
# busy go on for this long; the default is ten times as long.
_SWITCH_SECONDS = 0.0005
# A process has one Spark.
_starting = Lock()


class BackgroundSpark:
    """A Spark that starts in the background, so that other work can go on meanwhile.

    Args:
        options: how to run Spark.
        imports: modules that this process will want later. Whoever waits for Spark imports them meanwhile, and what
            is left of them then is imported beside the first job.
    """

    def __init__(self, options: LocalSparkOptions, imports: Sequence[str] = ()) -> None:
        self._imports = deque(imports)
        self._imported = Event()
        self._future: Future[SparkContext] = Future()
        self._pyspark_imported = Event()
        self._awaited = Event()
        Thread(target=self._start, args=(options,), name="spark-start", daemon=True).start()
        defer_pandas_import()

    def context(self) -> "SparkContext":
        """The context; waits for it, and raises what starting it raised."""
        # Two threads that import modules which import each other could wait for each other.
        self._pyspark_imported.wait()
        if self._awaited.is_set():
            context = self._future.result()
            self._imported.wait()
            return context
        self._awaited.set()
        while self._imports and not self._future.done():
            _import(self._imports.popleft())
        context = self._future.result()
        Thread(target=self._import_the_rest, name="import-beside-spark", daemon=True).start()
        # An interpreter that ends under a thread that loads a library may crash.
        atexit.register(self._stop_importing)
        return context

    def _start(self, options: LocalSparkOptions) -> None:
        try:
            with _starting, _quick_turns:
                try:
                    start = Start.of(options)
                    import_module("pyspark")
                    _import_what_the_first_call_imports()
                finally:
                    self._pyspark_imported.set()
                context = start.finish()
        # Whatever went wrong is raised again where the context is asked for.
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(context)
            # Who waits has a job that does the same.
            if not self._awaited.is_set():
                warm_up(context)

    def _import_the_rest(self) -> None:
        try:
            # The process may end, and leave nothing to take, at any time. Meanwhile the first job is on its way.
            with suppress(IndexError), _quick_turns:
                while True:
                    _import(self._imports.popleft())
        finally:
            # Also when an import ends this thread, as one that panics in Rust does: others wait for it.
            self._imported.set()

    def _stop_importing(self) -> None:
        self._imports.clear()
        self._imported.wait()


def _import(name: str) -> None:
    """Import ahead of time; what cannot be imported fails again, and is explained, where it is used."""
    with suppress(Exception):
        import_module(name)


def _import_what_the_first_call_imports() -> None:
    """What pyspark imports with its first call into the JVM, now that the JVM is not ready anyway.

    It is the helpers of its tests, which import pandas to see whether it is there; here they take our word for it.
    """
    with suppress(Exception):
        utils: Any = import_module("pyspark.sql.pandas.utils")
        require = utils.require_minimum_pandas_version
        if find_spec("pandas") is not None:
            utils.require_minimum_pandas_version = _satisfied
        try:
            import_module("pyspark.testing.utils")
        finally:
            utils.require_minimum_pandas_version = require


def _satisfied() -> None:
    pass


def warm_up(context: "SparkContext") -> None:
    """Have the Python workers started, and the JVM's side of them loaded, before there is work for them."""
    # The real job will say what is wrong with the workers; and the process, or Spark, may be ending.
    with suppress(Exception):
        tasks = context.defaultParallelism
        context.parallelize(list(range(tasks)), tasks).mapPartitions(_unchanged).collect()


class ShortSwitchInterval:
    """Lets threads of this process take turns more often, for as long as anybody wants it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted_by = 0
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._wanted_by += 1
            if self._wanted_by == 1:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(_SWITCH_SECONDS)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._wanted_by -= 1
            if not self._wanted_by:
                sys.setswitchinterval(self._before)


# A process has one interval.
_quick_turns = ShortSwitchInterval()


def _unchanged(rows: Iterable[Any]) -> Iterator[Any]:
    yield from rows
