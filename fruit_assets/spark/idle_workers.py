"""The daemon that forks Spark's Python workers, with idle workers that end without a traceback.

Spark runs it as `python -m fruit_assets.spark.idle_workers pyspark.worker` (`spark.python.daemon.module`). Put here
how a worker waits between tasks. Imports ahead of the first task belong in `fast_start/worker_daemon.py`.
"""

import socket


def serve() -> None:
    """Fork workers until Spark ends.

    Spark closes the connection of a worker that was idle for a minute. Pyspark's own worker then writes the traceback
    of a `BrokenPipeError` to the log of a run without any error.
    """
    from pyspark import daemon

    take_task = daemon.worker

    def worker(connection: socket.socket, authenticated: bool) -> int:
        closed = not connection.recv(1, socket.MSG_PEEK)
        return 1 if closed else int(take_task(connection, authenticated))  # type: ignore[no-untyped-call]

    daemon.worker = worker
    daemon.manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    serve()
