"""The bootstrap action, run as EMR runs it: script and wheels from S3, into a prefix, by the AWS CLI.

One installation is made for the module. Its environment then does what a node does: import, and featurise an image.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from fruit_assets.emr.attempt.packaging import build_package
from fruit_assets.infra.bootstrap_files import bootstrap_uri, upload_bootstrap
from fruit_assets.infra.node_requirements import BOOTSTRAP
from fruit_assets.infra.packed_environment import pack_environment
from fruit_assets.infra.wheelhouse import build_wheelhouse, requirements_digest
from fruit_assets.settings import load_settings
from fruit_assets_tests.infra.account import REGION, empty_account, moto_server

if TYPE_CHECKING:
    from fruit_assets_tests.conftest import Collection

pytestmark = pytest.mark.long(90)

__all__ = ["moto_server"]

STAGING = "s3://bootstrap-test/staging"
ARCHITECTURE = os.uname().machine


@dataclass(frozen=True)
class Node:
    """A machine with a prefix to install into, and the output of the first installation."""

    environment: dict[str, str]
    prefix: Path
    first_log: str

    def install(self, *arguments: str, prefix: Path | None = None) -> subprocess.CompletedProcess[str]:
        return _install(self.environment, prefix or self.prefix, *arguments)

    def python(self, code: str, *arguments: str) -> str:
        command = [str(self.prefix / "bin" / "python"), "-I", "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def node(moto_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    environment = {
        # Where `aws` is; a node has it on its own path.
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": REGION,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bootstrap-test")
        wheels = build_wheelhouse(BOOTSTRAP / "requirements-node.txt", ARCHITECTURE, load_settings().cache)
        upload_bootstrap(STAGING, {ARCHITECTURE: wheels}, region=REGION)
    prefix = folder / "opt" / "fruit_assets"
    done = _install(environment, prefix, "--source", bootstrap_uri(STAGING))
    assert done.returncode == 0, done.stdout + done.stderr
    yield Node(environment, prefix, done.stdout)
    empty_account()


def test_the_environment_is_stamped_with_what_it_was_made_from(node: Node) -> None:
    stamp = json.loads((node.prefix / "runtime.json").read_text())
    assert stamp["requirements_sha256"] == requirements_digest(BOOTSTRAP / "requirements-node.txt")
    assert stamp["python"].startswith("3.11.")
    assert stamp["arch"] == ARCHITECTURE
    assert stamp["versions"]["openvino"]
    assert not {"pyspark", "py4j"} & set(stamp["versions"])
    assert "each checked against its hash" in node.first_log


def test_the_environment_imports_what_a_step_imports_and_leaves_spark_to_emr(node: Node) -> None:
    output = node.python(
        "import importlib.util, boto3, dagster, dagster_aws, dotenv, matplotlib, numpy, openvino, pandas, PIL, psutil,"
        " pyarrow, rich, sklearn, yaml; print(importlib.util.find_spec('pyspark'), dagster.__version__)"
    )
    assert output.split() == ["None", _version("dagster")]


def test_the_environment_featurises_an_image_as_this_machine_does(
    node: Node, extractor_folder: Path, collection: "Collection", tmp_path: Path
) -> None:
    import numpy as np

    from fruit_assets.extractor.engines import load_engine
    from fruit_assets.images.decoding import decode

    shipped = tmp_path / "code.zip"
    shipped.write_bytes(build_package(["fruit_assets"]).content)
    model = extractor_folder
    image = next(collection.images.rglob("*.jpg"))
    node.python(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from fruit_assets.images.decoding import decode\n"
        "from fruit_assets.extractor.engines import load_engine\n"
        "infer = load_engine(Path(sys.argv[2]), 224, 'openvino', 'f32', 1)\n"
        "np.save(sys.argv[4], infer(decode(Path(sys.argv[3]).read_bytes(), 224)[None]))",
        *map(str, (shipped, model, image, tmp_path / "features.npy")),
    )
    there = np.load(tmp_path / "features.npy")
    here = load_engine(model, 224, "openvino", "f32", 1)(decode(image.read_bytes(), 224)[None])
    assert there.shape == (1, 1280)
    np.testing.assert_allclose(there, here, atol=1e-5)


def test_the_packed_environment_of_the_same_wheels_imports_what_a_step_imports(node: Node, tmp_path: Path) -> None:
    """What job runs of EMR Serverless get, unpacked as Spark unpacks it."""
    wheels = build_wheelhouse(BOOTSTRAP / "requirements-node.txt", ARCHITECTURE, load_settings().cache)
    with tarfile.open(pack_environment(wheels, ARCHITECTURE)) as archive:
        archive.extractall(tmp_path / "environment", filter="fully_trusted")
    python = tmp_path / "environment" / "bin" / "python"
    # Where this machine keeps its Python 3.11 is not where the image does.
    python.unlink()
    base = Path(sys.executable).resolve()
    python.symlink_to(base)
    (tmp_path / "environment" / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    code = "import boto3, dagster, matplotlib, numpy, openvino, pandas, PIL, pyarrow, sklearn, sys; print(sys.prefix)"
    done = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == str(tmp_path / "environment"), done.stderr


def test_a_second_run_changes_nothing(node: Node) -> None:
    before = (node.prefix / "runtime.json").stat().st_mtime_ns
    done = node.install("--source", bootstrap_uri(STAGING))
    assert (done.returncode, done.stderr) == (0, "")
    assert "up to date" in done.stdout
    assert (node.prefix / "runtime.json").stat().st_mtime_ns == before


def test_a_corrupted_wheel_is_refused_and_nothing_is_stamped(node: Node, tmp_path: Path) -> None:
    source = _local_source(tmp_path, "click", "six", "idna")
    wheel = next((source / "wheels" / ARCHITECTURE).glob("idna-*.whl"))
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    wheel.write_bytes(content)
    prefix = tmp_path / "opt" / "env"
    done = node.install("--source", str(source), prefix=prefix)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "FAILED: pip refused the wheels" in done.stderr
    assert not (prefix / "runtime.json").exists()


def test_a_folder_that_is_no_environment_is_left_alone(node: Node, tmp_path: Path) -> None:
    precious = tmp_path / "home" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("all of it")
    done = node.install("--source", str(_local_source(tmp_path, "six")), prefix=precious.parent)
    assert done.returncode != 0
    assert "is not a Python environment" in done.stderr
    assert precious.read_text() == "all of it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--source is missing"),
        (("--source", "s3://bootstrap-test/nowhere"), "Run 'fruit-assets deploy'"),
        (("--source", "/tmp", "--prefix", "/opt"), "too close to the root"),
        (("--source", "/tmp", "--requirements", "../x"), "is a path"),
        (("--colour", "red"), "Unknown option '--colour'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(node: Node, arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = node.install(*arguments, prefix=tmp_path / "opt" / "env")
    assert done.returncode != 0
    assert message in done.stderr


def _install(environment: dict[str, str], prefix: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = [str(BOOTSTRAP / "install_runtime.sh"), "--prefix", str(prefix), "--python", _python(), *arguments]
    return subprocess.run(script, capture_output=True, text=True, env=environment, cwd="/")


def _python() -> str:
    """The interpreter itself: an environment made from another environment's link would depend on that."""
    return str(Path(sys.base_prefix) / "bin" / "python3.11")


def _local_source(tmp_path: Path, *names: str) -> Path:
    """A source folder with a few small packages only."""
    source = tmp_path / "source"
    target = source / "wheels" / ARCHITECTURE
    target.mkdir(parents=True)
    text = (BOOTSTRAP / "requirements-node.txt").read_text()
    entries = re.findall(r"^[a-z0-9].*(?:\n    --hash.*)*", text, re.MULTILINE)
    wanted = [entry for entry in entries if entry.split("==")[0] in names]
    (source / "requirements-node.txt").write_text("\n".join(wanted) + "\n")
    wheels = build_wheelhouse(BOOTSTRAP / "requirements-node.txt", ARCHITECTURE, load_settings().cache)
    for name in names:
        for wheel in wheels.glob(f"{name}-*.whl"):
            shutil.copy(wheel, target / wheel.name)
    return source


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)
