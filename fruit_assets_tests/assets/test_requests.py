"""Tests of what a run requests of S3: little beside what it has to read and write."""

from collections import Counter

import boto3
import dagster as dg
import pytest

from fruit_assets_tests.assets.conftest import Graph, NoSpark
from fruit_assets_tests.conftest import materialised_metadata

_TABLES = (
    "sampled_images", "feature_extractor", "image_features", "rejected_images", "pca_model", "pca_components",
    "fruit_recognition",
)  # fmt: skip


@pytest.fixture
def published_on_s3(published, collection, make_settings, bucket, tmp_path) -> Graph:
    """A copy of what one run published, on S3; the images are on this machine, and nothing may start Spark."""
    for path in (path for path in published.storage.rglob("*") if path.is_file()):
        boto3.client("s3").upload_file(str(path), bucket, f"assets/{path.relative_to(published.storage).as_posix()}")
    settings = make_settings(
        tmp_path, images=collection.images, weights=collection.weights, storage=f"s3://{bucket}/assets"
    )
    return Graph(settings, dg.DagsterInstance.ephemeral(), {"spark": NoSpark()})


def test_a_run_with_nothing_new_opens_each_table_once(published_on_s3, s3_gets, s3_lists):
    result = published_on_s3.run(config={"pca_model": {}})
    assert not any(materialised_metadata(result, table)["committed_by_this_run"] for table in _TABLES)
    # Of these logs of one commit, opening is four GETs and a listing, and finding that nothing followed is two GETs.
    opened = Counter(table for path, _ in s3_gets for table in _TABLES if f"/{table}/_delta_log/" in path)
    listed = Counter(table for prefix in s3_lists for table in _TABLES if f"/{table}/" in prefix)
    assert set(opened) == set(listed) == set(_TABLES)
    # Some 45 and 14; when every step opened its tables anew, 130 and 41.
    assert opened.total() <= 70, opened
    assert listed.total() <= 24, listed
