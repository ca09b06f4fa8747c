"""Tests of the images on the sample's page: which, and what of them a later run fetches."""

from collections.abc import Callable

import boto3
import pytest

from fruit_assets.assets.sample.shown_images import THUMBNAILS, shown_images
from fruit_assets.images.listing import list_images
from fruit_assets.object_store.stores import Store, open_store
from fruit_assets_tests.assets.conftest import Graph, copy_some
from fruit_assets_tests.conftest import Collection, materialised_metadata

Fetched = Callable[[], list[str]]


@pytest.fixture
def fetched(s3_gets) -> Fetched:
    """Names of the images that were handed out since the last call."""

    def names() -> list[str]:
        paths = sorted(path.rpartition("/")[2] for path, _ in s3_gets if "/collection/" in path)
        s3_gets.clear()
        return paths

    return names


@pytest.fixture
def root(bucket: str, collection: Collection) -> str:
    """Fifty images of one look, of which forty are shown."""
    for number in range(50):
        _put(bucket, f"{number:02}.jpg", _image(collection, number))
    return f"s3://{bucket}/collection"


@pytest.fixture
def store(bucket: str) -> Store:
    return open_store(f"s3://{bucket}/assets/sampled_images")


def _image(collection: Collection, number: int) -> bytes:
    return min(collection.images.rglob("*.jpg")).read_bytes() + bytes([number])


def _put(bucket: str, name: str, content: bytes) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=f"collection/a/{name}", Body=content)


def _shown(root: str, store: Store) -> tuple[list[bytes], list[str]]:
    return shown_images(list_images(root).files, root, store)


def test_images_that_were_shown_before_are_not_fetched_again(root, store, fetched):
    first = _shown(root, store)
    assert len(fetched()) == len(first[0]) == 40
    assert first[1] == ["a"] * 40
    assert _shown(root, store) == first
    assert fetched() == []


def test_of_a_changed_sample_only_images_that_are_new_on_the_page_are_fetched(bucket, root, store, collection, fetched):
    _shown(root, store)
    names = fetched()
    changed = names[7]
    _put(bucket, changed, _image(collection, 99))
    _shown(root, store)
    assert fetched() == [changed]
    for number in range(50, 60):
        _put(bucket, f"{number}.jpg", _image(collection, number))
    _shown(root, store)
    assert set(fetched()) <= {f"{number}.jpg" for number in range(50, 60)}


def test_an_image_that_cannot_be_fetched_is_tried_again_and_one_that_is_no_image_is_not(
    bucket, root, store, fetched, monkeypatch
):
    _shown(root, store)
    broken, missing = fetched()[:2]
    _put(bucket, broken, b"not an image")
    files = list_images(root).files
    boto3.client("s3").delete_object(Bucket=bucket, Key=f"collection/a/{missing}")
    files = files.select("select path, label, size, if(path = 'a/" + missing + "', 'new', stamp) as stamp from {table}")
    for tried in ([broken, missing], [missing]):
        contents, _ = shown_images(files, root, store)
        assert contents.count(b"") == 2
        assert fetched() == tried


@pytest.mark.parametrize("content", [b"", b"no table"])
def test_thumbnails_that_cannot_be_read_are_made_again(root, store, fetched, content):
    first = _shown(root, store)
    fetched()
    store.put(THUMBNAILS, content)
    assert _shown(root, store) == first
    assert len(fetched()) == 40


@pytest.mark.long(30)
def test_a_run_with_nothing_new_requests_no_image_from_s3(s3_spark, bucket, make_graph, collection, tmp_path, fetched):
    copy_some(collection, tmp_path / "few", classes=2, per_class=2)
    for path in (tmp_path / "few").rglob("*.jpg"):
        boto3.client("s3").upload_file(str(path), bucket, f"collection/{path.parent.name}/{path.name}")
    graph: Graph = make_graph(images=f"s3://{bucket}/collection")
    first = materialised_metadata(graph.run("sampled_images"), "sampled_images")
    fetched()
    again = materialised_metadata(graph.run("sampled_images"), "sampled_images")
    assert fetched() == []
    assert again["read_again"] is False
    assert again["sample_full"] == first["sample_full"]
