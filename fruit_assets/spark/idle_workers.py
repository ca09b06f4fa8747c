"""The process that Spark forks its Python workers from, with workers that end quietly when Spark no longer needs them.

Run by Spark as `python -m fruit_assets.spark.idle_workers pyspark.worker`, by `spark.python.daemon.module`. Put here
how a worker waits between tasks. What workers import ahead of time belongs in `fast_start/worker_daemon.py`.
"""

import socket


def serve() -> None:
    """Fork workers until Spark is done.

    Spark closes the connections of workers that were idle for a minute, and pyspark's workers answer with the
    traceback of a `BrokenPipeError` each, in the log of a run that is well.
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
