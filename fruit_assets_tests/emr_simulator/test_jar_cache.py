"""Jars from Maven: fetched once, checked, and published for concurrent readers."""

import concurrent.futures
from pathlib import Path

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr_simulator.jar_cache import JarSet, resolve_jars
from fruit_assets_tests.emr_simulator.s3a_jars import resolve_s3a_jars

CACHE = Path.home() / ".cache" / "fruit_assets"


def test_a_broken_cache_is_built_again_by_two_at_a_time(tmp_path):
    small = JarSet("small", ("org.hamcrest:hamcrest-core:1.3",))
    (jar,) = resolve_jars(small, tmp_path)
    size = jar.stat().st_size
    jar.write_bytes(b"torn")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        resolved = list(pool.map(lambda _: resolve_jars(small, tmp_path), range(2)))
    assert resolved == [[jar], [jar]]
    assert jar.stat().st_size == size
    assert [folder.name for folder in (tmp_path / "jars").iterdir()] == [small.key]


def test_without_maven_a_cached_copy_serves(maven_jars, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert len(resolve_s3a_jars(CACHE)) == 39
    with pytest.raises(PermanentError, match="install Maven"):
        resolve_s3a_jars(tmp_path)


def test_a_failed_download_reports_mavens_output_and_leaves_no_files(tmp_path):
    unknown = JarSet("none", ("fruit.assets.invalid:no-such-artifact:1",))
    with pytest.raises(PermanentError, match=r"(?s)could not fetch the jars of 'none'.*no-such-artifact"):
        resolve_jars(unknown, tmp_path)
    assert list((tmp_path / "jars").iterdir()) == []
