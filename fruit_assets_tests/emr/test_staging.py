"""The staging bucket: conditional writes have one winner, and what is missing is named."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fruit_assets.emr.aws import AwsRefusedError
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr_simulator import EmrSimulator


def test_one_of_many_writers_wins(staging: StagingStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        etags = list(pool.map(lambda n: staging.put_if_match("lock", f"writer {n}".encode(), etag=None), range(8)))
    assert len([etag for etag in etags if etag is not None]) == 1


def test_an_object_that_another_writer_changed_is_not_overwritten(staging: StagingStore) -> None:
    first = staging.put_if_match("board", b"one", etag=None)
    second = staging.put_if_match("board", b"two", etag=first)
    assert second is not None
    assert staging.put_if_match("board", b"three", etag=first) is None
    stored = staging.get("board")
    assert stored is not None
    assert stored.body == b"two"


def test_a_write_whose_answer_was_lost_is_recognised_by_its_writer(emr: EmrSimulator, staging: StagingStore) -> None:
    emr.faults.drop_connection("PutObject", times=1, after=True)
    assert staging.put_if_match("lock", b"mine, and unlike any other", etag=None) is not None


def test_missing_objects_are_none(staging: StagingStore) -> None:
    assert staging.get("nothing") is None
    assert staging.age("nothing") is None
    assert staging.put_if_match("nothing", b"x", etag='"0"') is None


def test_a_body_that_breaks_off_is_read_again(emr: EmrSimulator, staging: StagingStore) -> None:
    staging.put("long", b"plum" * 50_000)
    emr.faults.break_object("/long", times=2)
    stored = staging.get("long")
    assert stored is not None
    assert stored.body == b"plum" * 50_000


def test_an_object_above_the_size_limit_is_not_read(staging: StagingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staging.put("events/000001.json", b"x" * 1001)
    monkeypatch.setattr("fruit_assets.emr.staging.MAX_BYTES", 1000)
    with pytest.raises(PermanentError, match=r"events/000001\.json has 1,001 bytes; the limit is 1,000"):
        staging.get("events/000001.json")


def test_long_listings_are_complete_and_relative(staging: StagingStore) -> None:
    below = staging.subprefix("runs")
    for number in range(3):
        below.put(f"{number}.json", b"")
    assert list(below.list_keys()) == ["0.json", "1.json", "2.json"]
    assert list(staging.list_keys("runs/1")) == ["runs/1.json"]


def test_a_missing_bucket_and_a_wrong_uri_are_named(emr: EmrSimulator) -> None:
    with pytest.raises(AwsRefusedError, match="the bucket 'no-such-orchard' does not exist"):
        StagingStore("s3://no-such-orchard/x").put("a", b"")
    with pytest.raises(PermanentError, match="is not an S3 URI"):
        StagingStore("/tmp/folder")
