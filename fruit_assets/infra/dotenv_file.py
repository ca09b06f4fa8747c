"""The `.env` file: settings written by `deploy`; other lines are kept unchanged.

Put here how the file is changed. Reading and checking it is in `fruit_assets/settings.py`.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fruit_assets import settings

HEADER = "# Written by `fruit-assets deploy`. Lines that are not its own are left alone."


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables in the file, unexpanded; empty when there is no file."""
    return settings.read_dotenv(path, interpolate=False)


def remove_from_dotenv(path: Path, names: Iterable[str]) -> list[str]:
    """Remove variables from the file; returns the names that it held."""
    present = [name for name in names if name in read_dotenv(path)]
    if present:
        lines = [line for line in _lines(path) if not any(_sets(line, name) for name in present)]
        _write(path, "\n".join(lines) + "\n")
    return present


def update_dotenv(path: Path, values: Mapping[str, str]) -> list[str]:
    """Set variables in a `.env` file; keeps every other line, comment and their order.

    Args:
        path: the file; created when absent, readable by its owner only.
        values: variable -> value, without line breaks.

    Returns:
        Names of the variables whose value changed.
    """
    read_dotenv(path)  # a file that cannot be read is named, not overwritten
    lines = _lines(path) if path.exists() else [HEADER]
    changed = []
    for name, value in values.items():
        wanted = f"{name}={_quoted(value)}"
        ours = [index for index, line in enumerate(lines) if _sets(line, name)]
        if [lines[index] for index in ours] == [wanted]:
            continue
        changed.append(name)
        # The last assignment wins when the file is read, so the first place is kept and the others go.
        for index in reversed(ours[1:]):
            del lines[index]
        if ours:
            lines[ours[0]] = wanted
        else:
            lines.append(wanted)
    if changed:
        _write(path, "\n".join(lines) + "\n")
    return changed


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8-sig").splitlines()


def _sets(line: str, name: str) -> bool:
    return re.match(rf"\s*(export\s+)?{re.escape(name)}\s*=", line) is not None


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,=-]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _write(path: Path, text: str) -> None:
    """Replace the file in one operation: a full disk must not cost the user their settings."""
    new = path.with_name(path.name + ".new")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
