"""What admins do: users and the audit."""

from __future__ import annotations

import httpx2
import pytest
from sqlalchemy import text

from tests.gateway.conftest import Server, User, assert_problem

USERS = "/api/v1/users"
AUDIT = "/api/v1/audit"


def events(admin: User, **filters: str) -> list[dict]:
    answer = admin.http.get(AUDIT, params=filters)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_users_are_listed_page_by_page(admin: User, ann: User, bob: User) -> None:
    path, seen = f"{USERS}?limit=2", []
    while path:
        page = admin.http.get(path).json()
        assert 1 <= len(page["items"]) <= 2
        seen += [user["id"] for user in page["items"]]
        path = page["next"]
    assert len(seen) == len(set(seen))
    assert seen[-3:] == [admin.id, ann.id, bob.id]


def test_a_user_is_shown_and_changed(admin: User, ann: User) -> None:
    change = {"priority": 5, "max_runs": 2}
    changed = admin.http.patch(f"{USERS}/{ann.id}", json=change).json()
    assert (changed["priority"], changed["max_runs"], changed["role"]) == (5, 2, "user")
    assert admin.http.get(f"{USERS}/{ann.id}").json() == changed
    assert admin.http.patch(f"{USERS}/{ann.id}", json={"max_runs": 0}).json()["max_runs"] is None
    assert_problem(admin.http.patch(f"{USERS}/{ann.id}", json={"priority": 1001}), 400, "priority")
    assert_problem(admin.http.patch(f"{USERS}/{ann.id}", json={"role": "root"}), 400, "role")
    for name in ("retention_days", "max_runs", "priority"):
        for no_number in (False, True, "5"):
            answer = admin.http.patch(f"{USERS}/{ann.id}", json={name: no_number})
            assert_problem(answer, 400, "valid integer")
    for unknown in ("0" * 32, "x", "%00"):
        assert_problem(admin.http.get(f"{USERS}/{unknown}"), 404)


def test_a_user_changes_only_as_he_was_seen(admin: User, ann: User) -> None:
    path = f"{USERS}/{ann.id}"
    seen = admin.http.get(path).headers["ETag"]
    assert admin.http.get(path, headers={"If-None-Match": seen}).status_code == 304
    changed = admin.http.patch(path, json={"priority": 1}, headers={"If-Match": seen})
    assert changed.status_code == 200, changed.text
    assert changed.headers["ETag"] == admin.http.get(path).headers["ETag"] != seen
    assert_problem(admin.http.patch(path, json={"priority": 2}, headers={"If-Match": seen}), 412)
    assert admin.http.get(path).json()["priority"] == 1


def test_a_disabled_user_is_out_and_his_sessions_stay_so(admin: User, ann: User) -> None:
    assert admin.http.patch(f"{USERS}/{ann.id}", json={"disabled": True}).json()["disabled"] is True
    login = {"email": ann.email, "password": "pass123"}
    assert_problem(ann.http.get("/api/v1/me"), 401)
    assert_problem(ann.http.post("/api/auth/login", json=login), 401)
    admin.http.patch(f"{USERS}/{ann.id}", json={"disabled": False})
    assert_problem(ann.http.get("/api/v1/me"), 401)
    assert ann.http.post("/api/auth/login", json=login).status_code == 200


def test_revoking_ends_sessions_and_api_tokens(admin: User, ann: User) -> None:
    made = ann.http.post("/api/v1/me/tokens", json={"name": "x", "scopes": ["read"]}).json()["token"]
    assert admin.http.post(f"{USERS}/{ann.id}/revoke").status_code == 204
    for token in (ann.session["access"], made):
        assert_problem(ann.http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}), 401)


def test_a_new_role_acts_at_once_and_on_old_api_tokens(admin: User, ann: User) -> None:
    admin.http.patch(f"{USERS}/{ann.id}", json={"role": "admin"})
    made = ann.http.post("/api/v1/me/tokens", json={"name": "x", "scopes": ["admin"]}).json()["token"]
    headers = {"Authorization": f"Bearer {made}"}
    assert ann.http.get(USERS, headers=headers).status_code == 200
    admin.http.patch(f"{USERS}/{ann.id}", json={"role": "user"})
    assert_problem(ann.http.get(USERS, headers=headers), 403)
    assert_problem(ann.http.get(USERS), 403)


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}])
def test_the_last_admin_stays(admin: User, ann: User, change: dict) -> None:
    assert_problem(admin.http.patch(f"{USERS}/{admin.id}", json=change), 409, "last admin")
    admin.http.patch(f"{USERS}/{ann.id}", json={"role": "admin"})
    assert admin.http.patch(f"{USERS}/{admin.id}", json=change).status_code == 200


def test_the_audit_tells_who_did_what_from_where(admin: User, ann: User, finish) -> None:
    ann.upload()
    task = ann.generate()
    finish(task, report=b"a\n1\n")
    ann.http.get(f"/api/download-report/{task}", headers={"X-Request-Id": "this.one"})
    ann.http.post("/api/v1/me/tokens", json={"name": "x", "scopes": ["read"]})
    ann.http.post("/api/auth/login", json={"email": ann.email, "password": "wrong-one"})
    ann.http.post("/api/auth/refresh", json={"refresh": ann.session["refresh"]})
    ann.http.post("/api/auth/refresh", json={"refresh": ann.session["refresh"]})
    own = events(admin, user_id=ann.id)
    told = [event["action"] for event in reversed(own)]
    assert told == ["register", "sign-in", "rules-changed", "download", "token-made"]
    assert {event["address"] for event in own} == {"127.0.0.1"}
    (download,) = (event for event in own if event["action"] == "download")
    assert (download["thing"], download["request_id"]) == (f"run/{task}/csv", "this.one")
    (refused,) = (one for one in events(admin, action="sign-in-refused") if ann.id in one["thing"])
    assert refused["user_id"] is None
    assert events(admin, action="refresh-reused")[0]["thing"].startswith("session/")
    everything = str(events(admin, limit="200"))
    assert not [secret for secret in ("pass123", "wrong-one", "rg_", "eyJ") if secret in everything]


def test_the_audit_is_read_page_by_page_with_its_filters(admin: User, ann: User) -> None:
    for name in "abc":
        ann.http.post("/api/v1/me/tokens", json={"name": name, "scopes": ["read"]})
    made = events(admin, user_id=ann.id, action="token-made")
    assert len(made) == 3
    path, seen = f"{AUDIT}?limit=1&user_id={ann.id}&action=token-made", []
    while path:
        page = admin.http.get(path).json()
        seen += page["items"]
        path = page["next"]
    assert seen == made
    times = [event["at"] for event in made]
    assert events(admin, user_id=ann.id, since=times[1], until=times[0]) == [made[1]]
    assert_problem(admin.http.get(AUDIT, params={"since": "2026-01-01T00:00:00"}), 400, "since")
    assert_problem(admin.http.get(AUDIT, params={"action": "x"}), 400, "action")
    assert_problem(admin.http.get(AUDIT, params={"user_id": "\0"}), 400, "user_id")


def test_deleting_is_in_the_audit(admin: User, ann: User) -> None:
    ann.upload()
    files = {
        "input_file": ("i.csv", b"refkey1,field1\nk1,1\n"),
        "reference_file": ("r.csv", b"refkey1,refdata1\nk1,one\n"),
        "rules_file": ("r.yaml", b"- {output: double, formula: field1 * 2}\n"),
    }
    ann.http.post("/api/trigger-scheduled-report", files=files, data={"cron": "0 6 * * *"})
    (schedule,) = ann.http.get("/api/v1/schedules").json()["items"]
    ann.http.delete(f"/api/v1/schedules/{schedule['id']}")
    assert events(admin, user_id=ann.id)[0]["thing"] == f"schedule/{schedule['id']}"


def test_audit_events_are_not_changed_in_the_database_either(server: Server, ann: User) -> None:
    for statement in (
        "UPDATE audit_events SET action = 'x' WHERE user_id = :id",
        "DELETE FROM audit_events WHERE user_id = :id",
        "TRUNCATE audit_events",
    ):
        with (
            pytest.raises(Exception, match="only added to"),
            server.context.catalog.transaction() as session,
        ):
            session.execute(text(statement), {"id": ann.id})


def test_a_client_behind_no_proxy_of_ours_cannot_choose_its_address(
    ann: User, anybody: httpx2.Client
) -> None:
    login = {"email": ann.email, "password": "pass123"}
    headers = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "forged"}
    session = anybody.post("/api/auth/login", json=login, headers=headers).json()
    listed = anybody.get("/api/v1/me/sessions", headers={"Authorization": f"Bearer {session['access']}"})
    assert {one["address"] for one in listed.json()["items"]} == {"127.0.0.1"}
