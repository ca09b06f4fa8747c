"""Features that exist already: of the version before, and of runs that did not come to publish theirs.

Put here what is known of them and how their keys are read. What follows for a sample is decided in `increments.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fruit_assets.features.increments import KEYS, REJECTED, IncrementalPlan, KnownKeys, plan_increment
from fruit_assets.keys.key_table import KeyDatabase, KeyTable
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.storage.delta.version import STAGED, Version
from fruit_assets.storage.recovery import RecoveredFile, find_recoverable

if TYPE_CHECKING:
    from fruit_assets.object_store.stores import Store
    from fruit_assets.storage.delta.table import Table
    from fruit_assets.storage.parquet_files import DataFile

# Fact of a version, and note of a file: what the features were computed with.
ARITHMETICS = "arithmetics"


@dataclass(frozen=True)
class KnownFeatures:
    """Features of one fingerprint.

    Attributes:
        store: the table's folder.
        previous: the newest version of them; None when there is none.
        rejected: the rejected images that belong to it; None when they are not known, or would be others today.
        recovered: complete files that no version lists.
    """

    store: "Store"
    previous: Version | None = None
    rejected: Version | None = None
    recovered: Sequence[RecoveredFile] = ()

    @property
    def files(self) -> "tuple[DataFile, ...]":
        """All files, in the order in which their rows are numbered: first those of the version."""
        published = self.previous.files if self.previous else ()
        return (*published, *(each.file for each in self.recovered))

    @property
    def published(self) -> int:
        """How many of the files are of the version."""
        return len(self.previous.files) if self.previous else 0

    @property
    def arithmetics_of_previous(self) -> Sequence[str]:
        return self.previous.facts.get(ARITHMETICS, ()) if self.previous else ()

    def as_version(self) -> Version:
        """All rows, as if one version listed them."""
        if self.previous is not None:
            return replace(self.previous, number=STAGED, files=self.files)
        return Version(self.store, STAGED, self.files, ())

    def widths(self, sources: Iterable[int]) -> set[int]:
        """How many features the rows of some of the files have."""
        measures = self.previous.facts["measures"].values() if self.previous else ()
        return {width for width in self._noted(sources, "widths", measures) if width is not None}

    def arithmetics(self, sources: Iterable[int]) -> set[str]:
        """What the features in some of the files were computed with."""
        return self._noted(sources, ARITHMETICS, self.arithmetics_of_previous)

    def _noted(self, sources: Iterable[int], name: str, of_version: Iterable[Any]) -> set[Any]:
        found: set[Any] = set()
        for number in sources:
            recovered = number >= self.published
            found.update(self.recovered[number - self.published].notes[name] if recovered else of_version)
        return found

    def keys(self, database: KeyDatabase) -> KnownKeys | None:
        """The keys of all this, on local disk; None when there is nothing."""
        if not self.files and self.previous is None:
            return None
        held = row_keys(self.store, self.files, KEYS, database)
        rejected = self.rejected and row_keys(self.rejected.store, self.rejected.files, REJECTED, database)
        return KnownKeys(held, self.files, self.published, rejected or None, self._found_rejected(database))

    def _found_rejected(self, database: KeyDatabase) -> KeyTable | None:
        import pyarrow as pa

        rows = [row for each in self.recovered for row in each.notes["rejected"]]
        if not rows:
            return None
        columns = zip(*rows, strict=True)
        named = {name: pa.array(column, pa.string()) for name, column in zip(REJECTED, columns, strict=True)}
        return KeyTable.of(pa.table(named), database)


def recoverable_features(table: "Table", fingerprint: str, width: int) -> list[RecoveredFile]:
    """Files with sound features that no version lists.

    Args:
        table: of the features.
        fingerprint: of the files; see `featurization.file_fingerprint`.
        width: features that a row must have.
    """
    found = find_recoverable(table, fingerprint)
    return [each for each in found if each.notes["broken"] == 0 and set(each.notes["widths"]) <= {width}]


@dataclass(frozen=True)
class Increment:
    """A sample, what is known of its features, and what follows."""

    sample: Version
    known: KnownFeatures
    plan: IncrementalPlan

    @property
    def previous(self) -> Version | None:
        """The version before, if features of it are taken over."""
        known = self.known
        used = self.plan.unchanged or any(number < known.published for number in self.plan.sources)
        return known.previous if used else None

    @property
    def arithmetics(self) -> set[str]:
        """What the features that are taken over were computed with."""
        if self.plan.unchanged:
            return set(self.known.arithmetics_of_previous)
        return self.known.arithmetics(self.plan.sources)


def plan_of(sample: Version, known: KnownFeatures) -> Increment:
    """Decide which rows of a published sample need the network."""
    database = KeyDatabase()
    keys = row_keys(sample.store, sample.files, KEYS, database)
    return Increment(sample, known, plan_increment(keys, known.keys(database)))
