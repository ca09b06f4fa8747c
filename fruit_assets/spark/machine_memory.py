"""How much memory this process may use: of the machine, or of the cgroup that limits it.

Put here how limits of containers are found. What a heap takes of it belongs in `session.py`.
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
        available: what can still be taken.
    """

    total: int
    available: int

    @staticmethod
    def measure(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> "MachineMemory":
        """The memory as it is now; version 1 and 2 of cgroups are known.

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
    # In a container its own cgroup is often mounted as the root, and the path leads nowhere.
    for place in (folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))):
        with suppress(OSError, ValueError):
            limit = int((place / limit_file).read_text())  # "max" is no number
            used = int((place / used_file).read_text())
            # Pages of files that can be given back count as free, as they do for the machine.
            statistics = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
            yield limit, used - int(statistics.get(cache, 0))
