"""Live events of runs: all of them arrive in order, a cut loses none, and watching costs nobody anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import httpx2
import pytest

from api_gateway import following
from api_gateway.runs import events
from reportgen_dagster.errors import BadDataError
from reportgen_dagster.services import attempts
from tests.gateway.conftest import Server, User, assert_problem, claim_run


class Event(NamedTuple):
    id: int
    name: str
    data: dict


@contextmanager
def _stream(user: User, task: str, *, url: str = "", after: int | None = None) -> Iterator[Iterator[Event]]:
    """Open a stream; its events are read as they come."""
    headers = {**user.http.headers, **({"Last-Event-ID": str(after)} if after is not None else {})}
    with (
        httpx2.Client(base_url=url or user.http.base_url, headers=headers, timeout=30) as client,
        client.stream("GET", f"/api/v1/runs/{task}/events") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}
        else:
            assert fields.pop("retry", "2000") == "2000"


def _names(told: list[Event]) -> list[str]:
    return [f"{event.name} {event.data['stage']} {event.data['progress']}" for event in told]


def test_a_stream_tells_all_that_happens_and_ends(server: Server, ann: User, finish) -> None:
    ann.upload()
    task = ann.generate()
    with _stream(ann, task) as told:
        first = next(told)
        assert (first.id, first.name, first.data["status"]) == (1, "accepted", "accepted")
        claim = claim_run(server.context, task)
        attempts.enter_stage(server.context, claim, "validate", 15)
        attempts.enter_stage(server.context, claim, "transform", 20)
        attempts.enter_stage(server.context, claim, "transform", 60, rows=1_000)
        attempts.enter_stage(server.context, claim, "transform", 60, rows=1_001)  # less than a percent
        assert attempts.release(server.context, claim)  # a server was away; another attempt makes it
        finish(task, report=b"double\n2\n4\n")
        rest = list(told)
    assert _names(rest) == [
        "stage ingest 0",
        "stage validate 15",
        "stage transform 20",
        "progress transform 60",
        "accepted waiting 0",
        "stage ingest 0",
        "succeeded done 100",
    ]
    assert [event.id for event in rest] == list(range(2, 9))
    assert (rest[3].data["status"], rest[3].data["rows"]) == ("running", 1_000)
    assert (rest[-1].data["status"], rest[-1].data["rows"]) == ("succeeded", 2)
    times = [event.data["at"] for event in (first, *rest)]
    assert times == sorted(times)


def test_after_a_cut_the_rest_comes_from_another_gateway(server: Server, ann: User, second_url: str) -> None:
    ann.upload()
    task = ann.generate()
    claim = claim_run(server.context, task)
    with _stream(ann, task) as told:
        assert [next(told).id, next(told).id] == [1, 2]
    attempts.enter_stage(server.context, claim, "validate", 15)
    attempts.fail(server.context, claim, BadDataError("Row 7 has 2 cells."))
    with _stream(ann, task, url=second_url, after=2) as told:
        rest = list(told)
    assert [(event.id, event.name) for event in rest] == [(3, "stage"), (4, "failed")]
    assert "Row 7" in rest[-1].data["error"]
    for after in (4, 99):  # nothing is left, and nothing will come
        with _stream(ann, task, after=after) as told:
            assert list(told) == []
    with _stream(ann, task) as told:
        assert [event.id for event in told] == [1, 2, 3, 4]


def test_a_cancelled_run_ends_its_stream(ann: User, second_url: str) -> None:
    ann.upload()
    task = ann.generate()
    with _stream(ann, task, url=second_url) as told:
        assert next(told).name == "accepted"
        ann.http.post(f"/api/v1/runs/{task}/cancel")
        (last,) = told
    assert (last.name, last.data["status"]) == ("cancelled", "cancelled")
    assert "You cancelled" in last.data["error"]


def test_a_last_event_id_that_is_none_is_400(ann: User) -> None:
    ann.upload()
    task = ann.generate()
    answer = ann.http.get(f"/api/v1/runs/{task}/events", headers={"Last-Event-ID": "x"})
    assert_problem(answer, 400, "Last-Event-ID")


def test_a_stream_that_lasts_long_ends_and_goes_on_anew(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.upload()
    task = ann.generate()
    monkeypatch.setattr(events, "STREAM_SECONDS", 0.1)
    with _stream(ann, task) as told:
        assert [event.name for event in told] == ["accepted"]
    ann.http.post(f"/api/v1/runs/{task}/cancel")
    with _stream(ann, task, after=1) as told:
        assert [event.name for event in told] == ["cancelled"]


def test_many_streams_hold_neither_connections_nor_threads_and_are_bounded(
    server: Server, ann: User, bob: User, finish
) -> None:
    ann.upload()
    task = ann.generate()
    most = following.MAX_STREAMS
    headers = dict(ann.http.headers)
    limits = httpx2.Limits(max_connections=None)
    with (
        httpx2.Client(base_url=server.url, headers=headers, timeout=30, limits=limits) as client,
        ExitStack() as stack,
    ):

        def open_stream(_: int) -> Iterator[Event]:
            answer = stack.enter_context(client.stream("GET", f"/api/v1/runs/{task}/events"))
            return _events(answer.iter_lines())

        # More than the gateway has threads and connections; it answers all the same.
        with ThreadPoolExecutor(10) as pool:
            streams = list(pool.map(open_stream, range(most)))
        assert [next(stream).name for stream in streams] == ["accepted"] * most
        refused = assert_problem(client.get(f"/api/v1/runs/{task}/events"), 429, str(most))
        assert refused["code"] == "too-many"
        bob.upload()
        with _stream(bob, bob.generate()) as told:
            assert next(told).name == "accepted"
        finish(task, report=b"double\n2\n")
        assert {tuple(event.name for event in stream) for stream in streams} == {("stage", "succeeded")}
    with _stream(ann, task) as told:  # the places are free again
        assert len(list(told)) == 3


def test_a_stream_ends_with_its_session_and_with_its_api_token(ann: User, second_url: str) -> None:
    ann.upload()
    task = ann.generate()
    made = ann.http.post("/api/v1/me/tokens", json={"name": "watching", "scopes": ["read"]}).json()
    program = User(second_url)
    program.http.headers["Authorization"] = f"Bearer {made['token']}"
    with _stream(ann, task, url=second_url) as own, _stream(program, task) as programs:
        assert next(own).name == next(programs).name == "accepted"
        ann.http.delete(f"/api/v1/me/tokens/{made['id']}")
        assert list(programs) == []
        assert ann.http.get(f"/api/v1/runs/{task}").status_code == 200, "the session goes on"
        ann.http.post("/api/auth/logout")
        assert list(own) == []


def test_a_client_that_goes_away_leaves_its_place(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.upload()
    task = ann.generate()
    monkeypatch.setattr(following, "MAX_STREAMS", 2)
    for _ in range(6):
        with ann.http.stream("GET", f"/api/v1/runs/{task}/events") as answer:
            assert answer.status_code == 200


def test_the_document_shows_a_stream_in_words_that_openapi_knows(anybody: httpx2.Client) -> None:
    document = anybody.get("/openapi.json").json()
    assert "itemSchema" not in str(document)  # a word of OpenAPI 3.2; the document is of 3.1
    answers = document["paths"]["/api/v1/runs/{run_id}/events"]["get"]["responses"]
    assert "event: progress" in answers["200"]["content"]["text/event-stream"]["example"]
    assert {"400", "401", "403", "404", "429", "503"} <= set(answers)
