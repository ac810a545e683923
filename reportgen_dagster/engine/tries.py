"""Whether a quick way that may fail is worth trying on the next part of a file, which is likely to be as the last ones were."""

from __future__ import annotations

_MOST_SPARED = 64


class Tries:
    """Counts: after each failure in a row twice as many parts are not tried. Threads may share it; a race costs one try."""

    def __init__(self) -> None:
        """Begin with the first part due."""
        self._spared = 0
        self._next_spared = 1

    def is_due(self) -> bool:
        """Tell whether the next part is to be tried; `note` what came of it if so."""
        if self._spared:
            self._spared -= 1
            return False
        return True

    def note(self, *, worked: bool) -> None:
        """Take note of what came of a try."""
        if worked:
            self._next_spared = 1
            return
        self._spared = self._next_spared
        self._next_spared = min(2 * self._next_spared, _MOST_SPARED)
