"""The process that Spark forks its Python workers from, with what they all need imported once.

Run by Spark as `python -m fruit_assets.spark.worker_daemon pyspark.worker`, by `spark.python.daemon.module`. Put here
imports that start no threads; a worker opens its own engine.
"""

import gc
from contextlib import suppress
from importlib import import_module

_NEEDED = ("numpy", "pyarrow.parquet", "openvino", "PIL.Image", "simplejpeg")


def import_runtime() -> None:
    """Import what the pipeline's functions use; a machine without some of it fails where it is used."""
    for name in _NEEDED:
        with suppress(ImportError):
            import_module(name)


def main() -> None:
    """Import, and serve forks until Spark is done."""
    import_runtime()
    from pyspark.daemon import manager

    # What is there now is there for good: no worker need look through it, or have a copy of it for having looked.
    gc.freeze()
    manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
