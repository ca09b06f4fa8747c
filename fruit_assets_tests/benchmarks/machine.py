"""The machine that a benchmark ran on, on which its seconds depend.

Put here its description. Measuring belongs in `cold_process.py`.
"""

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "dagster",
    "pyspark",
    "tensorflow",
    "keras",
    "openvino",
    "numpy",
    "pyarrow",
    "pillow",
    "simplejpeg",
    "scikit-learn",
)


@dataclass(frozen=True)
class Machine:
    """The machine at this moment.

    Attributes:
        cpu: model name.
        flags: CPU flags that decide the speed of a convolution at each precision.
        cores: that this process may use.
        memory_gib: installed.
        load: average number of running processes over the last minute: above 0.5, measure again later.
        java: first line of `java -version`.
        versions: of Python and the packages that matter.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory_gib: float
    load: float
    java: str
    versions: dict[str, str]

    def __str__(self) -> str:
        flags = " ".join(self.flags) or "no vector extensions that matter here"
        packages = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB, load {self.load:.1f} at the start\n"
            f"{flags}\n{self.java}; {packages}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Machine:
    import psutil

    from fruit_assets.extractor.processor import processor_flags

    return Machine(
        cpu=_cpu(),
        flags=processor_flags(),
        cores=cores(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load=os.getloadavg()[0],
        java=_java(),
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    )


def cores() -> int:
    """Cores that this process and its children may use."""
    return len(os.sched_getaffinity(0))


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown processor"


def _java() -> str:
    try:
        output = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return "no Java on the PATH"
    return output.splitlines()[0]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
