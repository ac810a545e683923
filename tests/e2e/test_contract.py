"""The original contract, call by call, on the whole running service."""

from __future__ import annotations

import json

import pytest

from tests.e2e.client import EXAMPLE, Client


@pytest.fixture(scope="module")
def ann(stack) -> Client:
    client = Client(stack.url)
    client.upload_example()
    return client


def test_a_report_of_the_last_uploads_is_made_and_downloaded(ann: Client) -> None:
    task = ann.generate()
    status = ann.wait(task)
    assert (status["status"], status["stage"], status["progress"]) == ("succeeded", "done", 100)
    report = ann.download(task)
    assert report.status_code == 200
    assert report.text == (EXAMPLE / "expected.csv").read_text()
    assert "attachment" in report.headers["Content-Disposition"]


def test_the_latest_report_is_what_the_view_downloads(ann: Client) -> None:
    first, second = ann.generate(), ann.generate()
    ann.wait(first), ann.wait(second)
    view = ann.http.get("/api/download-report-view/")
    assert view.headers["ETag"] == ann.download(second).headers["ETag"]
    assert ann.http.get(f"/api/download-report-view/?task_id={first}").status_code == 200


HEADS = {
    "json": b"[\n{",
    "ndjson": b"{",
    "parquet": b"PAR1",
    "xlsx": b"PK",
    "html": b"<!doctype html>",
    "pdf": b"%PDF-",
}


def test_every_format_is_made_in_the_confined_process_and_downloaded(ann: Client) -> None:
    rules = (EXAMPLE / "rules.yaml").read_bytes()
    names = ",".join(("csv", *HEADS))
    files = {"rules": ("rules.yaml", rules)}
    task = ann.http.post(f"/api/generate-report/?formats={names}", files=files).json()["task_id"]
    status = ann.wait(task)
    assert status["status"] == "succeeded", status["error"]
    links = status["links"]["downloads"]
    assert list(links) == names.split(",")
    for name, head in HEADS.items():
        answer = ann.http.get(links[name])
        assert answer.status_code == 200
        assert answer.content[: len(head)].lower() == head.lower(), name
        assert answer.headers["Content-Disposition"] == f'attachment; filename="default.{name}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ann.download(task).text == (EXAMPLE / "expected.csv").read_text()


def test_files_sent_with_the_call_are_pinned_to_it(ann: Client) -> None:
    rules = json.dumps([{"output": "double", "formula": "field3 * 2"}]).encode()
    parts = {"rules": ("rules.json", rules)}
    task = ann.http.post("/api/generate-report/", files=parts).json()["task_id"]
    assert ann.wait(task)["status"] == "succeeded"
    assert ann.download(task).text.splitlines()[0] == "double"
    again = ann.generate()
    ann.wait(again)
    assert ann.download(again).text == (EXAMPLE / "expected.csv").read_text()


def test_rows_that_fail_go_to_the_rejects_and_every_row_is_accounted_for(ann: Client) -> None:
    lines = (EXAMPLE / "input.csv").read_text().splitlines()
    bad = [lines[1].split(","), lines[2].split(",")]
    bad[0][2] = "not a number"
    ragged = ",".join(lines[1].split(",")[:3])
    data = "\n".join([*lines, ",".join(bad[0]), ragged]) + "\n"
    rules = json.dumps([{"output": "double", "formula": "field3 * 2"}]).encode()
    files = {"rules": ("rules.json", rules), "input": ("input.csv", data.encode())}
    task = ann.http.post("/api/generate-report/", files=files).json()["task_id"]
    status = ann.wait(task)
    assert status["status"] == "succeeded"
    assert status["rejected"] == 2
    assert status["rows"] + status["rejected"] == len(lines) - 1 + 2
    rejects = ann.http.get(status["links"]["rejects"])
    assert rejects.status_code == 200
    assert str(len(lines) + 1) in rejects.text
    assert "not a number" in rejects.text
    assert ragged in rejects.text


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("reference", b"refkey1,refdata1\nk1,a\nk1,b\n", ["refkey1", "k1"]),
        ("input", b'refkey1,field1\nk1,"never closed\nk2,b\nk3,c\n', ["line 2", "quote"]),
    ],
    ids=["duplicate-keys", "open-quote"],
)
def test_data_that_allows_no_report_ends_as_failed_with_the_reason(
    ann: Client, name: str, body: bytes, words: list[str]
) -> None:
    files = {
        "rules": ("rules.json", b'[{"output": "out", "formula": "refdata1"}]'),
        "input": ("input.csv", b"refkey1,field1\nk1,x\n"),
        "reference": ("reference.csv", b"refkey1,refdata1\nk1,a\n"),
    } | {name: (f"{name}.csv", body)}
    accepted = ann.http.post("/api/generate-report/", files=files)
    assert accepted.status_code == 202, accepted.text
    status = ann.wait(accepted.json()["task_id"])
    assert status["status"] == "failed"
    answer = ann.download(status["task_id"])
    assert answer.status_code == 409
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json()["status"] == "failed"
    assert all(word.lower() in answer.json()["error"].lower() for word in words), answer.json()["error"]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: __import__("gzip").compress(text.encode()),
    ],
    ids=["bom", "utf-16", "crlf", "gzip"],
)
def test_the_same_text_in_other_wrappings_makes_the_same_report(ann: Client, encode) -> None:
    body = encode((EXAMPLE / "input.csv").read_text())
    task = ann.generate(input=body)
    assert ann.wait(task)["status"] == "succeeded"
    assert ann.download(task).text == (EXAMPLE / "expected.csv").read_text()


def test_a_header_only_input_is_a_report_without_rows(ann: Client) -> None:
    header = (EXAMPLE / "input.csv").read_text().splitlines()[0]
    task = ann.generate(input=f"{header}\n".encode())
    assert ann.wait(task)["rows"] == 0
    assert ann.download(task).text == (EXAMPLE / "expected.csv").read_text().splitlines()[0] + "\n"


def test_another_users_report_does_not_exist(stack, ann: Client) -> None:
    task = ann.generate()
    ann.wait(task)
    bob = Client(stack.url)
    assert bob.download(task).status_code == 404
    assert bob.http.get(f"/api/task-status/{task}/").status_code == 404


def test_logout_ends_the_session_at_once(stack) -> None:
    client = Client(stack.url)
    assert client.http.get("/api/auth/logout/").status_code == 200
    assert client.http.get("/api/v1/runs").status_code == 401
    refresh = client.http.post("/api/auth/refresh/", json={"refresh": client.session["refresh"]})
    assert refresh.status_code == 401


def test_catalog_storage_and_dagster_agree(stack, ann: Client) -> None:
    ann.wait(ann.generate())
    assert stack.fsck() == []
