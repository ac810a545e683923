from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import update

from reportgen_dagster.catalog.tables import Run
from reportgen_dagster.errors import UnreadableFileError
from reportgen_dagster.services import attempts
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, assert_problem, claim_run

REPORT = b"double,name\n2,one\n4,two\n"
REJECTS = b"_line,_reason\n7,bad\n"


@pytest.fixture
def ready(ann: User) -> User:
    ann.upload()
    return ann


def test_a_report_is_accepted_though_dagster_is_away(ready: User) -> None:
    answer = ready.http.post("/api/generate-report/")
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"task_id", "status", "status_url", "download_url"}
    assert body["status"] == "accepted"
    status = ready.http.get(body["status_url"])
    assert status.status_code == 200
    waiting = ready.http.get(body["download_url"])
    assert (waiting.status_code, waiting.json()) == (
        202,
        {"task_id": body["task_id"], "status": "accepted"},
    )


def test_the_status_has_the_members_of_the_contract(ready: User) -> None:
    task = ready.generate()
    status = ready.http.get(f"/api/task-status/{task}/").json()
    assert status == {
        "task_id": task,
        "status": "accepted",
        "stage": "waiting",
        "progress": 0,
        "rows": None,
        "rejected": None,
        "error": None,
        "dagster_run_id": None,
        "links": {
            "self": f"/api/task-status/{task}/",
            "download": f"/api/download-report/{task}/",
            "downloads": {},
            "rejects": None,
            "dagster": None,
        },
    }


@pytest.mark.parametrize("trigger", ["api", "schedule", "data", "dagster"])
def test_a_run_is_listed_whatever_started_it(server: Server, ready: User, trigger: str) -> None:
    ready.generate()
    with server.context.catalog.transaction() as session:
        session.execute(update(Run).values(trigger=trigger))
    answer = ready.http.get("/api/v1/runs")
    assert [run["trigger"] for run in answer.json()["items"]] == [trigger]


def test_everything_may_be_sent_with_the_call(ann: User) -> None:
    assert ann.generate(input=("i.csv", INPUT), reference=("r.csv", REFERENCE), rules=("r.yaml", RULES))
    assert_problem(ann.http.post("/api/generate-report/"), 400)


def test_what_was_sent_with_a_call_is_not_the_last_upload(ready: User) -> None:
    wrong = {
        "rules": ("r.yaml", b"- {output: a, formula: only_here}\n"),
        "input": ("i.csv", b"refkey1,only_here\nk,1\n"),
    }
    assert ready.http.post("/api/generate-report/", files=wrong).status_code == 202
    assert ready.generate()


def test_nothing_uploaded_is_400_and_says_what_is_missing(ann: User) -> None:
    assert_problem(ann.http.post("/api/generate-report/"), 400, "input", "rules")


def test_unknown_columns_are_all_told_before_anything_is_accepted(ready: User) -> None:
    rules = b"- {output: a, formula: feild1}\n- {output: b, formula: nowhere + field1}\n"
    answer = ready.http.post("/api/generate-report/", files={"rules": ("r.yaml", rules)})
    body = assert_problem(answer, 400, "feild1", "field1", "nowhere")
    assert len(body["errors"]) == 2
    assert ready.http.get("/api/v1/runs").json()["items"] == []


def test_files_without_a_shared_key_are_400(ready: User) -> None:
    files = {"reference": ("r.csv", b"elsewhere,refdata1\n1,2\n")}
    assert_problem(ready.http.post("/api/generate-report/", files=files), 400, "key")


def test_a_reference_that_the_rules_do_not_name_is_400(ready: User) -> None:
    files = {"customers": ("c.csv", REFERENCE)}
    assert_problem(ready.http.post("/api/generate-report/", files=files), 400, "customers")


def test_a_finished_report_is_downloaded_with_name_and_strong_tag(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    answer = ready.http.get(f"/api/download-report/{task}/")
    assert (answer.status_code, answer.content) == (200, REPORT)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="default.csv"'
    assert answer.headers["ETag"] == f'"{hashlib.sha256(REPORT).hexdigest()}"'
    assert answer.headers["Cache-Control"] == "private, no-cache"
    view = ready.http.get("/api/download-report-view")
    assert view.headers["ETag"] == answer.headers["ETag"]


def test_the_view_is_of_the_run_accepted_last_or_of_the_task(ready: User, finish: Callable) -> None:
    first = ready.generate()
    finish(first, report=REPORT)
    second = ready.generate()
    assert ready.http.get("/api/download-report-view/").json() == {"task_id": second, "status": "accepted"}
    assert ready.http.get(f"/api/download-report-view/?task_id={first}").content == REPORT


@pytest.mark.parametrize("condition", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
def test_who_has_the_report_gets_304(ready: User, finish: Callable, condition: str) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    tag = condition.format(hashlib.sha256(REPORT).hexdigest())
    answer = ready.http.get(f"/api/download-report/{task}/", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"]
    other = ready.http.get(f"/api/download-report/{task}/", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=0-5", 206, REPORT[:6]),
        ("bytes=7-", 206, REPORT[7:]),
        ("bytes=-4", 206, REPORT[-4:]),
        ("bytes=-4000", 206, REPORT),
        ("bytes=0-1,3-4", 200, REPORT),
        ("bytes=x", 200, REPORT),
        ("bytes=-", 200, REPORT),
        ("lines=1-2", 200, REPORT),
        ("bytes=" + ",".join(["0-1"] * 900), 200, REPORT),
    ],
)
def test_one_range_is_answered_and_anything_else_is_the_whole(
    ready: User, finish: Callable, asked: str, status: int, body: bytes
) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    answer = ready.http.get(f"/api/download-report/{task}/", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, body)


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=24-", "bytes=-0", "bytes=5-4"])
def test_a_range_outside_is_416(ready: User, finish: Callable, asked: str) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    answer = ready.http.get(f"/api/download-report/{task}/", headers={"Range": asked})
    assert_problem(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(REPORT)}"


def test_a_range_of_another_file_gets_the_whole(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    headers = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert ready.http.get(f"/api/download-report/{task}/", headers=headers).content == REPORT
    headers["If-Range"] = f'"{hashlib.sha256(REPORT).hexdigest()}"'
    assert ready.http.get(f"/api/download-report/{task}/", headers=headers).status_code == 206


def test_head_tells_length_and_tag(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    answer = ready.http.head(f"/api/download-report/{task}/")
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(REPORT)))


def test_a_format_that_there_is_not_is_400_and_names_what_there_is(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    problem = assert_problem(ready.http.get(f"/api/download-report/{task}/?format=docx"), 400, "parquet")
    assert "xlsx" in problem["detail"] or "xlsx" in str(problem["errors"])
    assert_problem(ready.http.post("/api/generate-report/?formats=csv,docx"), 400, "docx")
    assert ready.http.get(f"/api/download-report/{task}/?format=csv").status_code == 200


def test_a_format_that_the_run_did_not_make_is_404_and_says_how_to_get_it(
    ready: User, finish: Callable
) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    problem = assert_problem(ready.http.get(f"/api/download-report/{task}/?format=xlsx"), 404, "csv")
    assert "formats" in str(problem)


def test_several_formats_of_a_run_are_downloaded_each_by_its_name(
    server: Server, ready: User, finish: Callable
) -> None:
    task = ready.http.post("/api/generate-report/?formats=parquet,%20csv,csv").json()["task_id"]
    with server.context.catalog.transaction() as session:
        assert session.get_one(Run, task).formats == ["parquet", "csv"]
    finish(task, report=REPORT, parquet=b"PAR1")
    links = ready.http.get(f"/api/task-status/{task}/").json()["links"]["downloads"]
    assert list(links) == ["parquet", "csv"]
    answer = ready.http.get(links["parquet"])
    assert (answer.content, answer.headers["Content-Type"]) == (b"PAR1", "application/vnd.apache.parquet")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="default.parquet"'
    assert ready.http.get(f"/api/download-report/{task}/").content == REPORT  # csv where nobody names one


LIVE = 'a,"b\n=x",c\r\n=1+1,"+x ""y"" @",-5\n"=HYPERLINK(""http://x"",1)",\t1,@sum\n'
INERT = 'a,"b\n=x",c\r\n\'=1+1,"\'+x ""y"" @",-5\n"\'=HYPERLINK(""http://x"",1)",\'\t1,\'@sum\n'


def test_csv_is_guarded_on_its_way_to_a_spreadsheet(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=(LIVE * 50_000).encode())  # more than a chunk
    path = f"/api/download-report/{task}/?guard=spreadsheet"
    answer = ready.http.get(path)
    assert answer.status_code == 200
    assert answer.content.decode() == INERT * 50_000
    plain = ready.http.get(f"/api/download-report/{task}/")
    assert plain.content.decode() == LIVE * 50_000
    assert answer.headers["ETag"] != plain.headers["ETag"]
    assert ready.http.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    ranged = ready.http.get(path, headers={"Range": "bytes=0-9"})
    assert (ranged.status_code, ranged.content) == (200, answer.content)


def test_only_csv_is_guarded(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT, xlsx=b"PK")
    answer = ready.http.get(f"/api/download-report/{task}/?format=xlsx&guard=spreadsheet")
    assert_problem(answer, 400, "csv")


def test_rejects_are_counted_linked_and_downloaded(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT, rejects=REJECTS)
    status = ready.http.get(f"/api/task-status/{task}").json()
    assert (status["status"], status["stage"], status["progress"]) == ("succeeded", "done", 100)
    assert (status["rows"], status["rejected"]) == (2, 1)
    assert "/runs/" in status["links"]["dagster"]
    rejects = ready.http.get(status["links"]["rejects"])
    assert (rejects.status_code, rejects.content) == (200, REJECTS)
    assert rejects.headers["Content-Type"].startswith("text/csv")


def test_a_run_without_rejects_has_none_to_download(ready: User, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=REPORT)
    assert ready.http.get(f"/api/task-status/{task}/").json()["links"]["rejects"] is None
    assert_problem(ready.http.get(f"/api/v1/runs/{task}/rejects"), 404)


def test_a_failed_report_is_409_with_the_reason_in_plain_json(ready: User, server: Server) -> None:
    task = ready.generate()
    error = UnreadableFileError("input: line 2: a quote is never closed", hint="Close it.")
    assert attempts.fail(server.context, claim_run(server.context, task), error)
    answer = ready.http.get(f"/api/download-report/{task}/")
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "task_id": task,
        "status": "failed",
        "error": "input: line 2: a quote is never closed. Close it.",
    }
    status = ready.http.get(f"/api/task-status/{task}/").json()
    assert (status["status"], status["error"]) == ("failed", answer.json()["error"])


def test_a_cancelled_report_is_409_too(ready: User, server: Server) -> None:
    task = ready.generate()
    claim = claim_run(server.context, task)
    dagster_run_id = ready.http.get(f"/api/task-status/{task}/").json()["dagster_run_id"]
    attempts.cancel(server.context, dagster_run_id)
    assert claim
    answer = ready.http.get(f"/api/download-report/{task}/")
    assert (answer.status_code, answer.json()["status"]) == (409, "cancelled")


def test_a_file_that_vanished_is_500_without_internals(ready: User, server: Server, finish: Callable) -> None:
    task = ready.generate()
    finish(task, report=b"only,here\n1,2\n")
    server.context.store.path(hashlib.sha256(b"only,here\n1,2\n").hexdigest()).unlink()
    answer = ready.http.get(f"/api/download-report/{task}/")
    body = assert_problem(answer, 500)
    assert body["code"] == "file-lost"
    assert str(server.settings.home) not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/api/task-status/{}/",
        "/api/download-report/{}/",
        "/api/download-report-view/?task_id={}",
        "/api/v1/runs/{}/rejects",
    ],
)
def test_another_users_run_does_not_exist(ready: User, bob: User, finish: Callable, path: str) -> None:
    task = ready.generate()
    finish(task, report=REPORT, rejects=REJECTS)
    assert ready.http.get(path.format(task)).status_code == 200
    hidden = assert_problem(bob.http.get(path.format(task)), 404)
    unknown = assert_problem(bob.http.get(path.format("0" * 32)), 404)
    assert hidden["detail"].replace(task, "") == unknown["detail"].replace("0" * 32, "")


def test_who_has_no_report_gets_404(ann: User) -> None:
    assert_problem(ann.http.get("/api/download-report-view/"), 404)


def test_runs_are_listed_page_by_page_newest_first(ready: User, bob: User) -> None:
    tasks = [ready.generate() for _ in range(3)]
    first = ready.http.get("/api/v1/runs?limit=2").json()
    second = ready.http.get(first["next"]).json()
    assert [run["task_id"] for run in (*first["items"], *second["items"])] == tasks[::-1]
    assert second["next"] is None
    assert bob.http.get("/api/v1/runs").json() == {"items": [], "next": None}
    run = first["items"][0]
    assert (run["trigger"], run["report_name"], run["due_at"]) == ("api", "default", None)
    assert datetime.fromisoformat(run["accepted_at"]).utcoffset() is not None


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=100000", "cursor=garbage", "cursor=%00"])
def test_a_bad_page_is_400(ready: User, query: str) -> None:
    assert_problem(ready.http.get(f"/api/v1/runs?{query}"), 400)
