"""Tests of settings: defaults, where values come from, and all problems told at once."""

import pytest

from fruit_assets.errors import SettingsError
from fruit_assets.settings import load_settings


def test_without_any_setting_everything_is_local_and_below_the_working_folder(tmp_path):
    settings = load_settings({}, tmp_path)
    assert (settings.deployment, settings.weights, settings.keep_versions) == ("local", "imagenet", 3)
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


def test_all_wrong_settings_are_told_at_once_each_with_its_value_and_what_to_write(tmp_path):
    wrong = {
        "FRUIT_ASSETS_DEPLOYMENT": "cloud",
        "FRUIT_ASSETS_IMAGES": "s3a://bucket/images",
        "FRUIT_ASSETS_STORAGE": "gs://bucket/assets",
        "FRUIT_ASSETS_WEIGHTS": "https://example.org/w.h5",
        "FRUIT_ASSETS_STAGING": "/tmp/staging",
        "FRUIT_ASSETS_EMR_CLUSTER": "cluster-7",
        "FRUIT_ASSETS_KEEP_VERSIONS": "0",
        "FRUIT_ASSETS_SSE": "rot13",
        "FRUIT_ASSETS_KMS_KEY_ID": "alias/key",
        "FRUIT_ASSETS_DRIVER_MEMORY": "lots",
        "FRUIT_ASSETS_PRICES": "nowhere.json",
        "FRUIT_ASSETS_STORGE": "typo",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong, tmp_path)
    text = str(caught.value)
    assert text.startswith("12 setting(s) need attention:")
    for name, value in wrong.items():
        lines = [line for line in text.splitlines() if f"  - {name} " in line]
        assert len(lines) == 1, name
        assert value in lines[0] or name in ("FRUIT_ASSETS_KMS_KEY_ID", "FRUIT_ASSETS_STORGE")
    assert "write s3://" in text


def test_emr_needs_s3_for_everything_and_a_staging_place(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load_settings({"FRUIT_ASSETS_DEPLOYMENT": "emr"}, tmp_path)
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
    for name in ("deployment", "images", "storage", "staging", "weights", "sse", "kms_key_id", "keep_versions"):
        assert getattr(there, name) == getattr(settings, name)
