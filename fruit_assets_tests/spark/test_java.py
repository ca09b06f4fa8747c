"""Tests of finding a Java: a missing or old Java is reported in one line."""

from pathlib import Path

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.spark.java import require_java


def _java(home: Path, *, release: str | None = None, says: str = "") -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{says}\nEND\n")
    java.chmod(0o755)
    if release is not None:
        (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{release}"\n')
    return java


@pytest.mark.parametrize("release", ["17.0.15", "21", "25.0.1", "17-ea"])
def test_a_java_of_17_or_newer_is_taken_from_java_home(tmp_path, release):
    java = _java(tmp_path / "jdk é", release=release)
    assert require_java(str(tmp_path / "jdk é")) == java


@pytest.mark.parametrize(("release", "major"), [("1.8.0_412", 8), ("11.0.2", 11), ("16.0.1", 16)])
def test_an_older_java_is_refused_with_its_version(tmp_path, release, major):
    _java(tmp_path, release=release)
    with pytest.raises(PermanentError, match=rf"Java 17 or newer; .*bin/java is Java {major}\. Install a Java 17"):
        require_java(str(tmp_path))


def test_a_java_without_a_release_file_is_asked(tmp_path):
    java = _java(tmp_path, says='openjdk version "11.0.2" 2019-01-15')
    with pytest.raises(PermanentError, match="is Java 11"):
        require_java(str(tmp_path))
    java.write_text("#!/bin/sh\nexit 1\n")
    assert require_java(str(tmp_path)) == java


def test_no_java_at_all_and_a_java_home_without_one_are_refused_with_the_fix(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        PermanentError, match=r"there is none on this machine\. Install a Java 17 .*openjdk-17-jre-headless"
    ):
        require_java()
    with pytest.raises(PermanentError, match=r"JAVA_HOME is .*, but there is no .*bin/java"):
        require_java(str(tmp_path))


def test_a_java_on_the_path_is_followed_to_its_home(tmp_path, monkeypatch):
    java = _java(tmp_path / "jdk", release="11.0.2")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "java").symlink_to(java)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(PermanentError, match="is Java 11"):
        require_java(None)
