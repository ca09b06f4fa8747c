"""Delta tables, one per asset, in a folder or on S3.

`read_current(uri)` reads one, as any Delta reader does. Tables, their commits and versions are in `delta/`, the Dagster
side in `io_managers.py`; where bytes go is in `object_store/`. Nothing here knows about fruit or Spark.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def read_current(uri: str, columns: list[str] | None = None) -> "pa.Table":
    """Read the newest version of an asset's table.

    Args:
        uri: `<storage>/<asset>`, a folder or an `s3://` URI.
        columns: the columns wanted; all when None.

    Returns:
        All rows.

    Raises:
        NotPublishedError: nothing has been published at `uri`.
        StorageError: the place cannot be read.
    """
    from fruit_assets.object_store.stores import open_store
    from fruit_assets.storage.delta.table import Table

    return Table(open_store(uri)).current().read_table(columns)
