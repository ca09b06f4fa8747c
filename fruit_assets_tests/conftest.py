"""Fixtures that all tests share: settings, a collection, Spark, and one run of the whole graph.

Put here what costs seconds and is read by many. What one module needs stays with its tests.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from fruit_assets.settings import Settings, load_settings
from fruit_assets_tests import parallel
from fruit_assets_tests.emr_simulator.fixtures import emr_simulator, maven_jars, spark_emr_session, spark_emr_simulator
from fruit_assets_tests.object_store.places import place
from fruit_assets_tests.private_cloud import private_bucket, private_cloud, sign_in
from fruit_assets_tests.programs import starts_programs

if TYPE_CHECKING:
    import dagster as dg
    from pyspark.sql import SparkSession

__all__ = [
    "emr_simulator",
    "maven_jars",
    "place",
    "private_bucket",
    "private_cloud",
    "sign_in",
    "spark_emr_session",
    "spark_emr_simulator",
]

TEST_DATA = "FRUIT_ASSETS_TEST_DATA"
_WEIGHTS_FILE = "mobilenet_v2_1.0_224_notop.weights.h5"
_DEMO_CLASSES, _DEMO_PER_CLASS = 12, 10
_EVENTS = "events.json"

MakeSettings = Callable[..., Settings]


def pytest_configure(config: pytest.Config) -> None:
    """Keep what the person at this machine has set away from the tests, an AWS account above all."""
    for name in list(os.environ):
        if name.startswith(("FRUIT_ASSETS_", "AWS_")) and name not in (TEST_DATA, "AWS_CA_BUNDLE"):
            del os.environ[name]
    os.environ.pop("DAGSTER_HOME", None)
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "DAGSTER_DISABLE_TELEMETRY": "true",
        # Dagster copies what a run prints through a `tail` that it ends with the run; on a busy machine the last
        # lines are lost without a pause. https://github.com/dagster-io/dagster/issues/23336
        "DAGSTER_COMPUTE_LOG_TAIL_WAIT_AFTER_FINISH": "1",
    }
    # The same examples in every run, and as much time for them as a busy machine takes.
    hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
    hypothesis.settings.load_profile("tests")
    _heed_signals()


def _heed_signals() -> None:
    """A shell in the background ignores SIGINT for us; Dagster extends that to SIGTERM, and children inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return parallel.process_count(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        if starts_programs(item):
            item.add_marker("programs")
    yield
    # After pytest has put together all tests that share a parameter of the session.
    items[:] = parallel.in_order(items)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    folder = os.environ.get(TEST_DATA)
    if folder:
        text = f"Tested on the real photographs and ImageNet weights in {folder}."
    else:
        text = f"Tested on demo images and seeded random weights; {TEST_DATA} names a folder with real ones."
    terminalreporter.write_sep("-", text)


@dataclass(frozen=True)
class Collection:
    """An image collection to test on.

    Attributes:
        images: its root.
        weights: a value for FRUIT_ASSETS_WEIGHTS.
        real: photographs and ImageNet weights, rather than demo images and random weights.
    """

    images: Path
    weights: str
    real: bool
    image_count: int
    label_count: int


@dataclass(frozen=True)
class PublishedGraph:
    """The graph as one run over the whole collection published it; read only.

    Attributes:
        storage: folder of the published assets.
        settings: what the run was given.
        events: Dagster's events of the run.
    """

    storage: Path
    settings: Settings
    events: "list[dg.DagsterEvent]" = field(repr=False)

    def metadata(self, asset: str) -> dict[str, Any]:
        """Values of the materialisation's metadata by key."""
        return _metadata(self.events, asset)

    @property
    def check_evaluations(self) -> "list[dg.AssetCheckEvaluation]":
        """The checks of the run, as they were decided."""
        decided = (event for event in self.events if event.event_type_value == "ASSET_CHECK_EVALUATION")
        return [event.asset_check_evaluation_data for event in decided]


def materialised_metadata(result: "dg.ExecuteInProcessResult", asset: str) -> dict[str, Any]:
    """Values of the metadata that a run recorded for an asset, by key."""
    return _metadata(result.all_events, asset)


def _metadata(events: "Iterable[dg.DagsterEvent]", asset: str) -> dict[str, Any]:
    for event in events:
        if event.is_step_materialization and event.asset_key is not None and event.asset_key.path == [asset]:
            metadata = event.step_materialization_data.materialization.metadata
            return {name: value.value for name, value in metadata.items()}
    raise AssertionError(f"{asset} was not materialised")


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Real photographs when FRUIT_ASSETS_TEST_DATA names them, demo images otherwise."""
    if folder := os.environ.get(TEST_DATA):
        images = Path(folder).resolve() / "fruits"
        files = [path for part in ("Training", "Test") for path in (images / part).rglob("*.jpg")]
        labels = {path.parent.name for path in files}
        weights = str(Path(folder).resolve() / "weights" / _WEIGHTS_FILE)
        return Collection(images, weights, real=True, image_count=len(files), label_count=len(labels))
    from fruit_assets.demo.collection import render_collection

    def render(folder: Path) -> None:
        render_collection(folder, _DEMO_CLASSES, _DEMO_PER_CLASS, 0)

    images = parallel.made_once(tmp_path_factory, "demo_images", render)
    return Collection(images, "random", False, _DEMO_CLASSES * _DEMO_PER_CLASS, _DEMO_CLASSES)


@pytest.fixture(scope="session")
def make_settings() -> MakeSettings:
    """`make_settings(tmp_path, **overrides)`: settings whose places lie below `tmp_path`.

    Overrides are settings by lower-case name: `images=...`, `weights="random"`, `retention_days=1`,
    `aws_endpoint_url=...`.
    """

    def make(tmp_path: Path, **overrides: Any) -> Settings:
        values = {
            "FRUIT_ASSETS_IMAGES": str(tmp_path / "images"),
            "FRUIT_ASSETS_STORAGE": str(tmp_path / "assets"),
            "FRUIT_ASSETS_WEIGHTS": "random",
            "FRUIT_ASSETS_DRIVER_MEMORY": "1g",
            **_java_home(),
        }
        for name, value in overrides.items():
            values[name.upper() if name.startswith("aws_") else f"FRUIT_ASSETS_{name.upper()}"] = str(value)
        return load_settings(values, tmp_path)

    return make


def _java_home() -> Mapping[str, str]:
    return {"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}


@pytest.fixture(scope="session")
def spark(make_settings: MakeSettings, tmp_path_factory: pytest.TempPathFactory) -> "SparkSession":
    """The one Spark session of the test process, as the local deployment starts it."""
    from fruit_assets.resources import resources_for

    resource = resources_for(make_settings(tmp_path_factory.mktemp("spark")))["spark"]
    session: SparkSession = resource.session()
    return session


@pytest.fixture(scope="session")
def published(
    collection: Collection, make_settings: MakeSettings, tmp_path_factory: pytest.TempPathFactory
) -> PublishedGraph:
    """The whole graph, materialised once over every image of the collection, for all processes of the tests."""
    import dagster as dg

    def settings_in(folder: Path) -> Settings:
        return make_settings(folder, images=collection.images, weights=collection.weights)

    folder = parallel.made_once(tmp_path_factory, "published", lambda folder: _publish(folder, settings_in(folder)))
    settings = settings_in(folder)
    events = [dg.deserialize_value(text, dg.DagsterEvent) for text in json.loads((folder / _EVENTS).read_text())]
    return PublishedGraph(Path(settings.storage), settings, events)


def _publish(folder: Path, settings: Settings) -> None:
    import dagster as dg

    from fruit_assets.assets.graph import ASSETS
    from fruit_assets.resources import resources_for

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            ASSETS,
            resources=resources_for(settings),
            run_config={"ops": {"sampled_images": {"config": {"fraction": 1.0}}}},
            instance=instance,
        )
    (folder / _EVENTS).write_text(json.dumps([dg.serialize_value(event) for event in result.all_events]))


@pytest.fixture(scope="session")
def extractor_folder(published: PublishedGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the published extractor."""
    from fruit_assets.resources import resources_for
    from fruit_assets_tests.storage.tables import read_all

    folder = tmp_path_factory.mktemp("extractor")
    version = resources_for(published.settings)["storage"].table("feature_extractor").current()
    for name, content in read_all(version).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def int8_extractor(published: PublishedGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published extractor and its int8 model, calibrated as by default."""
    from fruit_assets.extractor.calibration import resolve_calibration
    from fruit_assets.extractor.quantization import Quantization
    from fruit_assets.resources import resources_for
    from fruit_assets_tests.storage.tables import read_all

    def quantize(folder: Path) -> None:
        version = resources_for(published.settings)["storage"].table("feature_extractor").current()
        folder.mkdir()
        for name, content in Quantization(resolve_calibration(None), 224).added_to(read_all(version)).items():
            (folder / name).write_bytes(content)

    return parallel.made_once(tmp_path_factory, "int8", quantize)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """URL of a moto server, for what needs S3 and no EMR."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a person whose AWS is moto; returns its URL."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of another test
    return s3_endpoint


@pytest.fixture
def s3_gets(s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Path and range of every object that is requested of moto's S3."""
    return _noted(monkeypatch, "get_object", lambda asked: (asked.path, asked.headers.get("Range", "whole")))


@pytest.fixture
def s3_lists(s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Prefix of every listing that is requested of moto's S3."""
    return _noted(monkeypatch, "list_objects_v2", lambda asked: asked.querystring.get("prefix", [""])[0])


def _noted(monkeypatch: pytest.MonkeyPatch, operation: str, of: Callable[[Any], Any]) -> list[Any]:
    """What moto's S3 is asked by one operation, from now on."""
    from moto.s3.responses import S3Response

    seen: list[Any] = []
    original = getattr(S3Response, operation)

    def noting(self: S3Response, *args: Any, **kwargs: Any) -> Any:
        seen.append(of(self))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(S3Response, operation, noting)
    return seen


@pytest.fixture
def s3_spark(s3_environment: str, spark: "SparkSession", monkeypatch: pytest.MonkeyPatch) -> "SparkSession":
    """Spark whose workers reach moto: they have the environment of the JVM, which started before."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.setitem(spark.sparkContext.environment, name, os.environ[name])
    return spark


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for a megabyte."""
    place = tmp_path / "small-disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def bucket(s3_environment: str) -> str:
    """Name of a new bucket."""
    import secrets

    import boto3

    name = f"fruit-{secrets.token_hex(6)}"
    where = {"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]}
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name
