"""Tests of temporary folders: when they are removed, above all after a kill."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fruit_assets import temporary_folder
from fruit_assets.temporary_folder import TemporaryFolder

_HOLDING = """
from fruit_assets.temporary_folder import TemporaryFolder
folder = TemporaryFolder("keys-")
(folder.path / "keys.duckdb").touch()
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only temporary folder of this process and of its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _holding() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def _folder_of_a_new_process() -> Path:
    temporary_folder._remove_abandoned.cache_clear()
    return TemporaryFolder("keys-").path


def test_a_folder_is_removed_with_its_process(place: Path) -> None:
    process, folder = _holding()
    assert (folder / "keys.duckdb").exists()
    process.communicate("\n")
    assert process.returncode == 0
    assert list(place.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_one_in_use_is_kept(place: Path) -> None:
    (killed, abandoned), (living, used) = _holding(), _holding()
    own = TemporaryFolder("export-")
    killed.kill()
    killed.communicate()
    assert abandoned.exists()
    _folder_of_a_new_process()
    assert not abandoned.exists()
    assert (used / "keys.duckdb").exists()
    assert own.path.exists()
    living.communicate("\n")


def test_folders_of_other_programs_are_kept(place: Path) -> None:
    others = [place / "fruit-assets-without-a-lock", place / "another", place / "another" / "fruit-assets-x"]
    for folder in others:
        folder.mkdir()
    (place / "another" / "lock").touch()
    _folder_of_a_new_process()
    assert all(folder.exists() for folder in others)
    assert (place / "another" / "lock").exists()
