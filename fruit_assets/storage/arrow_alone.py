"""Arrow without pandas, for as long as nobody else wants pandas.

Put here what keeps Arrow from importing it. The first `pa.array` of a process looks for pandas, to know its types, and
imports it where it is installed: a quarter of a second, and 40 MB, of the driver and of every worker, for nothing.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import Lock, get_ident
from types import ModuleType
from typing import Any

_PANDAS = "pandas"
_lock = Lock()


def leave_pandas_alone() -> None:
    """Let Arrow find no pandas in this process until somebody imports it; from then on it knows it as ever.

    `to_pandas` and `from_pandas` of Arrow import it themselves.
    """
    with _lock:
        if _PANDAS in sys.modules or any(isinstance(finder, _Finder) for finder in sys.meta_path):
            return
        import pyarrow as pa

        finder = _Finder()
        sys.meta_path.insert(0, finder)
        pa.array([None])
        finder.hidden_from = None


class _Finder:
    """Hides pandas from one thread for a moment, and tells Arrow when it has been imported after all."""

    def __init__(self) -> None:
        self.hidden_from: int | None = get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _PANDAS:
            return None
        if get_ident() == self.hidden_from:
            raise ModuleNotFoundError(f"No module named {name!r}, for now", name=name)
        # Another thread may do the same, as long as the import has not begun.
        with suppress(ValueError):
            sys.meta_path.remove(self)
        spec = find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            loader.exec_module = _then_known_to_arrow(loader.exec_module)
        return spec


def _then_known_to_arrow(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def execute_and_tell(module: ModuleType) -> None:
        execute(module)
        import pyarrow as pa

        # What asks for pandas in earnest looks again. Should there be no such thing in some version of Arrow, then
        # `to_pandas` still does.
        with suppress(AttributeError, ImportError):
            _ = pa.lib._pandas_api.pd

    return execute_and_tell
