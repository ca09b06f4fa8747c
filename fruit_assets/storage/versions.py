"""Versions of one asset: staged in full, published by one pointer, removed late.

Put here the protocol: manifests, `CURRENT`, retention. A version is either listed by a manifest or
not there. How rows get into files belongs in `tables.py` and `spark/writing.py`, how
small files are kept in `artifacts.py`.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fruit_assets.errors import NotPublishedError, StorageError
from fruit_assets.storage.stores import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

CURRENT = "CURRENT"
MANIFEST = "MANIFEST.json"
# A reader may still be in a version for this long after another one replaced it.
READER_GRACE = timedelta(hours=1)
# Files without a manifest belong to a run that died or is still writing.
WRITER_GRACE = timedelta(days=1)


@dataclass(frozen=True)
class DataFile:
    """One file of a version: path relative to the asset's folder, bytes, rows (0 for artifacts)."""

    path: str
    bytes: int
    rows: int = 0


@dataclass(frozen=True)
class Manifest:
    """What `CURRENT` holds: exactly which files make up a version, and what is known about them.

    Attributes:
        version: `<run_id>-<attempt>`.
        created_at: when it was published (before that: staged); ISO 8601, UTC.
        run_id: the Dagster run that made it.
        row_count: rows of a table, 0 for an artifact.
        schema: `[{"name": ..., "type": ...}]` of a table, empty for an artifact.
        files: the files, and no others.
        facts: asset-specific values (fingerprints, settings, figures), JSON types only.
    """

    version: str
    created_at: str
    run_id: str
    row_count: int
    schema: list[dict[str, str]]
    files: tuple[DataFile, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @staticmethod
    def from_json(content: bytes, where: str) -> "Manifest":
        try:
            value = json.loads(content)
            files = tuple(DataFile(**file) for file in value.pop("files"))
            return Manifest(files=files, **value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(
                f"{where} is not a manifest of this project ({error}). "
                "Restore it from versions/*/MANIFEST.json, or materialise the asset again."
            ) from error


@dataclass(frozen=True)
class Version:
    """A published version, opened through its manifest; nothing is read until asked."""

    store: Store
    manifest: Manifest

    @property
    def uris(self) -> list[str]:
        return [self.store.uri_of(file.path) for file in self.manifest.files]

    def read_table(self, columns: list[str] | None = None) -> "pa.Table":
        """All rows of a table version, or some of its columns, in the memory of this process."""
        from fruit_assets.storage.tables import read_arrow

        return read_arrow(self, columns)

    def to_spark(self, session: "SparkSession") -> "DataFrame":
        """A lazy frame over exactly the listed files."""
        from fruit_assets.storage.tables import read_spark

        return read_spark(self, session)

    def is_intact(self) -> bool:
        """Whether every listed file is there, with the size it was published with."""
        folders = {file.path.rpartition("/")[0] for file in self.manifest.files}
        sizes = {item.key: item.size for folder in folders for item in self.store.list(f"{folder}/")}
        return all(sizes.get(file.path) == file.bytes for file in self.manifest.files)

    def read_file(self, name: str) -> bytes:
        """The bytes of one file of an artifact, by its file name."""
        for file in self.manifest.files:
            if file.path.rpartition("/")[2] == name:
                return self.store.get(file.path)
        raise StorageError(f"{self.store.uri} version {self.manifest.version} holds no {name}.")


@dataclass(frozen=True)
class StagedVersion:
    """A version that is complete on storage but that nobody sees until `AssetFolder.publish`."""

    folder: "AssetFolder"
    manifest: Manifest

    @property
    def opened(self) -> Version:
        return Version(self.folder.store, self.manifest)

    def with_facts(self, **facts: Any) -> "StagedVersion":
        return replace(self, manifest=replace(self.manifest, facts={**self.manifest.facts, **facts}))


class AssetFolder:
    """`<storage>/<asset>`: its versions and the pointer to the published one.

    Args:
        store: the store whose root is the asset's folder.
        keep_versions: how many published versions stay, the current one included.
    """

    def __init__(self, store: Store, keep_versions: int = 3) -> None:
        self.store = store
        self.keep_versions = keep_versions

    def current(self) -> Version:
        """The published version; raises NotPublishedError when there is none."""
        try:
            content = self.store.get(CURRENT)
        except KeyError:
            name = self.store.uri.rpartition("/")[2]
            raise NotPublishedError(
                f"{name} has not been published at {self.store.uri} yet: materialise {name} first."
            ) from None
        return Version(self.store, Manifest.from_json(content, self.store.uri_of(CURRENT)))

    def current_or_none(self) -> Version | None:
        try:
            return self.current()
        except NotPublishedError:
            return None

    def find_latest(self, **facts: Any) -> Version | None:
        """The newest published version that states all these facts and whose files are all there, or None."""

        def fits(version: Version) -> bool:
            stated = all(version.manifest.facts.get(name) == value for name, value in facts.items())
            return stated and version.is_intact()

        current = self.current_or_none()
        if current is None or fits(current):
            return current
        return next((version for version in self.published() if fits(version)), None)

    def published(self) -> list[Version]:
        """Every version that still has its manifest, newest first."""
        versions = []
        for item in self.store.list("versions/"):
            if item.key.endswith(f"/{MANIFEST}"):
                # Another run's retention may remove a version between the listing and now.
                with suppress(KeyError):
                    manifest = Manifest.from_json(self.store.get(item.key), self.store.uri_of(item.key))
                    versions.append(Version(self.store, manifest))
        return sorted(versions, key=lambda version: version.manifest.created_at, reverse=True)

    def staged(
        self,
        run_id: str,
        attempt: int,
        files: tuple[DataFile, ...],
        schema: list[dict[str, str]] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> StagedVersion:
        """Describe files that are already written as a version; files of older versions may be listed again."""
        manifest = Manifest(
            version=version_name(run_id, attempt),
            created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            run_id=run_id,
            row_count=sum(file.rows for file in files),
            schema=schema or [],
            files=files,
            facts=facts or {},
        )
        return StagedVersion(self, manifest)

    def publish(self, staged: StagedVersion, now: datetime | None = None) -> Version:
        """Make a staged version the one readers see: one atomic replacement of `CURRENT`.

        The manifest is kept beside the version too, so that retention knows which files it needs.

        Raises:
            StorageError: the version lists files of an older one that have been removed since it was staged.
        """
        self._require_taken_over(staged.manifest)
        published = (now or datetime.now(UTC)).isoformat(timespec="microseconds")
        manifest = replace(staged.manifest, created_at=published)
        content = manifest.to_json()
        self.store.put(f"versions/{manifest.version}/{MANIFEST}", content)
        self.store.put(CURRENT, content)
        return Version(self.store, manifest)

    def _require_taken_over(self, manifest: Manifest) -> None:
        paths = {file.path for file in manifest.files if file.path.split("/")[1] != manifest.version}
        folders = {path.rpartition("/")[0] for path in paths}
        there = {item.key for folder in folders for item in self.store.list(f"{folder}/")}
        if missing := sorted(paths - there):
            raise StorageError(
                f"Version {manifest.version} takes over {missing[0]}, which another run has removed meanwhile. "
                "Nothing was published. Run it again."
            )

    def remove_old(self, now: datetime | None = None) -> list[str]:
        """Delete versions that nobody can be reading any more; returns the keys removed.

        Kept: the newest `keep_versions`, the one `CURRENT` names, whatever files these list, and any
        version that was replaced less than an hour ago. Files of a run that never published go after a day.
        """
        now = now or datetime.now(UTC)
        versions = self.published()
        current = self.current_or_none()
        kept = versions[: self.keep_versions] + ([current] if current else [])
        for newer, older in pairwise(versions):
            if now - datetime.fromisoformat(newer.manifest.created_at) < READER_GRACE:
                kept.append(older)
        names = {version.manifest.version for version in kept}
        listed = {file.path for version in kept for file in version.manifest.files}
        manifested = {version.manifest.version for version in versions}
        doomed = list(self._unneeded(now, names, listed, manifested))
        # Manifests go first: what is killed half way must not leave a version that looks whole.
        doomed.sort(key=lambda key: not key.endswith(f"/{MANIFEST}"))
        self.store.delete(doomed)
        return doomed

    def _unneeded(self, now: datetime, kept: set[str], listed: set[str], manifested: set[str]) -> Iterator[str]:
        for item in self.store.list("versions/"):
            name = item.key.split("/")[1]
            if name in kept or item.key in listed:
                continue
            if name in manifested or now - item.modified > WRITER_GRACE:
                yield item.key


def version_name(run_id: str, attempt: int) -> str:
    """How a version is called: every attempt of every run has a name, and so a folder, of its own."""
    return f"{run_id}-{attempt}"
