"""The images that the page of `sampled_images` shows, and their thumbnails, which later runs need not fetch.

Put here which images those are and where their thumbnails lie. Drawing belongs in `plots/contact_sheet.py`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fruit_assets.images.fetching import read_few
from fruit_assets.object_store.stores import Store
from fruit_assets.spark.tasks import stream_of, table_of

if TYPE_CHECKING:
    from fruit_assets.keys.key_table import KeyTable

# An object of the table's folder; readers and vacuum ignore it for its underscore.
THUMBNAILS = "_shown/thumbnails.arrow"
_SHOWN = 40
# By their digests, so that few of them change where the sample does.
_ROWS = f"""
select path, label, size, stamp from (select * from {{table}} order by hash(path), path limit {_SHOWN}) order by path
"""  # noqa: S608  SQL of our own


def shown_images(chosen: "KeyTable", root: str, store: Store) -> tuple[list[bytes], list[str]]:
    """Thumbnails and labels of some images of a sample; only images that the run before has not shown are fetched.

    Args:
        chosen: `path, label, size, stamp` of the sample.
        root: the collection's folder or `s3://` URI.
        store: of the sample's table, which holds the thumbnails of the run before.
    """
    from fruit_assets.plots.contact_sheet import thumbnail

    rows = chosen.select(_ROWS).to_table().to_pylist()
    keys = {row["path"]: f"{root}\n{row['path']}\n{row['size']}\n{row['stamp']}" for row in rows}
    kept = _kept(store)
    missing = [row["path"] for row in rows if row["stamp"] is None or keys[row["path"]] not in kept]
    fetched = {
        keys[path]: thumbnail(content)
        for path, content in zip(missing, read_few(root, missing), strict=True)
        if content is not None
    }
    shown = {key: content for key in keys.values() if (content := {**kept, **fetched}.get(key)) is not None}
    if shown != kept:
        store.put(THUMBNAILS, _stored(shown))
    return [shown.get(keys[row["path"]], b"") for row in rows], [row["label"] for row in rows]


def _kept(store: Store) -> dict[str, bytes]:
    """Thumbnails by what names their images; empty where none can be read."""
    import pyarrow as pa

    try:
        table = table_of([store.get(THUMBNAILS)])
        return dict(zip(table["key"].to_pylist(), table["thumbnail"].to_pylist(), strict=True))
    except (KeyError, pa.ArrowException):
        return {}


def _stored(thumbnails: Mapping[str, bytes]) -> bytes:
    import pyarrow as pa

    columns = {"key": pa.array(thumbnails, pa.string()), "thumbnail": pa.array(thumbnails.values(), pa.binary())}
    return stream_of(pa.table(columns))
