"""`python -m fruit_assets_tests.benchmarks`: list the benchmarks, or run them one after the other.

Put here their names. Each also runs alone and then takes options: `python -m
fruit_assets_tests.benchmarks.startup --help`.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

NAMES = (
    "startup",
    "fast_start",
    "against_ml_pca",
    "accuracy_per_second",
    "worker_profile",
    "against_limit",
    "against_notebook",
    "scale",
    "million_images",
    "yarn_scaling",
    "new_images",
    "killed_run",
    "planning",
    "retrieval",
    "against_peers",
)
# It needs an environment of its own, which `make bench-peers` installs, and hours.
NOT_BY_DEFAULT = ("against_peers",)


def benchmark(name: str) -> ModuleType:
    """The module of a benchmark: it has `parser()`, `main(arguments)`, and in `FULL` the options of its full size."""
    return import_module(f"fruit_assets_tests.benchmarks.{name}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fruit_assets_tests.benchmarks", description="Run the benchmarks.")
    usual = [name for name in NAMES if name not in NOT_BY_DEFAULT]
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which of {', '.join(NAMES)}; by default all but {NOT_BY_DEFAULT[0]}"
    )
    parser.add_argument(
        "--full", action="store_true", help="at the sizes that the targets are about: an hour on a quiet machine"
    )
    parser.add_argument("--list", action="store_true", help="say what each is about, and stop")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in given.names or (NAMES if given.list else usual):
        module = benchmark(name)
        if given.list:
            print(f"{name:20} {(module.__doc__ or '').splitlines()[0]}")
            continue
        for options in module.FULL if given.full else [[]]:
            module.main(options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
