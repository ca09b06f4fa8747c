"""Tests of the places bytes live in: the same five verbs on a folder and on S3, and what they say when refused."""

import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto.core import set_initial_no_auth_action_count

from fruit_assets.errors import StorageError
from fruit_assets.object_store.s3_connection import S3Route, connect
from fruit_assets.object_store.stores import open_store


def test_an_object_is_read_listed_and_deleted_by_the_key_it_was_put_under(place):
    store = open_store(place)
    keys = {"CURRENT": b"1", "versions/a-0/part 0#.parquet": b"22", "versions/b-0/part=é[1].parquet": b""}
    for key, content in keys.items():
        store.put(key, content)
    assert {key: store.get(key) for key in keys} == keys
    assert {item.key: item.size for item in store.list()} == {key: len(content) for key, content in keys.items()}
    assert [item.key for item in store.list("versions/b-0/")] == ["versions/b-0/part=é[1].parquet"]
    assert all(abs(datetime.now(UTC) - item.modified) < timedelta(minutes=5) for item in store.list())
    store.delete(["CURRENT", "versions/b-0/part=é[1].parquet"])
    assert [item.key for item in store.list()] == ["versions/a-0/part 0#.parquet"]


def test_an_object_is_replaced_and_a_missing_one_is_a_key_error(place):
    store = open_store(place)
    with pytest.raises(KeyError):
        store.get("CURRENT")
    store.put("CURRENT", b"old")
    store.put("CURRENT", b"new")
    assert store.get("CURRENT") == b"new"
    with pytest.raises(KeyError):
        store.get("CURRENT/below")
    store.delete(["never there"])
    assert list(open_store(f"{place}/empty").list()) == []


def test_a_store_below_another_sees_the_same_objects_under_shorter_keys(place):
    store = open_store(place)
    below = store.below("image_features")
    below.put("CURRENT", b"x")
    assert store.get("image_features/CURRENT") == b"x"
    assert below.uri == f"{store.uri}/image_features"
    assert below.uri_of("CURRENT") == f"{place}/image_features/CURRENT"
    assert [item.key for item in below.list()] == ["CURRENT"]


def test_a_prefix_that_only_begins_the_same_is_another_place(bucket):
    open_store(f"s3://{bucket}/fruit").put("a", b"")
    open_store(f"s3://{bucket}/fruit2").put("b", b"")
    assert [item.key for item in open_store(f"s3://{bucket}/fruit").list()] == ["a"]
    assert sorted(item.key for item in open_store(f"s3://{bucket}").list()) == ["fruit/a", "fruit2/b"]


def test_arrow_finds_the_objects_where_the_store_put_them(place):
    store = open_store(place)
    store.put("a/b.bin", b"content")
    with store.open("a/b.bin") as file:
        assert file.read() == b"content"
    with pytest.raises(FileNotFoundError):
        store.open("a/c.bin")


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_an_open_object_reads_as_a_file_does(size, bucket):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    store = open_store(f"s3://{bucket}/files")
    store.put("x", content)
    with store.open("x") as file:
        assert file.size() == size
        assert file.read() == content
        for start, count in ((0, 10), (30_000, 20_000), (size - 5, 10), (size + 7, 3), (size // 2, size)):
            if start >= 0:
                file.seek(start)
                assert file.read(count) == content[start : start + count]


def test_a_store_travels_to_a_worker_with_its_place_and_without_credentials(bucket, monkeypatch):
    store = open_store(f"s3://{bucket}/fruit")
    store.put("a", b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-to-be-sent")
    packed = pickle.dumps(open_store(f"s3://{bucket}/fruit"))
    assert b"never-to-be-sent" not in packed
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(variable, raising=False)
    there = pickle.loads(packed)
    assert there.get("a") == b"x"
    with there.open("a") as file:
        assert file.read() == b"x"


@pytest.mark.parametrize(
    ("endpoint", "kept"),
    [
        ("https://s3.amazonaws.com", False),
        ("https://s3.eu-west-1.amazonaws.com", False),
        ("https://bucket.vpce-1a2b3c.s3.eu-west-1.vpce.amazonaws.com", True),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", True),
        ("http://127.0.0.1:5000", True),
    ],
)
def test_an_endpoint_that_is_not_the_region_s_own_goes_along(endpoint, kept, s3_environment, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert connect(S3Route("eu-west-1", endpoint)).route == ("eu-west-1", endpoint if kept else None)


def test_a_reader_never_sees_half_of_a_file_that_is_being_replaced(tmp_path):
    store = open_store(str(tmp_path))
    contents = [bytes([value]) * 300_000 for value in range(2)]
    store.put("CURRENT", contents[0])
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            seen.append(store.get("CURRENT"))

    reader = threading.Thread(target=read)
    reader.start()
    turn = 0
    while turn < 40 or len(seen) < 2:
        store.put("CURRENT", contents[turn % 2])
        turn += 1
    stop.set()
    reader.join()
    assert set(seen) <= set(contents)
    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]


def test_a_file_in_the_way_of_the_folder_is_reported_with_its_path(tmp_path):
    (tmp_path / "assets").write_text("not a folder")
    store = open_store(str(tmp_path / "assets"))
    with pytest.raises(
        StorageError, match=r"Cannot write .*assets/image_features/CURRENT: (Not a directory|File exists)"
    ):
        store.put("image_features/CURRENT", b"")
    with pytest.raises(KeyError):
        store.get("image_features/CURRENT")


def test_a_folder_that_may_not_be_written_is_reported_with_the_fix(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "CURRENT").write_bytes(b"old")
    code = f"""
import os
from fruit_assets.errors import StorageError
from fruit_assets.object_store.stores import open_store
store = open_store({str(tmp_path)!r})
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
for call in (lambda: store.put("CURRENT", b"new"), lambda: store.delete(["CURRENT"])):
    try:
        call()
    except StorageError as error:
        print(error)
"""
    for folder in [tmp_path, *list(tmp_path.parents)[:-2]]:
        folder.chmod(folder.stat().st_mode | 0o055)
    tmp_path.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    write, delete = done.stdout.splitlines()
    assert f"Cannot write {tmp_path / 'CURRENT'}: Permission denied" in write
    assert "FRUIT_ASSETS_STORAGE" in write
    assert f"Cannot delete {tmp_path / 'CURRENT'}: Permission denied" in delete
    assert (tmp_path / "CURRENT").read_bytes() == b"old"


def test_a_missing_bucket_is_reported_for_reading_writing_and_listing(s3_environment):
    store = open_store("s3://no-such-bucket-here/assets")
    for call in (lambda: store.get("CURRENT"), lambda: store.put("CURRENT", b""), lambda: list(store.list())):
        with pytest.raises(StorageError, match=r"s3://no-such-bucket-here/assets.*the bucket does not exist"):
            call()


def test_refused_access_names_what_to_grant(bucket, monkeypatch):
    iam = boto3.client("iam")
    iam.create_user(UserName=bucket)
    key = iam.create_access_key(UserName=bucket)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])

    @set_initial_no_auth_action_count(0)
    def refused(call):
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
        with pytest.raises(StorageError) as caught:
            call(open_store(f"s3://{bucket}/assets"))
        return str(caught.value)

    text = refused(lambda store: store.put("CURRENT", b""))
    assert f"Cannot write s3://{bucket}/assets/CURRENT: access denied. Grant this identity" in text
    assert "access denied" in refused(lambda store: list(store.list()))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    assert "the AWS access key is not known" in refused(lambda store: store.get("CURRENT"))


def test_an_endpoint_that_does_not_answer_is_named(s3_environment, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    with pytest.raises(
        StorageError, match=r"Cannot read s3://bucket/CURRENT: .*127\.0\.0\.1:9.* credentials, region and"
    ):
        open_store("s3://bucket").get("CURRENT")


def test_absent_credentials_are_reported_as_such(s3_environment, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StorageError, match="Unable to locate credentials"):
        open_store("s3://bucket").get("CURRENT")


def test_encryption_is_asked_for_on_every_write(bucket):
    client = boto3.client("s3")
    open_store(f"s3://{bucket}/a", sse="AES256").below("table").put("CURRENT", b"")
    assert client.head_object(Bucket=bucket, Key="a/table/CURRENT")["ServerSideEncryption"] == "AES256"
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    open_store(f"s3://{bucket}/b", sse="aws:kms", kms_key_id=key).below("table").put("CURRENT", b"")
    written = client.head_object(Bucket=bucket, Key="b/table/CURRENT")
    assert (written["ServerSideEncryption"], written["SSEKMSKeyId"]) == ("aws:kms", key)


def test_more_objects_than_one_delete_request_takes_are_deleted(bucket):
    store = open_store(f"s3://{bucket}/many")
    store.put("left", b"")
    keys = [f"versions/{number}" for number in range(1003)]
    for key in keys[:2] + keys[-2:]:
        store.put(key, b"")
    store.delete(keys)
    assert [item.key for item in store.list()] == ["left"]


def test_a_folder_with_a_tilde_or_a_relative_path_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert open_store("data/assets").uri == str(tmp_path / "data" / "assets")
    assert open_store("~/assets").uri == str(Path.home() / "assets")
    assert open_store("s3://bucket").uri_of("a") == "s3://bucket/a"
    assert list(tmp_path.iterdir()) == []
