"""Runs by way of the client, where the service keeps Idempotency-Keys and tells runs live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from reportgen_client import Client, ReportgenApiError, Run
from tests.client.conftest import REPORT
from tests.client.cutting import cutting
from tests.client.test_commands import Person
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server

Finish = Callable[..., None]


def generate(client: Client, **more: str) -> Run:
    return client.generate(input=INPUT, reference=REFERENCE, rules=RULES, **more)  # type: ignore[arg-type]


def test_a_report_whose_answer_was_cut_is_made_once(client: Client) -> None:
    with (
        cutting(client.url, 10) as proxy,
        Client(proxy.url, tokens=client.tokens, patience=10) as cut,
    ):
        run = generate(cut)
    assert proxy.connections >= 2
    assert [one.id for one in client.runs()] == [run.id]


def test_a_wish_with_a_name_is_one_run(client: Client) -> None:
    first, second = (generate(client, idempotency_key="2026-11-29") for _ in range(2))
    assert first.id == second.id


def test_live_events_tell_every_stage(client: Client, finish: Finish) -> None:
    run = generate(client)
    told: list[tuple[str, str]] = []
    moments: list[str] = []

    def look(seen: Run) -> None:
        told.append((seen.status, seen.stage))
        moments.append(seen.facts["at"])  # which only events have
        if len(told) == 1:
            finish(seen.id, report=REPORT)

    assert run.wait(20, look).rows == 2
    assert (told[0], told[-1]) == (("accepted", "waiting"), ("succeeded", "done"))
    assert moments == sorted(moments)


def test_what_a_run_was_made_of_and_what_it_made(client: Client, finish: Finish) -> None:
    run = generate(client)
    with pytest.raises(ReportgenApiError) as early:
        run.manifest()
    assert early.value.status == 409
    finish(run.id, report=REPORT, json=b"[]")
    assert {one["format"] for one in run.artifacts()} == {"csv", "json"}
    assert {one["name"]: one["passed"] for one in run.checks()}["input_contract"] is True
    assert run.manifest()["rules"]["text"] == RULES.decode()
    link = run.link("json")
    assert httpx2.get(f"{client.url}{link['url']}").content == b"[]"


def test_the_first_rows_are_shown_before_there_is_a_run(client: Client) -> None:
    rules = b"version: 1\nparameters: {n: {type: integer}}\nsteps: [{filter: field1 > :n}, {derive: {twice: field1 * 2}}]\n"
    shown = client.preview(rules=rules, input=INPUT, parameters={"n": 1})
    assert [column["name"] for column in shown["columns"]] == ["refkey1", "field1", "twice"]
    assert shown["rows"] == [["k2", "2", "4"]]
    first = client.preview(rules=rules, input=INPUT, parameters={"n": 0}, step=1, rows=1)
    assert first["rows"] == [["k1", "1"]]
    assert list(client.runs()) == []


def test_a_run_is_made_again(client: Client, finish: Finish) -> None:
    run = generate(client)
    finish(run.id, report=REPORT)
    again = run.rerun()
    assert again.id != run.id
    assert [one.id for one in client.runs(state="accepted")] == [again.id]


def test_a_run_is_made_again_from_the_command_line(server: Server, finish: Finish, tmp_path: Path) -> None:
    ann = Person(tmp_path, server.url)
    ann.registers()
    for name, content in (("rules.yaml", RULES), ("input.csv", INPUT), ("reference.csv", REFERENCE)):
        (ann.folder / name).write_bytes(content)
    files = ("--rules", "rules.yaml", "--input", "input.csv", "--reference", "reference.csv")
    first = ann.data("generate", *files)["task_id"]
    finish(first, report=REPORT)
    again = ann.data("runs", "rerun", first)["task_id"]
    (waiting,) = ann.data("runs", "list", "--state", "accepted")["runs"]
    assert waiting["task_id"] == again
