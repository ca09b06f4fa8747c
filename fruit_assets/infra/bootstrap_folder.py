"""Where the files of `bootstrap/` are: beside the package in a checkout, inside it in an installed wheel.

Put here the place alone. What is in the files belongs to their readers.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def bootstrap_folder() -> Path:
    """The folder with the cluster specs, the template and what nodes install."""
    packed = _PACKAGE / "bootstrap"
    return packed if packed.is_dir() else _PACKAGE.parent / "bootstrap"


BOOTSTRAP = bootstrap_folder()
