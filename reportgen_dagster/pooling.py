"""Kept connections to a database: which are looked at before they are used again, and whose they are after a fork.

SQLAlchemy's `pool_pre_ping` asks the server each time, which costs as much as a small query. A server that ends a connection
says so, and the operating system knows it for nothing; only of one that went silent it does not, so who rested is asked.
A forked process opens its own: two that speak on one connection read each other's answers.
"""

from __future__ import annotations

import os
import select
import time
from typing import Any
from weakref import WeakSet

from sqlalchemy import Engine, event, exc

RESTED_SECONDS = 1.0
_USED_AT = "used_at"
_ENGINES: WeakSet[Engine] = WeakSet()


def look_after(engine: Engine) -> None:
    """Have the connections that an engine keeps asked for a sign of life where they rested or something came by itself.

    If one is broken, all are opened anew; so they are in a forked process, which leaves them to its parent.

    Args:
        engine: Whose pool keeps connections of psycopg or psycopg2, without `pool_pre_ping`.
    """
    _ENGINES.add(engine)

    @event.listens_for(engine, "checkin")
    def note(_connection: object, record: Any) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: object) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None:
            return
        try:
            if time.monotonic() >= used_at + RESTED_SECONDS or not _is_silent(connection):
                engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise exc.InvalidatePoolError from error


def _is_silent(connection: Any) -> bool:
    """Tell whether the server said nothing on a connection that waits: neither a word nor that it is over."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _leave_to_parent() -> None:
    for engine in _ENGINES:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_parent)
