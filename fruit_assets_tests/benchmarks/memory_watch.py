"""Memory of a tree of processes over time, by kind of process.

Put here how memory is sampled and which process is which. Starting processes belongs in
`cold_process.py`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Thread

import psutil

DRIVER = "driver Python"
JVM = "driver JVM"
EXECUTOR = "executor JVM"
WORKER = "Spark worker"
EXPORT = "extractor export"
OTHER = "other"

# Sampling reads /proc once for every process of the machine: more often, and it would measure itself.
DEFAULT_INTERVAL = 0.5

# Bytes of a process.
SizeOf = Callable[[psutil.Process], int]


def resident(process: psutil.Process) -> int:
    """All pages a process holds: those it shares count in each of their processes."""
    return int(process.memory_info().rss)


def proportional(process: psutil.Process) -> int:
    """Pages divided by the number of their holders, so that a sum over processes counts each once.

    The kernel walks all pages for it: sample it rarely.
    """
    return int(process.memory_full_info().pss)


@dataclass(frozen=True)
class Sample:
    """One look at the tree.

    Attributes:
        seconds: since the watch began.
        bytes_by_kind: kind -> bytes of each of its processes.
    """

    seconds: float
    bytes_by_kind: Mapping[str, Sequence[int]]

    @property
    def total(self) -> int:
        return sum(sum(sizes) for sizes in self.bytes_by_kind.values())

    def largest(self, kind: str) -> int:
        return max(self.bytes_by_kind.get(kind, ()), default=0)


@dataclass(frozen=True)
class Memory:
    """What a watch saw.

    Attributes:
        samples: in order of time.
    """

    samples: Sequence[Sample]

    @property
    def kinds(self) -> list[str]:
        return sorted({kind for sample in self.samples for kind in sample.bytes_by_kind})

    @property
    def peak_of_tree(self) -> int:
        """Largest sum over all processes at one time, bytes."""
        return max((sample.total for sample in self.samples), default=0)

    def peak(self, kind: str) -> int:
        """Largest size that any one process of a kind reached, bytes."""
        return max((sample.largest(kind) for sample in self.samples), default=0)

    def at(self, kind: str, share: float) -> int:
        """Largest process of a kind when `share` of the run was over, bytes."""
        wanted = share * self.samples[-1].seconds if self.samples else 0.0
        nearest = min(self.samples, key=lambda sample: abs(sample.seconds - wanted), default=None)
        return nearest.largest(kind) if nearest else 0


class MemoryWatch:
    """Samples the memory of a process and its descendants until `stop` is called.

    Args:
        pid: the root of the tree.
        interval: seconds between samples.
        size_of: what a process's memory is.
    """

    def __init__(self, pid: int, interval: float = DEFAULT_INTERVAL, size_of: SizeOf = resident) -> None:
        self._root = psutil.Process(pid)
        self._interval = interval
        self._size_of = size_of
        self._samples: list[Sample] = []
        self._kinds: dict[tuple[int, float], str] = {}
        self._done = Event()
        self._started = time.perf_counter()
        self._thread = Thread(target=self._watch, name="memory-watch", daemon=True)
        self._thread.start()

    def stop(self) -> Memory:
        self._done.set()
        self._thread.join()
        return Memory(tuple(self._samples))

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except psutil.NoSuchProcess:  # the root has ended
                return
            if self._done.wait(self._interval):
                return

    def _look(self) -> None:
        sizes: dict[str, list[int]] = defaultdict(list)
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                sizes[self._kind(process)].append(self._size_of(process))
            except (psutil.NoSuchProcess, psutil.ZombieProcess):  # ended since it was listed
                continue
        self._samples.append(Sample(time.perf_counter() - self._started, dict(sizes)))

    def _kind(self, process: psutil.Process) -> str:
        if process.pid == self._root.pid:
            return DRIVER
        identity = (process.pid, process.create_time())
        known = self._kinds.get(identity)
        # A process that was just forked still shows its parent's command line until it executes its own.
        if known in (None, OTHER):
            known = self._kinds[identity] = kind_of(process.cmdline())
        return known


def kind_of(command: Sequence[str]) -> str:
    """The kind of process a command line belongs to."""
    line = " ".join(command)
    if "pyspark.daemon" in line or "pyspark.worker" in line:
        return WORKER
    if "CoarseGrainedExecutorBackend" in line:
        return EXECUTOR
    if "org.apache.spark" in line and "java" in command[0]:
        return JVM
    return EXPORT if "-m fruit_assets.extractor." in line else OTHER
