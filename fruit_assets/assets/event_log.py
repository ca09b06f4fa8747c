"""Dagster's event log on SQLite, kept open while a run writes to it.

Put here what makes storing events cheap. What the events say belongs to the assets.
"""

import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg

# Of Dagster's SQLite storage: the database that lists the events of all runs.
_INDEX = "index"


class EventLogConnection(dg.ConfigurableResource[Any]):
    """Connections to the two databases of the run's events, which do nothing but stay open.

    Dagster opens and closes a database for every event. The last connection that closes copies the write-ahead log
    into the database and deletes it: some 130 times in a run, unless another connection is open.
    """

    keep_open: bool = True

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["EventLogConnection", None, None]:
        """Hold the connections for the run; other storages than SQLite need none."""
        path_for = getattr(getattr(context.instance, "event_log_storage", None), "path_for_shard", None)
        if not self.keep_open or context.run is None or path_for is None:
            yield self
            return
        with ExitStack() as connections:
            # Without them events are stored all the same, only slower.
            with suppress(sqlite3.Error):
                for shard in (context.run.run_id, _INDEX):
                    _join(connections.enter_context(closing(_connection(path_for(shard)))))
            yield self


def _connection(path: str) -> sqlite3.Connection:
    """A connection to a database that exists: Dagster makes its databases itself."""
    # Dagster may tear a run down from another thread than the one that set it up.
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False)


def _join(connection: sqlite3.Connection) -> None:
    """Join the write-ahead log, as a connection does with its first statement."""
    connection.execute("select count(*) from sqlite_master").fetchone()
