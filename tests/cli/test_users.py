"""`reportgen users`, `keys` and `audit`, as whoever runs the service types them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reportgen_dagster.errors import AuthenticationError
from reportgen_dagster.services import accounts
from reportgen_dagster.services.context import Context
from tests.cli.test_named import Terminal

ANN, BOB = "ann@example.com", "bob@example.com"
PASSWORD = "pass123"


@pytest.fixture
def here(context: Context) -> Context:
    """An installation that keeps its key in its home, with two users."""
    kept = replace(context, settings=context.settings.model_copy(update={"secret_key": None}))
    for email in (ANN, BOB):
        accounts.register(kept, email=email, name="Somebody", password=PASSWORD)
    return kept


@pytest.fixture
def terminal(here: Context, tmp_path: Path) -> Terminal:
    return Terminal(here, tmp_path)


def test_the_first_admin_is_made_by_a_command(here: Context, terminal: Terminal) -> None:
    terminal.told("users", "promote", ANN)
    caller = accounts.authenticate(here, accounts.login(here, email=ANN, password=PASSWORD).access)
    assert "admin" in caller.scopes
    assert f"{ANN}: admin, priority 0" in terminal.told("users", "list")
    refused = terminal("users", "demote", ANN)
    assert (refused.returncode, b"last admin" in refused.stderr) == (2, True)
    terminal.told("users", "promote", BOB)
    assert f"{ANN}: user" in terminal.told("users", "demote", ANN.upper())


def test_a_users_share_is_set(terminal: Terminal) -> None:
    (user,) = json.loads(terminal.told("users", "set", ANN, "--priority", 3, "--runs", 1, "--json"))["users"]
    assert (user["priority"], user["max_runs"], user["role"]) == (3, 1, "user")
    assert terminal("users", "set", ANN).returncode == 2
    assert terminal("users", "set", "nobody@example.com", "--runs", 1).returncode == 2


def test_a_user_is_kept_out_and_let_in_again(here: Context, terminal: Terminal) -> None:
    session = accounts.login(here, email=ANN, password=PASSWORD)
    terminal.told("users", "disable", ANN)
    for attempt in (
        lambda: accounts.authenticate(here, session.access),
        lambda: accounts.login(here, email=ANN, password=PASSWORD),
    ):
        with pytest.raises(AuthenticationError):
            attempt()
    terminal.told("users", "enable", ANN)
    session = accounts.login(here, email=ANN, password=PASSWORD)
    terminal.told("users", "revoke", ANN)
    with pytest.raises(AuthenticationError):
        accounts.authenticate(here, session.access)


def test_a_password_is_set_from_standard_input(here: Context, terminal: Terminal) -> None:
    terminal.told("users", "set-password", ANN, stdin=b"another one\n")
    assert accounts.login(here, email=ANN, password="another one")
    short = terminal("users", "set-password", ANN, stdin=b"short\n")
    assert short.returncode == 2
    assert b"short" not in short.stderr + short.stdout


def test_keys_are_shown_without_secrets_and_changed(here: Context, terminal: Terminal) -> None:
    session = accounts.login(here, email=ANN, password=PASSWORD)
    (before,) = json.loads(terminal.told("keys", "list", "--json"))["keys"]
    assert before["state"] == "signs"
    new = terminal.told("keys", "rotate").partition(":")[0]
    listed = terminal.told("keys", "list")
    assert f"{new}: signs from" in listed
    assert f"{before['kid']}: signs" in listed
    assert terminal("keys", "retire", before["kid"]).returncode == 2
    assert accounts.authenticate(here, session.access)
    secrets = json.loads((here.settings.home / "signing_keys.json").read_text())["keys"]
    assert not [key for key in secrets if key["secret"] in listed]


def test_the_audit_is_shown(terminal: Terminal) -> None:
    terminal.told("users", "set", ANN, "--priority", 3)
    (event,) = json.loads(terminal.told("audit", "--action", "user-changed", "--json"))["events"]
    assert (event["user_id"], event["address"]) == (None, "")
    assert event["thing"].endswith(" priority=3")
    assert "register" in terminal.told("audit", "--user", ANN, "--since", "2026-01-01")
    assert "no such event" in terminal.told("audit", "--until", "2026-01-01T00:00:00Z")
    assert terminal("audit", "--action", "x").returncode == 2
