"""The memory that this process may use: the machine's, or the limit of its cgroup.

Put here how limits of containers are found. The size of the heap is decided in `session.py`.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class MachineMemory:
    """Bytes of memory.

    Attributes:
        total: of the machine, or the limit of the cgroup if that is lower.
        available: free, within the limits of the cgroups.
    """

    total: int
    available: int

    @staticmethod
    def measure(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> "MachineMemory":
        """The memory at this moment; reads cgroups of version 1 and 2.

        Args:
            root: where cgroups are mounted.
            membership: the file that names the cgroup of this process.
        """
        import psutil

        machine = psutil.virtual_memory()
        total, available = machine.total, machine.available
        for limit, used in _limits(root, membership):
            total, available = min(total, limit), min(available, max(limit - used, 0))
        return MachineMemory(total, available)


def _limits(root: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each cgroup from the process's own up to the root."""
    text = ""
    with suppress(OSError):
        text = membership.read_text()
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from _upwards(root, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _upwards(root / "memory", path, *names)


def _upwards(mount: Path, path: str, limit_file: str, used_file: str, cache: str) -> Iterator[tuple[int, int]]:
    folder = mount / path.strip("/")
    # In a container the own cgroup is often mounted as the root, and the path does not exist.
    for place in (folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))):
        with suppress(OSError, ValueError):
            limit = int((place / limit_file).read_text())  # ValueError for "max"
            used = int((place / used_file).read_text())
            # Reclaimable pages of the file cache count as free, as psutil counts them for the machine.
            statistics = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
            yield limit, used - int(statistics.get(cache, 0))
