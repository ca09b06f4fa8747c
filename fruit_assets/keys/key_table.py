"""Tables of keys on local disk: one row per image of a collection, in bounded memory.

Put here how such tables are created, queried and streamed. DuckDB sorts, joins and counts them, and spills to disk
beyond its memory limit. Published tables belong in `storage/`.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fruit_assets.temporary_folder import TemporaryFolder

if TYPE_CHECKING:
    import pyarrow as pa

# Memory limit of DuckDB, beyond which sorts and joins spill to files beside the tables.
MEMORY_LIMIT = "512MB"
# 65,536 paths take about 6 MB.
BATCH_ROWS = 65536


class KeyDatabase:
    """A DuckDB database in a temporary folder; both are removed when its last table is no longer referenced."""

    def __init__(self) -> None:
        import duckdb

        self._folder = TemporaryFolder("keys-")
        # Without replacement scans: they would import pandas.
        self._connection = duckdb.connect(
            f"{self._folder.path}/keys.duckdb",
            config={
                "memory_limit": MEMORY_LIMIT,
                # Each thread needs a share of the memory.
                "threads": min(2, os.cpu_count() or 1),
                "temp_directory": f"{self._folder.path}/spilled",
                "python_enable_replacements": False,
            },
        )
        self._numbers = itertools.count()

    def create(
        self, query: str, stream: "pa.Table | pa.RecordBatchReader | None" = None, **tables: "KeyTable"
    ) -> "KeyTable":
        """A new table of the rows of `query`, in its order.

        Args:
            query: SQL that reads `tables` by their names, as `{name}`, and the stream as `stream`.
            stream: Arrow rows from outside, read once.
            tables: of this database.
        """
        name = f"keys_{next(self._numbers)}"
        sql = query.format(**{name: table.name for name, table in tables.items()})
        if stream is None:
            self._connection.execute(f"create table {name} as {sql}")
        else:
            with _original_errors(stream) as rows:
                # Not `register`: it imports pandas.
                relation: Any = self._connection.from_arrow(rows).query("stream", sql)
                relation.create(name)
        return KeyTable(self, name)

    def read(self, query: str) -> "pa.RecordBatchReader":
        """The rows of `query`, as a stream; other queries may run meanwhile."""
        return self._connection.cursor().sql(query).to_arrow_reader(BATCH_ROWS)

    def drop(self, table: "KeyTable") -> None:
        """Remove a table."""
        self._connection.execute(f"drop table {table.name}")


@contextmanager
def _original_errors(stream: "pa.Table | pa.RecordBatchReader") -> "Iterator[pa.RecordBatchReader]":
    """Read a stream for DuckDB; an error within the stream is raised as itself instead of as DuckDB's."""
    import pyarrow as pa

    failures: list[BaseException] = []
    batches = stream.to_batches() if isinstance(stream, pa.Table) else stream

    def recorded() -> "Iterator[pa.RecordBatch]":
        try:
            yield from batches
        except BaseException as error:
            failures.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(stream.schema, recorded())
    except Exception:
        if failures:
            raise failures[0] from None
        raise


class KeyTable:
    """Rows in a fixed order, on disk.

    Attributes:
        database: the database of the table; tables of one database can be joined.
        name: of the table in the database.
    """

    def __init__(self, database: KeyDatabase, name: str) -> None:
        self.database = database
        self.name = name

    @staticmethod
    def of(rows: "pa.Table | pa.RecordBatchReader", database: KeyDatabase | None = None) -> "KeyTable":
        """A table of these rows, in their order, in a given database or a new one."""
        return (database or KeyDatabase()).create("select * from stream", rows)

    def select(self, query: str, **tables: "KeyTable") -> "KeyTable":
        """A new table of a query over this one, which the query names `{table}`."""
        return self.database.create(query, table=self, **tables)

    @property
    def num_rows(self) -> int:
        return int(self.values("count(*)")[0])

    def values(self, aggregates: str) -> tuple[Any, ...]:
        """One row of aggregates over the table, such as `count(*), sum(size)`."""
        (row,) = self.rows("select " + aggregates + " from {table}")  # noqa: S608  SQL of our own
        return row

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query over this table, which the query names `{table}`; for small results."""
        batches = self.database.read(query.format(table=self.name))
        return [row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]

    def batches(self, columns: Sequence[str] = ("*",), order_by: str = "") -> "pa.RecordBatchReader":
        """All rows, in the table's order or in the given one."""
        query = "select {} from {} order by {}" if order_by else "select {} from {}"
        return self.database.read(query.format(", ".join(columns), self.name, order_by))

    def chunks(self, columns: Sequence[str], rows: int) -> "Iterator[pa.Table]":
        """All rows in their order, exactly `rows` at a time except for the last chunk."""
        import pyarrow as pa

        reader = self.batches(columns)
        rest = reader.schema.empty_table()
        for batch in reader:
            rest = pa.concat_tables([rest, pa.Table.from_batches([batch])])
            while rest.num_rows >= rows:
                yield rest.slice(0, rows)
                rest = rest.slice(rows)
        if rest.num_rows:
            yield rest

    def every(self, step: int) -> "KeyTable":
        """Every `step`-th row, in order."""
        return self.select("select * from {table} where rowid % " + str(step) + " = 0 order by rowid")  # noqa: S608  a number

    def to_table(self) -> "pa.Table":
        """All rows, in memory."""
        return self.batches().read_all()
