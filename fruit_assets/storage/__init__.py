"""Versioned datasets that appear whole or not at all, in a folder or on S3.

`read_current(uri)` is the door for other programs. What a version is lives in `versions.py`, where
bytes go in `stores.py`; the Dagster side in `io_managers.py`. Nothing here knows about fruit.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def read_current(uri: str, columns: list[str] | None = None) -> "pa.Table":
    """Read the published version of a table asset.

    Args:
        uri: `<storage>/<asset>`, a folder or an `s3://` URI.
        columns: the columns wanted; all when None.

    Returns:
        All rows of exactly the files that `CURRENT` lists.

    Raises:
        NotPublishedError: nothing has been published at `uri`.
        StorageError: the place cannot be read.
    """
    from fruit_assets.storage.stores import open_store
    from fruit_assets.storage.versions import AssetFolder

    return AssetFolder(open_store(uri)).current().read_table(columns)
