"""The watched inbox as the services see it, wherever it lies: files found in it, and files claimed from it.

What belongs here: the names that count, and what a folder (`inbox_folder.py`) and a bucket (`inbox_bucket.py`) have in
common. What does not: whose a folder is and what becomes of a file (`services/inbox.py`).

    <inbox>/<user>/<dataset>/<name>                     what somebody drops
    <inbox>/archive/<user>/<dataset>/<time>-<id>/       what was taken
    <inbox>/refused/<user>/<dataset>/<time>-<id>/       what was refused, with `<name>.reason.txt` beside it
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from reportgen_dagster.identity import utc_now

ARCHIVE = "archive"
REFUSED = "refused"
DONE = ".done"  # `<name>.done` beside a file says that it is complete
_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", ".temp", ".swp", "~")
_REASON = ".reason.txt"
_LONGEST_NAME = 255  # bytes, on the file systems of Linux


@dataclass(frozen=True, slots=True)
class Found:
    """A file that lies in the inbox, as one look saw it.

    Attributes:
        user: The folder of whom it is for.
        dataset: The folder of what it is to be a version of.
        name: Its name there.
        modified_ns: When it was last changed, as it says itself; only an order, never compared with a clock.
        mark: 16 hex digits of this file in this state: the same mark at the next look is the same unchanged file.
        is_complete: Its writer says, or its place implies, that nothing more of it comes.
    """

    user: str
    dataset: str
    name: str
    modified_ns: int
    mark: str
    is_complete: bool

    @property
    def path(self) -> str:
        """Where it lies in the inbox, for people."""
        return shown(f"{self.user}/{self.dataset}/{self.name}")


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the inbox saw.

    Attributes:
        files: Every file that may be taken, in no order.
        left_alone: What lies where it does not belong, in words.
    """

    files: list[Found]
    left_alone: list[str]


class Claimed(Protocol):
    """A file that nobody else takes. It stays claimed until it is archived or refused, whatever is killed."""

    @property
    def id(self) -> str:
        """32 hex digits that stay the same until it is archived or refused."""

    @property
    def found(self) -> Found:
        """Where it was found."""

    def chunks(self) -> Iterator[bytes]:
        """Read it.

        Raises:
            FileRefusedError: If it is nothing that is taken: no regular file, a link, somebody else's.
            ConflictError: If it is being written, or changed while it was read; it may be read again later.
            OSError: If it cannot be read.
        """

    def archive(self) -> None:
        """Move it to what was taken.

        Raises:
            OSError: If that is impossible; it stays claimed.
        """

    def refuse(self, reason: str) -> None:
        """Move it to what was refused and lay the reason beside it.

        Raises:
            OSError: If that is impossible; it stays claimed.
        """


class OpenInbox(Protocol):
    """An inbox that one sweep has opened; no other sweep works on it meanwhile."""

    def leftovers(self) -> list[Claimed]:
        """Return what was claimed earlier and neither archived nor refused."""

    def look(self) -> Look:
        """Look for files."""

    def claim(self, found: Found) -> Claimed | None:
        """Take a file out of its writer's reach; None if it is not what was found any more, or still being written.

        Raises:
            OSError: If it cannot be moved; it stays where it is.
        """


def is_finished_name(name: str) -> bool:
    """Tell whether a file of this name is ever taken: no hidden file, no half of a download, no marker."""
    lower = name.lower()
    return not lower.startswith(".") and not lower.endswith((*_UNFINISHED, DONE))


def is_user_folder(name: str) -> bool:
    """Tell whether a name in the inbox is meant as the folder of a user."""
    return name not in (ARCHIVE, REFUSED) and not name.startswith(".")


def mark_of(*facts: object) -> str:
    """Return 16 hex digits that differ where the facts do."""
    text = "\0".join(str(fact) for fact in facts)
    return hashlib.blake2b(os.fsencode(text), digest_size=8).hexdigest()


def reason_name(name: str) -> str:
    """Return what the reason beside a refused file is called."""
    told = f"{name}{_REASON}"
    return told if len(os.fsencode(told)) <= _LONGEST_NAME else _REASON.removeprefix(".")


def stamp(claim_id: str) -> str:
    """Return the name of the folder for one file that is done with: now, and part of the claim's id."""
    return f"{utc_now():%Y-%m-%dT%H-%M-%SZ}-{claim_id[:8]}"


def shown(text: str) -> str:
    """Return a name for people: what cannot be printed is written as an escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
