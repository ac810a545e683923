"""Named reports as a resource: put as a whole, changed only as it was seen, run; and whose secrets they may sign with."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import grants, ticks
from reportgen_dagster.services import reports as report_service
from reportgen_dagster.services.reports import Pick, ReportWish
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, assert_problem

DEFINITION: dict[str, Any] = {
    "ruleset": {"name": "margin"},
    "inputs": {"input": {"dataset": "trades"}, "reference": {"dataset": "desks", "version": 1}},
}
SCHEDULES = [
    {"name": "main", "cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"},
    {"name": "hourly", "cron": "0 * * * *", "missed": "skip", "unchanged": "skip", "paused": True},
]
HOOK = {"webhook": {"url": "https://example.com/hook", "secret": "partner"}}


def make_parts(user: User) -> None:
    for name, content in (("trades", INPUT), ("desks", REFERENCE)):
        added = user.http.post(f"/api/v1/datasets/{name}/versions", files={"file": (f"{name}.csv", content)})
        assert added.status_code == 201, added.text
    put = user.http.put(
        "/api/v1/rulesets/margin", content=RULES, headers={"Content-Type": "application/yaml"}
    )
    assert put.status_code == 201, put.text


def put(
    user: User, name: str = "daily", *, headers: dict[str, str] | None = None, **more: Any
) -> httpx2.Response:
    return user.http.put(f"/api/v1/reports/{name}", json=DEFINITION | more, headers=headers)


@pytest.fixture
def ann(ann: User) -> User:
    make_parts(ann)
    return ann


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", "whsec_" + base64.b64encode(b"x" * 32).decode())


def test_a_report_is_put_and_comes_back_as_it_was_put(ann: User) -> None:
    made = put(
        ann, schedules=SCHEDULES, on_new_data=True, fresh_within_seconds=86400, formats=["csv", "xlsx"]
    )
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == "/api/v1/reports/daily"
    body = made.json()
    assert body["inputs"] == {
        "input": {"dataset": "trades", "version": None},
        "reference": {"dataset": "desks", "version": 1},
    }
    assert [one["name"] for one in body["schedules"]] == ["hourly", "main"]
    assert body["schedules"][1] == SCHEDULES[0] | {"missed": "last", "unchanged": "run", "paused": False}
    assert body["schedules"][0]["paused"] is True
    got = ann.http.get("/api/v1/reports/daily")
    assert (got.json(), got.headers["ETag"]) == (body, made.headers["ETag"])
    assert (
        ann.http.get("/api/v1/reports/daily", headers={"If-None-Match": got.headers["ETag"]}).status_code
        == 304
    )
    told = {name: value for name, value in body.items() if name not in ("name", "created_at", "updated_at")}
    again = ann.http.put("/api/v1/reports/daily", json=told)
    assert again.status_code == 200
    assert again.json() | {"updated_at": ""} == body | {"updated_at": ""}


def test_what_is_left_out_is_not_kept(ann: User) -> None:
    put(
        ann,
        schedules=SCHEDULES,
        on_new_data=True,
        paused=True,
        deliveries=[{"email": {"to": ["a@example.com"]}}],
    )
    body = put(ann).json()
    assert (body["schedules"], body["on_new_data"], body["paused"], body["deliveries"]) == (
        [],
        False,
        False,
        [],
    )
    assert ann.http.get("/api/v1/schedules").json()["items"] == []


def test_nobody_overwrites_what_he_has_not_seen(ann: User) -> None:
    assert_problem(put(ann, headers={"If-Match": '"x"'}), 412)
    first = put(ann, headers={"If-None-Match": "*"}, schedules=SCHEDULES).headers["ETag"]
    assert_problem(put(ann, headers={"If-None-Match": "*"}), 412)
    (schedule, *_) = ann.http.get("/api/v1/schedules").json()["items"]
    ann.http.delete(f"/api/v1/schedules/{schedule['id']}")
    assert_problem(put(ann, headers={"If-Match": first}), 412, "etag")
    second = ann.http.get("/api/v1/reports/daily").headers["ETag"]
    third = put(ann, headers={"If-Match": second}).headers["ETag"]
    assert_problem(ann.http.delete("/api/v1/reports/daily", headers={"If-Match": second}), 412)
    assert ann.http.get("/api/v1/reports/daily").headers["ETag"] == third
    assert ann.http.delete("/api/v1/reports/daily", headers={"If-Match": third}).status_code == 204
    assert_problem(ann.http.get("/api/v1/reports/daily"), 404)


def test_of_several_at_once_one_wins(ann: User) -> None:
    def statuses(headers: dict[str, str]) -> list[int]:
        with ThreadPoolExecutor(6) as pool:
            return sorted(one.status_code for one in pool.map(lambda _: put(ann, headers=headers), range(6)))

    assert statuses({"If-None-Match": "*"}) == [201, *[412] * 5]
    seen = ann.http.get("/api/v1/reports/daily").headers["ETag"]
    assert statuses({"If-Match": seen}) == [200, *[412] * 5]


def test_running_changes_no_definition(ann: User, finish: Callable[..., None]) -> None:
    before = put(ann).headers["ETag"]
    finish(ann.http.post("/api/v1/reports/daily/runs").json()["task_id"], report=b"a\n1\n")
    assert ann.http.get("/api/v1/reports/daily").headers["ETag"] == before


def test_a_schedule_that_stays_keeps_what_it_missed(ann: User, server: Server) -> None:
    put(ann, schedules=SCHEDULES)
    before = {one["name"]: one["id"] for one in ann.http.get("/api/v1/schedules").json()["items"]}
    with server.context.catalog.transaction() as session:
        session.connection().exec_driver_sql("UPDATE schedules SET handled_until = now() - interval '1 year'")
    put(ann, schedules=[SCHEDULES[0], SCHEDULES[1] | {"cron": "30 * * * *"}])
    after = {one["name"]: one["id"] for one in ann.http.get("/api/v1/schedules").json()["items"]}
    assert after == before
    with server.context.catalog.transaction() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT s.name FROM schedules s JOIN reports r ON r.id = s.report_id"
            " WHERE handled_until < now() - interval '1 day' AND r.owner_id = %s",
            (ann.id,),
        )
        assert rows.scalars().all() == ["main"]


def test_everything_that_does_not_fit_is_told_at_once(ann: User) -> None:
    missing = put(
        ann,
        ruleset={"name": "margni"},
        inputs={"input": {"dataset": "trade"}, "reference": {"dataset": "desks", "version": 7}},
    )
    assert_problem(missing, 404, "margni", "did you mean margin", "did you mean trades", "no version 7")
    wrong = put(ann, schedules=[{"cron": "61 * * * *"}, {"cron": "* * * * *"}, {"cron": "* * * * *"}])
    body = assert_problem(wrong, 400, "minute", "two called main")
    assert [problem["path"] for problem in body["errors"]] == ["schedules[0]", "schedules[2].name"]
    for more, word in (
        ({"inputs": {"input": {"dataset": "trades"}}}, "reference"),
        ({"parameters": {"desk": "FX"}}, "desk"),
        ({"parameters": {"desk": [1]}}, "desk"),
        ({"formats": ["docx"]}, "docx"),
        ({"fresh_within_seconds": 0}, "fresh_within_seconds"),
        ({"deliveries": [{"fax": {}}]}, "fax"),
        ({"schedule": []}, "schedule"),
        ({"ruleset": "margin"}, "ruleset"),
    ):
        assert_problem(put(ann, **more), 400, word)
    assert_problem(ann.http.put("/api/v1/reports/daily", content=b"a: 1"), 400)
    yaml = {"Content-Type": "application/yaml"}
    assert_problem(ann.http.put("/api/v1/reports/daily", content=b"{}", headers=yaml), 415)
    assert_problem(ann.http.get("/api/v1/reports/daily"), 404)


def test_what_reports_are_made_of_cannot_be_deleted(ann: User) -> None:
    put(ann)
    for path in ("datasets/trades", "datasets/desks", "rulesets/margin"):
        assert_problem(ann.http.delete(f"/api/v1/{path}"), 409, "daily")
    ann.http.delete("/api/v1/reports/daily")
    for path in ("datasets/trades", "datasets/desks", "rulesets/margin"):
        assert ann.http.delete(f"/api/v1/{path}").status_code == 204


def test_pausing_is_part_of_the_definition(ann: User) -> None:
    put(ann, schedules=SCHEDULES[:1])
    paused = ann.http.post("/api/v1/reports/daily/pause")
    assert paused.json()["paused"] is True
    assert ann.http.get("/api/v1/reports/daily").headers["ETag"] == paused.headers["ETag"]
    assert ann.http.get("/api/v1/schedules").json()["items"][0]["next_run"] is None
    assert ann.http.post("/api/v1/reports/daily/resume").json()["paused"] is False
    assert put(ann, paused=True).json()["paused"] is True
    assert ann.http.post("/api/v1/reports/daily/runs").status_code == 202, (
        "a paused one runs when it is asked to"
    )


def test_a_run_is_accepted_and_listed(ann: User, finish: Callable[..., None]) -> None:
    put(ann)
    ids = []
    for body in (None, {}, {"run_date": "2024-01-31"}):
        answer = ann.http.post("/api/v1/reports/daily/runs", json=body)
        assert answer.status_code == 202, answer.text
        run = answer.json()
        assert (run["status"], run["report_name"], run["trigger"]) == ("accepted", "daily", "api")
        assert ann.http.get(answer.headers["Location"]).json()["task_id"] == run["task_id"]
        ids.append(run["task_id"])
    assert run["run_date"] == "2024-01-31"
    finish(ids[-1], report=b"a\n1\n")
    first = ann.http.get("/api/v1/reports/daily/runs?limit=2").json()
    rest = ann.http.get(first["next"]).json()
    assert [one["task_id"] for one in first["items"] + rest["items"]] == ids[::-1]
    (listed,) = ann.http.get("/api/v1/reports").json()["items"]
    assert (listed["name"], listed["last_run"]["status"]) == ("daily", "succeeded")
    assert_problem(ann.http.post("/api/v1/reports/daily/runs", json={"run_date": "soon"}), 400, "run_date")


def test_the_list_goes_on_by_name(ann: User) -> None:
    for name in ("b", "a", "c"):
        put(ann, name)
    first = ann.http.get("/api/v1/reports?limit=2")
    rest = ann.http.get(first.json()["next"])
    assert [one["name"] for one in first.json()["items"] + rest.json()["items"]] == ["a", "b", "c"]
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'


def test_a_schedule_shows_what_comes_and_what_became_of_it(ann: User, server: Server) -> None:
    put(ann, schedules=SCHEDULES[:1])
    (schedule,) = ann.http.get("/api/v1/schedules").json()["items"]
    path = f"/api/v1/schedules/{schedule['id']}"
    detail = ann.http.get(path).json()
    assert schedule.items() <= detail.items()
    assert (len(detail["next_runs"]), detail["next_runs"][0]) == (10, schedule["next_run"])
    assert detail["last_runs"] == []
    due = utc_now().replace(microsecond=0)
    ticks.accept_tick(server.context, schedule["id"], due)
    (run,) = ann.http.get(path).json()["last_runs"]
    assert (run["trigger"], run["schedule_id"], run["status"]) == ("schedule", schedule["id"], "accepted")


@pytest.mark.usefixtures("secret")
def test_over_http_only_granted_secrets_exist(ann: User, bob: User, server: Server) -> None:
    make_parts(bob)
    unknown = {"webhook": HOOK["webhook"] | {"secret": "nosuch"}}
    for hook in (HOOK, unknown):
        told = assert_problem(put(ann, deliveries=[hook]), 400, "no secret", "none is granted to you")
        assert told["errors"][0]["path"] == "deliveries[0].webhook.secret"
    grants.grant(server.context, "partner", ann.email)
    assert put(ann, deliveries=[HOOK]).json()["deliveries"] == [HOOK]
    assert_problem(put(ann, deliveries=[unknown]), 400, "no secret `nosuch`", "you may sign with partner")
    assert_problem(put(bob, deliveries=[HOOK]), 400, "no secret `partner`", "none is granted")
    grants.revoke(server.context, "partner", ann.email)
    assert_problem(put(ann, deliveries=[HOOK]), 400, "no secret")
    assert ann.http.get("/api/v1/reports/daily").json()["deliveries"] == [HOOK], "what is there goes on"


@pytest.mark.usefixtures("secret")
def test_what_the_operator_signed_cannot_be_sent_elsewhere(ann: User, server: Server) -> None:
    wish = ReportWish(
        Pick("margin"), {"input": Pick("trades"), "reference": Pick("desks")}, deliveries=[HOOK]
    )
    report_service.put_report(server.context, ann.id, "daily", wish, is_operator=True)
    elsewhere = {"webhook": HOOK["webhook"] | {"url": "https://evil.example.com"}}
    assert_problem(put(ann, deliveries=[elsewhere]), 400, "no secret `partner`")
    assert_problem(put(ann, deliveries=[{"copy": {"url": "s3://anybodys/bucket"}}]), 400, "copy_targets")


def test_what_is_somebody_elses_does_not_exist(ann: User, bob: User) -> None:
    put(ann)
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/runs"),
        ("GET", "/runs"),
    ):
        assert_problem(bob.http.request(method, f"/api/v1/reports/daily{path}"), 404)
    assert bob.http.get("/api/v1/reports").json()["items"] == []
    assert_problem(put(bob), 404, "margin", "trades")
    put(ann, schedules=SCHEDULES[:1])
    (schedule,) = ann.http.get("/api/v1/schedules").json()["items"]
    assert_problem(bob.http.get(f"/api/v1/schedules/{schedule['id']}"), 404)
    assert ann.http.get("/api/v1/reports/daily/runs").json()["items"] == []
