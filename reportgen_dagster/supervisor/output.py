"""What `reportgen up` shows: its own lines, and those of its children with their name in front.

Reading children's output belongs in `children.py`.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
_WIDTH = len("code-server")


class _Screen(Console):
    """A console that goes quiet, instead of ending the program, when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Output:
    """The one writer of `up`'s standard output."""

    def __init__(self, **console: Any) -> None:
        """Open it.

        Args:
            console: Arguments for rich's `Console`; without any, standard output.
        """
        self._screen = _Screen(highlight=False, markup=False, emoji=False, soft_wrap=True, **console)
        self._colours: dict[str, str] = {}

    def say(self, text: str = "") -> None:
        """Show a line of `up` itself."""
        self._screen.print(Text(text))

    def child(self, name: str, line: str) -> None:
        """Show a line that a child wrote."""
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        shown = Text(f"{name:<{_WIDTH}} | ", style=colour)
        shown.append_text(Text.from_ansi(line))
        self._screen.print(shown)
