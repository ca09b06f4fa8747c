"""Some rows of a version, by their numbers in the order of its files.

Put here what a process reads of a table without holding the rest. What Spark's workers read is in `spark/reading.py`.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import FILES_AT_A_TIME, explained_reading, take_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ROWS_AT_A_TIME = 2048


def read_rows_at(version: Version, numbers: "np.ndarray", columns: list[str]) -> "pa.Table":
    """Some rows of a version, by their sorted numbers in the order of its files; holds few others at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = version.files
    # Where the rows of every file begin, in the version and among the numbers.
    firsts = np.cumsum([0, *(file.rows for file in files)])
    places = np.searchsorted(numbers, firsts)

    def rows_of(index: int) -> "list[pa.RecordBatch]":
        path = files[index].path
        with explained_reading(version.store, path), version.store.open(path) as source:
            batches = pq.ParquetFile(source).iter_batches(_ROWS_AT_A_TIME, columns=columns)
            return [batch for batch, _ in take_rows(batches, numbers, int(firsts[index]))]

    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        parts = list(chain.from_iterable(pool.map(rows_of, np.flatnonzero(np.diff(places)).tolist())))
    return pa.Table.from_batches(parts) if parts else version.read_table(columns).slice(0, 0)
