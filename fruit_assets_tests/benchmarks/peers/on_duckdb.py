"""The peer that stores in DuckDB: the pool of processes of `on_processes.py`, whose rows one process inserts.

Put here what a user of DuckDB would write, and nothing of ours; it runs alone, as `python -m ... IMAGES OUT --network
MODEL`. DuckDB takes one writing process at a time, so the pool's rows travel to it as Arrow tables.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.peers.job import FEATURES, PeerJob, features_of, job_from, write_components_of
from fruit_assets_tests.benchmarks.peers.on_processes import IMAGES_PER_CHUNK, chunk_rows, load, start

if TYPE_CHECKING:
    import pyarrow as pa

_DATABASE = "features.duckdb"


def write_features(job: PeerJob) -> None:
    """Compute the features of all images, and insert them as they come."""
    import duckdb

    job.out.mkdir(parents=True)
    # The pool forks before DuckDB starts its threads.
    with ProcessPoolExecutor(job.workers, initializer=start, initargs=(load, job.network, job.precision)) as pool:
        computed = pool.map(chunk_rows, repeat(job), job.chunks_of(IMAGES_PER_CHUNK))
        with duckdb.connect(job.out / _DATABASE) as database:
            database.execute(f"CREATE TABLE {FEATURES} (path VARCHAR, label VARCHAR, features FLOAT[])")
            for chunk in computed:
                database.register("chunk", chunk)
                database.execute(f"INSERT INTO {FEATURES} SELECT * FROM chunk")


def read_table(out: Path) -> "pa.Table":
    """`path, label, features` of all rows."""
    import duckdb

    with duckdb.connect(out / _DATABASE, read_only=True) as database:
        return database.table(FEATURES).to_arrow_table()


def main(arguments: Sequence[str]) -> int:
    job = job_from(arguments)
    write_features(job)
    table = read_table(job.out)
    write_components_of(job, table, features_of(table.column(FEATURES)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
