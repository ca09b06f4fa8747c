"""The launcher is a library: it imports nothing else of this project, and private modules of Dagster in one file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fruit_assets.emr

PRODUCT = Path(fruit_assets.emr.__file__).parents[1]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_it_imports_nothing_else_of_this_project() -> None:
    foreign = {
        f"{path.name}: {name}"
        for path in (PRODUCT / "emr").rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] == "fruit_assets" and name.split(".")[1:2] != ["emr"]
    }
    assert foreign == set()


def test_private_modules_of_dagster_are_imported_in_one_file() -> None:
    files = {
        path.relative_to(PRODUCT).as_posix()
        for path in PRODUCT.rglob("*.py")
        for name in imports(path)
        if name.startswith("dagster._")
    }
    assert files == {"emr/dagster_internals.py"}


def test_its_messages_name_no_command_of_this_project() -> None:
    assert [path.name for path in (PRODUCT / "emr").rglob("*.py") if "fruit-assets " in path.read_text()] == []


def test_what_is_shipped_for_another_project_can_be_imported_alone(tmp_path: Path) -> None:
    from fruit_assets.emr.attempt.packaging import build_package

    (tmp_path / "code.zip").write_bytes(build_package(["fruit_assets.emr"]).content)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'code.zip')!r})\n"
        "import fruit_assets.emr.remote.step_runner, fruit_assets.emr.serverless.step_launcher as launcher\n"
        "assert 'code.zip' in launcher.__file__, launcher.__file__\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
