"""Where commands write for people.

Put here what all of them share: how wide output is, and that data is not markup (`escape`).
"""

from rich.console import Console
from rich.markup import escape

__all__ = ["escape", "open_console"]

# A pipe or a file has no width, and a path that is cut in two cannot be copied.
_WIDTH_OF_A_PIPE = 1000


def open_console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; in a pipe or a file no line is wrapped. `:apple:` in a path is not replaced."""
    console = Console(stderr=stderr, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, emoji=False, width=_WIDTH_OF_A_PIPE)
