"""Random, correlated rows of features, as Parquet.

Put here the input of the PCA benchmark. Features of photographs are correlated; the PCA of independent numbers
would be an easier problem.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruit_assets.storage.delta.version import Version

WIDTH = 1280
_DIRECTIONS = 64
_ROWS_PER_FILE = 5000


def write_feature_rows(rows: int, folder: Path, width: int = WIDTH, seed: int = 0) -> Path:
    """Write `rows` rows of a column `features: list<float>` of `width` values, in files of at most 5,000."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    mixing = (
        random.standard_normal((_DIRECTIONS, width), np.float32)
        * np.linspace(3, 0.1, _DIRECTIONS, dtype=np.float32)[:, None]
    )
    for number, start in enumerate(range(0, rows, _ROWS_PER_FILE)):
        count = min(_ROWS_PER_FILE, rows - start)
        values = random.standard_normal((count, _DIRECTIONS), np.float32) @ mixing
        values += 8.0 * random.standard_normal((count, width), np.float32) + 1.0
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width).cast(pa.list_(pa.float32()))
        pq.write_table(
            pa.table({"features": column}), folder / f"part-{number:05}.parquet", row_group_size=count // 2 + 1
        )
    return folder


def opened_rows(folder: Path) -> "Version":
    """The rows of `write_feature_rows` as a table version."""
    import pyarrow.parquet as pq

    from fruit_assets.object_store.stores import LocalStore
    from fruit_assets.storage.delta.columns import columns_of
    from fruit_assets.storage.delta.table import Table
    from fruit_assets.storage.parquet_files import DataFile

    files = [
        DataFile(file.name, file.stat().st_size, pq.read_metadata(file).num_rows) for file in sorted(folder.iterdir())
    ]
    return Table(LocalStore(folder)).stage(files, columns_of("features array<float>"), "rows", None).version
