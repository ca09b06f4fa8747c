"""Tests of the memory that this process may use, under limits of both versions of cgroups."""

from pathlib import Path

import psutil
import pytest

from fruit_assets.spark.machine_memory import MachineMemory

_GIB = 2**30


def _cgroup(folder: Path, limit: str, names: tuple[str, str], statistics: str) -> None:
    folder.mkdir(parents=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{_GIB // 2}\n")
    (folder / "memory.stat").write_text(statistics)


@pytest.mark.parametrize(
    ("membership", "place", "names", "cache"),
    [
        ("0::/job/step\n", "job", ("memory.max", "memory.current"), "inactive_file"),
        ("0::/elsewhere\n", "", ("memory.max", "memory.current"), "inactive_file"),
        (
            "5:cpu,memory:/job\n1:name=systemd:/x\n",
            "memory/job",
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            "total_inactive_file",
        ),
    ],
)
def test_the_limit_of_a_cgroup_is_all_there_is(tmp_path, membership, place, names, cache):
    root = tmp_path / "cgroup"
    _cgroup(root / place, str(3 * _GIB // 2), names, f"anon 5\n{cache} {_GIB // 4}\n")
    own = tmp_path / "membership"
    own.write_text(membership)
    memory = MachineMemory.measure(root, own)
    assert memory.total == 3 * _GIB // 2
    assert memory.available == 5 * _GIB // 4


def test_without_a_limit_the_memory_is_the_machines(tmp_path):
    _cgroup(tmp_path / "cgroup", "max", ("memory.max", "memory.current"), "inactive_file 0\n")
    own = tmp_path / "membership"
    own.write_text("0::/\n")
    assert MachineMemory.measure(tmp_path / "cgroup", own).total == psutil.virtual_memory().total
    assert MachineMemory.measure(tmp_path / "none", tmp_path / "none").total == psutil.virtual_memory().total
