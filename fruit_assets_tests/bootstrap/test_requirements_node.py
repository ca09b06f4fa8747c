"""The node requirements: in step with the lock, complete, and without Spark."""

import re
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fruit_assets.errors import PermanentError
from fruit_assets.infra.node_requirements import (
    BOOTSTRAP,
    EXCLUDED,
    FILES,
    LOCK,
    generate,
    node_packages,
    read_lock,
)


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_the_lock_gives(name: str) -> None:
    expected = generate(LOCK.read_text())[name]
    assert (BOOTSTRAP / name).read_text() == expected, "run: python -m fruit_assets.infra.node_requirements"


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_all_that_it_needs_except_spark(name: str) -> None:
    """`--no-deps` makes pip take our word for it, so the word is compared with the packages' own metadata."""
    present = set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", (BOOTSTRAP / name).read_text(), re.MULTILINE))
    missing = {
        f"{package} needs {needed}"
        for package in present
        for needed in _needs(package)
        if needed not in present and needed not in EXCLUDED
    }
    assert missing == set()
    assert not present & EXCLUDED


def test_tensorflow_is_only_in_the_file_that_is_named_after_it() -> None:
    assert "\ntensorflow==" not in (BOOTSTRAP / "requirements-node.txt").read_text()
    assert "\ntensorflow==" in (BOOTSTRAP / "requirements-node-tensorflow.txt").read_text()


def test_a_package_for_another_system_is_left_out() -> None:
    lock = read_lock(
        "a==1 \\\n    --hash=sha256:" + "0" * 64 + "\n    # via me\n"
        "b==2 ; sys_platform == 'win32' \\\n    --hash=sha256:" + "1" * 64 + "\n    # via a\n"
        "c==3 ; platform_machine == 'aarch64' \\\n    --hash=sha256:" + "2" * 64 + "\n    # via\n    #   a\n    #   b\n"
    )
    assert [package.name for package in node_packages(lock, ["a"])] == ["a", "c"]


def test_a_root_that_is_not_locked_is_named() -> None:
    with pytest.raises(PermanentError, match="has no not-locked"):
        node_packages(read_lock(LOCK.read_text()), ["numpy", "not-locked"])


def _needs(package: str) -> set[str]:
    environment = {"extra": "", "sys_platform": "linux", "python_version": "3.11", "platform_machine": "x86_64"}
    try:
        requirements = [Requirement(text) for text in requires(package) or []]
    except PackageNotFoundError:
        # A package for the other architecture: nothing here depends on it.
        return set()
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }
