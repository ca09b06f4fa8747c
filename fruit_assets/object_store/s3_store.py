"""Objects below a prefix of a bucket.

Put here the operations on objects, and messages with advice for S3's refusals. Connecting belongs in
`s3_connection.py`.
"""

import builtins
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from fruit_assets.errors import ObjectError, StorageError
from fruit_assets.object_store.s3_connection import S3Connection, S3Route, connect
from fruit_assets.object_store.s3_file import S3File
from fruit_assets.object_store.s3_location import S3Location

if TYPE_CHECKING:
    import pyarrow as pa

# About 20,000 folders.
_PAGES_OF_FOLDERS = 20


@dataclass(frozen=True)
class ListedObject:
    """One object of a store.

    Attributes:
        key: relative to the store.
        size: in bytes.
        modified: when it was last written.
        stamp: changes when the content does: modification time in nanoseconds, or the ETag.
    """

    key: str
    size: int
    modified: datetime
    stamp: str


class S3Store:
    """Objects below a prefix of a bucket. `put` is atomic because a single PUT is.

    A store can be sent to a worker: pickled, it has the region and the endpoint, never credentials.
    """

    def __init__(self, location: S3Location, encryption: dict[str, str] | None = None) -> None:
        self._location = location
        self._encryption = encryption or {}
        self._route = S3Route()
        self._connection: S3Connection | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None, "_route": self._s3.route}

    @property
    def uri(self) -> str:
        return self._location.uri

    def uri_of(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def below(self, key: str) -> "S3Store":
        store = S3Store(self._location.below(key), self._encryption)
        store._connection, store._route = self._connection, self._route
        return store

    def get(self, key: str, limit: int | None = None) -> bytes:
        """Read one object.

        Raises:
            KeyError: there is no such object.
            ObjectError: access to it is denied, or it has more than `limit` bytes.
        """
        return self._read(key, limit)[0]

    def head(self, key: str, size: int) -> bytes:
        return self._read(key, Range=f"bytes=0-{size - 1}")[0]

    def open(self, key: str) -> "pa.NativeFile":
        import pyarrow as pa

        try:
            return pa.PythonFile(S3File(lambda part: self._read(key, Range=part)), "r")
        except KeyError:
            raise FileNotFoundError(self.uri_of(key)) from None

    def put(self, key: str, content: bytes) -> None:
        self._put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write a new object; False when there is one already."""
        try:
            self._put(key, content, IfNoneMatch="*")
        except FileExistsError:
            return False
        return True

    def _put(self, key: str, content: bytes, **conditions: str) -> None:
        request = {"Key": self._location.key(key), "Body": content, **conditions, **self._encryption}
        self._call("write", "put_object", key, **request)

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        for page in self.pages(prefix):
            yield from page

    def pages(self, prefix: str = "", start_after: str = "") -> Iterator[Sequence[ListedObject]]:
        """Objects in order of their keys, one page of at most 1,000 per request, from after a key."""
        root = self._location.key("")
        after = {"StartAfter": root + start_after} if start_after else {}
        for page in self._listed(Prefix=root + prefix, **after):
            yield [
                ListedObject(item["Key"].removeprefix(root), item["Size"], item["LastModified"], item["ETag"])
                for item in page.get("Contents", [])
                if not item["Key"].endswith("/")
            ]

    def folders(self, folder: str) -> Sequence[str]:
        """Folders directly below a folder, with a final '/'; at most those of the first pages of a listing."""
        root = self._location.key("")
        found: builtins.list[str] = []
        for page in islice(self._listed(Prefix=root + folder, Delimiter="/"), _PAGES_OF_FOLDERS):
            some = [item["Prefix"].removeprefix(root) for item in page.get("CommonPrefixes", [])]
            if not some:
                break
            found += some
        return found

    def _listed(self, **request: str) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {"NextContinuationToken": None}
        while "NextContinuationToken" in page:
            token = page["NextContinuationToken"]
            more = {"ContinuationToken": token} if token else {}
            page = self._call("list", "list_objects_v2", "", **request, **more)
            yield page

    def delete(self, keys: Iterable[str]) -> None:
        batch = [{"Key": self._location.key(key)} for key in keys]
        for start in range(0, len(batch), 1000):  # DeleteObjects takes at most 1,000 keys
            self._call("delete", "delete_objects", "", Delete={"Objects": batch[start : start + 1000], "Quiet": True})

    def delta(self) -> tuple[str, dict[str, str]]:
        encryption = {
            "aws_server_side_encryption": self._encryption.get("ServerSideEncryption", ""),
            "aws_sse_kms_key_id": self._encryption.get("SSEKMSKeyId", ""),
        }
        options = self._s3.delta_options() | {name: value for name, value in encryption.items() if value}
        return self._location.table_uri(), options

    def _read(self, key: str, limit: int | None = None, **part: str) -> tuple[bytes, int]:
        """Bytes of an object or of a range, and the size of the object."""

        def read(client: Any) -> tuple[bytes, int]:
            answer = client.get_object(Bucket=self._location.bucket, Key=self._location.key(key), **part)
            size = int(answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"])
            if limit is not None and size > limit:
                answer["Body"].close()
                raise ObjectError(f"{self.uri_of(key)} has {size:,} bytes; the limit is {limit:,}.")
            # The body is read within the call, so that a connection that breaks within it is retried.
            return answer["Body"].read(), size

        with self._explained("read", key):
            return self._s3.run(read)

    @property
    def _s3(self) -> S3Connection:
        if self._connection is None:
            self._connection = connect(self._route)
        return self._connection

    def _call(self, verb: str, operation: str, key: str, **arguments: Any) -> Any:
        with self._explained(verb, key):
            return self._s3.call(operation, Bucket=self._location.bucket, **arguments)

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("NoSuchKey", "404"):
                raise KeyError(key) from error
            if code in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise FileExistsError(key) from error
            kind = ObjectError if code in ("AccessDenied", "403", "InvalidRange") and verb == "read" else StorageError
            raise kind(f"Cannot {verb} {self.uri_of(key)}: {S3_ADVICE.get(code, str(error))}") from error
        except BotoCoreError as error:
            raise StorageError(
                f"Cannot {verb} {self.uri_of(key)}: {error}. "
                "Check the AWS credentials, region and endpoint of this process (aws sts get-caller-identity)."
            ) from error


S3_ADVICE = {
    "NoSuchBucket": "the bucket does not exist. Create it (fruit-assets deploy) or correct the URI.",
    "AccessDenied": "access denied. Grant this identity Get, Put, List and Delete on the prefix.",
    "ExpiredToken": "the AWS session has expired. Sign in again and re-run; nothing published is lost.",
    "PermanentRedirect": "the bucket is in another region. Set AWS_DEFAULT_REGION to the bucket's.",
    "InvalidAccessKeyId": "the AWS access key is not known. Check AWS_ACCESS_KEY_ID.",
}
