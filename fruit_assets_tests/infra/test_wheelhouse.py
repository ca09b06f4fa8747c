"""The wheelhouse: wheels that fit the nodes. Fetching the real ones is proven with the bootstrap action."""

import re
import zipfile
from pathlib import Path

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.infra.node_requirements import BOOTSTRAP
from fruit_assets.infra.wheelhouse import (
    build_wheelhouse,
    fit_to_node,
    newest_glibc,
    requirements_digest,
)
from fruit_assets.settings import load_settings


def wheel(folder: Path, name: str, *symbols: str) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing/core.so.1", b"\x00".join(symbol.encode() for symbol in symbols))
        archive.writestr("thing/notes.txt", "GLIBC_2.99")
    return path


def test_the_newest_glibc_is_read_from_libraries_only(tmp_path: Path) -> None:
    assert newest_glibc(wheel(tmp_path, "a-1-py3-none-any.whl", "GLIBC_2.17", "GLIBC_2.34", "GLIBC_2.4")) == 34
    assert newest_glibc(wheel(tmp_path, "b-1-py3-none-any.whl")) == 0


def test_a_wheel_that_overstates_its_glibc_is_renamed_so_that_pip_takes_it(tmp_path: Path) -> None:
    original = wheel(tmp_path, "a-1-cp311-cp311-manylinux_2_35_aarch64.whl", "GLIBC_2.34")
    content = original.read_bytes()
    fitted = fit_to_node(original)
    assert fitted.name == "a-1-cp311-cp311-manylinux_2_34_aarch64.whl"
    assert fitted.read_bytes() == content
    assert not original.exists()


def test_a_wheel_that_really_needs_a_newer_glibc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"needs glibc 2\.38; the nodes have 2\.34"):
        fit_to_node(wheel(tmp_path, "a-1-cp311-cp311-manylinux_2_39_x86_64.whl", "GLIBC_2.38"))


@pytest.mark.parametrize(
    "name", ["a-1-py3-none-any.whl", "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux_2_35_x86_64.whl"]
)
def test_a_wheel_that_fits_keeps_its_name(tmp_path: Path, name: str) -> None:
    path = wheel(tmp_path, name, "GLIBC_2.99")
    assert fit_to_node(path) == path


def test_a_finished_wheelhouse_is_not_fetched_again(tmp_path: Path) -> None:
    requirements = BOOTSTRAP / "requirements-node.txt"
    folder = tmp_path / "wheelhouse" / requirements_digest(requirements)[:16] / "aarch64"
    folder.mkdir(parents=True)
    (folder / "complete").touch()
    messages: list[str] = []
    assert build_wheelhouse(requirements, "aarch64", tmp_path, messages.append) == folder
    assert messages == [f"aarch64: wheels found in {folder}"]


def test_an_architecture_without_nodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="choose x86_64 or aarch64"):
        build_wheelhouse(BOOTSTRAP / "requirements-node.txt", "riscv64", tmp_path)


def test_a_package_that_pip_cannot_find_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("six==1.17.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(PermanentError, match=r"x86_64: .*six==1\.17\.0"):
        build_wheelhouse(requirements, "x86_64", tmp_path)
    assert not list(tmp_path.rglob("complete"))


def test_openvino_for_graviton_fits_the_nodes_although_its_name_says_otherwise() -> None:
    """The real wheel: fetched by its locked hash, its libraries read, renamed."""
    cache = load_settings().cache
    locked = (BOOTSTRAP / "requirements-node.txt").read_text()
    entry = next(
        part for part in re.findall(r"^[a-z0-9].*(?:\n    --hash.*)*", locked, re.MULTILINE) if "openvino==" in part
    )
    requirements = cache / "openvino-only.txt"
    requirements.parent.mkdir(parents=True, exist_ok=True)
    requirements.write_text(entry + "\n")
    (fitted,) = build_wheelhouse(requirements, "aarch64", cache).glob("*.whl")
    assert fitted.name.endswith("-cp311-cp311-manylinux_2_34_aarch64.whl")
    assert newest_glibc(fitted) <= 34
