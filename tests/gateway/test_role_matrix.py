"""Every guarded call, asked by everybody who must not: made from the API's own document, so that new calls are asked too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api_gateway.main import create_app
from reportgen_dagster.services.accounts import SCOPES
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User

SESSION = ()  # what the document says of calls that take no API token


@dataclass(frozen=True)
class Call:
    """A guarded call and the scopes that it needs; none: somebody signed in."""

    method: str
    path: str
    scopes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def ask(self, http: httpx2.Client, token: str | None, **named: str) -> int:
        """Ask with a token; parts of the path that are not named are unknown ids. Return the status."""
        path = re.sub(r"\{(\w+)\}", lambda found: named.get(found[1], "0" * 32), self.path)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return http.request(self.method, path, headers=headers).status_code


def _calls() -> list[Call]:
    found = []
    for path, operations in create_app().openapi()["paths"].items():
        for method, operation in operations.items():
            for guard in operation.get("security", [])[:1]:
                (scopes,) = guard.values()
                found.append(Call(method.upper(), path, tuple(scopes)))
    return found


CALLS = _calls()
# All but those that end the session that asks.
HARMLESS = [call for call in CALLS if not call.path.endswith(("/logout", "/revoke-all"))]


@dataclass(frozen=True)
class Cast:
    """Tokens of all who ask.

    Attributes:
        refused: Those that open nothing, by why.
        user: Of an ordinary user.
        admin: Of an admin.
        programs: API tokens of the admin with one scope each.
    """

    refused: dict[str, str | None]
    user: str
    admin: str
    programs: dict[str, str]


@pytest.fixture(scope="module")
def cast(server: Server) -> Cast:
    user, admin, gone, disabled = (User(server.url) for _ in range(4))
    with server.context.catalog.transaction() as session:
        session.execute(text("UPDATE users SET role = 'admin' WHERE id = :id"), {"id": admin.id})
    programs = {scope: _token(admin, scope) for scope in SCOPES}
    expired, of_disabled, deleted = _token(user, "read"), _token(disabled, "read"), _token(gone, "read")
    for one in gone.http.get("/api/v1/me/tokens").json()["items"]:
        assert gone.http.delete(f"/api/v1/me/tokens/{one['id']}").status_code == 204
    assert gone.http.post("/api/auth/logout").status_code == 200
    patched = admin.http.patch(f"/api/v1/users/{disabled.id}", json={"disabled": True})
    assert patched.status_code == 200
    with server.context.catalog.transaction() as session:
        late = text("UPDATE api_tokens SET expires_at = now() WHERE user_id = :id")
        session.execute(late, {"id": user.id})
    refused = {
        "nobody": None,
        "a revoked session": gone.session["access"],
        "a refresh token": user.session["refresh"],
        "a disabled user": disabled.session["access"],
        "an expired API token": expired,
        "a deleted API token": deleted,
        "an API token of a disabled user": of_disabled,
        "an API token that nobody made": f"{expired[:-9]}x{expired[-8:]}",
    }
    return Cast(refused, user.session["access"], admin.session["access"], programs)


def _token(user: User, scope: str) -> str:
    answer = user.http.post("/api/v1/me/tokens", json={"name": scope, "scopes": [scope]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        yield client


def test_the_matrix_has_every_guarded_call() -> None:
    assert len(CALLS) >= 30
    assert {call.scopes for call in CALLS} == {SESSION, *((scope,) for scope in SCOPES)}


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_who_has_no_good_token_is_refused(cast: Cast, http: httpx2.Client, call: Call) -> None:
    asked = {why: call.ask(http, token) for why, token in cast.refused.items()}
    assert asked == dict.fromkeys(cast.refused, 401)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_an_api_token_is_good_for_its_scope_only(cast: Cast, http: httpx2.Client, call: Call) -> None:
    needed = set(call.scopes)
    asked = {scope: call.ask(http, token) for scope, token in cast.programs.items() if scope not in needed}
    assert asked == dict.fromkeys(asked, 403)
    assert len(asked) == len(SCOPES) - len(needed)


@pytest.mark.parametrize("call", [call for call in CALLS if "admin" in call.scopes], ids=str)
def test_what_is_for_admins_is_403_for_others(cast: Cast, http: httpx2.Client, call: Call) -> None:
    assert call.ask(http, cast.user) == 403


@pytest.mark.parametrize("call", HARMLESS, ids=str)
def test_an_admin_has_every_scope(cast: Cast, http: httpx2.Client, call: Call) -> None:
    assert call.ask(http, cast.admin) not in (401, 403)


@pytest.fixture(scope="module")
def things(server: Server) -> tuple[User, dict[str, Any]]:
    """A user with one of each thing that a path may name, and their names by those in the paths."""
    owner = User(server.url)
    owner.upload()
    run = owner.generate()
    files = {"input_file": INPUT, "reference_file": REFERENCE, "rules_file": RULES}
    made = owner.http.post(
        "/api/trigger-scheduled-report",
        files={name: (name if "rules" not in name else "rules.yaml", body) for name, body in files.items()},
        data={"cron": "0 6 * * *", "report_name": "mine"},
    )
    assert made.status_code == 201, made.text
    (schedule,) = owner.http.get("/api/v1/schedules").json()["items"]
    _token(owner, "read")
    (token,) = owner.http.get("/api/v1/me/tokens").json()["items"]
    (session,) = owner.http.get("/api/v1/me/sessions").json()["items"]
    names = {
        "task_id": run,
        "run_id": run,
        "schedule_id": schedule["id"],
        "token_id": token["id"],
        "session_id": session["id"],
        "name": "mine",
    }
    return owner, names


OWNED = [call for call in CALLS if "{" in call.path and "admin" not in call.scopes]


@pytest.mark.parametrize("call", OWNED, ids=str)
def test_what_is_anothers_is_404_and_stays(
    cast: Cast, http: httpx2.Client, things: tuple[User, dict[str, Any]], call: Call
) -> None:
    owner, names = things
    foreign, unknown = call.ask(http, cast.user, **names), call.ask(http, cast.user)
    assert foreign == unknown, "another's thing is told apart from one that is not there"
    assert foreign in (400, 404, 411, 412, 415, 428)  # 4xx before the look-up: a body or header is missing
    assert call.ask(http, cast.admin, **names) == foreign, "an admin sees no more of it"
    assert owner.http.get("/api/v1/schedules").json()["items"]
