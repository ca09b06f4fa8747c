"""Objects in the staging bucket: read, write, list, and conditional writes that only one writer wins.

Put here calls to S3. The content of the objects (requests, events, claims) belongs to the modules that write them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client, pages
from fruit_assets.emr.errors import PermanentError

MAX_BYTES = 64 * 2**20  # far above every object of the launcher; a forged object must not fill the memory

_ABSENT = ("NoSuchKey", "404", "NotFound")
_LOST_RACE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


@dataclass(frozen=True)
class StoredObject:
    """One object as read: `age` is in seconds by S3's own clock, at S3's resolution of one second."""

    body: bytes
    etag: str
    age: float


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The bucket and the key or prefix of an `s3://` URI.

    Raises:
        PermanentError: it is not an S3 URI.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise PermanentError(f"{uri!r} is not an S3 URI: use s3://bucket/prefix.")
    return bucket, key


class StagingStore:
    """The objects under one `s3://bucket/prefix`. Names are relative to it. Thread-safe.

    Args:
        uri: `s3://bucket/prefix`; the prefix may be empty.
        region: region of the bucket; None leaves it to boto3.
        encryption: `ServerSideEncryption` and `SSEKMSKeyId` of every write; empty leaves it to the bucket.
    """

    def __init__(self, uri: str, region: str | None = None, encryption: Mapping[str, str] | None = None) -> None:
        self.uri = uri.rstrip("/")
        self.bucket, prefix = bucket_and_key(self.uri)
        self._prefix = f"{prefix}/" if prefix else ""
        self._region = region
        self._encryption = dict(encryption or {})

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_s3"}

    def subprefix(self, name: str) -> "StagingStore":
        """The objects one level down."""
        below = StagingStore(f"{self.uri}/{name}", self._region, self._encryption)
        below.__dict__["_s3"] = self._s3
        return below

    def uri_of(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def put(self, name: str, body: bytes) -> str:
        """Write an object; returns its ETag."""
        return str(self._call("put_object", name, Body=body, **self._encryption)["ETag"])

    def put_if_match(self, name: str, body: bytes, *, etag: str | None) -> str | None:
        """Write only if the object does not exist (`etag` None) or still has this `etag`. None: another writer won.

        The body must be unique to the writer: when an answer was lost and the repeated write is
        refused, the stored body shows whether this call was the winner.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            return str(self._call("put_object", name, Body=body, **condition, **self._encryption)["ETag"])
        except AwsRefusedError as refusal:
            # IfMatch on an object that another writer has deleted is answered with "not found": also a lost race.
            if refusal.code not in _LOST_RACE and (etag is None or refusal.code not in _ABSENT):
                raise
            winner = self.get(name)
            return winner.etag if winner is not None and winner.body == body else None

    def get(self, name: str) -> StoredObject | None:
        """Read an object; None when there is none.

        Raises:
            PermanentError: it is larger than `MAX_BYTES`.
        """
        try:
            with self._explained():
                return call_with_retries(self._get_object, Bucket=self.bucket, Key=self._prefix + name)
        except AwsRefusedError as refusal:
            if refusal.code in _ABSENT:
                return None
            raise

    def age(self, name: str) -> float | None:
        """Seconds since the object was last written, by S3's clock; None when there is none."""
        try:
            return _age(self._call("head_object", name))
        except AwsRefusedError as refusal:
            if refusal.code in _ABSENT:
                return None
            raise

    def list_keys(self, below: str = "") -> Iterator[str]:
        """Names of the objects whose name begins with `below`, in key order."""
        with self._explained():
            for page in pages(self._s3.list_objects_v2, Bucket=self.bucket, Prefix=self._prefix + below):
                yield from (entry["Key"][len(self._prefix) :] for entry in page.get("Contents", []))

    def delete(self, name: str) -> None:
        self._call("delete_object", name)

    @cached_property
    def _s3(self) -> Any:
        return client("s3", self._region)

    def _get_object(self, **place: str) -> StoredObject:
        """Call and read of the body in one function, so that a connection that breaks within the body is retried."""
        answer = self._s3.get_object(**place)
        size = answer["ContentLength"]
        if size > MAX_BYTES:
            answer["Body"].close()
            raise PermanentError(f"s3://{self.bucket}/{place['Key']} has {size:,} bytes; the limit is {MAX_BYTES:,}.")
        return StoredObject(answer["Body"].read(), answer.get("ETag", ""), _age(answer))

    def _call(self, method: str, name: str, **arguments: Any) -> dict[str, Any]:
        function = getattr(self._s3, method)
        with self._explained():
            answer: dict[str, Any] = call_with_retries(
                function, Bucket=self.bucket, Key=self._prefix + name, **arguments
            )
        return answer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name the object store in a refusal."""
        try:
            yield
        except AwsRefusedError as refusal:
            if refusal.code == "NoSuchBucket":
                hint = f"{self.uri}: the bucket {self.bucket!r} does not exist. Create it, or correct the setting."
                raise AwsRefusedError(hint, refusal.code) from refusal
            if refusal.code in (*_ABSENT, *_LOST_RACE):
                raise
            raise AwsRefusedError(f"{self.uri}: {refusal}", refusal.code) from refusal


def _age(answer: dict[str, Any]) -> float:
    """Age from two timestamps of the server, so that this machine's clock does not matter."""
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return max(0.0, float((now - answer["LastModified"]).total_seconds()))
