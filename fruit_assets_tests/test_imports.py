"""Tests of what loading the code location needs: no Java, no credentials, no network, nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = (
    "tensorflow",
    "keras",
    "pyspark",
    "py4j",
    "openvino",
    "matplotlib",
    "boto3",
    "botocore",
    "sklearn",
    "scipy",
    "pandas",
    "PIL",
)


def _bare_environment(tmp_path: Path) -> dict[str, str]:
    """No Java on the PATH, no AWS, a dead proxy, an empty home."""
    dead = "http://127.0.0.1:9"
    return {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "LANG": "C.UTF-8",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), dead),
    }


def _without_network() -> list[str]:
    """A prefix that takes the network away, where this machine lets us."""
    for prefix in (["/usr/bin/unshare", "-n"], ["/usr/bin/unshare", "-rn"]):
        if (
            Path(prefix[0]).exists()
            and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
        ):
            return prefix
    return []


def _run(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_without_network(), *command],
        env=_bare_environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_the_code_location_loads_nothing_heavy_and_needs_no_java_credentials_or_network(tmp_path):
    code = (
        "import json, sys, fruit_assets; defs = fruit_assets.defs; "
        "print(json.dumps([sorted(m for m in sys.modules), len(defs.resolve_all_asset_specs())]))"
    )
    done = _run(tmp_path, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    modules, assets = json.loads(done.stdout.splitlines()[-1])
    assert assets == 8
    assert "dagster" in modules
    assert [name for name in _HEAVY if name in modules] == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208  not even a folder was made


def test_what_is_loaded_is_not_collected_again_and_again_or_at_the_end(tmp_path):
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > before)); "
        "from fruit_assets import defs; before = gc.get_freeze_count(); "
        "print(before > 100_000); more = [[] for _ in range(1000)]"
    )
    done = _run(tmp_path, sys.executable, "-c", code)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.parametrize(
    "package", ["features.featurization", "analysis.pca", "images.sampling", "storage", "spark.session"]
)
def test_the_work_itself_is_importable_without_dagster(tmp_path, package):
    code = f"import sys, fruit_assets.{package}; print([m for m in {(*_HEAVY, 'dagster')!r} if m in sys.modules])"
    done = _run(tmp_path, sys.executable, "-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_dagster_validates_the_definitions_without_java_credentials_or_network(tmp_path):
    done = _run(tmp_path, "dagster", "definitions", "validate", "-m", "fruit_assets")
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout
