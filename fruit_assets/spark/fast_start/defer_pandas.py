"""Arrow without pandas, for as long as nobody else wants pandas.

Put here what keeps Arrow from importing it. The first `pa.array` of a process looks for pandas, to know its types, and
imports it where it is installed: a quarter of a second, and 40 MB, of the driver and of every worker, for nothing.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from threading import Lock, get_ident
from types import ModuleType
from typing import Any

_PANDAS = "pandas"
_lock = Lock()


def defer_pandas_import() -> None:
    """Let Arrow find no pandas in this process until somebody imports it; from then on it knows it as ever.

    `to_pandas` of Arrow imports it itself, and so does `Table.from_pandas`. Until then nanoseconds become Python's
    datetimes and not pandas' timestamps, as they do where pandas is not installed.
    """
    with _lock:
        if _PANDAS in sys.modules or any(isinstance(finder, _Finder) for finder in sys.meta_path):
            return
        import pyarrow as pa

        finder = _Finder()
        sys.meta_path.insert(0, finder)
        try:
            pa.array([None])
        finally:
            finder.hidden_from = None
        if _PANDAS in sys.modules:  # another thread has begun to import it meanwhile, and left this to us
            _tell_arrow()


def _tell_arrow() -> None:
    import pyarrow as pa

    # What asks for pandas in earnest looks again. Should there be no such thing in some version of Arrow, then
    # `to_pandas` still does.
    with suppress(AttributeError, ImportError):
        _ = pa.lib._pandas_api.pd


class _Finder:
    """Hides pandas from one thread for a moment, and tells Arrow when it has been imported after all.

    It stays where it is: another thread that is looking for a module would skip a finder if one went away.
    """

    def __init__(self) -> None:
        self.hidden_from: int | None = get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _PANDAS:
            return None
        if get_ident() == self.hidden_from:
            raise ModuleNotFoundError(f"No module named {name!r}, for now", name=name)
        others = (finder for finder in list(sys.meta_path) if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        loader: Any = spec.loader if spec is not None else None
        # Of a loader that lets nobody do this Arrow learns nothing, before `to_pandas`.
        with suppress(AttributeError, TypeError):
            loader.exec_module = self._then_known_to_arrow(loader.exec_module)
        return spec

    def _then_known_to_arrow(self, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def execute_and_tell(module: ModuleType) -> None:
            execute(module)
            # Meanwhile Arrow may hold a lock of its own, and wait for this import.
            if self.hidden_from is None:
                _tell_arrow()

        return execute_and_tell
