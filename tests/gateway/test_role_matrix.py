"""Every guarded call, asked by everybody who must not: made from the API's own document, so that new calls are asked too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import text

from api_gateway.main import create_app
from reportgen_dagster.services.accounts import SCOPES
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User, finish_run

SESSION = ()  # what the document says of calls that take no API token
NAME = "mine"
# What calls take that have no example of JSON in the document, or one that names things of its own.
REPORT = {
    "ruleset": {"name": NAME},
    "inputs": {"input": {"dataset": NAME}, "reference": {"dataset": "reference"}},
    "schedules": [{"name": "main", "cron": "0 6 * * *"}],
}
SENT: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("PATCH", "/api/v1/uploads/{upload_id}"): {
        "content": b"k,v",
        "headers": {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"},
    },
    ("POST", "/api/v1/datasets/{name}/versions"): {"files": {"file": ("input.csv", INPUT + b"k3,3\n")}},
    ("PUT", "/api/v1/rulesets/{name}"): {
        "content": RULES + b"# changed\n",
        "headers": {"Content-Type": "application/yaml"},
    },
    ("PUT", "/api/v1/reports/{name}"): {"json": REPORT},
}


@dataclass(frozen=True)
class Call:
    """A guarded call, the scopes that it needs (none: somebody signed in), and what is sent with it."""

    method: str
    path: str
    scopes: tuple[str, ...]
    sent: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def ask(self, http: httpx2.Client, token: str | None, **named: str) -> int:
        """Ask with a token, bringing nothing; parts of the path that are not named are unknown ids. Return the status."""
        return self._ask(http, token, named, {})

    def ask_well(self, http: httpx2.Client, token: str, **named: str) -> int:
        """Ask with all that the call takes, so that nothing but what is named can be wrong. Return the status."""
        return self._ask(http, token, named, self.sent)

    def _ask(
        self, http: httpx2.Client, token: str | None, named: Mapping[str, str], sent: Mapping[str, Any]
    ) -> int:
        path = re.sub(r"\{(\w+)\}", lambda found: named.get(found[1], "0" * 32), self.path)
        headers = {**sent.get("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return http.request(self.method, path, **{**sent, "headers": headers}).status_code


def _calls() -> list[Call]:
    app = create_app()
    asked_for_head = {
        route.path
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and "HEAD" in route.methods
    }
    found = []
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            for guard in operation.get("security", [])[:1]:
                (scopes,) = guard.values()
                sent = SENT.get((method.upper(), path)) or _example(operation)
                found.append(Call(method.upper(), path, tuple(scopes), sent))
                if method == "get" and path in asked_for_head and "head" not in operations:
                    found.append(Call("HEAD", path, tuple(scopes)))
    return found


def _example(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return {"json": body["example"]} if body else {}


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


@dataclass(frozen=True)
class Things:
    """One of each thing that a path may name.

    Attributes:
        owner: Whose they are.
        names: Their names by those of the parts of paths.
    """

    owner: User
    names: dict[str, str]

    def look(self) -> dict[str, Any]:
        """Return all that the owner sees of them."""
        lists = (
            "datasets",
            f"datasets/{NAME}/versions",
            "rulesets",
            "reports",
            "schedules",
            "runs",
            "me/tokens",
        )
        paths = (*lists, f"uploads/{self.names['upload_id']}", f"datasets/{NAME}/expectation")
        answers = {path: self.owner.http.get(f"/api/v1/{path}") for path in paths}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {path: answer.json() for path, answer in answers.items()}


@pytest.fixture(scope="module")
def things(server: Server) -> Things:
    owner = User(server.url)
    for name, rows in ((NAME, INPUT), ("reference", REFERENCE)):
        _put(owner.http.post(f"/api/v1/datasets/{name}/versions", files={"file": ("a.csv", rows)}))
    yaml = {"Content-Type": "application/yaml"}
    _put(owner.http.put(f"/api/v1/rulesets/{NAME}", content=RULES, headers=yaml))
    _put(owner.http.put(f"/api/v1/datasets/{NAME}/expectation", json={"cron": "0 6 * * *"}))
    _put(owner.http.put(f"/api/v1/reports/{NAME}", json=REPORT))
    (schedule,) = owner.http.get("/api/v1/schedules").json()["items"]
    run = _put(owner.http.post(f"/api/v1/reports/{NAME}/runs")).json()["task_id"]
    finish_run(server.context, run, report=b"double\n1\n", rejects=b"line\n2\n")
    begun = {"Upload-Length": "9", "Upload-Metadata": "dataset dHJhZGVz"}
    upload = _put(owner.http.post("/api/v1/uploads", headers=begun)).headers["Location"]
    _token(owner, "read")
    (token,) = owner.http.get("/api/v1/me/tokens").json()["items"]
    account = {"email": owner.email, "password": "pass123"}
    assert owner.http.post("/api/auth/login", json=account).status_code == 200
    sessions = owner.http.get("/api/v1/me/sessions").json()["items"]
    names = {
        "task_id": run,
        "run_id": run,
        "delivery_id": _delivered(server, run),
        "schedule_id": schedule["id"],
        "upload_id": upload.rsplit("/", 1)[1],
        "token_id": token["id"],
        "session_id": next(one["id"] for one in sessions if not one["is_current"]),
        "name": NAME,
        "version": "1",
    }
    return Things(owner, names)


def _put(answer: httpx2.Response) -> httpx2.Response:
    assert answer.is_success, answer.text
    return answer


def _delivered(server: Server, run: str) -> str:
    with server.context.catalog.transaction() as session:
        made = text(
            "INSERT INTO deliveries (id, owner_id, report_name, run_id, event, channel, destination, state,"
            " attempts, give_up_at) SELECT md5(id), owner_id, report_name, id, 'success', 'webhook',"
            " '{\"url\": \"https://example.com\"}', 'dead', 12, now() FROM runs WHERE id = :id RETURNING id"
        )
        return str(session.execute(made, {"id": run}).scalar_one())


OWNED = [call for call in CALLS if "{" in call.path and "admin" not in call.scopes]
# What they name need not be there: whoever asks makes one of his own, of which the other's is independent.
MAKING = {
    ("POST", "/api/v1/datasets/{name}/versions"),
    ("PUT", "/api/v1/rulesets/{name}"),
}
OTHERS = [call for call in OWNED if (call.method, call.path) not in MAKING]


@pytest.mark.parametrize("call", OTHERS, ids=str)
def test_what_is_anothers_is_404_and_stays(
    cast: Cast, http: httpx2.Client, things: Things, call: Call
) -> None:
    before = things.look()
    assert call.ask_well(http, cast.user, **things.names) == 404
    assert call.ask_well(http, cast.user, version="1") == 404, "told apart from one that is not there"
    assert call.ask_well(http, cast.admin, **things.names) == 404, "an admin sees no more of it"
    assert things.look() == before


@pytest.mark.parametrize("call", [call for call in OWNED if call not in OTHERS], ids=str)
def test_what_has_the_name_of_anothers_is_a_thing_of_its_own(
    server: Server, http: httpx2.Client, things: Things, call: Call
) -> None:
    before = things.look()
    assert call.ask_well(http, User(server.url).session["access"], **things.names) == 201
    assert things.look() == before


def test_the_owner_asks_the_same_and_is_let_in(http: httpx2.Client, things: Things) -> None:
    """So the others' 404 have no other reason. What ends a thing comes last, and the whole after its parts."""

    wholes = ("/api/v1/datasets/{name}", "/api/v1/reports/{name}")

    def place(call: Call) -> tuple[bool, bool]:
        return call.method == "DELETE", call.path in wholes

    access = things.owner.session["access"]
    asked = {str(call): call.ask_well(http, access, **things.names) for call in sorted(OWNED, key=place)}
    assert {
        call: status for call, status in asked.items() if status in (400, 401, 403, 404, 411, 412, 415)
    } == {}
