"""Use case: a request that comes again under the same Idempotency-Key makes nothing again and gets the first answer.

A use case that makes something takes `once` and calls `note` in the transaction that makes it. So there is the thing with its
answer, or neither: whatever is killed when, a repetition is answered or carried out. What came to nothing is not noted, and may
be tried again. What a key looks like and what an answer is, is the gateway's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import idempotency as catalog
from reportgen_dagster.errors import ConflictError, KeyReusedError
from reportgen_dagster.services.context import Context


class RepeatedRequest(Exception):  # noqa: N818 - nothing is wrong
    """What is asked for was done before; the transaction that did it again is undone.

    Attributes:
        answer: What was answered, as it was kept.
    """

    def __init__(self, answer: str) -> None:
        super().__init__("carried out before")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to be carried out once.

    Attributes:
        owner_id: Who asks; others have keys of their own.
        call: The operation; another one has keys of its own.
        key: The caller's name for the request.
        digest: SHA-256 of all that is asked for.
        answer: Returns the answer to keep, given what was made.
    """

    owner_id: str
    call: str
    key: str
    digest: str
    answer: Callable[[Any], str]


def refuse_repetition(context: Context, once: Once) -> None:
    """Look whether a request was carried out before, so that nothing has to be checked and stored again.

    Raises:
        RepeatedRequest: If it was.
        KeyReusedError: If another request was, under the same key.
    """
    with context.catalog.reading() as session:
        _refuse_known(session, once)


def note(session: Session, once: Once | None, made: Any) -> None:
    """Write, in the transaction that makes something, for which request it is made; nothing for one without a key.

    Raises:
        RepeatedRequest: If the request was carried out meanwhile.
        KeyReusedError: If another request was, under the same key.
        ConflictError: If another request with the key is just being carried out.
    """
    if once is None:
        return
    if not catalog.try_lock(session, once.owner_id, once.call, once.key):
        raise ConflictError(
            "A request with this Idempotency-Key is just being carried out.",
            hint="Send it again in a moment: the answer is then the first one's.",
        )
    _refuse_known(session, once)
    catalog.add(session, once.owner_id, once.call, once.key, digest=once.digest, answer=once.answer(made))


def _refuse_known(session: Session, once: Once) -> None:
    known = catalog.find(session, once.owner_id, once.call, once.key)
    if known is None:
        return
    if known.digest != once.digest:
        raise KeyReusedError("This Idempotency-Key was used for a request that asked for something else.")
    raise RepeatedRequest(known.answer)
