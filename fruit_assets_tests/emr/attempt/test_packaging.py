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
    """An importable package with files that must not be shipped."""
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


def test_only_the_package_is_shipped_and_each_key_file_left_out_is_named(orchard: Path) -> None:
    package = build_package(["orchard"])
    assert names(package) == [
        "orchard/__init__.py", "orchard/data/prices.json", "orchard/data/run.log", "orchard/tests/test_trees.py",
        "orchard/trees.py",
    ]  # fmt: skip
    assert package.left_out == ("orchard/credentials", "orchard/deploy.pem")


def test_further_files_are_left_out_by_pattern(orchard: Path) -> None:
    package = build_package(["orchard"], ["orchard/tests/*", "*.log"])
    assert names(package) == ["orchard/__init__.py", "orchard/data/prices.json", "orchard/trees.py"]
    assert {"orchard/tests/test_trees.py", "orchard/data/run.log"} < set(package.left_out)


def test_a_sub_package_called_env_is_shipped_and_a_virtual_environment_is_not(orchard: Path) -> None:
    for name in ("env/__init__.py", "venv/pyvenv.cfg", "venv/lib/x.py"):
        (orchard / name).parent.mkdir(parents=True, exist_ok=True)
        (orchard / name).write_text("")
    shipped = names(build_package(["orchard"]))
    assert "orchard/env/__init__.py" in shipped
    assert not [name for name in shipped if "venv" in name]


def test_a_sub_package_is_shipped_without_the_rest_of_its_package() -> None:
    package = build_package(["fruit_assets.emr"])
    assert {name.split("/")[1] for name in names(package)} == {"__init__.py", "emr"}
    archive = zipfile.ZipFile(io.BytesIO(package.content))
    assert archive.read("fruit_assets/__init__.py") == b""


def test_equal_content_gives_equal_bytes(orchard: Path) -> None:
    before = build_package(["orchard", "orchard"])
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
    uri = f"{staging.uri}/code/{package.sha256}.zip"
    assert [ship(package, staging), ship(package, staging)] == [(uri, True), (uri, False)]
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
