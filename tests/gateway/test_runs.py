"""Runs as a resource: who may cancel which, and what is left of a cancelled one."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import Server, User, assert_problem, claim_run


def test_a_waiting_run_is_cancelled_at_once(ann: User) -> None:
    ann.upload()
    task = ann.generate()
    answer = ann.http.post(f"/api/v1/runs/{task}/cancel")
    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert (run["task_id"], run["status"]) == (task, "cancelled")
    assert "You cancelled" in run["error"]
    assert run["finished_at"] is not None
    download = ann.http.get(f"/api/download-report/{task}/")
    assert (download.status_code, download.json()["status"]) == (409, "cancelled")


def test_nothing_of_a_cancelled_run_is_published_any_more(server: Server, ann: User, finish) -> None:
    ann.upload()
    task = ann.generate()
    claim_run(server.context, task)
    assert ann.http.post(f"/api/v1/runs/{task}/cancel/").json()["status"] == "cancelled"
    with pytest.raises(AssertionError):
        finish(task, report=b"total\n1\n")
    assert ann.http.get(f"/api/download-report/{task}/").status_code == 409


def test_a_finished_run_cannot_be_cancelled(ann: User, finish) -> None:
    ann.upload()
    done, cancelled = ann.generate(), ann.generate()
    finish(done, report=b"total\n1\n")
    assert_problem(ann.http.post(f"/api/v1/runs/{done}/cancel"), 409, "succeeded")
    assert ann.http.get(f"/api/download-report/{done}/").status_code == 200
    ann.http.post(f"/api/v1/runs/{cancelled}/cancel")
    assert_problem(ann.http.post(f"/api/v1/runs/{cancelled}/cancel"), 409, "cancelled")


def test_another_users_run_cannot_be_cancelled(ann: User, bob: User, anybody) -> None:
    ann.upload()
    task = ann.generate()
    assert_problem(bob.http.post(f"/api/v1/runs/{task}/cancel"), 404)
    assert_problem(bob.http.post("/api/v1/runs/none/cancel"), 404)
    assert_problem(anybody.post(f"/api/v1/runs/{task}/cancel"), 401)
    assert ann.http.get(f"/api/task-status/{task}/").json()["status"] == "accepted"


@pytest.mark.parametrize("told", ["0.5", "1764400000", "2026-11-29"])
def test_a_number_or_a_day_is_no_moment(ann: User, told: str) -> None:
    assert_problem(ann.http.get(f"/api/v1/runs?accepted_before={told}"), 400, "RFC 3339", "accepted_before")


def test_a_moment_is_taken_as_rfc_3339_writes_it(ann: User) -> None:
    for told in ("2026-11-29T06:00:00Z", "2026-11-29T06:00:00.5%2B01:00"):
        assert ann.http.get(f"/api/v1/runs?accepted_before={told}").status_code == 200
