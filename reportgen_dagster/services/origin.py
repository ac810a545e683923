"""Where the present request comes from: set once where it arrives, read where it matters who did something.

What belongs here: the address and id of a request, for all that happens in it. What does not: who is asking (accounts.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from; both are empty for a command and for what the service does by itself.

    Attributes:
        address: The client's IP address.
        request_id: The request's id, as in logs and answers.
    """

    address: str = ""
    request_id: str = ""


_NOWHERE = Origin()
_present: ContextVar[Origin] = ContextVar("origin", default=_NOWHERE)


def present_origin() -> Origin:
    """Return where the present request comes from."""
    return _present.get()


@contextmanager
def coming_from(origin: Origin) -> Iterator[None]:
    """Let everything in the block come from there."""
    token = _present.set(origin)
    try:
        yield
    finally:
        _present.reset(token)
