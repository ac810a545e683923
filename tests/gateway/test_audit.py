"""Whatever is worth an event leaves one, whichever way it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from reportgen_dagster.services.audit import ACTIONS
from tests.cli.test_named import Terminal
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, User
from tests.gateway.test_named_reports import make_parts
from tests.gateway.test_named_reports import put as put_report
from tests.gateway.test_users import events

SCHEDULED = {
    "input_file": ("i.csv", INPUT),
    "reference_file": ("r.csv", REFERENCE),
    "rules_file": ("r.yaml", RULES),
}


@dataclass(frozen=True)
class Scene:
    """Who does it, and what with."""

    admin: User
    ann: User
    terminal: Terminal
    finish: Callable[..., None]

    def asked(self, method: str, path: str, *, by: User | None = None, **more: Any) -> httpx2.Response:
        answer = (by or self.ann).http.request(method, path, **more)
        assert answer.is_success, answer.text
        return answer

    def sign_in(self, **changed: str) -> httpx2.Response:
        body = {"email": self.ann.email, "password": "pass123", **changed}
        return self.ann.http.post("/api/auth/login", json=body)


@pytest.fixture
def scene(server: Server, admin: User, ann: User, finish: Callable[..., None], tmp_path: Path) -> Scene:
    """The keys that commands change are those of another home."""
    settings = server.settings.model_copy(update={"home": tmp_path})
    return Scene(admin, ann, Terminal(replace(server.context, settings=settings), tmp_path), finish)


def _register(scene: Scene) -> None:
    User(str(scene.ann.http.base_url))


def _sign_in(scene: Scene) -> None:
    assert scene.sign_in().status_code == 200


def _mistype(scene: Scene) -> None:
    assert scene.sign_in(password="wrong-one").status_code == 401


def _until_throttled(attempt: Callable[[], httpx2.Response]) -> None:
    """Go on with it well into the time in which it is refused."""
    throttled = 0
    while throttled < 5:
        throttled += attempt().status_code == 429


def _go_on_mistyping(scene: Scene) -> None:
    _until_throttled(lambda: scene.sign_in(password="wrong-one"))


def _mistype_old_password(scene: Scene) -> httpx2.Response:
    wrong = {"old": "wrong-one", "new": "pass456"}
    return scene.ann.http.post("/api/v1/me/password", json=wrong)


def _go_on_mistyping_old_password(scene: Scene) -> None:
    _until_throttled(lambda: _mistype_old_password(scene))


def _sign_out(scene: Scene) -> None:
    scene.asked("POST", "/api/auth/logout")


def _refresh_twice(scene: Scene) -> None:
    for status in (200, 401):
        answer = scene.ann.http.post("/api/auth/refresh", json={"refresh": scene.ann.session["refresh"]})
        assert answer.status_code == status


def _end_sessions(scene: Scene) -> None:
    scene.asked("POST", "/api/v1/me/sessions/revoke-all")


def _end_a_session(scene: Scene) -> None:
    (own,) = scene.asked("GET", "/api/v1/me/sessions").json()["items"]
    scene.asked("DELETE", f"/api/v1/me/sessions/{own['id']}")


def _change_password(scene: Scene) -> None:
    scene.asked("POST", "/api/v1/me/password", json={"old": "pass123", "new": "pass456"})


def _set_password(scene: Scene) -> None:
    scene.terminal.told("users", "set-password", scene.ann.email, stdin=b"another one\n")


def _make_token(scene: Scene) -> str:
    made = scene.asked("POST", "/api/v1/me/tokens", json={"name": "x", "scopes": ["read"]})
    return str(made.json()["id"])


def _delete_token(scene: Scene) -> None:
    scene.asked("DELETE", f"/api/v1/me/tokens/{_make_token(scene)}")


def _change_user(scene: Scene) -> None:
    scene.asked("PATCH", f"/api/v1/users/{scene.ann.id}", by=scene.admin, json={"priority": 5})


def _revoke_user(scene: Scene) -> None:
    scene.asked("POST", f"/api/v1/users/{scene.ann.id}/revoke", by=scene.admin)


def _put_rules(scene: Scene) -> None:
    headers = {"Content-Type": "application/yaml"}
    scene.asked("PUT", "/api/v1/rulesets/margin", content=RULES, headers=headers)


def _put_rules_by_command(scene: Scene) -> None:
    (scene.terminal.folder / "rules.yaml").write_bytes(RULES)
    scene.terminal.told("rulesets", "put", "margin", "rules.yaml", "--user", scene.ann.email)


def _upload_rules(scene: Scene) -> None:
    scene.asked("POST", "/api/upload-rules/", files={"file": ("rules.yaml", RULES)})


def _schedule(scene: Scene) -> None:
    scene.asked("POST", "/api/trigger-scheduled-report/", files=SCHEDULED, data={"cron": "0 6 * * *"})


def _download(scene: Scene) -> None:
    scene.ann.upload()
    task_id = scene.ann.generate()
    scene.finish(task_id, report=b"a\n1\n")
    scene.asked("GET", f"/api/download-report/{task_id}")


def _delete_dataset(scene: Scene) -> None:
    make_parts(scene.ann)
    scene.asked("DELETE", "/api/v1/datasets/trades")


def _delete_ruleset(scene: Scene) -> None:
    make_parts(scene.ann)
    scene.asked("DELETE", "/api/v1/rulesets/margin")


def _delete_report(scene: Scene) -> None:
    make_parts(scene.ann)
    assert put_report(scene.ann).status_code == 201
    scene.asked("DELETE", "/api/v1/reports/daily")


def _delete_schedule(scene: Scene) -> None:
    _schedule(scene)
    (schedule,) = scene.asked("GET", "/api/v1/schedules").json()["items"]
    scene.asked("DELETE", f"/api/v1/schedules/{schedule['id']}")


def _rotate_key(scene: Scene) -> str:
    return scene.terminal.told("keys", "rotate").partition(":")[0]


def _retire_key(scene: Scene) -> None:
    leaked = _rotate_key(scene)
    _rotate_key(scene)
    scene.terminal.told("keys", "retire", leaked)


DONE: list[tuple[str, Callable[[Scene], object]]] = [
    ("register", _register),
    ("sign-in", _register),
    ("sign-in", _sign_in),
    ("sign-in-refused", _mistype),
    ("sign-in-throttled", _go_on_mistyping),
    ("sign-out", _sign_out),
    ("refresh-reused", _refresh_twice),
    ("session-ended", _end_sessions),
    ("session-ended", _end_a_session),
    ("password-changed", _change_password),
    ("password-changed", _set_password),
    ("password-refused", _mistype_old_password),
    ("password-throttled", _go_on_mistyping_old_password),
    ("token-made", _make_token),
    ("token-deleted", _delete_token),
    ("user-changed", _change_user),
    ("user-revoked", _revoke_user),
    ("rules-changed", _put_rules),
    ("rules-changed", _put_rules_by_command),
    ("rules-changed", _upload_rules),
    ("rules-changed", _schedule),
    ("download", _download),
    ("dataset-deleted", _delete_dataset),
    ("ruleset-deleted", _delete_ruleset),
    ("report-deleted", _delete_report),
    ("schedule-deleted", _delete_schedule),
    ("key-rotated", _rotate_key),
    ("key-retired", _retire_key),
]


@pytest.mark.parametrize(("action", "do"), DONE)
def test_what_is_done_is_noted_once(scene: Scene, action: str, do: Callable[[Scene], object]) -> None:
    before = {event["id"] for event in events(scene.admin, action=action)}
    do(scene)
    after = {event["id"] for event in events(scene.admin, action=action)}
    assert len(after - before) == 1


def test_every_action_that_there_is_is_done_here() -> None:
    assert {action for action, _ in DONE} == set(ACTIONS)


def test_what_is_throttled_is_told_once_for_an_account_without_names_of_others(
    scene: Scene, anybody: httpx2.Client
) -> None:
    """Unknown accounts count as known ones do, and leave nothing but where they came from."""
    before = {event["id"] for event in events(scene.admin, action="sign-in-throttled")}
    nobody = {"email": f"{uuid4().hex}@example.com", "password": "wrong-one"}
    _until_throttled(lambda: anybody.post("/api/auth/login", json=nobody))
    _go_on_mistyping(scene)
    told = [one for one in events(scene.admin, action="sign-in-throttled") if one["id"] not in before]
    assert [(one["thing"], one["user_id"]) for one in told] == [(f"user/{scene.ann.id}", None), ("", None)]
    assert {one["address"] for one in told} == {"127.0.0.1"}
    assert nobody["email"] not in str(told)
