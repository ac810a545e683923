"""What the commands on named datasets, rulesets, reports and schedules share: whose things they are about, and what is given.

What belongs here: opening the running installation, reading names with versions and spans of time. What does not: how things are
shown (showing.py), and anything heavy at import.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.sizes import second_count

if TYPE_CHECKING:
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.services.reports import Pick

STDIN = Path("-")
CHUNK_BYTES = 1024 * 1024

UserOption = Annotated[
    str | None,
    typer.Option("--user", help="Whose, where there is more than one account.", metavar="EMAIL"),
]
GivenFile = Annotated[Path, typer.Argument(help="The file; - for standard input.", metavar="FILE")]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="Where to write it; - for standard output.", metavar="FILE")
]


@contextmanager
def installation() -> Iterator[Context]:
    """Open the installation that REPORTGEN_DATABASE_URL names, else that of the running `reportgen up`.

    Raises:
        UnavailableError: If none runs.
    """
    from reportgen_dagster.services.context import Context
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.home import running_settings

    context = Context.open(running_settings(Settings()))
    try:
        yield context
    finally:
        context.close()


@contextmanager
def acting(email: str | None) -> Iterator[tuple[Context, str]]:
    """Open the installation that REPORTGEN_DATABASE_URL names, else that of the running `reportgen up`.

    Args:
        email: Whose things are meant; None: those of the only account.

    Returns:
        The open installation and the account's id.

    Raises:
        UnavailableError: If none runs.
        NotFoundError: If there is no such account.
        BadRequestError: If there are several and none is named.
    """
    from reportgen_dagster.services.accounts import account_of

    with installation() as context:
        yield context, account_of(context, email).id


def chunks_of(file: Path) -> Iterator[bytes]:
    """Yield the bytes of a file or of standard input.

    Raises:
        BadRequestError: If the file cannot be read.
    """
    if file == STDIN:
        yield from iter(lambda: sys.stdin.buffer.read(CHUNK_BYTES), b"")
        return
    try:
        with file.open("rb") as opened:
            yield from iter(lambda: opened.read(CHUNK_BYTES), b"")
    except OSError as error:
        raise BadRequestError(f"{file} cannot be read: {error.strerror}") from None


def head_of(file: Path, size_bytes: int) -> bytes:
    """Return the beginning of a file or of standard input.

    Raises:
        BadRequestError: If the file cannot be read.
    """
    head = b""
    for chunk in chunks_of(file):
        head += chunk
        if len(head) >= size_bytes:
            break
    return head[:size_bytes]


def write_copy(chunks: Iterable[bytes], output: Path) -> None:
    """Write bytes to a file, whole or not at all, or to standard output.

    Raises:
        BadRequestError: If they cannot be written there.
    """
    if output == STDIN:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    made = output.with_name(f".{output.name}.part")
    try:
        with made.open("wb") as opened:
            for chunk in chunks:
                opened.write(chunk)
        made.replace(output)
    except OSError as error:
        raise BadRequestError(f"{output} cannot be written: {error.strerror}") from None
    finally:
        made.unlink(missing_ok=True)


def pick_of(text: str) -> Pick:
    """Read NAME, NAME@3 or NAME@latest; the last two also where a name itself ends so.

    >>> pick_of("trades@3")
    Pick(name='trades', version=3)
    """
    from reportgen_dagster.services.reports import Pick

    name, _, version = text.rpartition("@")
    if name and version == "latest":
        return Pick(name)
    if name and re.fullmatch(r"[0-9]{1,9}", version):
        return Pick(name, int(version))
    return Pick(text)


def seconds_of(text: str, option: str) -> int:
    """Read a span of time such as 10s, 2h or 1d.

    Raises:
        BadParameter: If it is none.
    """
    try:
        return second_count(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
