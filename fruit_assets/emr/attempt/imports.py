"""Check that shipped packages are complete: every first-party module that they import is shipped too.

Put here the check, which parses imports and runs no code. Third-party modules are checked on the
node (`../protocol/versions.py`).
"""

import ast
import importlib.util
import io
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from fruit_assets.emr.attempt.packaging import Package
from fruit_assets.emr.errors import PermanentError


@lru_cache(maxsize=4)  # 0.2 s for 200 files, and the steps of a run ship the same ones
def check_complete(package: Package) -> None:
    """Refuse a package that imports first-party modules that are not in it.

    Imports within `try`, functions and `if TYPE_CHECKING` are ignored, because they may be optional.

    Raises:
        PermanentError: names each missing module and the file that imports it.
    """
    shipped = {_module_of(name) for name in package.files if name.endswith(".py")}
    roots = {module.split(".")[0] for module in shipped}
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        missing = {
            module: name
            for name in package.files
            if name.endswith(".py")
            for module in _imported(archive.read(name), name, shipped)
            if _is_missing(module, shipped, roots)
        }
    if missing:
        listed = "; ".join(f"{name} imports {module}" for module, name in sorted(missing.items()))
        raise PermanentError(
            f"The packages shipped ({', '.join(package.names)}) lack modules that they import: {listed}. Add each "
            "package to the launcher's `packages`, or correct `exclude`."
        )


def _is_missing(module: str, shipped: set[str], roots: set[str]) -> bool:
    root = module.split(".")[0]
    return module not in shipped if root in roots else _is_local(root)


@cache
def _is_local(root: str) -> bool:
    """Whether a top-level module is source code on this machine, neither installed nor of the standard library."""
    if root in sys.stdlib_module_names:
        return False
    spec = importlib.util.find_spec(root)
    place = (spec.origin or next(iter(spec.submodule_search_locations or []), None)) if spec else None
    if spec is None or place is None or not Path(place).exists():
        return False
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}
    path = Path(place).resolve()
    return not installed.intersection(path.parents) and "site-packages" not in path.parts


def _imported(source: bytes, name: str, shipped: set[str]) -> Iterator[str]:
    """Modules that a file imports whenever it is imported itself."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # written for another Python, so never imported by this one
    parents = name.removesuffix(".py").split("/")[:-1]
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from a import b`: b is a module, or a name that module a defines.
            yield from (full for alias in node.names if (full := f"{module}.{alias.name}") in shipped)
            yield module


def _module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
