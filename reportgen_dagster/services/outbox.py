"""Use case: what is to be delivered. Written in the transaction that ends a run, or once when a report gets late.

What belongs here: writing the outbox, showing it to owners, asking for a delivery anew, and what is told of dead ones. What does
not: sending (delivery.py), the destinations themselves (destinations.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import deliveries as catalog
from reportgen_dagster.catalog.tables import Delivery
from reportgen_dagster.errors import NotFoundError
from reportgen_dagster.identity import ID_PATTERN, digest_text
from reportgen_dagster.services import freshness
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.destinations import Address, Event, addresses_for
from reportgen_dagster.services.freshness import Verdict
from reportgen_dagster.services.runs import find_run

_EVENTS: dict[str, Event] = {"succeeded": "success", "failed": "failure"}  # a cancelled run tells nobody
STATES = ("pending", "delivered", "dead")


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as its owner sees it.

    Attributes:
        id: Stays the same whenever it is sent; receivers know repetitions by it.
        report_name: Of which report.
        run_id: Of which run; None if the report is late.
        event: `success`, `failure` or `late`.
        channel: `email`, `webhook` or `copy`.
        destination: `to`, or `url` and the name of the secret, or `url`; perhaps `formats`.
        state: `pending`, `delivered` or `dead`.
        attempts: How often it was tried since it was last asked for.
        next_at: When it is tried next; None unless it is pending.
        error: Why it failed the last time; None if it did not.
    """

    id: str
    report_name: str
    run_id: str | None
    event: str
    channel: str
    destination: dict[str, Any]
    state: str
    attempts: int
    next_at: datetime | None
    error: dict[str, Any] | None
    created_at: datetime
    delivered_at: datetime | None

    @property
    def where(self) -> str:
        """The address or URL."""
        return str(self.destination.get("to") or self.destination["url"])


def note_end(session: Session, run_id: str) -> None:
    """Write what is to be delivered of a run that ends in this transaction; nothing for a cancelled one."""
    run = catalog.of_run_of_report(session, run_id)
    event = _EVENTS.get(run.state) if run is not None else None
    if run is not None and event is not None:
        about = {
            "owner_id": run.owner_id,
            "report_id": run.id,
            "report_name": run.report_name,
            "run_id": run_id,
        }
        catalog.add(session, _rows(run_id, event, addresses_for(run.deliveries, event), about))


def note_late(context: Context, *, now: datetime | None = None) -> int:
    """Write notices of reports that are older than they may be, once for each time that they got so.

    Args:
        context: The installation.
        now: The time to judge for; None: the database's.

    Returns:
        How many notices are new.
    """
    late = {verdict.id: verdict for verdict in freshness.reports(context, now=now) if not verdict.passed}
    if not late:
        return 0
    with context.catalog.transaction() as session:
        rows = []
        for report in catalog.delivering_reports(session):
            if (verdict := late.get(report.id)) is not None:
                about = {
                    "owner_id": report.owner_id,
                    "report_id": report.id,
                    "report_name": report.name,
                    "words": verdict.words,
                }
                rows += _rows(_lapse(verdict), "late", addresses_for(report.deliveries, "late"), about)
        return catalog.add(session, rows)


def _lapse(verdict: Verdict) -> str:
    """Return what tells the times apart at which a report got late: what it was last made at stays until it is made again."""
    since = verdict.since.astimezone(UTC).isoformat() if verdict.since is not None else ""
    return f"{verdict.id} {since}"


def _rows(
    subject: str, event: Event, addresses: Iterable[Address], about: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the rows of an event; their ids follow from what happened to what and from where it is told."""
    return [
        {
            "id": digest_text(json.dumps([subject, event, to.channel, to.destination], sort_keys=True))[:32],
            "event": event,
            "channel": to.channel,
            "destination": to.destination,
            **about,
        }
        for to in addresses
    ]


def list_deliveries(
    context: Context, owner_id: str, *, state: str | None = None, report: str | None = None, limit: int = 50
) -> list[DeliveryView]:
    """Return the caller's deliveries, the latest first.

    Args:
        context: The installation.
        owner_id: Who asks.
        state: Only those in this state.
        report: Only those of the report of this name.
        limit: At most so many.
    """
    with context.catalog.reading() as session:
        found = catalog.of_owner(session, owner_id, state=state, report_name=report, limit=limit)
        return [_view(one) for one in found]


def run_deliveries(context: Context, owner_id: str, run_id: str) -> list[DeliveryView]:
    """Return the deliveries of a run of the caller's, the latest first.

    Raises:
        NotFoundError: If the caller has no such run.
    """
    find_run(context, owner_id, run_id)
    with context.catalog.reading() as session:
        return [_view(one) for one in catalog.of_owner(session, owner_id, run_id=run_id)]


def get_delivery(context: Context, owner_id: str, delivery_id: str) -> DeliveryView:
    """Return a delivery of the caller's.

    Raises:
        NotFoundError: If there is none of that id.
    """
    with context.catalog.reading() as session:
        return _view(_find_own(session, owner_id, delivery_id))


def redeliver(context: Context, owner_id: str, delivery_id: str) -> DeliveryView:
    """Send a delivery of the caller's anew under its id, whether it is dead, delivered or waiting; it gets a day of tries.

    Raises:
        NotFoundError: If there is none of that id.
    """
    with context.catalog.transaction() as session:
        delivery = _find_own(session, owner_id, delivery_id)
        catalog.send_anew(session, [delivery.id])
        session.refresh(delivery)
        return _view(delivery)


def redeliver_dead(context: Context, owner_id: str, *, report: str | None = None) -> list[DeliveryView]:
    """Send all dead deliveries of the caller's anew, or those of a report.

    Args:
        context: The installation.
        owner_id: Who asks.
        report: Only those of the report of this name.
    """
    with context.catalog.transaction() as session:
        dead = catalog.of_owner(session, owner_id, state="dead", report_name=report)
        catalog.send_anew(session, [one.id for one in dead])
        for one in dead:
            session.refresh(one)
        return [_view(one) for one in dead]


def verdicts(context: Context) -> list[Verdict]:
    """Judge each report that is delivered anywhere: it has no dead delivery to where it goes now, unless a later one arrived."""
    with context.catalog.reading() as session:
        reports = catalog.delivering_reports(session)
        dead = catalog.dead_letters(session)
    return [
        _verdict(
            (report.id, report.owner_id, report.name),
            [one for one in dead if one.report_id == report.id and _still_goes_there(one, report.deliveries)],
        )
        for report in reports
    ]


def _still_goes_there(delivery: Delivery, deliveries: Sequence[dict[str, Any]]) -> bool:
    return Address(delivery.channel, delivery.destination) in addresses_for(deliveries, delivery.event)


def _verdict(report: tuple[str, str, str], dead: Sequence[Delivery]) -> Verdict:
    if not dead:
        return Verdict(*report, passed=True, words="Nothing that was to be delivered is dead.")
    last = _view(dead[0])
    why = last.error["detail"] if last.error else "?"
    more = f" And {len(dead) - 1} more." if len(dead) > 1 else ""
    facts = {
        "delivery": last.id,
        "run": last.run_id or "-",
        "redeliver": f"reportgen deliveries redeliver {last.id}",
    }
    words = f"The {last.channel} to {last.where} is dead after {last.attempts} tries: {why}{more}"
    return Verdict(*report, passed=False, words=words, facts=facts)


def _find_own(session: Session, owner_id: str, delivery_id: str) -> Delivery:
    found = catalog.find(session, owner_id, delivery_id) if ID_PATTERN.fullmatch(delivery_id) else None
    if found is None:
        raise NotFoundError("There is no such delivery.")
    return found


def _view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        report_name=delivery.report_name,
        run_id=delivery.run_id,
        event=delivery.event,
        channel=delivery.channel,
        destination=delivery.destination,
        state=delivery.state,
        attempts=delivery.attempts,
        next_at=delivery.next_at if delivery.state == "pending" else None,
        error=delivery.last_error,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
    )
