"""Dagster's event log on SQLite, kept open while a run writes to it.

Put here what makes storing events cheap. What the events say belongs to the assets.
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
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
        with closing(_opened(path_for(context.run.run_id))), closing(_opened(path_for(_INDEX))):
            yield self


def _opened(path: str) -> sqlite3.Connection:
    # Dagster may tear a run down from another thread than the one that set it up.
    connection = sqlite3.connect(path, check_same_thread=False)
    # A connection joins the write-ahead log with its first statement.
    connection.execute("select count(*) from sqlite_master").fetchone()
    return connection
