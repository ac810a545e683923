"""Use case: send what is due, a bounded time, at least once. Of several processes each takes other deliveries.

A claimed delivery is leased: who dies with one loses it after `LEASE_SECONDS`, and somebody sends it again under its id. What
belongs here: claiming, threads, trying again. What does not: how it is sent (mail.py, webhooks.py, storage/copies.py), what is
written into the outbox (outbox.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from reportgen_dagster.catalog import deliveries as catalog
from reportgen_dagster.catalog.tables import Delivery
from reportgen_dagster.errors import (
    ConflictError,
    DeliveryError,
    DeliveryRefusedError,
    ReportgenError,
    UnavailableError,
)
from reportgen_dagster.services.attempts import storable
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.destinations import Channel
from reportgen_dagster.services.messages import Message, as_json, chunks_of, message_of

# On their way at the same time. Each channel has its own, so that a dead mail server holds up no webhook.
AT_ONCE: Mapping[Channel, int] = {"email": 4, "webhook": 8, "copy": 2}
LEASE_SECONDS = 120
RENEW_SECONDS = 30
PATIENCE_SECONDS = 10.0  # for one call; what takes longer goes on behind it
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
_LEASE = timedelta(seconds=LEASE_SECONDS)
_LOOK_SECONDS = 1.0  # after which more is claimed, though something takes longer
_TOLD = 3
_log = logging.getLogger(__name__)


Outcome = tuple[Literal["delivered", "pending", "dead", "lost"], str]


@dataclass(slots=True)
class Sent:
    """What became of the deliveries that were due.

    Attributes:
        delivered: How many arrived.
        failed: What is tried again, a sentence for each.
        dead: What is not, a sentence for each.
        going_on: How many are still being sent.
    """

    delivered: int = 0
    failed: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    going_on: int = 0

    def note(self, outcome: Outcome) -> None:
        """Count how one ended."""
        state, words = outcome
        self.delivered += state == "delivered"
        if state in ("pending", "dead"):
            (self.dead if state == "dead" else self.failed).append(words)

    def __str__(self) -> str:
        """Tell it in sentences."""
        told = [f"Delivered: {self.delivered:,}."] if self.delivered else []
        for what, sentences in (("Dead", self.dead), ("Tried again later", self.failed)):
            if sentences:
                told.append(f"{what}: {len(sentences):,}. {' '.join(sentences[:_TOLD])}")
        told += [f"Still being sent: {self.going_on:,}."] if self.going_on else []
        return " ".join(told) or "Nothing is to be delivered."


def send_due(context: Context, *, patience_seconds: float = PATIENCE_SECONDS) -> Sent:
    """Send what is due until nothing is or the time is over.

    Args:
        context: The installation.
        patience_seconds: For how long; what is on its way then goes on in this process, and its end is written as usual.

    Raises:
        UnavailableError: If the database is away. What was on its way is then sent again later.
    """
    sent, deadline = Sent(), time.monotonic() + patience_seconds
    pool = ThreadPoolExecutor(sum(AT_ONCE.values()), thread_name_prefix="delivery")
    on_their_way: set[Future[Outcome]] = set()
    try:
        while (left := deadline - time.monotonic()) > 0:
            on_their_way |= {pool.submit(_carry_out, context, one) for one in _claim_due(context)}
            if not on_their_way:
                break
            done, on_their_way = wait(on_their_way, timeout=min(left, _LOOK_SECONDS))
            for future in done:
                sent.note(future.result())
    finally:
        pool.shutdown(wait=False)
    sent.going_on = len(on_their_way)
    return sent


def _claim_due(context: Context) -> list[Delivery]:
    claimed = []
    for channel, at_once in AT_ONCE.items():
        with context.catalog.transaction() as session:
            claimed += catalog.claim(session, channel, at_once=at_once, lease=_LEASE)
    return claimed


def _carry_out(context: Context, delivery: Delivery) -> Outcome:
    """Send a claimed delivery and write how it ended; `lost` if it is somebody else's by now."""
    try:
        _CHANNELS[delivery.channel](context, delivery, message_of(context, delivery))
    except UnavailableError:
        raise
    except ReportgenError as error:
        return _note_failed(context, delivery, error)
    except Exception as error:
        _log.exception("the delivery %s failed", delivery.id)
        ours = DeliveryError(f"Something went wrong on our side ({type(error).__name__}).")
        return _note_failed(context, delivery, ours)
    with context.catalog.transaction() as session:
        return ("delivered" if catalog.note_delivered(session, delivery) else "lost"), ""


def _note_failed(context: Context, delivery: Delivery, error: ReportgenError) -> Outcome:
    again = None if isinstance(error, DeliveryRefusedError) else wait_after(delivery.attempts)
    with context.catalog.transaction() as session:
        state = catalog.note_failed(session, delivery, storable(error.to_json()), wait=again)
    return state or "lost", f"{delivery.report_name}, {delivery.channel} {delivery.id}: {error.detail}"


def wait_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failed attempts: 10 s, 20 s, 40 s ... an hour."""
    return min(FIRST_WAIT * (1 << min(attempts - 1, 20)), LONGEST_WAIT)


def _email(context: Context, delivery: Delivery, message: Message) -> None:
    from reportgen_dagster.services import mail

    mail.send(context, message, delivery.destination["to"], delivery.destination.get("formats"))


def _webhook(context: Context, delivery: Delivery, message: Message) -> None:
    from reportgen_dagster.services import webhooks

    webhooks.send(context.settings, delivery.destination, message.id, as_json(message))


def _copy(context: Context, delivery: Delivery, message: Message) -> None:
    """Copy the files to a folder of the run: a repetition writes the same bytes to the same place."""
    from reportgen_dagster.services import targets
    from reportgen_dagster.storage import copies

    url = copies.folder(delivery.destination["url"], message.report, f"{message.run_date}-{message.run_id}")
    if problem := targets.url_problem(url, context.settings):
        raise DeliveryError(f"Copies cannot go to {url}: {problem}.")
    keep_alive = _renewing(context, delivery)
    for file in message.wanted_files(delivery.destination.get("formats")):
        copies.copy_file(chunks_of(context, file), file.size_bytes, url, file.name, keep_alive)


def _renewing(context: Context, delivery: Delivery) -> Callable[[], None]:
    """Return what keeps a claimed delivery ours while it takes long.

    Raises:
        ConflictError: When called after somebody else took it.
    """
    renewed_at = time.monotonic()

    def renew() -> None:
        nonlocal renewed_at
        if time.monotonic() - renewed_at > RENEW_SECONDS:
            with context.catalog.transaction() as session:
                if not catalog.renew(session, delivery, _LEASE):
                    raise ConflictError("Somebody else sends this delivery by now.")
            renewed_at = time.monotonic()

    return renew


_CHANNELS: Mapping[str, Callable[[Context, Delivery, Message], Any]] = {
    "email": _email,
    "webhook": _webhook,
    "copy": _copy,
}
