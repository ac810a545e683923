"""How often something may be tried: signing in, registering, refreshing. Counted in the catalog, so for all gateways together.

What belongs here: the limits, and whether one more attempt may be. What does not: what is tried (accounts.py). An attempt is
counted before it is made, so that many at once do not slip through, and taken back if it succeeds. What is counted is known by
digests only: an unknown e-mail counts like a known one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import throttling
from reportgen_dagster.catalog.throttling import Counted
from reportgen_dagster.errors import TooManyError
from reportgen_dagster.identity import digest_text
from reportgen_dagster.services.context import Context

_IPV6_PREFIX = 64  # what one subscriber has


@dataclass(frozen=True, slots=True)
class Limit:
    """How often a thing of a kind may be tried.

    Attributes:
        name: What is counted.
        window: An attempt counts for so long.
        free: So many may follow each other at once; after each further one the pause doubles, from a second on.
        most: So many may be within the window.
        longest: The longest pause.
    """

    name: str
    window: timedelta
    free: int
    most: int
    longest: timedelta = timedelta(minutes=15)

    def wait(self, counted: Counted) -> float:
        """Return for how many seconds one more attempt has to wait; 0 or less: it may be now."""
        if counted.first is None or counted.last is None:
            return 0
        if counted.count >= self.most:
            return (counted.first + self.window - counted.now).total_seconds()
        doubled = counted.count - self.free
        if doubled < 0:
            return 0
        pause = min(2.0**doubled, self.longest.total_seconds())
        return pause - (counted.now - counted.last).total_seconds()


# NIST SP 800-63B allows 100 failures of an account; a day later the oldest are forgotten.
ACCOUNT = Limit("account", timedelta(days=1), free=5, most=100)
DEVICE = Limit("device", timedelta(days=1), free=5, most=100)
ADDRESS = Limit("address", timedelta(hours=1), free=100, most=1000)
REFUSALS = Limit("refusals", timedelta(hours=1), free=1, most=1)  # of many the first is told
REFRESH = Limit("refresh", timedelta(minutes=1), free=100, most=100)


def registrations(per_hour: int) -> Limit:
    """Return how often accounts may be made from an address."""
    return Limit("register", timedelta(hours=1), free=per_hour, most=per_hour)


@dataclass(frozen=True, slots=True)
class Counter:
    """What is counted: one account, one address.

    Attributes:
        limit: How often it may be tried.
        of: Which of its kind; kept as a digest.
    """

    limit: Limit
    of: str

    @property
    def key(self) -> str:
        """What it is called in the catalog."""
        text = f"{self.limit.name} {self.of}"
        return digest_text(text.encode(errors="backslashreplace").decode())


def by_address(limit: Limit, address: str) -> list[Counter]:
    """Return what counts for a client's address: IPv6 by its network; nothing where the caller has none."""
    if not address:
        return []
    return [Counter(limit, _network(address))]


def admit(
    context: Context, counters: Sequence[Counter], *, tell: Callable[[Session], None] | None = None
) -> list[str]:
    """Count an attempt; return the ids that `take_back` takes.

    Args:
        context: The installation.
        counters: What it counts for.
        tell: Notes a refusal in its transaction; called once an hour for what is refused, however often that is.

    Raises:
        TooManyError: If it may not be now.
    """
    with context.catalog.transaction() as session:
        seconds, ids = _admit(session, counters)
        if tell is not None and seconds > 0 and _is_first_refusal(session, counters):
            tell(session)
    if seconds > 0:
        told = math.ceil(seconds)
        raise TooManyError(f"Too many attempts; the next one may be in {told} seconds.", retry_seconds=told)
    return ids


def take_back(session: Session, ids: Sequence[str]) -> None:
    """Forget an attempt, because it succeeded."""
    throttling.remove(session, ids)


def forget(session: Session, counter: Counter) -> None:
    """Forget all attempts at something, because somebody showed that he may."""
    throttling.remove_all(session, [counter.key])


def remove_old(context: Context) -> None:
    """Remove attempts that count no more."""
    longest = max(limit.window for limit in (ACCOUNT, DEVICE, ADDRESS, REFRESH))
    with context.catalog.transaction() as session:
        throttling.remove_older_than(session, longest)


def _admit(session: Session, counters: Sequence[Counter]) -> tuple[float, list[str]]:
    throttling.lock(session, [counter.key for counter in counters])
    seconds = max((_wait(session, counter) for counter in counters), default=0)
    return seconds, [] if seconds > 0 else [throttling.add(session, counter.key) for counter in counters]


def _wait(session: Session, counter: Counter) -> float:
    return counter.limit.wait(throttling.counted(session, counter.key, counter.limit.window))


def _is_first_refusal(session: Session, counters: Sequence[Counter]) -> bool:
    """Tell whether what has to wait the longest was not refused within the last hour; from now on it was."""
    longest = max(counters, key=lambda counter: _wait(session, counter))
    seconds, _ = _admit(session, [Counter(REFUSALS, longest.key)])
    return seconds <= 0


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_PREFIX), strict=False))
