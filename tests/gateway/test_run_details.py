"""Runs as a resource: finding them, what they are made of, their files and checks, and making one again."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from reportgen_dagster.catalog import consistency
from reportgen_dagster.errors import ContractError, Problem
from reportgen_dagster.services import attempts, retention
from tests.gateway.conftest import INPUT, RULES, Server, User, assert_problem, claim_run
from tests.gateway.test_idempotency import SCHEDULE

REPORT = b"double,name\n2,one\n4,two\n"
REJECTS = b"_line,_reason\n3,bad\n"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _listed(user: User, path: str = "/api/v1/runs", **wanted: str | int) -> list[str]:
    """Return the ids of all pages of a list, following the links."""
    seen: list[str] = []
    answer = user.http.get(path, params=wanted)
    while True:
        assert answer.status_code == 200, answer.text
        seen += [run["task_id"] for run in answer.json()["items"]]
        following = answer.json()["next"]
        if following is None:
            assert "Link" not in answer.headers
            return seen
        assert answer.headers["Link"] == f'<{following}>; rel="next"'
        answer = user.http.get(following)


def test_runs_are_found_by_report_state_trigger_and_time(ann: User, bob: User, finish) -> None:
    ann.upload()
    first, second = ann.generate(), ann.generate()
    made = ann.http.post(
        "/api/trigger-scheduled-report/",
        files=SCHEDULE,
        data={"cron": "0 6 * * *", "report_name": "daily margin"},
    ).json()["task_id"]
    finish(second, report=REPORT)
    bob.upload()
    bob.generate()
    assert _listed(ann, limit=1) == [made, second, first]
    assert _listed(ann, state="succeeded") == [second]
    assert _listed(ann, state="accepted", limit=1) == [made, first]
    assert _listed(ann, report="daily margin") == [made]
    assert _listed(ann, report="none") == []
    assert _listed(ann, trigger="schedule", state="accepted") == [made]
    times = {
        run["task_id"]: run["accepted_at"] for run in ann.http.get("/api/v1/runs", params={}).json()["items"]
    }
    assert _listed(ann, accepted_after=times[second]) == [made, second]
    assert _listed(ann, accepted_before=times[second]) == [first]
    assert _listed(ann, accepted_after=times[second], accepted_before=times[made], limit=1) == [second]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "done"),
        ("trigger", "me"),
        ("accepted_after", "yesterday"),
        ("accepted_before", "2026-01-01T00:00"),
    ],
)
def test_a_filter_that_cannot_be_one_is_400(ann: User, name: str, value: str) -> None:
    assert_problem(ann.http.get("/api/v1/runs", params={name: value}), 400, name)


def test_a_run_shows_what_it_is_made_of_and_what_it_made(ann: User, finish) -> None:
    ann.upload()
    task = ann.generate()
    waiting = ann.http.get(f"/api/v1/runs/{task}").json()
    assert waiting["counts"] == {"input": None, "used": None, "rejected": None, "report": None}
    assert waiting["links"]["manifest"] is None
    assert ann.http.get(waiting["links"]["artifacts"]).json()["items"] == []
    assert ann.http.get(waiting["links"]["checks"]).json()["items"] == []
    assert_problem(ann.http.get(f"/api/v1/runs/{task}/manifest"), 409, "accepted")

    finish(task, report=REPORT, rejects=REJECTS, json=b"[]")
    ann.upload(input=b"refkey1,field1\nk1,7\n")  # later versions change nothing
    run = ann.http.get(f"/api/v1/runs/{task}/").json()
    assert run["status"] == "succeeded"
    assert run["inputs"]["input"] == {
        "dataset": "default-input",
        "version": 1,
        "digest": _digest(INPUT),
        "size_bytes": len(INPUT),
        "filename": "input.csv",
    }
    assert (run["ruleset"]["name"], run["ruleset"]["version"]) == ("default", 1)
    assert run["ruleset"]["digest"] == _digest(RULES)
    assert run["counts"] == {"input": 3, "used": 2, "rejected": 1, "report": 2}
    assert (run["formats"], run["deliveries"], run["lost_attempts"]) == (["json", "csv"], [], 0)

    files = ann.http.get(run["links"]["artifacts"]).json()["items"]
    assert [file["format"] for file in files] == ["json", "csv"]
    for file in files:
        content = ann.http.get(file["download"]).content
        assert (len(content), _digest(content)) == (file["size_bytes"], file["digest"])

    checks = {check["name"]: check for check in ann.http.get(run["links"]["checks"]).json()["items"]}
    assert set(checks) == {"input_contract", "reference_reference_contract", "output_contract", "no_rejects"}
    assert (checks["no_rejects"]["passed"], checks["no_rejects"]["severity"]) == (False, "warn")
    assert (checks["no_rejects"]["count"], checks["output_contract"]["passed"]) == (1, True)

    manifest = ann.http.get(run["links"]["manifest"]).json()
    assert manifest["rules"]["text"].encode() == RULES
    assert manifest["inputs"]["input"]["digest"] == _digest(INPUT)
    assert manifest["outputs"]["csv"]["digest"] == _digest(REPORT)
    assert manifest["rejects"]["digest"] == _digest(REJECTS)
    assert {"reportgen", "duckdb"} <= set(manifest["engines"])
    assert manifest["run_date"] == run["run_date"]


def test_a_failed_run_shows_the_checks_that_it_came_to(server: Server, ann: User) -> None:
    ann.upload()
    task = ann.generate()
    problem = Problem("is null on 2 rows", path="field1", source="input")
    error = ContractError(problems=[problem])
    attempts.fail(server.context, claim_run(server.context, task), error)
    (check,) = ann.http.get(f"/api/v1/runs/{task}/checks").json()["items"]
    assert (check["name"], check["passed"], check["severity"]) == ("input_contract", False, "error")
    assert "is null on 2 rows" in check["words"]
    assert_problem(ann.http.get(f"/api/v1/runs/{task}/manifest"), 409, "failed")


@pytest.mark.parametrize("what", ["", "/artifacts", "/checks", "/manifest", "/events"])
def test_another_users_run_shows_nothing(ann: User, bob: User, what: str) -> None:
    ann.upload()
    task = ann.generate()
    foreign = assert_problem(bob.http.get(f"/api/v1/runs/{task}{what}"), 404)
    unknown = assert_problem(bob.http.get(f"/api/v1/runs/{'0' * 32}{what}"), 404)
    assert foreign["detail"] == unknown["detail"]


def test_a_run_is_made_again_of_the_same(ann: User, bob: User, finish) -> None:
    ann.upload()
    parameters = (None, b"{}")
    first = ann.generate(parameters=parameters)
    finish(first, report=REPORT)
    ann.upload(input=b"refkey1,field1\nk1,7\n")
    assert_problem(bob.http.post(f"/api/v1/runs/{first}/rerun"), 404)
    answer = ann.http.post(f"/api/v1/runs/{first}/rerun/")
    assert answer.status_code == 202, answer.text
    again = answer.json()["task_id"]
    assert (answer.json()["status"], answer.json()["trigger"]) == ("accepted", "api")
    one, two = (ann.http.get(f"/api/v1/runs/{task}").json() for task in (first, again))
    for same in ("inputs", "ruleset", "parameters", "run_date", "formats", "report_name"):
        if same != "formats":  # those of the first are known by now
            assert one[same] == two[same]
    assert one["inputs"]["input"]["version"] == 1
    finish(again, report=REPORT)
    assert ann.http.get(f"/api/download-report/{again}/").content == REPORT


def test_fifty_repetitions_at_once_over_two_gateways_make_one_run(ann: User, second_url: str) -> None:
    ann.upload()
    task = ann.generate()
    urls = [str(ann.http.base_url).rstrip("/"), second_url] * 25
    headers = {**ann.http.headers, "Idempotency-Key": str(uuid4())}

    def ask(url: str) -> tuple[int, str]:
        answer = client.post(f"{url}/api/v1/runs/{task}/rerun")
        return answer.status_code, answer.text if answer.status_code == 202 else ""

    with ThreadPoolExecutor(50) as pool, httpx2.Client(headers=headers, timeout=60) as client:
        answers = Counter(pool.map(ask, urls))
    assert {status for status, _ in answers} <= {202, 409}
    assert len([body for status, body in answers if status == 202]) == 1
    assert len(_listed(ann)) == 2


def test_a_key_is_for_one_run(ann: User) -> None:
    ann.upload()
    tasks = [ann.generate(), ann.generate()]
    headers = {"Idempotency-Key": str(uuid4())}
    assert ann.http.post(f"/api/v1/runs/{tasks[0]}/rerun", headers=headers).status_code == 202
    assert_problem(ann.http.post(f"/api/v1/runs/{tasks[1]}/rerun", headers=headers), 422)


def test_files_sent_with_a_call_stay_as_long_as_a_run_is_made_of_them(
    server: Server, ann: User, finish
) -> None:
    first = ann.generate(
        input=("i.csv", INPUT), reference=("r.csv", b"refkey1,refdata1\n"), rules=("rules.yaml", RULES)
    )
    finish(first, report=REPORT)
    again = ann.http.post(f"/api/v1/runs/{first}/rerun").json()["task_id"]
    _expire(server, first)
    assert ann.http.get(f"/api/v1/runs/{first}").json()["expired_at"] is not None
    assert_problem(ann.http.post(f"/api/v1/runs/{first}/rerun"), 409, "old", "upload")
    assert_problem(ann.http.get(f"/api/v1/runs/{first}/artifacts"), 404, "removed")
    claim = claim_run(server.context, again)
    with server.context.store.work_folder("test") as work:
        assert attempts.fetch_files(server.context, claim, work)["input"].read_bytes() == INPUT
    attempts.fail(server.context, claim, ContractError("no"))
    with server.context.catalog.transaction() as session:
        assert [told for told in consistency.contradictions(session) if again in told or first in told] == []
    _expire(server, again)
    assert ann.http.get(f"/api/v1/runs/{again}").json()["inputs"] == {}


def _expire(server: Server, task: str) -> None:
    """Let retention remove the files of a run as if it had ended a year ago, and of no other one."""
    with server.context.catalog.transaction() as session:
        session.execute(
            text("UPDATE runs SET finished_at = finished_at - interval '1 year' WHERE id = :id"), {"id": task}
        )
    settings = server.settings.model_copy(update={"retention_days": 100})
    old = type(server.context)(settings, server.context.catalog, server.context.store)
    retention.remove_old(old, now=datetime.now(UTC) - timedelta(days=1))
