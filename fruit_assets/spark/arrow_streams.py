"""Arrow tables as bytes, for Spark to carry between driver and workers.

Put here how rows become a stream and rows again.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def stream_of(rows: "pa.Table | pa.RecordBatch") -> bytes:
    """Rows as an Arrow stream, and of a slice no more than that."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def table_of(streams: Iterable[bytes]) -> "pa.Table":
    """All rows of some streams of one schema; a table without columns of none."""
    import pyarrow as pa

    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams]
    return pa.concat_tables(tables) if tables else pa.table({})
