"""Tests of the way to S3: what a URI names, and that every client goes where boto3 goes, with what it knows."""

import pickle

import boto3
import pytest
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st

from fruit_assets.errors import InputError, StorageError
from fruit_assets.object_store.s3_location import S3Location, parse_s3_uri
from fruit_assets.object_store.stores import open_store
from fruit_assets_tests.object_store.places import AWKWARD


@pytest.mark.parametrize(
    ("uri", "prefix"),
    [
        ("s3://orchard", ""),
        ("s3://orchard/", ""),
        ("s3://orchard//", ""),
        ("s3://orchard/fruit", "fruit"),
        ("s3://orchard//fruit/", "fruit"),
        ("s3://orchard/a//b//", "a//b"),
        ("s3://orchard/a b/#1?x=50%/é", "a b/#1?x=50%/é"),
    ],
)
def test_a_uri_names_a_bucket_and_a_literal_prefix_without_slashes_at_its_ends(uri, prefix):
    assert parse_s3_uri(uri) == S3Location("orchard", prefix)


@given(st.text(max_size=40))
def test_the_uri_of_a_location_names_the_same_location(prefix):
    location = parse_s3_uri(f"s3://orchard/{prefix}")
    assert parse_s3_uri(location.uri) == location
    assert location.below("x").key("y") == f"{location.key('x')}/y"


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///fruit", "s3://Orchard/x", "s3a://orchard/x", "orchard/x", "s3:/orchard"]
)
def test_what_is_no_location_is_refused_with_the_form_to_use(uri):
    with pytest.raises(InputError, match="is not an S3 location: use s3://bucket/prefix"):
        parse_s3_uri(uri)


@pytest.mark.parametrize("prefix", ["a//b", "year=%32"])
def test_a_prefix_that_delta_lake_cannot_name_is_refused(prefix):
    with pytest.raises(InputError, match="cannot hold tables"):
        open_store(f"s3://orchard/{prefix}").delta()


@pytest.mark.parametrize("name", ["year=%32", "a\\b"])
def test_a_folder_that_delta_lake_cannot_name_is_refused(name):
    with pytest.raises(InputError, match="cannot hold tables"):
        open_store(f"/orchard/{name}").delta()


def _append(store, values):
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    uri, options = store.delta()
    write_deltalake(uri, pa.table({"x": values}), mode="append", storage_options=options)
    uri, options = store.delta()
    return DeltaTable(uri, storage_options=options).to_pyarrow_table()["x"].to_pylist()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_delta_tables_are_created_and_appended_to_where_the_store_is(kind, bucket, tmp_path):
    place = f"s3://{bucket}/{AWKWARD}" if kind == "s3" else str(tmp_path / AWKWARD.replace("[fruit]", ""))
    store = open_store(place).below("table")
    assert _append(store, [1]) == [1]
    assert sorted(_append(store, [2])) == [1, 2]
    assert sum(item.key.startswith("_delta_log/") for item in store.list()) == 2


def test_every_client_goes_through_the_private_ca_and_the_proxy(private_bucket):
    store = open_store(f"s3://{private_bucket}/{AWKWARD}")
    store.put("a/b.bin", b"content")
    assert store.get("a/b.bin") == b"content"
    assert [item.key for item in store.list()] == ["a/b.bin"]
    with store.open("a/b.bin") as file:
        assert file.read() == b"content"
    assert sorted(_append(store.below("table"), [1]) + _append(store.below("table"), [2])) == [1, 1, 2]


def test_a_private_ca_of_the_profile_counts_too(private_bucket, private_cloud, tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.write_text(f"[default]\nca_bundle = {private_cloud.ca_bundle}\n")
    monkeypatch.delenv("AWS_CA_BUNDLE")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert _append(open_store(f"s3://{private_bucket}/table"), [1]) == [1]


def test_without_the_private_ca_nothing_is_written(private_bucket, monkeypatch):
    store = open_store(f"s3://{private_bucket}/table")
    _append(store, [1])
    monkeypatch.delenv("AWS_CA_BUNDLE")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    uri, options = open_store(f"s3://{private_bucket}/table").delta()
    from deltalake import DeltaTable

    with pytest.raises(OSError, match="invalid peer certificate"):
        DeltaTable(uri, storage_options=options | {"max_retries": "0"})


def test_delta_tables_are_encrypted_with_the_key_that_is_set(bucket):
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    _append(open_store(f"s3://{bucket}/table", sse="aws:kms", kms_key_id=key), [1])
    client = boto3.client("s3")
    written = [client.head_object(Bucket=bucket, Key=item["Key"]) for item in _objects(client, bucket)]
    assert {(answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) for answer in written} == {("aws:kms", key)}


def _objects(client, bucket):
    return client.list_objects_v2(Bucket=bucket)["Contents"]


def test_a_body_that_breaks_off_is_read_again(bucket, monkeypatch):
    store = open_store(f"s3://{bucket}/fruit")
    store.put("a", b"whole")
    answers = iter([b"who", None])
    read = StreamingBody.read

    def breaking(body, *arguments, **named):
        if next(answers) is not None:
            raise IncompleteReadError(actual_bytes=3, expected_bytes=5)
        return read(body, *arguments, **named)

    monkeypatch.setattr(StreamingBody, "read", breaking)
    assert store.get("a") == b"whole"


def test_credentials_renewed_in_the_middle_of_a_run_reach_every_client(private_bucket, private_cloud, sign_in):
    first = sign_in(1)
    store, table = open_store(f"s3://{private_bucket}/fruit"), open_store(f"s3://{private_bucket}/table")
    on_worker = pickle.loads(pickle.dumps(store))
    store.put("a", b"1")
    assert (on_worker.get("a"), _append(table, [1])) == (b"1", [1])
    assert table.delta()[1]["aws_session_token"] == first

    second = sign_in(2)
    assert sorted(_append(table, [2])) == [1, 2]
    assert table.delta()[1]["aws_session_token"] == second
    assert (store.get("a"), on_worker.get("a")) == (b"1", b"1")
    assert [item.key for item in store.list()] == ["a"]
    with store.open("a") as opened:
        assert opened.read() == b"1"

    private_cloud.expired.add(second)
    with pytest.raises(StorageError, match=r"the AWS session has expired. Sign in again"):
        store.get("a")
