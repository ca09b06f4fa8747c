"""The process that Spark forks its Python workers from, with what they all need imported once.

Run by Spark as `python -m fruit_assets.spark.fast_start.worker_daemon pyspark.worker`, by
`spark.python.daemon.module`. Put here imports that start no threads, and what makes a worker's tasks cheap; a worker
opens its own engine.
"""

import gc
import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

_NEEDED = ("numpy", "pyarrow.parquet", "openvino", "PIL.Image", "simplejpeg")
# Spark's own archives, which it puts in front of the packages that are installed; of the jar nothing is imported here.
_ARCHIVES = ("pyspark.zip", "py4j-*-src.zip", "spark-core_*.jar")


def prefer_installed_spark() -> None:
    """Take Spark's archives off the path where the packages in them are installed as well.

    Before every task Spark invalidates Python's caches of what can be imported, and until Python 3.12 that
    reads the directory of every archive again (gh-103200): a tenth of a second per task.
    """
    path = [entry for entry in sys.path if not any(Path(entry).match(name) for name in _ARCHIVES)]
    if all(PathFinder.find_spec(name, path) for name in ("pyspark", "py4j")):
        for entry in set(sys.path) - set(path):
            sys.path_importer_cache.pop(entry, None)
        sys.path[:] = path


def import_runtime() -> None:
    """Import what the pipeline's functions use; a machine without some of it fails where it is used."""
    for name in _NEEDED:
        with suppress(ImportError):
            import_module(name)


def main() -> None:
    """Import, and serve forks until Spark is done."""
    prefer_installed_spark()
    import_runtime()
    from fruit_assets.spark.idle_workers import serve

    # What is there now is there for good: no worker need look through it, or have a copy of it for having looked.
    gc.freeze()
    serve()


if __name__ == "__main__":
    main()
