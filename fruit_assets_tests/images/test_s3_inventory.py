"""Tests of inventory reports, as S3 writes them, in place of listing; on moto's S3."""

import gzip
import io
import json
from urllib.parse import quote_plus

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets.assets.resources import ImageCollection
from fruit_assets.automation.collection_sensor import raw_images_sensor
from fruit_assets.errors import InputError
from fruit_assets.images.listing import list_images
from fruit_assets.object_store.stores import open_store

_KEYS = ["images/Kiwi/a b.jpg", "images/Kiwi/é=1+2%.jpg", "images/Fig/c.png", "images/Fig/", "elsewhere/Fig/d.jpg"]
_REPORTS = "reports/{}/daily"


@pytest.fixture
def objects(bucket):
    """Objects of a bucket, as a report has them."""
    store = open_store(f"s3://{bucket}")
    for number, key in enumerate(_KEYS):
        if not key.endswith("/"):
            store.put(key, b"x" * number)
    listed = {item.key: item for item in store.list()}
    return [(bucket, key, len(b"x" * number), _etag(listed, key)) for number, key in enumerate(_KEYS)]


def _etag(listed, key: str) -> str:
    return listed[key].stamp.strip('"') if key in listed else "d41d8cd98f00b204e9800998ecf8427e"


def _report(bucket: str, content: bytes, time: str = "2026-11-28T01-00Z", **manifest: object) -> str:
    """Put a report where S3 does; its folder's URI."""
    folder = _REPORTS.format(bucket)
    store = open_store(f"s3://{bucket}/{folder}")
    store.put(f"data/{time}", content)
    facts = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "files": [{"key": f"{folder}/data/{time}", "size": len(content), "MD5checksum": ""}],
        **manifest,
    }
    store.put(f"{time}/manifest.json", json.dumps(facts).encode())
    return store.uri


def _csv(rows) -> bytes:
    lines = [
        ",".join(f'"{value}"' for value in (bucket, quote_plus(key, safe="/"), *rest)) for bucket, key, *rest in rows
    ]
    return gzip.compress("\n".join(lines).encode())


def _parquet(rows, **more) -> bytes:
    names = ["bucket", "key", "size", "e_tag"]
    table = pa.table({**dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), **more})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


_SCHEMA = "Bucket, Key, Size, ETag"


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_a_report_gives_the_rows_and_the_version_that_listing_gives(bucket, objects, kind):
    content = _csv(objects) if kind == "CSV" else _parquet(objects)
    report = _report(bucket, content, fileFormat=kind, fileSchema=_SCHEMA)
    root = f"s3://{bucket}/images"
    for uri in (report, f"{report}/2026-11-28T01-00Z/manifest.json"):
        listing, listed = list_images(root, uri), list_images(root)
        assert listing.table.equals(listed.table)
        assert listing.data_version() == listed.data_version()
        assert listing.count == 3


def test_the_sensor_on_the_collection_looks_at_the_report_and_lists_nothing(bucket, objects):
    report = _report(bucket, _parquet(objects[:1]), fileFormat="Parquet")
    images = ImageCollection(uri=f"s3://{bucket}/images", inventory=report)
    with dg.DagsterInstance.ephemeral() as instance:
        result = raw_images_sensor(dg.build_sensor_context(instance=instance, resources={"images": images}))
    assert isinstance(result, dg.SensorResult)
    assert json.loads(result.cursor)["images"] == 1


def test_the_newest_report_counts_and_only_the_latest_version_of_an_object(bucket, objects):
    _report(bucket, _parquet(objects[:1]), "2026-11-27T01-00Z", fileFormat="Parquet")
    versions = {"is_latest": [True, True, False, True, True], "is_delete_marker": [False, True, False, False, False]}
    report = _report(bucket, _parquet(objects, **versions), fileFormat="Parquet")
    assert list_images(f"s3://{bucket}/images", report).table["path"].to_pylist() == ["Kiwi/a b.jpg"]


def test_versions_of_a_csv_report_are_distinguished_and_markers_have_no_size(bucket, objects):
    rows = [(*row[:2], *flags, *row[2:]) for row, flags in zip(objects, [("true", "false")] * 5, strict=True)]
    rows[1] = (*objects[1][:2], "true", "true", "", "")
    report = _report(
        bucket, _csv(rows), fileFormat="CSV", fileSchema="Bucket, Key, IsLatest, IsDeleteMarker, Size, ETag"
    )
    assert list_images(f"s3://{bucket}/images", report).table["path"].to_pylist() == ["Fig/c.png", "Kiwi/a b.jpg"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fileFormat": "ORC"}, r"manifest.json is in format ORC: configure the inventory as Parquet or CSV"),
        ({"fileFormat": "CSV", "fileSchema": "Bucket, Key"}, r"lacks e_tag, size. Add Size and ETag"),
        ({"sourceBucket": "other", "fileFormat": "CSV"}, r"is an inventory of s3://other, not of s3://"),
        ({}, r"no manifest of an S3 Inventory report: it has no fileFormat"),
    ],
)
def test_a_report_that_cannot_stand_in_says_what_is_wrong_with_it(bucket, objects, changes, message):
    report = _report(bucket, _csv(objects), **changes)
    with pytest.raises(InputError, match=message):
        list_images(f"s3://{bucket}/images", report)


def test_a_missing_report_and_a_local_collection_are_refused_with_the_setting(bucket, tmp_path):
    with pytest.raises(InputError, match=r"nowhere holds no inventory report"):
        list_images(f"s3://{bucket}/images", f"s3://{bucket}/nowhere")
    with pytest.raises(InputError, match=r"There is no inventory report .*Correct FRUIT_ASSETS_INVENTORY"):
        list_images(f"s3://{bucket}/images", f"s3://{bucket}/nowhere/manifest.json")
    with pytest.raises(InputError, match=r"FRUIT_ASSETS_INVENTORY is set, but the collection .* is not on S3"):
        list_images(str(tmp_path), f"s3://{bucket}/nowhere")
