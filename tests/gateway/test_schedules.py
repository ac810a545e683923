from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.services import report_runs, ticks
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, assert_problem

FILES = {
    "input_file": ("i.csv", INPUT),
    "reference_file": ("r.csv", REFERENCE),
    "rules_file": ("r.yaml", RULES),
}


def _schedule(user: User, files: dict | None = None, **fields: str):
    form = {"cron": "*/5 * * * *"} | fields
    return user.http.post(
        "/api/trigger-scheduled-report/", files=FILES if files is None else files, data=form
    )


def _listed(user: User) -> list[dict]:
    return user.http.get("/api/v1/schedules").json()["items"]


def test_a_schedule_runs_once_now_and_is_listed(ann: User) -> None:
    answer = _schedule(ann, report_name="Desk margin", timezone="Europe/Berlin")
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert set(body) == {"message", "task_id", "report_name", "cron", "next_run"}
    assert datetime.fromisoformat(body["next_run"]) > datetime.now(UTC)
    assert ann.http.get(f"/api/task-status/{body['task_id']}/").status_code == 200
    (schedule,) = _listed(ann)
    assert (schedule["report_name"], schedule["cron"], schedule["timezone"], schedule["paused"]) == (
        "Desk margin",
        "*/5 * * * *",
        "Europe/Berlin",
        False,
    )
    assert schedule["last_run"]["task_id"] == body["task_id"]
    assert (schedule["name"], schedule["words"], schedule["missed"], schedule["unchanged"]) == (
        "main",
        "Every 5 minutes",
        "last",
        "run",
    )


def test_its_runs_make_the_formats_that_were_asked_for(server: Server, ann: User) -> None:
    url = "/api/trigger-scheduled-report/?formats=xlsx,csv"
    answer = ann.http.post(url, files=FILES, data={"cron": "*/5 * * * *", "report_name": "daily"})
    run_id = answer.json()["task_id"]
    again = report_runs.run_report(server.context, ann.id, "daily").id
    with server.context.catalog.transaction() as session:
        assert [session.get_one(Run, one).formats for one in (run_id, again)] == [["xlsx", "csv"]] * 2
    bad = ann.http.post(url + ",docx", files=FILES, data={"cron": "*/5 * * * *"})
    assert_problem(bad, 400, "docx")


def test_without_a_name_one_is_made(ann: User) -> None:
    assert _schedule(ann).json()["report_name"].startswith("report_")


def test_the_same_name_again_replaces_the_schedule(ann: User) -> None:
    _schedule(ann, report_name="daily")
    assert _schedule(ann, report_name="daily", cron="0 6 * * mon-fri").status_code == 201
    (schedule,) = _listed(ann)
    assert schedule["cron"] == "0 6 * * mon-fri"


def test_its_files_are_not_the_last_upload(ann: User) -> None:
    _schedule(ann)
    assert_problem(ann.http.post("/api/generate-report/"), 400)


@pytest.mark.parametrize(
    ("cron", "field"),
    [
        ("61 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day"),
        ("* * * 13 *", "month"),
        ("* * * * 9", "week"),
        ("* * * *", "five"),
        ("@daily", "@daily"),
        ("* * * * * *", "five"),
        ("*/0 * * * *", "minute"),
        ("a * * * *", "minute"),
        ("", "cron"),
    ],
)
def test_a_bad_cron_is_400_and_names_the_field(ann: User, cron: str, field: str) -> None:
    assert_problem(_schedule(ann, cron=cron), 400, field)
    assert _listed(ann) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": "../../etc"},
        {"cron": "* * * *\n*"},
        {"report_name": "a\x00b"},
    ],
)
def test_other_bad_fields_are_400(ann: User, fields: dict[str, str]) -> None:
    assert_problem(_schedule(ann, **fields), 400)


def test_a_huge_field_is_413(ann: User) -> None:
    assert_problem(_schedule(ann, report_name="x" * 100_000), 413)


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_400_and_named(ann: User, missing: str) -> None:
    files = {name: file for name, file in FILES.items() if name != missing}
    assert_problem(_schedule(ann, files), 400, missing)


def test_rules_that_do_not_fit_the_files_are_400(ann: User) -> None:
    files = FILES | {"rules_file": ("r.yaml", b"- {output: a, formula: nowhere}\n")}
    assert_problem(_schedule(ann, files), 400, "nowhere")
    assert _listed(ann) == []


def test_pause_resume_and_delete(ann: User) -> None:
    _schedule(ann, report_name="daily")
    path = f"/api/v1/schedules/{_listed(ann)[0]['id']}"
    for _ in range(2):
        assert ann.http.post(f"{path}/pause").json()["paused"] is True
    assert _listed(ann)[0]["paused"] is True
    assert ann.http.post(f"{path}/resume/").json()["paused"] is False
    deleted = ann.http.delete(f"{path}/")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert _listed(ann) == []
    assert_problem(ann.http.delete(path), 404)


@pytest.mark.parametrize(("method", "call"), [("POST", "/pause"), ("POST", "/resume"), ("DELETE", "")])
def test_another_users_schedule_does_not_exist(ann: User, bob: User, method: str, call: str) -> None:
    _schedule(ann, report_name="mine")
    (schedule,) = _listed(ann)
    assert_problem(bob.http.request(method, f"/api/v1/schedules/{schedule['id']}{call}"), 404)
    assert _listed(bob) == []
    assert _listed(ann) == [schedule]


def test_ticks_are_listed_with_their_due_time(ann: User, server: Server) -> None:
    _schedule(ann, report_name="ticking")
    (schedule,) = _listed(ann)
    due = datetime.now(UTC).replace(second=0, microsecond=0)
    (task,) = ticks.accept_tick(server.context, schedule["id"], due).run_ids
    run = ann.http.get("/api/v1/runs").json()["items"][0]
    assert (run["task_id"], run["trigger"], run["report_name"]) == (task, "schedule", "ticking")
    assert datetime.fromisoformat(run["due_at"]) == due
