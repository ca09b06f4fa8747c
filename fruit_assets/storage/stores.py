"""Where bytes live: a folder or an S3 prefix behind the same five verbs.

Put here what differs between places. Keys are '/'-separated and relative to the store's root.
What the bytes mean (versions, manifests, tables) does not belong here.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fruit_assets.errors import StorageError

if TYPE_CHECKING:
    import pyarrow.fs


@dataclass(frozen=True)
class StoredObject:
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


class Store(Protocol):
    """A place for objects. `put` is atomic: readers see the old bytes or the new, never a part."""

    @property
    def uri(self) -> str: ...
    def uri_of(self, key: str) -> str: ...
    def below(self, key: str) -> "Store": ...
    def get(self, key: str) -> bytes: ...
    def put(self, key: str, content: bytes) -> None: ...
    def list(self, prefix: str = "") -> Iterator[StoredObject]: ...
    def delete(self, keys: Iterable[str]) -> None: ...
    def filesystem(self) -> tuple["pyarrow.fs.FileSystem", str]: ...


def open_store(uri: str, sse: str | None = None, kms_key_id: str | None = None) -> Store:
    """The store at `uri`, a folder or `s3://bucket/prefix`; nothing is contacted yet."""
    if uri.startswith("s3://"):
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix.strip("/"), sse, kms_key_id)
    return LocalStore(Path(uri).expanduser().absolute())


class LocalStore:
    """Objects as files below a folder, which is created by the first `put`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def uri(self) -> str:
        return str(self.root)

    def uri_of(self, key: str) -> str:
        return str(self.root / key)

    def below(self, key: str) -> "LocalStore":
        return LocalStore(self.root / key)

    def get(self, key: str) -> bytes:
        """Read one object; raises KeyError when it is not there."""
        with self._explained("read", key):
            try:
                return (self.root / key).read_bytes()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise KeyError(key) from error

    def put(self, key: str, content: bytes) -> None:
        target = self.root / key
        with self._explained("write", key):
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(target.parent)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        base = self.root / prefix
        for folder, _, names in os.walk(base):
            for name in sorted(names):
                path = Path(folder) / name
                try:
                    status = path.stat()
                except FileNotFoundError:  # removed by somebody else between the listing and now
                    continue
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                key = path.relative_to(self.root).as_posix()
                yield StoredObject(key, status.st_size, modified, str(status.st_mtime_ns))

    def delete(self, keys: Iterable[str]) -> None:
        parents = set()
        for key in keys:
            with self._explained("delete", key):
                (self.root / key).unlink(missing_ok=True)
            parents.add((self.root / key).parent)
        for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
            if parent != self.root:
                with suppress(OSError):  # not empty, or somebody else was first
                    parent.rmdir()

    def filesystem(self) -> tuple["pyarrow.fs.FileSystem", str]:
        import pyarrow.fs

        return pyarrow.fs.LocalFileSystem(), str(self.root)

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"Cannot {verb} {self.root / key}: {error.strerror or error}. "
                "Check the folder's permissions and free space, or point FRUIT_ASSETS_STORAGE elsewhere."
            ) from error


class S3Store:
    """Objects below a prefix of a bucket. A single PUT is atomic, which is what `put` relies on.

    A store can travel to a worker: it takes the region and the endpoint along, never credentials.
    """

    def __init__(self, bucket: str, prefix: str, sse: str | None = None, kms_key_id: str | None = None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._sse = sse
        self._kms_key_id = kms_key_id
        self._client: Any = None
        self._place = _Place(None, None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None, "_place": _place_of(self._s3)}

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def uri_of(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def below(self, key: str) -> "S3Store":
        store = S3Store(self.bucket, f"{self.prefix}/{key}".strip("/"), self._sse, self._kms_key_id)
        store._client, store._place = self._client, self._place
        return store

    def get(self, key: str) -> bytes:
        """Read one object; raises KeyError when it is not there."""
        # The body is read in the call too: a connection may break in the middle of it.
        content: bytes = self._call(
            "read", key, lambda: self._s3.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()
        )
        return content

    def put(self, key: str, content: bytes) -> None:
        encryption = {"ServerSideEncryption": self._sse} if self._sse else {}
        if self._kms_key_id:
            encryption["SSEKMSKeyId"] = self._kms_key_id
        self._call(
            "write",
            key,
            lambda: self._s3.put_object(Bucket=self.bucket, Key=self._key(key), Body=content, **encryption),
        )

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        root = f"{self.prefix}/" if self.prefix else ""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root + prefix)
        iterator = iter(pages)
        while (page := self._call("list", prefix, lambda: next(iterator, None))) is not None:
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):
                    yield StoredObject(item["Key"].removeprefix(root), item["Size"], item["LastModified"], item["ETag"])

    def delete(self, keys: Iterable[str]) -> None:
        batch: list[dict[str, str]] = [{"Key": self._key(key)} for key in keys]
        for start in range(0, len(batch), 1000):  # DeleteObjects takes at most 1,000 keys
            request = {"Objects": batch[start : start + 1000], "Quiet": True}
            self._call("delete", "", partial(self._s3.delete_objects, Bucket=self.bucket, Delete=request))

    def filesystem(self) -> tuple["pyarrow.fs.FileSystem", str]:
        import pyarrow.fs

        session = _session_of_process() if self._place.region else _new_session()
        credentials = session.get_credentials()
        keys: dict[str, str | None] = {}
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            keys = {"access_key": frozen.access_key, "secret_key": frozen.secret_key, "session_token": frozen.token}
        place = self._place if self._place.region else _place_of(self._s3)
        filesystem = pyarrow.fs.S3FileSystem(**keys, region=place.region, endpoint_override=place.endpoint_url)
        return filesystem, f"{self.bucket}/{self.prefix}".rstrip("/")

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @property
    def _s3(self) -> Any:
        if self._client is None:
            self._client = _client_of_process(self._place) if self._place.region else _new_client(self._place)
        return self._client

    def _call(self, verb: str, key: str, request: Callable[[], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return request()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("NoSuchKey", "404"):
                raise KeyError(key) from error
            raise StorageError(f"Cannot {verb} {self.uri_of(key)}: {_explain(code, error)}") from error
        except BotoCoreError as error:
            raise StorageError(
                f"Cannot {verb} {self.uri_of(key)}: {error}. "
                "Check the AWS credentials, region and endpoint of this process (aws sts get-caller-identity)."
            ) from error


class _Place(NamedTuple):
    """Where a client looks; None leaves it to the process."""

    region: str | None
    endpoint_url: str | None


def _new_session() -> Any:
    import boto3

    return boto3.Session()


def _new_client(place: _Place, session: Any = None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "max_attempts": 8})
    return (session or boto3).client("s3", config=config, region_name=place.region, endpoint_url=place.endpoint_url)


# Tasks follow each other in one process, each with a store of its own. To resolve credentials may ask AWS or a
# program; a session renews them by itself.
_session_of_process = lru_cache(maxsize=1)(_new_session)


@lru_cache(maxsize=4)
def _client_of_process(place: _Place) -> Any:
    return _new_client(place, _session_of_process())


def _place_of(client: Any) -> _Place:
    region, endpoint = client.meta.region_name, client.meta.endpoint_url
    own = endpoint in ("https://s3.amazonaws.com", f"https://s3.{region}.amazonaws.com")
    return _Place(region, None if own else endpoint)


_S3_ADVICE = {
    "NoSuchBucket": "the bucket does not exist. Create it (fruit-assets deploy) or correct the URI.",
    "AccessDenied": "access denied. Grant this identity Get, Put, List and Delete on the prefix.",
    "ExpiredToken": "the AWS session has expired. Sign in again and re-run; nothing published is lost.",
    "PermanentRedirect": "the bucket lies in another region. Set AWS_DEFAULT_REGION to the bucket's.",
    "InvalidAccessKeyId": "the AWS access key is not known. Check AWS_ACCESS_KEY_ID.",
}


def _explain(code: str, error: Exception) -> str:
    return _S3_ADVICE.get(code, str(error))


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: the directory entry is data of the folder, not of the file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
