"""Tests of settings: defaults, where values come from, and all problems reported at once."""

import os

import pytest

from fruit_assets.errors import SettingsError
from fruit_assets.settings import FAST_START_MEASURES, load_settings


def test_without_any_setting_everything_is_local_and_below_the_working_folder(tmp_path):
    settings = load_settings({}, tmp_path)
    assert (settings.deployment, settings.weights, settings.retention_days) == ("local", "imagenet", 7)
    assert settings.images == str(tmp_path / "data" / "demo_images")
    assert settings.images_are_demo
    assert settings.storage == str(tmp_path / "data" / "assets")
    assert not settings.uses_s3


def test_the_environment_wins_over_the_dotenv_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(
        "FRUIT_ASSETS_IMAGES=from file\nFRUIT_ASSETS_STORAGE=s3://bucket/prefix/\nUNRELATED=1\n"
    )
    monkeypatch.setenv("FRUIT_ASSETS_IMAGES", "from é environment")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.images == str(tmp_path / "from é environment")
    assert settings.storage == "s3://bucket/prefix"
    assert settings.uses_s3
    assert not settings.images_are_demo


def test_a_blank_value_is_no_value_and_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = load_settings({"FRUIT_ASSETS_WEIGHTS": " ", "FRUIT_ASSETS_STORAGE": "~/assets"}, tmp_path)
    assert (settings.weights, settings.storage) == ("imagenet", "/home/somebody/assets")


@pytest.mark.parametrize("value", ["imagenet", "random", "auto", "s3://bucket/w.h5"])
def test_weights_are_a_word_or_a_place(tmp_path, value):
    assert load_settings({"FRUIT_ASSETS_WEIGHTS": value}, tmp_path).weights == value
    assert load_settings({"FRUIT_ASSETS_WEIGHTS": "w.h5"}, tmp_path).weights == str(tmp_path / "w.h5")


def test_all_wrong_settings_are_reported_at_once_each_with_its_value_and_what_to_write(tmp_path):
    wrong = {
        "FRUIT_ASSETS_DEPLOYMENT": "cloud",
        "FRUIT_ASSETS_IMAGES": "s3a://bucket/images",
        "FRUIT_ASSETS_STORAGE": "gs://bucket/assets",
        "FRUIT_ASSETS_WEIGHTS": "https://example.org/w.h5",
        "FRUIT_ASSETS_STAGING": "/tmp/staging",
        "FRUIT_ASSETS_EMR_CLUSTER": "cluster-7",
        "FRUIT_ASSETS_EMR_APPLICATION": "Application 7",
        "FRUIT_ASSETS_RETENTION_DAYS": "0",
        "FRUIT_ASSETS_SSE": "rot13",
        "FRUIT_ASSETS_KMS_KEY_ID": "alias/key",
        "FRUIT_ASSETS_DRIVER_MEMORY": "lots",
        "FRUIT_ASSETS_PRICES": "nowhere.json",
        "FRUIT_ASSETS_STORGE": "typo",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong, tmp_path)
    text = str(caught.value)
    assert text.startswith("13 setting(s) need attention:")
    for name, value in wrong.items():
        lines = [line for line in text.splitlines() if f"  - {name} " in line]
        assert len(lines) == 1, name
        assert value in lines[0] or name in ("FRUIT_ASSETS_KMS_KEY_ID", "FRUIT_ASSETS_STORGE")
    assert "write s3://" in text


@pytest.mark.parametrize("deployment", ["emr", "emr-serverless"])
def test_emr_needs_s3_for_everything_and_a_staging_place(tmp_path, deployment):
    with pytest.raises(SettingsError) as caught:
        load_settings({"FRUIT_ASSETS_DEPLOYMENT": deployment}, tmp_path)
    assert len(caught.value.problems) == 3
    assert "FRUIT_ASSETS_STAGING is not set" in caught.value.problems[0]


def test_what_goes_to_a_cluster_loads_there_as_the_same_settings_and_holds_no_secret(tmp_path):
    given = {
        "FRUIT_ASSETS_DEPLOYMENT": "emr",
        "FRUIT_ASSETS_IMAGES": "s3://fruit/images",
        "FRUIT_ASSETS_STORAGE": "s3://fruit/assets",
        "FRUIT_ASSETS_STAGING": "s3://fruit/staging",
        "FRUIT_ASSETS_WEIGHTS": "s3://fruit/w.h5",
        "FRUIT_ASSETS_SSE": "aws:kms",
        "FRUIT_ASSETS_KMS_KEY_ID": "alias/fruit",
        "AWS_SECRET_ACCESS_KEY": "hidden",
    }
    settings = load_settings(given, tmp_path)
    shipped = settings.for_cluster()
    assert "hidden" not in shipped.values()
    there = load_settings(shipped, tmp_path)
    for name in ("deployment", "images", "storage", "staging", "weights", "sse", "kms_key_id", "retention_days"):
        assert getattr(there, name) == getattr(settings, name)


@pytest.fixture
def own_environment(monkeypatch):
    """Variables that a test sets in this process end with it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_other_variables_of_the_dotenv_file_reach_libraries_and_the_environment_wins(
    tmp_path, monkeypatch, own_environment
):
    (tmp_path / ".env").write_text("AWS_ENDPOINT_URL=http://here:1\nAWS_REGION=eu-west-3\nFRUIT_ASSETS_WEIGHTS=auto\n")
    monkeypatch.setitem(os.environ, "AWS_REGION", "eu-west-1")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert (settings.aws_endpoint_url, settings.aws_region, settings.weights) == ("http://here:1", "eu-west-1", "auto")
    assert (os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"]) == ("http://here:1", "eu-west-1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"FRUIT_ASSETS_IMAGES=/caf\xe9\n", "is not UTF-8 text (byte 0xe9 at 24): save it in UTF-8"),
        ("FRUIT_ASSETS_IMAGES=/x\n".encode("utf-16"), "is not UTF-8 text (byte 0xff at 0)"),
        (b"FRUIT_ASSETS_IMAGES=a\0b\n", "has a NUL character"),
        (b"FRUIT_ASSETS_IMAGE=/x\n", "FRUIT_ASSETS_IMAGE is not a setting"),
    ],
)
def test_a_dotenv_file_that_cannot_be_used_is_named_in_one_line(tmp_path, content, expected, own_environment):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(folder=tmp_path)
    [problem] = caught.value.problems
    assert expected in problem


def test_a_dotenv_file_of_windows_is_read_from_its_first_name_on(tmp_path, own_environment):
    (tmp_path / ".env").write_bytes(
        "\ufeffFRUIT_ASSETS_WEIGHTS=random\r\nFRUIT_ASSETS_STORAGE=s3://fruit/x\r\n".encode()
    )
    settings = load_settings(folder=tmp_path)
    assert (settings.weights, settings.storage) == ("random", "s3://fruit/x")


def test_quotation_marks_that_docker_keeps_are_named_once_for_each_variable_and_no_secret_is_shown(tmp_path):
    quoted = {
        "FRUIT_ASSETS_DEPLOYMENT": '"local"',
        "FRUIT_ASSETS_IMAGES": "'s3://fruit/images'",
        "AWS_ENDPOINT_URL": '"http://here:1"',
        "AWS_SECRET_ACCESS_KEY": '"hidden"',
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(quoted, tmp_path)
    assert [problem.split()[0] for problem in caught.value.problems] == list(quoted)
    assert all("quotation marks" in problem for problem in caught.value.problems)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:9000", "//host", "s3.example.org", "http://", "http://[::1", "http://h:port"]
)
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"])
def test_an_endpoint_is_a_url_with_its_scheme(tmp_path, name, url):
    with pytest.raises(SettingsError, match="begin it with http:// or https://") as caught:
        load_settings({name: url}, tmp_path)
    assert len(caught.value.problems) == 1
    load_settings({name: "http://127.0.0.1:9000/store"}, tmp_path)


@pytest.mark.parametrize("region", ["eu west 1", "eu-west-1 ", "-eu", "123"])
def test_a_region_is_a_name(tmp_path, region):
    with pytest.raises(SettingsError, match="write the name of a region"):
        load_settings({"AWS_DEFAULT_REGION": region}, tmp_path)


def test_a_folder_where_a_file_is_needed_and_the_reverse_are_reported(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "weights").mkdir()
    wrong = {
        "FRUIT_ASSETS_WEIGHTS": "weights",
        "FRUIT_ASSETS_IMAGES": "file",
        "FRUIT_ASSETS_STORAGE": "file",
        "FRUIT_ASSETS_CACHE": "file",
        "FRUIT_ASSETS_PRICES": "weights",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong, tmp_path)
    assert sorted(problem.split()[0] for problem in caught.value.problems) == sorted(wrong)


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 300])
def test_a_path_that_the_machine_cannot_follow_is_no_traceback(tmp_path, path):
    with pytest.raises(SettingsError):
        load_settings({"FRUIT_ASSETS_PRICES": path}, tmp_path)


def test_a_deleted_working_folder_is_one_line(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match="The working folder has been deleted"):
        load_settings()


@pytest.mark.parametrize("prefix", ["my staging", "staging é", "100%", "a#b", "a,b", "日本", "a\tb", "q?x", "st*r"])
def test_a_staging_prefix_that_a_cluster_cannot_use_is_refused_before_one_is_paid_for(tmp_path, prefix):
    with pytest.raises(SettingsError, match="clusters cannot use others"):
        load_settings({"FRUIT_ASSETS_STAGING": f"s3://fruit/{prefix}"}, tmp_path)


@pytest.mark.parametrize(
    ("value", "names"),
    [("on", FAST_START_MEASURES), ("off", frozenset()), ("class_data, imports", frozenset({"class_data", "imports"}))],
)
def test_the_measures_of_a_fast_start_are_turned_off_by_one_setting(tmp_path, value, names):
    assert load_settings({"FRUIT_ASSETS_FAST_START": value}, tmp_path).fast_start == names


def test_an_unknown_measure_of_a_fast_start_is_named(tmp_path):
    with pytest.raises(SettingsError, match="FRUIT_ASSETS_FAST_START is 'magic': use on, off, or some of background"):
        load_settings({"FRUIT_ASSETS_FAST_START": "magic"}, tmp_path)
