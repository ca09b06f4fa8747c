"""Checks of the places that settings name, each in its good and its bad case."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import ClientError

from fruit_assets.errors import StorageError
from fruit_assets.infra.checks import settings_checks
from fruit_assets.object_store.s3_connection import S3Connection
from fruit_assets.object_store.stores import open_store
from fruit_assets.settings import Settings
from fruit_assets_tests.infra.account import AwsAccount


@pytest.fixture
def orchard(aws: AwsAccount) -> AwsAccount:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="orchard")
    s3.put_object(Bucket="orchard", Key="fruits/Apple/1.jpg", Body=b"x")
    s3.put_object(Bucket="orchard", Key="weights.h5", Body=b"x" * 1000)
    return aws


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("s3://orchard/fruits", "ok"),
        ("s3://orchard//fruits/", "ok"),
        ("s3://orchard/fruit", "problem"),
        ("s3://orchard", "ok"),
    ],
)
def test_images_in_s3_must_be_there(
    orchard: AwsAccount, make_settings: Callable[..., Settings], tmp_path: Path, uri: str, status: str
) -> None:
    (finding,) = settings_checks.check_images(make_settings(tmp_path, images=uri))
    assert finding.status == status
    assert ("aws s3 sync" in finding.remedy) == (status == "problem")


def test_images_that_may_be_listed_and_not_read_are_found_out(
    orchard: AwsAccount, make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = botocore.client.BaseClient._make_api_call

    def refusing(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "GetObject":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
        return make(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refusing)
    with pytest.raises(StorageError, match=r"Cannot read .*1\.jpg: access denied"):
        list(settings_checks.check_images(make_settings(tmp_path, images="s3://orchard/fruits")))


def test_storage_on_s3_is_tried_with_a_table_and_left_as_it_was(
    private_bucket: str, make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path, storage=f"s3://{private_bucket}/assets")
    (finding,) = settings_checks.check_storage(settings)
    assert finding.status == "ok"
    assert list(open_store(settings.storage).list()) == []


def test_a_private_ca_that_only_delta_rs_lacks_is_found_out(
    private_bucket: str, make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = S3Connection.delta_options

    def without_ca(connection: S3Connection) -> dict[str, str]:
        return {key: value for key, value in whole(connection).items() if key != "proxy_ca_certificate"}

    monkeypatch.setattr(S3Connection, "delta_options", without_ca)
    settings = make_settings(tmp_path, storage=f"s3://{private_bucket}/assets")
    with pytest.raises(StorageError, match=r"(?s)Delta Lake cannot write .*invalid peer certificate"):
        list(settings_checks.check_storage(settings))
    assert list(open_store(settings.storage).list()) == []


def test_an_empty_folder_of_images_is_a_problem_and_a_filled_one_is_not(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(tmp_path)
    (finding,) = settings_checks.check_images(settings)
    assert finding.status == "problem"
    (Path(settings.images) / "Apple").mkdir(parents=True)
    (Path(settings.images) / "Apple" / "1.jpg").write_bytes(b"x")
    (finding,) = settings_checks.check_images(settings)
    assert finding.status == "ok"


def test_storage_must_be_writable(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    (finding,) = settings_checks.check_storage(make_settings(tmp_path))
    assert finding.status == "ok"
    (tmp_path / "file").write_text("")
    (finding,) = settings_checks.check_storage(make_settings(tmp_path, storage=tmp_path / "file" / "assets"))
    assert finding.status == "problem"
    assert "FRUIT_ASSETS_STORAGE" in finding.remedy


@pytest.mark.parametrize(
    ("weights", "cached", "status"),
    [
        ("random", False, "warning"),
        ("imagenet", True, "ok"),
        ("imagenet", False, "warning"),
        ("auto", True, "ok"),
        ("there.h5", False, "ok"),
        ("elsewhere.h5", False, "problem"),
        ("s3://orchard/weights.h5", False, "ok"),
        ("s3://orchard/nothing.h5", False, "problem"),
    ],
)
def test_weights_are_looked_for_where_the_setting_says(
    orchard: AwsAccount,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    weights: str,
    cached: bool,
    status: str,
) -> None:
    (tmp_path / "there.h5").write_bytes(b"x")
    cache = tmp_path / "keras"
    cache.mkdir()
    if cached:
        (cache / settings_checks.KERAS_FILE).write_bytes(b"x")
    (finding,) = settings_checks.check_weights(make_settings(tmp_path, weights=weights), cache)
    assert finding.status == status
    assert bool(finding.remedy) == (status != "ok")
