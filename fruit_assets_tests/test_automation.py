"""What happens by itself, evaluated as Dagster's daemon evaluates it: nothing before it is switched on."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData
from PIL import Image

from fruit_assets.assets.config_inheritance import INHERIT_CONFIG_TAG, RUN_CONFIG, config_of_run
from fruit_assets.assets.resources import ImageCollection
from fruit_assets.assets.sample.config import SamplingConfig
from fruit_assets.automation.collection_sensor import raw_images_sensor
from fruit_assets.automation.retention import clean_up_all
from fruit_assets.definitions import build_defs
from fruit_assets.errors import InputError
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter

MADE = (
    "sampled_images", "feature_extractor", "image_features", "rejected_images",
    "pca_model", "pca_components", "fruit_recognition",
)  # fmt: skip
FROM_THE_SAMPLE = set(MADE) - {"feature_extractor"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of two tiny images."""
    for label in ("Apple", "Banana"):
        for number in (1, 2):
            _paint(tmp_path / "images" / label / f"{number}.png", number)
    return tmp_path / "images"


def _paint(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(path)


class Watch:
    """The sensor on the collection, ticking; its cursor survives like the instance's would."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(
                instance=instance, cursor=self.cursor, resources={"images": ImageCollection(uri=str(self.images))}
            )
            result = raw_images_sensor(context)
        if isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result


def _observed(result: dg.SensorResult | dg.SkipReason) -> dg.AssetObservation:
    assert isinstance(result, dg.SensorResult)
    (event,) = result.asset_events
    assert isinstance(event, dg.AssetObservation)
    return event


def test_everything_is_off_until_a_user_switches_it_on(make_settings, tmp_path):
    repository = build_defs(make_settings(tmp_path)).get_repository_def()
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    schedules = {schedule.name: schedule.default_status for schedule in repository.schedule_defs}
    assert sensors.keys() == {
        "watch_raw_images", "refresh_on_change",
        "clean_up_after_success", "clean_up_after_failure", "clean_up_after_cancellation",
    }  # fmt: skip
    assert set(sensors.values()) == {dg.DefaultSensorStatus.STOPPED}
    assert schedules == {"refresh_every_night": dg.DefaultScheduleStatus.STOPPED}


@pytest.mark.parametrize("deployment", ["emr", "emr-serverless"])
def test_with_emr_the_orphan_sensor_is_one_more_switch(make_settings, tmp_path, deployment):
    settings = make_settings(
        tmp_path,
        deployment=deployment,
        images="s3://bucket/images",
        storage="s3://bucket/assets",
        staging="s3://bucket/staging",
    )
    sensor = build_defs(settings).get_repository_def().get_sensor_def("emr_orphan_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED


def test_a_first_look_observes_the_collection(images):
    observation = _observed(Watch(images).tick())
    assert observation.asset_key == dg.AssetKey("raw_images")
    assert observation.metadata["images"].value == 4
    assert observation.tags["dagster/data_version"]


def test_an_unchanged_collection_is_not_observed_twice_even_after_a_restart(images):
    watch = Watch(images)
    watch.tick()
    skipped = watch.tick()
    assert isinstance(skipped, dg.SkipReason)
    assert "4 images" in skipped.skip_message


@pytest.mark.parametrize("change", ["added", "removed", "rewritten"])
def test_every_kind_of_change_is_observed_once(images, change):
    watch = Watch(images)
    first = _observed(watch.tick())
    if change == "added":
        _paint(images / "Cherry" / "1.png", 3)
    elif change == "removed":
        (images / "Apple" / "1.png").unlink()
    else:
        Image.new("RGB", (9, 9)).save(images / "Apple" / "1.png")
    second = _observed(watch.tick())
    assert second.tags["dagster/data_version"] != first.tags["dagster/data_version"]
    assert isinstance(watch.tick(), dg.SkipReason)


def test_what_changed_is_reported_in_the_observation(images):
    watch = Watch(images)
    watch.tick()
    _paint(images / "Cherry" / "1.png", 3)
    result = watch.tick()
    assert "+1 images" in _observed(result).description
    assert "+1 images" in result.skip_reason.skip_message


def test_a_collection_that_vanished_fails_the_tick_by_name(images):
    watch = Watch(images)
    watch.tick()
    shutil.rmtree(images)
    with pytest.raises(Exception, match=f"{images} does not exist"):
        watch.tick()


class Clock:
    """Ticks of `refresh_on_change`, with the time set by the test. It starts at 9:10 with an hourly budget."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.defs, self.instance = defs, instance
        self.now = datetime(2026, 1, 1, 9, 10, tzinfo=UTC)
        self.cursor = None
        self.tick(0)

    def tick(self, minutes: int) -> set[str]:
        """Names of the assets requested when so many minutes have passed."""
        self.now += timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(
            self.defs, self.instance, evaluation_time=self.now, cursor=self.cursor
        )
        self.cursor = result.cursor
        return {item.key.to_user_string() for item in result.results if item.true_subset.size}

    def collection_is(self, version: str) -> None:
        tags = {"dagster/data_version": version}
        self.instance.report_runless_asset_event(dg.AssetObservation(asset_key="raw_images", tags=tags))

    def made(self, *assets: str) -> None:
        for asset in assets or MADE:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=asset))


@pytest.fixture
def clock(make_settings, tmp_path) -> Iterator[Clock]:
    """An hour after everything was made from the first version of the collection."""
    with dg.DagsterInstance.ephemeral() as instance:
        clock = Clock(build_defs(make_settings(tmp_path)), instance)
        clock.collection_is("first")
        clock.made()
        assert clock.tick(60) == set()
        yield clock


def test_a_changed_collection_refreshes_all_that_is_made_from_it_in_one_run(clock):
    clock.collection_is("second")
    assert clock.tick(1) == FROM_THE_SAMPLE
    clock.made(*FROM_THE_SAMPLE)
    assert clock.tick(60) == set()


def test_the_same_collection_observed_again_refreshes_nothing(clock):
    clock.collection_is("first")
    assert clock.tick(60) == set()


def test_changes_within_the_budget_wait_and_are_made_up_for_at_once(clock):
    clock.collection_is("second")
    clock.tick(1)
    clock.made(*FROM_THE_SAMPLE)
    for version in ("third", "fourth"):
        clock.collection_is(version)
        assert clock.tick(5) == set()
    assert clock.tick(60) == FROM_THE_SAMPLE


def test_a_new_extractor_refreshes_the_features_and_not_the_sample(clock):
    clock.made("feature_extractor")
    assert clock.tick(60) == FROM_THE_SAMPLE - {"sampled_images"}


def test_nothing_is_requested_while_a_run_is_in_progress(clock):
    job = clock.defs.resolve_job_def("fruit_features_job")
    run = clock.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    planned = dg.DagsterEvent.build_asset_materialization_planned_event(
        "fruit_features_job",
        "pca_model",
        AssetMaterializationPlannedData(dg.AssetKey("pca_model")),
    )
    clock.instance.report_dagster_event(planned, run.run_id)
    clock.collection_is("second")
    assert clock.tick(60) == set()
    clock.instance.report_run_failed(run)
    assert clock.tick(1) == FROM_THE_SAMPLE


def test_what_was_never_made_is_made_after_the_switch_is_turned_on(make_settings, tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        clock = Clock(build_defs(make_settings(tmp_path)), instance)
        clock.collection_is("first")
        assert clock.tick(60) == set(MADE)
        assert clock.tick(60) == set()


def test_the_code_version_of_an_asset_refreshes_it_and_what_lies_below(clock):
    def changed(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(code_version="next") if spec.key == dg.AssetKey("pca_model") else spec

    newer = [
        *(asset for asset in clock.defs.assets if not isinstance(asset, dg.AssetsDefinition)),
        *dg.map_asset_specs(changed, [asset for asset in clock.defs.assets if isinstance(asset, dg.AssetsDefinition)]),
    ]
    clock.defs = dg.Definitions(assets=newer, resources=clock.defs.resources)
    assert clock.tick(60) == {"pca_model", "pca_components", "fruit_recognition"}


def test_a_run_that_starts_by_itself_repeats_the_published_run_config(tmp_path):
    folder = AssetStorage(uri=str(tmp_path)).table("sampled_images")
    staged = stage_files({"a": b"1"}, VersionWriter(folder, "run"))
    folder.commit(staged.with_facts(**{RUN_CONFIG: SamplingConfig(fraction=0.5, seed=7).model_dump(mode="json")}))
    assert _config_in_run(folder, {INHERIT_CONFIG_TAG: "true"}) == SamplingConfig(fraction=0.5, seed=7)
    assert _config_in_run(folder, {}) == SamplingConfig()


def test_a_published_run_config_that_is_not_valid_any_more_is_named(tmp_path):
    folder = AssetStorage(uri=str(tmp_path)).table("sampled_images")
    folder.commit(stage_files({"a": b"1"}, VersionWriter(folder, "run")).with_facts(**{RUN_CONFIG: {"fraction": 40}}))
    with pytest.raises(InputError, match=r"'fraction': 40.*not valid any more"):
        _config_in_run(folder, {INHERIT_CONFIG_TAG: "true"})


def _config_in_run(folder, tags):
    seen = []

    @dg.asset
    def probe(context: dg.AssetExecutionContext) -> None:
        seen.append(config_of_run(context, SamplingConfig(), folder.current_or_none()))

    dg.materialize([probe], tags=tags)
    return seen[0]


def test_the_schedule_and_the_sensor_start_runs_that_repeat(make_settings, tmp_path):
    repository = build_defs(make_settings(tmp_path)).get_repository_def()
    schedule = repository.get_schedule_def("refresh_every_night")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, repository_def=repository)
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.tags[INHERIT_CONFIG_TAG] == "true"
    assert repository.get_sensor_def("refresh_on_change").run_tags[INHERIT_CONFIG_TAG] == "true"


def test_leftovers_of_a_dead_run_go_after_the_retention_and_those_of_a_run_in_progress_stay(tmp_path):
    storage = AssetStorage(uri=str(tmp_path))
    folder = storage.table("image_features")
    folder.commit(stage_files({"a": b"1"}, VersionWriter(folder, "published")))
    for run in ("dead", "writing"):
        stage_files({"a": b"1"}, VersionWriter(folder, run))
    data = tmp_path / "image_features" / "data"
    _age(data / "dead-0", timedelta(days=8))
    # A copy of keys of files that no version lists.
    folder.store.put("_keys/unused.parquet", b"")
    _age(tmp_path / "image_features" / "_keys", timedelta(days=8))
    nine_days_ago = datetime.now(UTC) - timedelta(days=9)
    assert clean_up_all(storage, ["image_features"], running_since=nine_days_ago) == "Nothing to remove."
    assert clean_up_all(storage, ["image_features"], running_since=None) == "Upkeep: removed 1 files of image_features."
    assert {path.name for path in data.iterdir() if any(path.iterdir())} == {"published-0", "writing-0"}
    assert clean_up_all(storage, ["image_features"], running_since=None) == "Nothing to remove."
    assert list(folder.store.list("_keys/")) == []


def _age(folder: Path, age: timedelta) -> None:
    then = (datetime.now(UTC) - age).timestamp()
    for file in folder.iterdir():
        os.utime(file, (then, then))


@pytest.mark.parametrize("ending", ["success", "failure", "cancellation"])
def test_a_run_that_ended_is_cleaned_up_after(make_settings, tmp_path, ending):
    defs = build_defs(make_settings(tmp_path))
    sensor = defs.get_repository_def().get_sensor_def(f"clean_up_after_{ending}")
    storage = AssetStorage(uri=str(tmp_path / "assets"))
    stage_files({"a": b"1"}, VersionWriter(storage.table("pca_model"), "dead"))
    _age(tmp_path / "assets" / "pca_model" / "data" / "dead-0", timedelta(days=8))
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("fruit_features_job"))
        event = dg.DagsterEvent("PIPELINE_SUCCESS", "fruit_features_job")
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_instance=instance,
            dagster_run=run,
            dagster_event=event,
            resources={"storage": storage},
        )
        skipped = sensor(context)
    assert skipped.skip_message == "Upkeep: removed 1 files of pca_model."
