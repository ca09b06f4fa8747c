"""What is shipped: the package and nothing else, the same bytes every time, once."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from fruit_assets.emr.attempt import packaging
from fruit_assets.emr.attempt.packaging import Package, build_package, ship
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr_simulator import EmrSimulator


@pytest.fixture
def orchard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with things in it that nobody should get."""
    folder = tmp_path / "orchard"
    for name in (
        "__init__.py", "trees.py", "data/prices.json", ".env", "credentials", "deploy.pem", "__pycache__/trees.pyc",
        ".git/config", ".venv/lib/x.py", "tests/test_trees.py", "data/run.log",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def names(package: Package) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(package.content)).namelist()


def test_only_the_package_is_shipped(orchard: Path) -> None:
    assert names(build_package(["orchard"])) == ["orchard/__init__.py", "orchard/data/prices.json", "orchard/trees.py"]


def test_equal_content_gives_equal_bytes(orchard: Path) -> None:
    before = build_package(["orchard.trees", "orchard"])
    for path in orchard.rglob("*"):
        os.utime(path, (1, 1))
    (orchard / "trees.py").chmod(0o600)
    (orchard / "__pycache__/more.pyc").write_text("x")
    assert build_package(["orchard"]).content == before.content


def test_changed_code_is_another_package(orchard: Path) -> None:
    before = build_package(["orchard"])
    (orchard / "trees.py").write_text("# pears")
    assert build_package(["orchard"]).sha256 != before.sha256


def test_a_version_is_uploaded_once(orchard: Path, emr: EmrSimulator, staging: StagingStore) -> None:
    package = build_package(["orchard"])
    assert ship(package, staging) == ship(package, staging) == f"{staging.uri}/code/{package.sha256}.zip"
    uploads = [call for call in emr.calls("PutObject") if package.sha256 in str(call.params)]
    assert len(uploads) == 1


def test_the_project_itself_ships_without_tests_and_within_the_limit() -> None:
    shipped = names(build_package(["fruit_assets"]))
    assert "fruit_assets/emr/remote/step_runner.py" in shipped
    assert not [name for name in shipped if "test" in name.split("/")[0] or name.endswith(".pyc")]


def test_a_package_that_does_not_exist_is_named() -> None:
    with pytest.raises(PermanentError, match="No package 'no_such_orchard'"):
        build_package(["no_such_orchard"])


def test_a_package_full_of_data_is_refused(orchard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "MAX_BYTES", 100)
    with pytest.raises(PermanentError, match="Move data files out"):
        build_package(["orchard"])
