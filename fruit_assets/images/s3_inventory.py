"""An S3 Inventory report in place of listing: the same rows from a few large files, at no request per 1,000 keys.

Put here how a report is found and read. How the rows are used belongs in `listing.py`.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from fruit_assets.errors import InputError
from fruit_assets.object_store.s3_location import parse_s3_uri
from fruit_assets.object_store.s3_store import S3Store
from fruit_assets.object_store.stores import Store, open_store

if TYPE_CHECKING:
    import pyarrow as pa

_MANIFEST = "manifest.json"
_BATCH_ROWS = 65536
# Names in the manifest of a CSV report, and of the columns of a Parquet report.
_COLUMNS = {
    "Key": "key",
    "Size": "size",
    "ETag": "e_tag",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
_USED = frozenset(_COLUMNS.values())


def inventory_files(root: str, report: str) -> "pa.RecordBatchReader":
    """Stream `path, size, stamp` of every object below `root`, from a report; the stamp is that of a listing.

    Args:
        root: `s3://bucket/prefix` of the collection.
        report: URI of a `manifest.json`, or of the folder `<prefix>/<bucket>/<configuration>` whose newest is taken.

    Raises:
        InputError: there is no such report, it is of another bucket, or lacks what is needed.
        StorageError: S3 cannot be read.
    """
    import pyarrow as pa

    from fruit_assets.images.file_listing import files_schema

    if not root.startswith("s3://"):
        raise InputError(f"FRUIT_ASSETS_INVENTORY is set, but the collection {root} is not on S3. Unset it.")
    collection = parse_s3_uri(root)
    uri, manifest = _manifest(report)
    if manifest["sourceBucket"] != collection.bucket:
        raise InputError(f"{uri} is an inventory of s3://{manifest['sourceBucket']}, not of {root}.")
    destination = open_store(f"s3://{manifest['destinationBucket'].rpartition(':')[2]}")
    prefix = collection.key("")
    batches = (
        _rows_below(batch, prefix)
        for file in manifest["files"]
        for batch in _read(destination, file["key"], manifest, uri)
    )
    return pa.RecordBatchReader.from_batches(files_schema(), batches)


def _manifest(report: str) -> tuple[str, dict[str, Any]]:
    folder, _, name = report.rstrip("/").rpartition("/")
    if name != _MANIFEST:
        folder = report.rstrip("/")
        # Folders are named by the time of the report, such as 2026-11-28T01-00Z; their data lie elsewhere.
        store = open_store(folder)
        dated = [key for key in store.folders("") if key.endswith("Z/")] if isinstance(store, S3Store) else []
        if not dated:
            raise InputError(f"{report} holds no inventory report: name the folder of its configuration.")
        folder = f"{folder}/{max(dated).rstrip('/')}"
    uri = f"{folder}/{_MANIFEST}"
    try:
        manifest = json.loads(open_store(folder).get(_MANIFEST))
    except KeyError:
        raise InputError(f"There is no inventory report {uri}. Correct FRUIT_ASSETS_INVENTORY.") from None
    if missing := {"sourceBucket", "destinationBucket", "fileFormat", "files"} - set(manifest):
        raise InputError(f"{uri} is no manifest of an S3 Inventory report: it has no {', '.join(sorted(missing))}.")
    return uri, manifest


def _read(destination: "Store", key: str, manifest: dict[str, Any], uri: str) -> "Iterator[pa.RecordBatch]":
    """One file of the report: `key, size, e_tag`, and `is_latest, is_delete_marker` where the bucket has versions."""
    if manifest["fileFormat"] == "Parquet":
        import pyarrow.parquet as pq

        with destination.open(key) as source:
            parquet = pq.ParquetFile(source)
            columns = _known(parquet.schema_arrow.names, uri)
            yield from parquet.iter_batches(_BATCH_ROWS, columns=columns)
    elif manifest["fileFormat"] == "CSV":
        import pyarrow as pa
        from pyarrow import csv

        names = [_COLUMNS.get(name, name.lower()) for name in manifest["fileSchema"].replace(" ", "").split(",")]
        columns = _known(names, uri)
        options = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(names, pa.string()))
        with pa.CompressedInputStream(destination.open(key), "gzip") as source:
            yield from map(_decoded, csv.open_csv(source, csv.ReadOptions(column_names=names), convert_options=options))
    else:
        raise InputError(f"{uri} is in format {manifest['fileFormat']}: configure the inventory as Parquet or CSV.")


def _known(names: list[str], uri: str) -> list[str]:
    if missing := {"key", "size", "e_tag"} - set(names):
        raise InputError(
            f"The inventory {uri} lacks {', '.join(sorted(missing))}. Add Size and ETag to its optional fields."
        )
    return [name for name in names if name in _USED]


def _decoded(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """A batch of a CSV report, where everything is text and keys are URL-encoded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {name: batch[name] for name in batch.schema.names}
    columns["key"] = pa.array(map(unquote_plus, columns["key"].to_pylist()), pa.string())
    columns["size"] = pc.if_else(pc.equal(columns["size"], ""), None, columns["size"]).cast(pa.int64())
    for name in ("is_latest", "is_delete_marker"):
        if name in columns:
            columns[name] = pc.equal(columns[name], "true")
    return pa.RecordBatch.from_pydict(columns)


def _rows_below(batch: "pa.RecordBatch", prefix: str) -> "pa.RecordBatch":
    import pyarrow as pa
    import pyarrow.compute as pc

    from fruit_assets.images.file_listing import files_schema

    wanted = pc.and_(pc.starts_with(batch["key"], prefix), pc.invert(pc.ends_with(batch["key"], "/")))
    if "is_latest" in batch.schema.names:
        wanted = pc.and_(wanted, batch["is_latest"])
    if "is_delete_marker" in batch.schema.names:
        wanted = pc.and_not(wanted, pc.fill_null(batch["is_delete_marker"], False))
    rows = batch.filter(wanted)
    # As a listing has it: in quotes.
    stamps = pc.binary_join_element_wise('"', rows["e_tag"], '"', "")
    paths = pc.utf8_slice_codeunits(rows["key"], len(prefix))
    return pa.RecordBatch.from_arrays([paths, rows["size"].cast(pa.int64()), stamps], schema=files_schema())
