"""Which images there are: paths, labels, sizes and a version of the whole collection.

Put here what follows from a listing, of any size: it lies on disk, sorted by path. How places are listed belongs in
`file_listing.py`, what an image is in `file_kinds.py`, choosing among the images in `sampling.py`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from fruit_assets.errors import InputError
from fruit_assets.images.file_kinds import IMAGE_SUFFIXES, OTHER_SUFFIXES, PEEKED_FILES, UnknownFiles, images_among
from fruit_assets.images.file_listing import list_files
from fruit_assets.images.s3_inventory import inventory_files
from fruit_assets.keys.key_table import BATCH_ROWS, KeyDatabase, KeyTable

if TYPE_CHECKING:
    import pyarrow as pa

# Folder and suffix in SQL: what precedes the last '/', and what follows the last '.' of a name, as pathlib has it.
_FILES = r"""
with files as (
    select path, size, stamp, split_part(path, '/', -2) as label, regexp_extract(path, '^(.*)/', 1) as folder,
        lower(regexp_extract(path, '[^/](\.[^./]+)$', 1)) as suffix
    from stream)
select *, case
    when starts_with(path, '.') or contains(path, '/.') then 'hidden'
    when stamp is null then 'nameless'
    when suffix in IMAGE_SUFFIXES then 'image'
    when suffix in OTHER_SUFFIXES then 'other'
    else 'unknown' end as kind
from files
"""
_UNKNOWN = """
select folder, suffix, count(*), min(path, PEEKED_FILES) from {table}
where kind = 'unknown' and label <> '' group by all order by all
"""
_FOUND = "((folder, suffix) in (select (folder, suffix) from {groups}) or path in (select path from {paths}))"
_IGNORED = """
select folder, suffix, count(*) as files from {table}
where kind = 'nameless' or (kind = 'unknown' and not FOUND) group by all order by files desc, folder, suffix
"""
_IMAGES = """
select path, label, size, stamp from {table}
where label <> '' and (kind = 'image' or (kind = 'unknown' and FOUND)) order by path
"""


class IgnoredFiles(NamedTuple):
    """Files that are no images for all that can be seen, of one suffix in one folder."""

    folder: str
    suffix: str
    files: int

    def __str__(self) -> str:
        return f"{self.files} {self.suffix or 'without a suffix'} in {self.folder or 'the root'}"


@dataclass(frozen=True)
class ImageListing:
    """The images of a collection, by path.

    Attributes:
        root: the collection's folder or `s3://` URI.
        files: `path, label: string, size: int64, stamp: string`, sorted by path.
        ignored: files that are no images by their suffix or content, hidden, or named by bytes that are no UTF-8.
        unlabelled: images that lie in the root itself, in no class folder; they are left out.
        unknown: the ignored files of unusual suffixes, the most frequent first: perhaps images of another kind.
    """

    root: str
    files: KeyTable
    ignored: int
    unlabelled: int
    unknown: Sequence[IgnoredFiles] = ()

    @property
    def table(self) -> "pa.Table":
        """All rows in memory, for small collections."""
        return self.files.to_table()

    @cached_property
    def count(self) -> int:
        return self.files.num_rows

    @cached_property
    def total_bytes(self) -> int:
        return int(self.files.values("coalesce(sum(size), 0)")[0])

    def class_counts(self) -> dict[str, int]:
        """Images per label, by label."""
        return class_counts(self.files)

    def lost_classes(self) -> dict[str, int]:
        """Folders that hold no listed image, but files of unusual suffixes: their names, and how many files."""
        lost: dict[str, int] = {}
        known = self.class_counts()
        for group in self.unknown:
            label = group.folder.rpartition("/")[2]
            if label and label not in known:
                lost[label] = lost.get(label, 0) + group.files
        return lost

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.files)

    def data_version(self) -> str:
        """A digest that changes when an image is added, removed, renamed or rewritten."""
        return self._digest


def class_counts(files: KeyTable) -> dict[str, int]:
    """Rows per label, by label."""
    return dict(files.rows("select label, count(*) from {table} group by label order by label"))


def digest_of(files: KeyTable) -> str:
    """A digest of `path, size, stamp` of some listed files."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    # The number of rows at a time is part of what the digest is: with another every collection would count as changed.
    for rows in files.chunks(["path", "size", "stamp"], BATCH_ROWS):
        lines = pc.binary_join_element_wise(rows["path"], rows["size"].cast(pa.string()), rows["stamp"], "\0")
        joined = pc.binary_join(pa.LargeListArray.from_arrays([0, len(lines)], lines.combine_chunks()), "\n")
        digest.update(joined[0].as_buffer())
    return digest.hexdigest()[:32]


def list_images(root: str, inventory: str | None = None) -> ImageListing:
    """List the images below `root`, a folder or an `s3://` prefix laid out `<anything>/<label>/<file>`.

    Args:
        root: the collection.
        inventory: URI of an S3 Inventory report to read in place of listing.

    Raises:
        InputError: the collection is missing, cannot be listed, or holds no labelled image.
        StorageError: S3 cannot be listed.
    """
    return images_of(root, inventory_files(root, inventory) if inventory else list_files(root))


def images_of(root: str, stream: "pa.RecordBatchReader") -> ImageListing:
    """The images among the files of a collection, from `path, size, stamp` of all of them, in any order.

    Raises:
        InputError: there is no labelled image among them.
    """
    listed = KeyDatabase().create(_sql(_FILES), stream)
    groups, paths = images_among(root, map(UnknownFiles._make, listed.rows(_sql(_UNKNOWN))))
    found = _found(listed.database, groups, paths)
    files, ignored = (listed.select(_sql(query), **found) for query in (_IMAGES, _IGNORED))
    total, unlabelled = listed.values("count(*), count(*) filter (kind = 'image' and label = '')")
    count, unknown = files.num_rows, [IgnoredFiles._make(row) for row in ignored.rows("select * from {table}")]
    listed.database.drop(listed)
    if not count:
        raise InputError(
            f"No images in {root} ({total - unlabelled} other files, {unlabelled} images outside class folders). "
            "Expected <anything>/<label>/<file>.jpg. Point FRUIT_ASSETS_IMAGES at a collection, or make one: "
            "fruit-assets demo-images --out data/demo_images."
        )
    return ImageListing(root, files, total - unlabelled - count, unlabelled, unknown)


def _found(database: KeyDatabase, groups: list[tuple[str, str]], paths: list[str]) -> dict[str, KeyTable]:
    """What was found among the files of unknown kinds, for queries."""
    import pyarrow as pa

    kinds = {"folder": [folder for folder, _ in groups], "suffix": [suffix for _, suffix in groups]}
    tables = {"groups": kinds, "paths": {"path": paths}}
    return {
        name: KeyTable.of(
            pa.table({column: pa.array(values, pa.string()) for column, values in table.items()}), database
        )
        for name, table in tables.items()
    }


def _sql(query: str) -> str:
    for name, value in {
        "FOUND": _FOUND,
        "IMAGE_SUFFIXES": tuple(sorted(IMAGE_SUFFIXES)),
        "OTHER_SUFFIXES": tuple(sorted(OTHER_SUFFIXES)),
        "PEEKED_FILES": PEEKED_FILES,
    }.items():
        query = query.replace(name, str(value))
    return query
