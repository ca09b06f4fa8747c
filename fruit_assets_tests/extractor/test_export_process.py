"""Exports in processes of their own: their input, and the messages of failures."""

import shutil
import signal
import tempfile

import pytest

from fruit_assets.errors import InputError
from fruit_assets.extractor.export_process import ExportProcess


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the test's own; a call sets its code and gives its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code: str) -> str:
        (tmp_path / "exporting.py").write_text(code)
        return "exporting"

    return write


def test_warnings_that_a_person_made_errors_do_not_fail_an_export(module, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    ExportProcess(module("import warnings; warnings.warn('of Keras')"), "").finish()


def test_a_full_temporary_folder_is_named_whatever_the_libraries_say(module, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1_000_000))
    process = ExportProcess(module("raise RuntimeError('basic_ios::clear: iostream error')"), "")
    with pytest.raises(InputError, match=f"{tempfile.gettempdir()} has 1 MB left.* name another folder in TMPDIR"):
        process.finish()


def test_an_export_that_was_killed_says_so(module):
    process = ExportProcess(module(f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"), "")
    with pytest.raises(InputError, match=r"ended by signal 9\), as the kernel does where memory runs out"):
        process.finish()


def test_an_export_that_raises_shows_the_end_of_its_log(module):
    process = ExportProcess(module("raise ValueError('the reason')"), "")
    with pytest.raises(InputError, match="ValueError: the reason"):
        process.finish()
