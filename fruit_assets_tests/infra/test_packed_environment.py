"""The packed environment: wheels of any architecture become an environment that Python starts from."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.infra import packed_environment
from fruit_assets.infra.packed_environment import digest_of, pack_environment


def wheel(folder: Path, platform: str, name: str = "pears") -> None:
    """A wheel that pip accepts: a package, a script, metadata with hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": "COUNT = 7\n",
        f"{name}-1.0.data/scripts/{name}": "#!python\nprint('a script')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {platform}\n",
    }
    lines = []
    for path, text in files.items():
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"{name}-1.0-{platform}.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def test_an_environment_for_another_architecture_is_packed_here_and_equal_wheels_give_equal_bytes(
    tmp_path: Path,
) -> None:
    for number in ("first", "second"):
        wheel(tmp_path / number, "cp311-cp311-manylinux_2_34_aarch64")
    first, second = (pack_environment(tmp_path / number, "aarch64") for number in ("first", "second"))
    assert digest_of(first) == digest_of(second)
    with tarfile.open(first) as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert members["bin/python"].linkname == "/usr/bin/python3.11"
    assert "lib/python3.11/site-packages/pears/__init__.py" in members
    assert not [name for name in members if "bin/pears" in name or name.endswith(".pyc")]


def test_python_starts_from_the_unpacked_environment_and_finds_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(packed_environment._LINKS, "bin/python", str(Path(sys.executable).resolve()))
    wheel(tmp_path / "wheels", "py3-none-any")
    packed = pack_environment(tmp_path / "wheels", "x86_64")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "environment", filter="fully_trusted")
    program = "import pears, sys; print(pears.COUNT, sys.prefix)"
    done = subprocess.run(["./environment/bin/python", "-Ic", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["7", str(tmp_path / "environment")], done.stderr


def test_a_packed_environment_is_not_packed_again(tmp_path: Path) -> None:
    wheel(tmp_path, "py3-none-any")
    sentences: list[str] = []
    once = pack_environment(tmp_path, "x86_64", sentences.append).stat().st_mtime_ns
    assert pack_environment(tmp_path, "x86_64", sentences.append).stat().st_mtime_ns == once
    assert "found in" in sentences[-1]


def test_a_wheel_of_another_architecture_is_refused_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    wheel(tmp_path, "cp311-cp311-manylinux_2_34_aarch64")
    with pytest.raises(PermanentError, match="pip cannot unpack the wheels for x86_64"):
        pack_environment(tmp_path, "x86_64")
    assert not (tmp_path / "environment.tar.gz").exists()
