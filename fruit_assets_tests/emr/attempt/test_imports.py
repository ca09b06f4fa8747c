"""Shipped packages are complete, or refused with the module that is missing."""

from pathlib import Path

import pytest

from fruit_assets.emr.attempt.imports import check_complete
from fruit_assets.emr.attempt.packaging import build_package
from fruit_assets.emr.errors import PermanentError


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages of this machine: `field_a` imports `field_b`."""
    for name, text in {
        "field_a/__init__.py": "import json, numpy\nfrom . import rows\nfrom .rows import row\n",
        "field_a/rows.py": "from field_b.soil import depth\n\nrow = depth\n",
        "field_b/__init__.py": "",
        "field_b/soil.py": "depth = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_complete_packages_pass(field: Path) -> None:
    check_complete(build_package(["field_a", "field_b"]))


def test_a_package_of_this_machine_that_is_imported_but_not_shipped_is_named(field: Path) -> None:
    with pytest.raises(PermanentError, match=r"field_a/rows\.py imports field_b\.soil.*`packages`"):
        check_complete(build_package(["field_a"]))


def test_a_module_that_was_left_out_is_named(field: Path) -> None:
    with pytest.raises(PermanentError, match=r"imports field_b\.soil"):
        check_complete(build_package(["field_a", "field_b"], ["field_b/soil.py"]))


def test_optional_imports_may_be_missing(field: Path) -> None:
    (field / "field_a/rows.py").write_text("try:\n    import field_b\nexcept ImportError:\n    pass\nrow = 1\n")
    check_complete(build_package(["field_a"]))


def test_the_launcher_and_this_project_are_complete() -> None:
    check_complete(build_package(["fruit_assets.emr"]))
    check_complete(build_package(["fruit_assets"]))
