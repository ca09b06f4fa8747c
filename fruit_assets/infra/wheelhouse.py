"""The wheelhouse: every package of the nodes as a wheel, one folder per architecture.

Put here how wheels for another platform are fetched, checked and cached. Which packages they are
is decided in `node_requirements`, where they go in `bootstrap_files`.
"""

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from fruit_assets.errors import PermanentError, TransientError
from fruit_assets.infra.node_requirements import ARCHITECTURES

# Amazon Linux 2023, the system of EMR 7.x and 8.x, has glibc 2.34 for its whole life.
NODE_GLIBC = 34
OLDEST_GLIBC = 5

# Wheels whose file name requires a newer glibc than their libraries. They are downloaded under that name,
# their libraries are read, and they are renamed only if glibc 2.34 suffices, so that pip accepts them.
OVERSTATED: dict[str, dict[str, int]] = {"aarch64": {"openvino": 35}}

_BLOCK = re.compile(r"^[a-z0-9].*(?:\n    --hash.*)*", re.M)
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")


def requirements_digest(requirements: Path) -> str:
    """The sha256 of a requirements file: what the node's `runtime.json` records."""
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def build_wheelhouse(
    requirements: Path, architecture: str, cache: Path, report: Callable[[str], None] = lambda _: None
) -> Path:
    """Fetch the wheels of `requirements` for one node architecture, or find them in the cache.

    Args:
        requirements: file with hashes; pip checks every wheel against it.
        architecture: `x86_64` or `aarch64`.
        cache: folder that keeps finished wheelhouses, by digest.
        report: called with one sentence for each stage.

    Returns:
        Folder of `.whl` files.

    Raises:
        PermanentError: a wheel does not exist for this platform, or does not fit the node's glibc.
        TransientError: pip could not reach its index.
    """
    if architecture not in ARCHITECTURES:
        raise PermanentError(f"No nodes of architecture {architecture!r}: choose {' or '.join(ARCHITECTURES)}.")
    folder = cache / "wheelhouse" / requirements_digest(requirements)[:16] / architecture
    done = folder / "complete"
    if done.exists():
        report(f"{architecture}: wheels found in {folder}")
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    report(f"{architecture}: fetching wheels, about 250 MB")
    blocks = _BLOCK.findall(requirements.read_text())
    overstated = OVERSTATED.get(architecture, {})
    plain = [block for block in blocks if block.split("==")[0] not in overstated]
    _download(plain, folder, architecture, NODE_GLIBC)
    for block in blocks:
        name = block.split("==")[0]
        if name in overstated:
            _download([block], folder, architecture, overstated[name])
    for wheel in folder.glob("*.whl"):
        fit_to_node(wheel)
    done.touch()
    return folder


def fit_to_node(wheel: Path) -> Path:
    """Rename a wheel whose name requires too new a glibc, if its libraries do not require it.

    pip compares file names with the system and hashes with the file's bytes, so a renamed wheel
    is still the locked one.

    Raises:
        PermanentError: a library in the wheel needs a glibc that the nodes do not have.
    """
    tags = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", wheel.name)]
    if not tags or min(tags) <= NODE_GLIBC:
        return wheel
    needed = newest_glibc(wheel)
    if needed > NODE_GLIBC:
        raise PermanentError(
            f"{wheel.name} needs glibc 2.{needed}; the nodes have 2.{NODE_GLIBC}. Lock another version of it."
        )
    return wheel.rename(wheel.with_name(re.sub(r"manylinux_2_\d+_", f"manylinux_2_{NODE_GLIBC}_", wheel.name)))


def newest_glibc(wheel: Path) -> int:
    """The minor version of the newest glibc 2.x symbol that a library in the wheel requires; 0 for none."""
    with zipfile.ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if re.search(r"\.so(\.|$)", name)]
        return max((int(found) for name in libraries for found in _GLIBC.findall(archive.read(name))), default=0)


def node_platforms(architecture: str, glibc: int = NODE_GLIBC) -> list[str]:
    """Pip's arguments for wheels that run on nodes of an architecture."""
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in range(glibc, OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{architecture}", f"manylinux2010_{architecture}", f"linux_{architecture}"]
    return [part for platform in platforms for part in ("--platform", platform)]


def _download(blocks: list[str], folder: Path, architecture: str, glibc: int) -> None:
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(blocks) + "\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"]
    command += node_platforms(architecture, glibc)
    command += ["--dest", str(folder), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    wanted.unlink()
    if done.returncode == 0:
        return
    output = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
    message = f"pip could not fetch the wheels for {architecture}: {' '.join(output)}"
    if "No module named pip" in done.stderr:
        raise PermanentError(f"{sys.executable} has no pip: run `{sys.executable} -m ensurepip` and deploy again.")
    if "No matching distribution" in done.stderr or "DO NOT MATCH" in done.stderr:
        raise PermanentError(message)
    raise TransientError(f"{message} Check the network and deploy again; what was fetched is kept.")
