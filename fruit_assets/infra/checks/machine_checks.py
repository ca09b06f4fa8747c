"""This machine: Python, Java, Spark, packages, memory, disk.

Put here checks that need neither settings nor AWS, except for where Java and the data are.
"""

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fruit_assets.errors import PermanentError
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP
from fruit_assets.infra.checks.findings import Finding, ok, problem, warning
from fruit_assets.infra.node_requirements import LOCK, ROOTS, read_lock
from fruit_assets.spark.java import require_java
from fruit_assets.spark.machine_memory import MachineMemory
from fruit_assets.spark.site import SiteConf, unrelated_variables

MEMORY_GIB = 4.0
DISK_GIB = 3.0


def check_python(found: str | None = None) -> Iterator[Finding]:
    """Driver and executors must run the same minor version; EMR's is 3.11."""
    found = found or platform.python_version()
    if found.startswith("3.11."):
        yield ok("Python", found)
    else:
        yield problem(
            "Python",
            f"{found}, but clusters run 3.11 and both sides must agree",
            "Make the environment with python3.11.",
        )


def check_java(java_home: str | None) -> Iterator[Finding]:
    """The Java that Spark would run.

    Args:
        java_home: `JAVA_HOME`; None looks on the path.
    """
    try:
        java = require_java(java_home)
    except PermanentError as error:
        yield problem("Java", str(error), "See the message.")
        return
    yield ok("Java", str(java))


def check_spark(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The machine's Spark settings for all programs; local runs ignore some of them."""
    for name, why in unrelated_variables(environment).items():
        yield warning("Spark", f"{name} is set and ignored: {why}", f"Nothing, or unset {name}.")
    folder = environment.get("SPARK_CONF_DIR")
    if folder and not Path(folder).is_dir():
        yield warning("Spark", f"SPARK_CONF_DIR is {folder}, which is no folder", "Correct it, or unset it.")
    site = SiteConf.of(environment)
    for text in site.problems():
        yield problem("Spark", text, "See the message.")
    if site.values:
        yield ok("Spark", f"{site.file} sets {', '.join(sorted(site.values))}")


def check_packages(
    lock: Path | None = None, names: Iterable[str] = (*ROOTS, "pyspark", "tensorflow")
) -> Iterator[Finding]:
    """The installed packages against the lock: nodes install the lock, so a difference is version skew."""
    # An installed wheel carries what nodes install; only a checkout has the whole lock.
    lock = lock or (LOCK if LOCK.is_file() else BOOTSTRAP / "requirements-node-tensorflow.txt")
    locked = read_lock(lock.read_text())
    different, absent = [], []
    for name in names:
        try:
            found = version(name)
        except PackageNotFoundError:
            absent.append(name)
            continue
        if name in locked and found != locked[name].version:
            different.append(f"{name} {found}, locked {locked[name].version}")
    remedy = f"Install the versions of {lock}: pip install --no-deps --require-hashes -r {lock.name}"
    if absent:
        yield problem("Packages", f"not installed: {', '.join(absent)}", remedy)
    if different:
        yield warning("Packages", f"not as locked: {'; '.join(different)}", remedy)
    if not absent and not different:
        yield ok("Packages", f"as in {lock.name}")


def check_memory(available: float | None = None) -> Iterator[Finding]:
    """Free memory for a local Spark; `available` in GiB, measured when None."""
    import psutil

    available = MachineMemory.measure().available / 2**30 if available is None else available
    detail = f"{available:.1f} GiB free, {psutil.cpu_count()} cores"
    if available < MEMORY_GIB:
        yield warning(
            "Memory", detail, f"Local runs like {MEMORY_GIB:.0f} GiB: close programs or use a small fraction."
        )
    else:
        yield ok("Memory", detail)


def check_disk(place: Path, free: float | None = None) -> Iterator[Finding]:
    """Free space where assets or caches are written; `free` in GiB, measured when None."""
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30 if free is None else free
    if free < DISK_GIB:
        yield warning(
            "Disk", f"{free:.1f} GiB free at {existing}", "Make room, or choose another FRUIT_ASSETS_STORAGE."
        )
    else:
        yield ok("Disk", f"{free:.0f} GiB free at {existing}")
