"""Object stores: a folder or an S3 prefix behind one interface.

Put here the interface and local files; S3 is in `s3_store.py`. Keys are '/'-separated and relative to the store's root.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fruit_assets.errors import StorageError
from fruit_assets.object_store.s3_location import parse_s3_uri, table_path
from fruit_assets.object_store.s3_store import ListedObject, S3Store

if TYPE_CHECKING:
    import pyarrow as pa


class Store(Protocol):
    """A store of objects. `put` is atomic: readers see the old content or the new one, never a part."""

    @property
    def uri(self) -> str: ...
    def uri_of(self, key: str) -> str: ...
    def below(self, key: str) -> "Store": ...
    def get(self, key: str) -> bytes: ...
    def put(self, key: str, content: bytes) -> None: ...
    def create(self, key: str, content: bytes) -> bool: ...
    def list(self, prefix: str = "") -> Iterator[ListedObject]: ...
    def delete(self, keys: Iterable[str]) -> None: ...
    def delta(self) -> tuple[str, dict[str, str]]:
        """URI and `storage_options` for deltalake; the credentials in them expire, so request them for each table."""

    def head(self, key: str, size: int) -> bytes:
        """The first bytes of an object; raises KeyError when there is none, StorageError when it cannot be read."""

    def open(self, key: str) -> "pa.NativeFile":
        """A file that Arrow reads in parts; raises FileNotFoundError when there is none."""


def open_store(uri: str, sse: str | None = None, kms_key_id: str | None = None) -> Store:
    """The store at `uri`, a folder or `s3://bucket/prefix`; does not call S3 yet."""
    if uri.startswith("s3://"):
        encryption = {"ServerSideEncryption": sse, "SSEKMSKeyId": kms_key_id}
        return S3Store(parse_s3_uri(uri), {name: value for name, value in encryption.items() if value})
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
        """Read one object; raises KeyError when there is none."""
        with self._explained("read", key):
            try:
                return (self.root / key).read_bytes()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise KeyError(key) from error

    def put(self, key: str, content: bytes) -> None:
        with self._complete_file(key, content) as file:
            file.replace(self.root / key)
            _sync_folder(file.parent)

    def create(self, key: str, content: bytes) -> bool:
        """Write a new object; False when there is one already."""
        with self._complete_file(key, content) as file:
            try:
                (self.root / key).hardlink_to(file)
            except FileExistsError:
                return False
        return True

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        base = self.root / prefix
        for folder, _, names in os.walk(base):
            for name in sorted(names):
                path = Path(folder) / name
                try:
                    status = path.stat()
                except FileNotFoundError:  # removed since it was listed
                    continue
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                key = path.relative_to(self.root).as_posix()
                yield ListedObject(key, status.st_size, modified, str(status.st_mtime_ns))

    def delete(self, keys: Iterable[str]) -> None:
        parents = set()
        for key in keys:
            with self._explained("delete", key):
                (self.root / key).unlink(missing_ok=True)
            parents.add((self.root / key).parent)
        for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
            if parent != self.root:
                with suppress(OSError):  # not empty, or removed by another process
                    parent.rmdir()

    def delta(self) -> tuple[str, dict[str, str]]:
        table_path(str(self.root), r"%[0-9A-Fa-f]{2}|\\")
        return str(self.root), {}

    def head(self, key: str, size: int) -> bytes:
        with self._explained("read", key):
            try:
                with (self.root / key).open("rb") as file:
                    return file.read(size)
            except FileNotFoundError as error:
                raise KeyError(key) from error

    def open(self, key: str) -> "pa.NativeFile":
        import pyarrow as pa

        return pa.OSFile(str(self.root / key))

    @contextmanager
    def _complete_file(self, key: str, content: bytes) -> Iterator[Path]:
        """A hidden file with this content in the key's folder, to be renamed or linked; removed at the end."""
        target = self.root / key
        with self._explained("write", key):
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(0o644)
                yield Path(name)
            finally:
                Path(name).unlink(missing_ok=True)

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"Cannot {verb} {self.root / key}: {error.strerror or error}. "
                "Check the folder's permissions and free space, or point FRUIT_ASSETS_STORAGE elsewhere."
            ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: the directory entry is data of the folder, not of the file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
