"""The packed environment: the packages for drivers and executors of EMR Serverless, as one archive.

Put here how it is built from a wheelhouse, for both architectures, without a machine of the other
architecture. Its key in S3 is in `bootstrap_files.py`.
"""

import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from fruit_assets.errors import PermanentError
from fruit_assets.infra.wheelhouse import node_platforms

# The interpreter that the images of EMR Serverless 8.x have for PySpark. The archive holds a link to it, as the
# virtual environments that AWS's own recipe packs do.
IMAGE_PYTHON = "/usr/bin/python3.11"
_PACKAGES = "lib/python3.11/site-packages"
_FRAME = {"pyvenv.cfg": f"home = {Path(IMAGE_PYTHON).parent}\ninclude-system-site-packages = false\nversion = 3.11\n"}
# Pip's records about the installation on this machine, which nodes do not need.
_NOTES_OF_PIP = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_LINKS = {"bin/python": IMAGE_PYTHON, "bin/python3": "python", "lib64": "lib"}


def pack_environment(wheelhouse: Path, architecture: str, report: Callable[[str], None] = lambda _: None) -> Path:
    """Pack the wheels of a wheelhouse as a virtual environment; an archive that exists is returned.

    Equal wheels give equal bytes.

    Args:
        wheelhouse: folder of wheels of one architecture, checked against their hashes when they were fetched.
        architecture: `x86_64` or `aarch64`.
        report: called with one sentence about what happens.

    Returns:
        A `tar.gz` whose root is the environment.

    Raises:
        PermanentError: pip cannot unpack the wheels for this platform.
    """
    packed = wheelhouse / "environment.tar.gz"
    if packed.exists():
        report(f"{architecture}: environment found in {wheelhouse}")
        return packed
    report(f"{architecture}: packing the environment")
    with tempfile.TemporaryDirectory(prefix="packed-environment-") as folder:
        _install(wheelhouse, Path(folder), architecture)
        unfinished = packed.with_suffix(".part")
        _archive(Path(folder), unfinished)
        unfinished.rename(packed)
    return packed


def digest_of(packed: Path) -> str:
    """The sha256 of an archive, which names it in S3."""
    with packed.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _install(wheelhouse: Path, folder: Path, architecture: str) -> None:
    wheels = sorted(str(wheel) for wheel in wheelhouse.glob("*.whl"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-index", "--no-compile", "--only-binary", ":all:", "--python-version", "3.11"]
    command += ["--implementation", "cp", "--target", str(folder), *node_platforms(architecture), *wheels]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise PermanentError(f"pip cannot unpack the wheels for {architecture}: {reason}")


def _archive(packages: Path, target: Path) -> None:
    files = sorted(path for path in packages.rglob("*") if path.is_file() and path.name not in _NOTES_OF_PIP)
    with (
        target.open("wb") as raw,
        # Without file name and time, so that equal content gives equal bytes.
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, link in _LINKS.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, link, 0o777
            archive.addfile(info)
        with tempfile.TemporaryFile() as frame:
            for name, text in _FRAME.items():
                frame.write(text.encode())
                frame.seek(0)
                archive.addfile(_entry(name, len(text), 0o644), frame)
        for path in files:
            # What pip puts beside the packages (`bin/`) are scripts with this machine's interpreter in them.
            name = path.relative_to(packages).as_posix()
            if not name.startswith("bin/"):
                with path.open("rb") as content:
                    archive.addfile(_entry(f"{_PACKAGES}/{name}", path.stat().st_size, path.stat().st_mode), content)


def _entry(name: str, size: int, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if mode & 0o100 else 0o644
    return info
