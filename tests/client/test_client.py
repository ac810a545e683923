"""What a program does with the Python client: files, runs, schedules, lists and errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from reportgen_client import Client, DownloadError, ReportgenApiError, Run, ServiceUnreachableError
from tests.client.conftest import PASSWORD, REPORT
from tests.client.cutting import cutting
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server

LARGE_REPORT = b"double,name\n" + b"2,one\n" * 200_000
Finish = Callable[..., None]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_bytes(RULES)
    (tmp_path / "trades.csv").write_bytes(INPUT)
    (tmp_path / "desks.csv").write_bytes(REFERENCE)
    return tmp_path


def run_of(client: Client) -> Run:
    """Accept a run of files that are sent with it."""
    return client.generate(input=INPUT, reference=REFERENCE, rules=RULES)


def behind(proxy_url: str, client: Client) -> Client:
    """The same account by another way to the service."""
    return Client(proxy_url, tokens=client.tokens, patience=10)


def test_upload_generate_wait_download(client: Client, files: Path, finish: Finish) -> None:
    assert client.upload_rules(files / "rules.yaml")["version"] == 1
    sent: list[tuple[int, int]] = []
    kept = client.upload_files(
        input=files / "trades.csv",
        reference=files / "desks.csv",
        on_progress=lambda done, total: sent.append((done, total)),
    )
    assert {name: facts["filename"] for name, facts in kept.items()} == {
        "input": "trades.csv",
        "reference": "desks.csv",
    }
    assert sent[-1] == (len(INPUT) + len(REFERENCE),) * 2
    run = client.generate()
    assert run.status == "accepted"
    finish(run.id, report=REPORT, rejects=b"_line\n3\n")
    assert (run.wait(10).status, run.rows, run.rejected, run.stage) == ("succeeded", 2, 1, "done")
    assert run.download(files / "report.csv").read_bytes() == REPORT
    assert run.rejects(files / "rejects.csv") == files / "rejects.csv"
    assert (files / "rejects.csv").read_bytes() == b"_line\n3\n"


def test_waiting_tells_how_far_it_is_and_ends_with_the_run(client: Client, finish: Finish) -> None:
    run = run_of(client)
    told: list[str] = []

    def end_it_once_seen(seen: Run) -> None:
        told.append(seen.status)
        if len(told) == 1:
            finish(seen.id, report=REPORT)

    assert run.wait(20, end_it_once_seen).status == "succeeded"
    assert (told[0], told[-1]) == ("accepted", "succeeded")


def test_waiting_ends_in_time_although_the_run_does_not(client: Client) -> None:
    run = run_of(client)
    with pytest.raises(TimeoutError, match=f"run {run.id} did not end within 0.1 s"):
        run.wait(0.1)


def test_what_is_given_is_for_one_run_only(client: Client) -> None:
    rules = b"""
version: 1
parameters: {factor: {type: integer}}
steps: [{derive: {many: "field1 * :factor"}}]
"""
    run = client.generate(input=INPUT, rules=rules, parameters={"factor": 3}, formats=["csv", "json"])
    (listed,) = client.runs()
    assert (listed.id, listed.facts["parameters"]) == (run.id, {"factor": 3})
    with pytest.raises(ReportgenApiError) as refused:
        client.generate()
    assert (refused.value.status, refused.value.code) == (400, "input-missing")


def test_lists_go_on_over_pages(client: Client) -> None:
    client.upload_rules(RULES)
    client.upload_files(input=INPUT, reference=REFERENCE)
    made = [client.generate().id for _ in range(5)]
    assert [run.id for run in client.runs(limit=2)] == made[::-1]


def test_a_cancelled_run_has_no_report(client: Client, tmp_path: Path) -> None:
    run = run_of(client)
    with pytest.raises(ReportgenApiError) as early:
        run.download(tmp_path / "report.csv")
    assert (early.value.status, early.value.code) == (202, "not-ready")
    assert run.cancel().status == "cancelled"
    assert run.wait(5).is_final
    with pytest.raises(ReportgenApiError) as refused:
        run.download(tmp_path / "report.csv")
    assert refused.value.status == 409
    assert "cancelled" in refused.value.detail
    assert list(tmp_path.iterdir()) == []


def test_an_error_has_every_member_of_the_problem(client: Client) -> None:
    with pytest.raises(ReportgenApiError) as refused:
        client.upload_rules(b"- {output: a, formula: field1 +}\n- {output: b, formula: nosuch(1)}\n")
    error = refused.value
    assert (error.status, error.code, error.title) == (400, "rules-invalid", "The rules have problems")
    assert [problem["line"] for problem in error.errors] == [1, 2]
    assert error.request_id
    assert str(error).startswith("rules.yaml:1:")


def test_schedules(client: Client) -> None:
    made = client.trigger_schedule(
        input=INPUT,
        reference=REFERENCE,
        rules=RULES,
        cron="0 6 * * 1-5",
        timezone="Europe/Berlin",
        report_name="daily",
    )
    assert made["report_name"] == "daily"
    (schedule,) = client.schedules()
    assert (schedule["cron"], schedule["paused"]) == ("0 6 * * 1-5", False)
    assert client.pause_schedule(schedule["id"])["paused"] is True
    assert client.resume_schedule(schedule["id"])["paused"] is False
    client.delete_schedule(schedule["id"])
    assert list(client.schedules()) == []


def test_a_download_goes_on_where_it_was_cut(client: Client, finish: Finish, tmp_path: Path) -> None:
    run = run_of(client)
    finish(run.id, report=LARGE_REPORT)
    with cutting(client.url, 100_000, 500_000, 2_000) as proxy, behind(proxy.url, client) as cut:
        got: list[tuple[int, int]] = []
        path = cut.run(run.id).download(
            tmp_path / "report.csv", on_progress=lambda done, total: got.append((done, total))
        )
    assert path.read_bytes() == LARGE_REPORT
    assert proxy.connections >= 4
    assert [done for done, _ in got] == sorted({done for done, _ in got}), "nothing is loaded twice"
    assert got[-1] == (len(LARGE_REPORT), len(LARGE_REPORT))
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_damaged_in_storage_is_not_taken(
    client: Client, server: Server, finish: Finish, tmp_path: Path
) -> None:
    run = run_of(client)
    report = REPORT + b"6,of this run only\n"
    finish(run.id, report=report)
    (stored,) = [path for path in server.files() if path.read_bytes() == report]
    stored.chmod(0o600)
    stored.write_bytes(report.replace(b"6,", b"7,"))
    with pytest.raises(DownloadError, match="another digest"):
        run.download(tmp_path / "report.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_is_not_there() -> None:
    with (
        Client("http://127.0.0.1:9", patience=0.2) as nobody,
        pytest.raises(ServiceUnreachableError, match=r"127\.0\.0\.1:9 does not answer"),
    ):
        nobody.login("ann@example.com", PASSWORD)


class _Elsewhere(BaseHTTPRequestHandler):
    """Answers as something else than this service."""

    def do_GET(self) -> None:
        is_moved = self.path.startswith("/api/v1/schedules")
        self.send_response(308 if is_moved else 200)
        self.send_header("Location", "https://reports.example.com/")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


def test_something_else_answers() -> None:
    with HTTPServer(("127.0.0.1", 0), _Elsewhere) as other:
        threading.Thread(target=other.serve_forever).start()
        try:
            with Client(f"http://127.0.0.1:{other.server_port}", token="rg_pat_x") as client:
                with pytest.raises(ServiceUnreachableError, match="not as this service does"):
                    list(client.runs())
                with pytest.raises(ReportgenApiError, match=r"it is at https://reports\.example\.com/"):
                    list(client.schedules())
        finally:
            other.shutdown()


def test_many_threads_share_a_client(client: Client) -> None:
    client.upload_rules(RULES)
    client.upload_files(input=INPUT, reference=REFERENCE)
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(client.generate().id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {run.id for run in client.runs()} == set(made)
    assert len(made) == 8
