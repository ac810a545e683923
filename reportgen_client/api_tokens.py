"""API tokens: what programs have instead of a session. Only who signed in by `login` or `register` may make and end them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reportgen_client.connection import Call, Connection

_PATH = "/api/v1/me/tokens"


class ApiTokens:
    """The API tokens of the account."""

    def __init__(self, connection: Connection) -> None:
        """Take the way to the service."""
        self._connection = connection

    def make(self, name: str, *, scopes: Sequence[str], days: int | None = None) -> dict[str, Any]:
        """Make a token; return it with its text in `token`, which is told this once.

        Args:
            name: What it is for; no two have the same.
            scopes: What it may do: of `read`, `write`, `run` and `admin`.
            days: How long; default: as the service has it.
        """
        lifetime = {} if days is None else {"days": days}
        call = Call("POST", _PATH, json={"name": name, "scopes": list(scopes), **lifetime})
        made: dict[str, Any] = self._connection.ask(call.making())
        return made

    def list(self) -> Iterator[dict[str, Any]]:
        """Yield them, without their texts."""
        return self._connection.items(_PATH)

    def delete(self, id: str) -> None:
        """End a token at once."""
        self._connection.send(Call("DELETE", f"{_PATH}/{id}"))
