"""Progress messages of long Spark jobs, at a bounded rate.

Put here what monitors a job from the driver. The jobs themselves do not belong here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from fruit_assets.spark.this_process import TaskRunner, ThisProcess

if TYPE_CHECKING:
    from pyspark import SparkContext


@contextmanager
def reported_progress(
    context: TaskRunner, report: Callable[[str], None], what: str, every_seconds: float = 15.0
) -> Iterator[None]:
    """Report the finished tasks of the jobs that the context runs within the block, every `every_seconds`.

    Jobs shorter than that report nothing, as do tasks of this process.
    """
    if isinstance(context, ThisProcess):
        yield
        return
    done = Event()
    watcher = Thread(
        target=_watch, args=(context, report, what, every_seconds, done), name="spark-progress", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        done.set()


def _watch(
    context: "SparkContext", report: Callable[[str], None], what: str, every_seconds: float, done: Event
) -> None:
    started = time.monotonic()
    while not done.wait(every_seconds):
        finished, total = _tasks(context)
        if total:
            share = 100 * finished // total
            report(f"{what}: {finished} of {total} tasks done ({share} %) after {time.monotonic() - started:.0f} s.")


def _tasks(context: "SparkContext") -> tuple[int, int]:
    tracker = context.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    known = [stage for stage in stages if stage is not None]
    return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)
