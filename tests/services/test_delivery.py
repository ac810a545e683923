"""The outbox: written with what it tells of, sent at least once under one id, tried again for a day."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import Queue
from typing import Any

import pytest

from reportgen_dagster.catalog import deliveries as catalog
from reportgen_dagster.errors import BadDataError, NotFoundError, ServiceError
from reportgen_dagster.identity import new_id, utc_now
from reportgen_dagster.services import (
    attempts,
    cancelling,
    delivery,
    outbox,
    reaper,
    report_runs,
    reports,
    retention,
)
from reportgen_dagster.services.delivery import send_due, wait_after
from tests.services.conftest import World
from tests.services.delivering import SECRET, Receiver, deliver, hook, let_pass, made, receiving, rows, told
from tests.services.named import make_parts, put_report

DAY = 24 * 3600
SENDER = """
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.delivery import send_due
from reportgen_dagster.settings import Settings
send_due(Context.open(Settings()))
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def sending(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The installation, allowed to reach loopback, with the secret `partner`."""
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", SECRET)
    with told(world, webhook_hosts="127.0.0.1", public_url="https://reports.example.com/") as opened:
        yield opened


def accepted(world: World, name: str = "daily") -> str:
    return report_runs.run_report(world.context, world.ann, name).id


def lose_worker_thrice(world: World, run_id: str) -> None:
    for _ in range(reaper.MAX_LOST_ATTEMPTS):
        dagster_run_id = new_id()
        world.claim(run_id, dagster_run_id)
        world.age(dagster_run_id)
        reaper.reap(world.context)


def test_a_success_is_told_signed_and_with_links(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver))
    run_id = made(sending)
    assert str(send_due(sending.context)) == "Delivered: 1."
    (request,) = receiver.received
    told_ = request.verified()
    assert told_["type"] == "report.succeeded"
    assert told_["data"] == {
        "run_id": run_id,
        "report": "daily",
        "run_date": utc_now().date().isoformat(),
        "state": "succeeded",
        "rows": 2,
        "rejected": 0,
        "error": None,
        "formats": ["csv"],
        "links": {"csv": f"https://reports.example.com/api/download-report/{run_id}/?format=csv"},
    }
    ((delivery_id, state, attempts_),) = rows(sending, "id, state, attempts")
    assert (request.headers["webhook-id"], state, attempts_) == (delivery_id, "delivered", 1)
    assert str(send_due(sending.context)) == "Nothing is to be delivered."


@pytest.mark.parametrize("end", ["fail", "give_up", "reap"])
def test_however_a_run_fails_it_is_told(sending: World, receiver: Receiver, end: str) -> None:
    deliver(sending, hook(receiver))
    run_id = accepted(sending)
    if end == "reap":
        lose_worker_thrice(sending, run_id)
    else:
        claim = sending.claim(run_id, "d" * 32)
        error = BadDataError("The last line is cut off.")
        if end == "fail":
            assert attempts.fail(sending.context, claim, error)
        else:
            assert attempts.give_up(sending.context, "d" * 32, error)
    assert sending.state(run_id) == "failed"
    assert send_due(sending.context).delivered == 1
    told_ = receiver.received[0].verified()
    assert (told_["type"], told_["data"]["run_id"]) == ("report.failed", run_id)
    code = "worker-lost" if end == "reap" else "data-refused"
    assert told_["data"]["error"]["code"] == code


def test_a_cancelled_run_and_one_of_no_report_tell_nobody(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver))
    cancelling.cancel_run(sending.context, sending.ann, accepted(sending))
    sending.publish(sending.claim(sending.run()))
    assert rows(sending) == []


def test_what_a_run_loses_at_its_end_is_not_told(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver))
    run_id = accepted(sending)
    zombie = sending.claim(run_id, "first")
    sending.age("first")
    lost = attempts.fail(sending.context, zombie, ServiceError("x"))
    assert lost, "its claim still counts: nobody reaped it"
    assert not sending.publish(zombie)
    assert len(rows(sending)) == 1


def test_destinations_are_those_of_the_runs_end_and_events_those_that_are_wanted(
    sending: World, receiver: Receiver
) -> None:
    deliver(sending, hook(receiver, on=["failure"]))
    made(sending)
    assert rows(sending) == []
    attempts.fail(sending.context, sending.claim(accepted(sending)), BadDataError("x"))
    deliver(sending)
    assert rows(sending, "event, destination->>'url'") == [("failure", receiver.url)]
    assert send_due(sending.context).delivered == 1


def test_it_is_tried_again_later_each_time_and_dead_after_a_day(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver))
    made(sending)
    receiver.answers.extend((503, {}, b"not now") for _ in range(20))
    waits = []
    for _ in range(10):
        assert send_due(sending.context).failed
        ((wait,),) = rows(sending, "extract(epoch from next_at - clock_timestamp())")
        waits.append(round(float(wait)))
        let_pass(sending, float(wait))
    assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    assert wait_after(1000) == timedelta(hours=1)
    let_pass(sending, DAY - sum(waits) - 1000)
    assert send_due(sending.context).failed
    assert rows(sending, "next_at = give_up_at") == [(True,)], "the last try is when the day is over"
    let_pass(sending, 1000)
    assert send_due(sending.context).dead
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    (view,) = outbox.list_deliveries(sending.context, sending.ann, state="dead")
    assert (view.attempts, view.error and view.error["detail"]) == (12, "The receiver answered 503: not now.")
    let_pass(sending, 10 * DAY)
    assert str(send_due(sending.context)) == "Nothing is to be delivered."


def test_gone_is_dead_at_once_and_is_sent_anew_under_the_same_id(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver))
    made(sending)
    receiver.will_answer(410)
    assert send_due(sending.context).dead
    (dead,) = outbox.list_deliveries(sending.context, sending.ann, state="dead", report="daily")
    with pytest.raises(NotFoundError):
        outbox.redeliver(sending.context, sending.bob, dead.id)
    let_pass(sending, 3 * DAY)
    view = outbox.redeliver(sending.context, sending.ann, dead.id)
    assert (view.id, view.state, view.attempts) == (dead.id, "pending", 0)
    receiver.will_answer(500)
    assert send_due(sending.context).failed, "it has another day"
    let_pass(sending, 10)
    assert send_due(sending.context).delivered == 1
    assert {request.headers["webhook-id"] for request in receiver.received} == {dead.id}
    view = outbox.get_delivery(sending.context, sending.ann, dead.id)
    assert (view.state, view.error) == ("delivered", None)


def test_all_that_is_dead_is_sent_anew(sending: World, receiver: Receiver) -> None:
    for name in ("daily", "weekly"):
        deliver(sending, hook(receiver), name=name)
        made(sending, name)
    receiver.will_answer(410, 410)
    send_due(sending.context)
    assert [
        one.report_name for one in outbox.redeliver_dead(sending.context, sending.ann, report="weekly")
    ] == ["weekly"]
    assert outbox.redeliver_dead(sending.context, sending.bob) == []
    assert len(outbox.redeliver_dead(sending.context, sending.ann)) == 1
    assert send_due(sending.context).delivered == 2


def test_whoever_dies_between_sending_and_writing_it_down_sends_it_twice_under_one_id(
    sending: World, receiver: Receiver
) -> None:
    deliver(sending, hook(receiver))
    made(sending)
    # The receiver kills the sender where its answer should be.
    started: Queue[subprocess.Popen[bytes]] = Queue()
    receiver.answers.append(lambda _: started.get().kill())
    sender = subprocess.Popen([sys.executable, "-c", SENDER], env={**sending.context.settings.environment()})
    started.put(sender)
    assert sender.wait(60) == -signal.SIGKILL
    assert str(send_due(sending.context)) == "Nothing is to be delivered.", "it is leased"
    let_pass(sending, delivery.LEASE_SECONDS)
    assert send_due(sending.context).delivered == 1
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.verified()["data"] == second.verified()["data"]
    assert rows(sending) == [("webhook", "delivered", 2)]


def test_a_zombies_word_does_not_count(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver))
    made(sending)
    overtaken = []

    def overtake(handler: Any) -> None:
        let_pass(sending, delivery.LEASE_SECONDS)
        overtaken.append(send_due(sending.context).delivered)
        handler.send_response(500)
        handler.end_headers()

    receiver.answers.append(overtake)
    sent = send_due(sending.context)
    assert (overtaken, sent.delivered, sent.failed) == ([1], 0, [])
    assert rows(sending) == [("webhook", "delivered", 2)]


def test_owners_take_turns(sending: World, receiver: Receiver) -> None:
    urls = [f"{receiver.url}/{number}" for number in range(12)]
    deliver(sending, *({"webhook": {"url": url, "secret": "partner"}} for url in urls))
    made(sending)
    make_parts(sending, sending.bob)
    put_report(sending, "bobs", owner_id=sending.bob, deliveries=[hook(receiver)])
    run_id = report_runs.run_report(sending.context, sending.bob, "bobs").id
    sending.publish(sending.claim(run_id))
    claims = []
    for _ in range(2):
        with sending.context.catalog.transaction() as session:
            lease = timedelta(seconds=delivery.LEASE_SECONDS)
            claims.append(catalog.claim(session, "webhook", at_once=8, lease=lease))
    assert [[one.owner_id for one in claimed].count(sending.bob) for claimed in claims] == [1, 0]
    assert [len(claimed) for claimed in claims] == [8, 0], "no more than 8 are on their way"
    let_pass(sending, delivery.LEASE_SECONDS)
    assert send_due(sending.context, patience_seconds=60).delivered == 13
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 13


def test_of_several_senders_at_once_one_sends_each(sending: World, receiver: Receiver) -> None:
    urls = [f"{receiver.url}/{number}" for number in range(20)]
    deliver(sending, *({"webhook": {"url": url, "secret": "partner"}} for url in urls))
    made(sending)
    with ThreadPoolExecutor(3) as threads:
        sent = list(threads.map(lambda _: send_due(sending.context, patience_seconds=60), range(3)))
    assert sum(one.delivered for one in sent) == 20
    assert sorted(request.path for request in receiver.received) == sorted(f"/hook/{n}" for n in range(20))


def test_a_secret_that_is_gone_is_told_with_how_to_mend_it(
    sending: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(sending, hook(receiver))
    made(sending)
    monkeypatch.delenv("REPORTGEN_SECRET_PARTNER")
    assert send_due(sending.context).failed
    (view,) = outbox.list_deliveries(sending.context, sending.ann)
    assert view.error
    assert view.error["detail"] == "There is no secret `partner`."
    assert "REPORTGEN_SECRET_PARTNER" in view.error["hint"]
    assert receiver.received == []
    folder = sending.context.settings.home / "secrets"
    folder.mkdir()
    (folder / "partner").write_text(f"{SECRET}\n")
    let_pass(sending, 10)
    assert "Others may read" in send_due(sending.context).failed[0]
    (folder / "partner").chmod(0o600)
    let_pass(sending, 20)
    assert send_due(sending.context).delivered == 1
    receiver.received[0].verified()


def test_while_a_secret_is_changed_both_sign(
    sending: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(sending, hook(receiver))
    made(sending)
    other = "whsec_" + "B" * 40
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", f"{SECRET} {other}")
    send_due(sending.context)
    assert receiver.received[0].verified() == receiver.received[0].verified(other)


def test_secrets_are_nowhere_in_catalog_and_logs(
    sending: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    deliver(sending, hook(receiver))
    receiver.will_answer(500, 204)
    made(sending)
    send_due(sending.context)
    let_pass(sending, 10)
    send_due(sending.context)
    assert len(receiver.received) == 2
    tables = [name for (name,) in sending.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    kept = [row for name in tables for row in sending.sql(f"SELECT t::text FROM {name} AS t")]  # noqa: S608
    assert any("partner" in text for (text,) in kept)
    bare = SECRET.removeprefix("whsec_")
    assert not [text for (text,) in kept if bare in text]
    assert bare not in caplog.text


def late_rows(world: World) -> list[tuple[Any, ...]]:
    return [row for row in rows(world, "event, run_id, words") if row[0] == "late"]


def test_a_report_that_is_late_is_told_once_for_each_lapse(sending: World, receiver: Receiver) -> None:
    deliver(sending, hook(receiver, on=["late"]), fresh_within_seconds=3600)
    now = utc_now()
    assert outbox.note_late(sending.context, now=now) == 0
    late = [outbox.note_late(sending.context, now=now + timedelta(hours=hours)) for hours in (2, 2, 3)]
    assert late == [1, 0, 0]
    made(sending)
    assert outbox.note_late(sending.context, now=now) == 0
    assert outbox.note_late(sending.context, now=now + timedelta(hours=4)) == 1
    assert [run_id for _, run_id, _ in late_rows(sending)] == [None, None]
    assert send_due(sending.context).delivered == 2
    notices = [request.verified() for request in receiver.received]
    told_ = {(one["type"], one["data"]["report"], one["data"]["run_id"]) for one in notices}
    assert told_ == {("report.late", "daily", None)}
    details = " ".join(one["data"]["error"]["detail"] for one in notices)
    assert "It has not been made yet" in details
    assert "it may be 1 hour old" in details
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 2


def test_dead_deliveries_are_judged_until_something_arrives_there_or_nothing_goes_there(
    sending: World, receiver: Receiver
) -> None:
    deliver(sending, hook(receiver))
    assert [verdict.passed for verdict in outbox.verdicts(sending.context)] == [True]
    made(sending)
    receiver.will_answer(410)
    send_due(sending.context)
    (verdict,) = outbox.verdicts(sending.context)
    assert not verdict.passed
    assert verdict.words == (
        f"The webhook to {receiver.url} is dead after 1 tries: The receiver wants no more of it (410 Gone)."
    )
    made(sending)
    send_due(sending.context)
    assert [verdict.passed for verdict in outbox.verdicts(sending.context)] == [True]
    receiver.will_answer(410)
    made(sending)
    send_due(sending.context)
    assert [verdict.passed for verdict in outbox.verdicts(sending.context)] == [False]
    deliver(sending, hook(receiver, on=["failure"]))
    assert [verdict.passed for verdict in outbox.verdicts(sending.context)] == [True]


def test_a_deleted_report_is_still_delivered_and_old_deliveries_go_with_their_runs(
    sending: World, receiver: Receiver
) -> None:
    deliver(sending, hook(receiver))
    run_id = made(sending)
    reports.delete_report(sending.context, sending.ann, "daily")
    assert send_due(sending.context).delivered == 1
    assert [one.run_id for one in outbox.run_deliveries(sending.context, sending.ann, run_id)] == [run_id]
    with pytest.raises(NotFoundError):
        outbox.run_deliveries(sending.context, sending.bob, run_id)
    with told(sending, retention_days=1) as forgetful:
        retention.remove_old(forgetful.context, now=utc_now() + timedelta(days=2))
    assert rows(sending) == []
