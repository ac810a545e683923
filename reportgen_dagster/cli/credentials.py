"""Where the client's commands keep what `reportgen login` got: one file below the user's own configuration, for the user only.

Each service that somebody signed in to has a name there, its context. Commands that run at the same time take turns at the
file, for a refresh token works once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import typer

from reportgen_client.tokens import Tokens
from reportgen_dagster.errors import BadRequestError

DEFAULT_CONTEXT = "default"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What is kept of a context.

    Attributes:
        url: The service.
        email: Whose account; empty for an API token.
        tokens: What the account is known by.
    """

    url: str
    email: str
    tokens: Tokens


class Credentials:
    """The file with all contexts."""

    def __init__(self, folder: Path | None = None) -> None:
        """Name its folder; nothing is touched.

        Args:
            folder: Default: where the system keeps the configuration of the user's programs, as ~/.config/reportgen.
        """
        self._folder = folder or Path(typer.get_app_dir("reportgen"))
        self._file = self._folder / "credentials.json"

    def read(self) -> dict[str, SignedIn]:
        """Return every context by its name.

        Raises:
            BadRequestError: If the file cannot be read.
        """
        try:
            kept = json.loads(self._file.read_bytes())["contexts"]
            return {
                name: SignedIn(one["url"], one["email"], Tokens(**one["tokens"]))
                for name, one in kept.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError):
            raise BadRequestError(
                f"{self._file} cannot be read as what `reportgen login` wrote",
                hint="Remove it and sign in again.",
            ) from None

    def put(self, name: str, signed_in: SignedIn | None) -> None:
        """Keep a context in the place of the one of that name; None: forget that."""
        with self.locked():
            self.replace(name, signed_in)

    def replace(self, name: str, signed_in: SignedIn | None) -> None:
        """Do what `put` does, for who holds the lock. The file is replaced whole or not at all."""
        others = {other: kept for other, kept in self.read().items() if other != name}
        contexts = others | ({name: signed_in} if signed_in else {})
        kept = {name: asdict(one) for name, one in contexts.items()}
        new = self._file.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=_PRIVATE)
        new.write_text(json.dumps({"contexts": kept}, indent=2))
        new.replace(self._file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other commands from changing the file."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, _PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class ContextTokens:
    """The tokens of one context, for the client, which renews them."""

    def __init__(self, credentials: Credentials, name: str) -> None:
        """Name the context."""
        self._credentials = credentials
        self._name = name

    def read(self) -> Tokens | None:
        """Return the tokens; None if nobody is signed in."""
        kept = self._credentials.read().get(self._name)
        return kept.tokens if kept else None

    def write(self, tokens: Tokens | None) -> None:
        """Keep new tokens; for who holds the lock."""
        kept = self._credentials.read().get(self._name)
        if kept is not None:  # else somebody signed out meanwhile
            self._credentials.replace(self._name, replace(kept, tokens=tokens) if tokens else None)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep all other commands from renewing them."""
        with self._credentials.locked():
            yield
