"""The built wheel, installed into an environment of its own outside the checkout: everything works from there."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fruit_assets.demo.collection import render_collection
from fruit_assets_tests.emr.targets import start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long(35)

PROJECT = Path(__file__).parents[1]
_UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and the locked packages, and without the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    _run([_UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", folder, PROJECT], folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    _run([_UV, "venv", "--python", sys.executable, environment], folder)
    python = environment / "bin" / "python"
    _run([_UV, "pip", "install", "--python", python, "--no-deps", wheel], folder)
    # The locked packages are those of the tests' environment. Its own .pth files, which lead to the checkout, are not
    # read for a folder that a .pth file names.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "locked.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment / "bin"


@pytest.fixture
def variables(tmp_path: Path, installed: Path) -> dict[str, str]:
    """Settings of a small run in a folder of its own."""
    images = render_collection(tmp_path / "images", 3, 4, 0).root
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FRUIT_ASSETS_", "PYTHON"))}
    (tmp_path / "home").mkdir()
    (tmp_path / "run.yaml").write_text(json.dumps({"ops": {"sampled_images": {"config": {"fraction": 1.0}}}}))
    return kept | {
        "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(tmp_path / "home"),
        "FRUIT_ASSETS_IMAGES": str(images),
        "FRUIT_ASSETS_STORAGE": str(tmp_path / "assets"),
        "FRUIT_ASSETS_CACHE": str(tmp_path / "cache"),
        "FRUIT_ASSETS_WEIGHTS": "random",
    }


def test_the_wheel_carries_types_and_what_clusters_need(installed: Path, tmp_path: Path) -> None:
    code = (
        "import fruit_assets, json; from pathlib import Path; root = Path(fruit_assets.__file__).parent; "
        "from fruit_assets.infra.bootstrap_folder import BOOTSTRAP; "
        "names = sorted(path.name for path in BOOTSTRAP.iterdir()); "
        "print(json.dumps([str(root), (root / 'py.typed').is_file(), names]))"
    )
    root, typed, names = json.loads(_run([installed / "python", "-c", code], tmp_path))
    assert Path(root).is_relative_to(installed.parent)
    assert typed
    assert names == sorted(path.name for path in (PROJECT / "bootstrap").iterdir())


def test_the_demo_job_and_doctor_run_from_the_wheel(installed: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    job = [
        installed / "python",
        "-m",
        "dagster",
        "job",
        "execute",
        "-m",
        "fruit_assets",
        "-j",
        "fruit_features_job",
        "-c",
        "run.yaml",
    ]
    _run(job, tmp_path, variables)
    assert "12 sampled, 0 rejected" in _run([installed / "fruit-assets", "summary"], tmp_path, variables)
    assert "Java" in _run([installed / "fruit-assets", "doctor"], tmp_path, variables)


def test_a_step_on_emr_runs_from_the_wheel(
    installed: Path, tmp_path: Path, variables: dict[str, str], spark_emr_session: EmrSimulator
) -> None:
    simulator = spark_emr_session
    bucket = simulator.create_bucket("fruit-wheel")
    s3, images = simulator.client("s3"), Path(variables["FRUIT_ASSETS_IMAGES"])
    for path in images.rglob("*.jpg"):
        s3.put_object(Bucket=bucket, Key=f"images/{path.relative_to(images).as_posix()}", Body=path.read_bytes())
    cluster = start_cluster(simulator, bucket=bucket)
    places = {name: f"s3://{bucket}/{name.lower()}" for name in ("IMAGES", "STORAGE", "STAGING")}
    remote = {f"FRUIT_ASSETS_{name}": uri for name, uri in places.items()}
    chosen = {"FRUIT_ASSETS_DEPLOYMENT": "emr", "FRUIT_ASSETS_EMR_CLUSTER": cluster, **remote}
    command = [
        installed / "python",
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        "fruit_assets",
        "--select",
        "sampled_images",
    ]
    _run(command, tmp_path, {**variables, **simulator.environment(), **chosen})
    (step,) = simulator.clusters[cluster].steps.values()
    assert (step.state, "sampled_images" in step.config["Name"]) == ("COMPLETED", True)


def _run(command: list[object], folder: Path, variables: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout
