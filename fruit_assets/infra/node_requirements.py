"""The packages of a cluster node, taken from the project's lock.

Put here which packages the remote side imports and how the lock is narrowed to them. Nothing is
resolved again: versions and hashes are those of `requirements.lock`, so a node runs what was tested.
Run `python -m fruit_assets.infra.node_requirements` after the lock has changed.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from fruit_assets.errors import PermanentError
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP

# Only a checkout has the lock.
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
ARCHITECTURES = ("x86_64", "aarch64")

# What a step imports. Plots are drawn inside the step, hence matplotlib.
ROOTS = (
    "boto3", "click", "dagster", "dagster-aws", "dagster-pyspark", "deltalake", "duckdb", "matplotlib", "numpy",
    "openvino", "pandas", "pillow", "psutil", "pyarrow", "python-dotenv", "pyyaml", "rich", "scikit-learn",
    "simplejpeg",
)  # fmt: skip
# EMR brings its own build of Spark; a second pyspark in the environment would shadow it.
EXCLUDED = frozenset({"pyspark", "py4j"})
FILES: dict[str, tuple[str, ...]] = {
    "requirements-node.txt": ROOTS,
    # Only for `engine: tensorflow`, the reference the default engine is compared with.
    "requirements-node-tensorflow.txt": (*ROOTS, "tensorflow"),
}

_ENTRY = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\\n]*?))? *\\?$", re.M)
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_VIA = re.compile(r"^    #(?: via|  ) +(?P<name>[a-z0-9][a-z0-9._-]*)", re.M)


@dataclass(frozen=True)
class LockedPackage:
    """One entry of the lock.

    Attributes:
        name: normalised project name.
        version: pinned version.
        marker: environment marker, or None where the package is always needed.
        hashes: `sha256:...` of every file of this version.
        required_by: names of the packages that need it.
    """

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    required_by: frozenset[str]


def read_lock(text: str) -> dict[str, LockedPackage]:
    """Parse a lock written by `uv pip compile --universal --generate-hashes` with its `# via` notes."""
    entries = list(_ENTRY.finditer(text))
    ends = [entry.start() for entry in entries[1:]] + [len(text)]
    packages: dict[str, LockedPackage] = {}
    for entry, end in zip(entries, ends, strict=True):
        body = text[entry.end() : end]
        found = LockedPackage(
            name=entry["name"],
            version=entry["version"],
            marker=(entry["marker"] or "").strip() or None,
            hashes=tuple(_HASH.findall(body)),
            required_by=frozenset(match["name"] for match in _VIA.finditer(body)),
        )
        # A universal lock has one entry for each range of Python versions.
        if found.name not in packages or _wanted_on_linux(found):
            packages[found.name] = found
    return packages


def node_packages(packages: Mapping[str, LockedPackage], roots: Iterable[str]) -> list[LockedPackage]:
    """The roots and all they need on Linux, without `EXCLUDED` and what only those need.

    Raises:
        PermanentError: a root is missing from the lock.
    """
    missing = sorted(set(roots) - set(packages))
    if missing:
        raise PermanentError(f"{LOCK.name} has no {', '.join(missing)}: compile the lock again, then this file.")
    needed: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in needed or name in EXCLUDED or not _wanted_on_linux(packages[name]):
            continue
        needed.add(name)
        waiting += [package.name for package in packages.values() if name in package.required_by]
    return [packages[name] for name in sorted(needed)]


def render(packages: Iterable[LockedPackage]) -> str:
    """The text of a requirements file for `pip install --no-deps --require-hashes`."""
    lines = [
        "# Written by `python -m fruit_assets.infra.node_requirements` from requirements.lock; do not edit.",
        "# Install with --no-deps --require-hashes: pyspark comes with EMR and must not be installed beside it.",
    ]
    for package in packages:
        marker = f" ; {package.marker}" if package.marker else ""
        hashes = [f"    --hash={value}" for value in package.hashes]
        lines.append(" \\\n".join([f"{package.name}=={package.version}{marker}", *hashes]))
    return "\n".join(lines) + "\n"


def generate(lock: str) -> dict[str, str]:
    """File name -> text of every node requirements file, from the text of the lock."""
    packages = read_lock(lock)
    return {name: render(node_packages(packages, roots)) for name, roots in FILES.items()}


def _wanted_on_linux(package: LockedPackage) -> bool:
    from packaging.markers import Marker

    if package.marker is None:
        return True
    node = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": "3.11.0",
        "python_version": "3.11",
        "sys_platform": "linux",
    }
    return any(Marker(package.marker).evaluate({**node, "platform_machine": machine}) for machine in ARCHITECTURES)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is out of date.")
def main(check: bool) -> None:
    """Write the node requirements in bootstrap/ from requirements.lock."""
    stale = []
    for name, text in generate(LOCK.read_text()).items():
        path = BOOTSTRAP / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
    if check and stale:
        click.echo(f"Out of date: {', '.join(stale)}. Run python -m fruit_assets.infra.node_requirements", err=True)
        sys.exit(1)
    click.echo(f"{'Wrote ' + ', '.join(stale) if stale else 'Up to date'}")


if __name__ == "__main__":
    main()
