"""The `.env` file: settings written by `deploy`, other lines left as they are.

Put here how the file is changed. How it is read and checked lives in `fruit_assets/settings.py`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

HEADER = "# Written by `fruit-assets deploy`. Lines that are not its own are left alone."


def update_dotenv(path: Path, values: Mapping[str, str]) -> list[str]:
    """Set variables in a `.env` file; keeps every other line, comment and their order.

    Args:
        path: the file; created when absent, readable by its owner only.
        values: variable -> value, without line breaks.

    Returns:
        Names of the variables whose value changed.
    """
    lines = path.read_text().splitlines() if path.exists() else [HEADER]
    changed = []
    for name, value in values.items():
        wanted = f"{name}={_quoted(value)}"
        ours = [index for index, line in enumerate(lines) if re.match(rf"\s*(export\s+)?{re.escape(name)}\s*=", line)]
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


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,=-]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _write(path: Path, text: str) -> None:
    """Replace the file in one operation: a full disk must not cost the user their settings."""
    new = path.with_name(path.name + ".new")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    new.replace(path)
