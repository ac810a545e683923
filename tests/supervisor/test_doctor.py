"""The doctor names what is wrong with an installation, each thing by itself, and says how to mend it."""

from __future__ import annotations

import json
import socket
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.doctor import machine
from reportgen_dagster.supervisor.doctor.examination import EXAMINATIONS, examine, look
from reportgen_dagster.supervisor.doctor.findings import Finding
from tests.stack import REPORTGEN

EVERYWHERE = str(IPv4Address(0))


@pytest.fixture
def private(settings: Settings) -> Settings:
    """An installation that was never started: nothing is wrong with it."""
    settings.home.chmod(0o700)
    return settings


def told(settings: Settings, check: str, **changed: Any) -> Finding:
    """Return the worst that is said of one thing."""
    found = look(check, settings.model_copy(update=changed))
    return min(found, key=lambda one: ("problem", "warning", "not running", "fine").index(one.verdict))


def test_a_sound_installation_has_no_problem_while_it_does_not_run(private: Settings) -> None:
    Context.open(private).close()
    found = examine(private.model_copy(update={"port": 0, "dagster_port": 0, "code_server_port": 0}))
    assert [one for one in found if one.verdict == "problem" and one.check != "ports"] == []
    assert {one.check for one in found if one.verdict == "not running"} == {
        *("up", "broker", "worker", "dagster", "gateway")
    }
    assert {one.check for one in found if one.verdict == "fine"} >= {"python", "home", "database", "storage"}
    assert not list((private.storage_path / "blobs").glob("*/*")), "what it stored to try is gone"


def test_what_others_may_read_is_found(private: Settings) -> None:
    key, secret = private.home / "secret_key", private.home / "secrets" / "partner"
    secret.parent.mkdir()
    for path, content in ((key, "k" * 40), (secret, "x")):
        path.write_text(content)
        path.chmod(0o600)
    assert told(private, "secrets", secret_key=None).verdict == "fine"
    secret.chmod(0o640)
    assert "others may read" in told(private, "secrets").words
    secret.chmod(0o600)
    key.write_text("short")
    assert "less than 32 bytes" in told(private, "secrets", secret_key=None).words
    private.home.chmod(0o755)
    home = told(private, "home")
    assert (home.verdict, "chmod 700" in home.cure) == ("problem", True)


def test_a_database_of_another_revision_is_found(private: Settings, context: Context) -> None:
    for revision, cure in (("0001", "migrates it"), ("9999", "later release")):
        with context.catalog.transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
        found = told(private, "database")
        assert (found.verdict, revision in found.words, cure in found.cure) == ("problem", True, True)


def test_servers_that_are_named_must_answer(tmp_path: Path) -> None:
    private = Settings(home=tmp_path)
    nowhere = "127.0.0.1:9"
    for check, changed in (
        ("database", {"database_url": SecretStr(f"postgresql://{nowhere}/none")}),
        ("broker", {"broker_url": SecretStr(f"redis://{nowhere}/0")}),
        ("worker", {"broker_url": SecretStr(f"redis://{nowhere}/0")}),
        ("dagster", {"dagster_url": f"http://{nowhere}"}),
        ("mail", {"smtp_url": f"smtp://{nowhere}", "smtp_security": "none", "smtp_sender": "a@example.com"}),
    ):
        found = told(private, check, **changed)
        assert (found.verdict, bool(found.cure)) == ("problem", True), check


def test_a_storage_that_takes_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert told(Settings(), "storage", storage_url=f"file://{tmp_path}/file").verdict == "problem"


def test_taken_ports_are_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = told(Settings(home=tmp_path), "ports", port=port)
    assert (found.verdict, str(port) in found.words) == ("problem", True)


def test_settings_that_are_hardly_meant_are_found() -> None:
    for changed, words in (
        ({"host": EVERYWHERE}, "names no https"),
        ({"host": EVERYWHERE, "public_url": "https://reports.example.com"}, "demo account"),
        ({"workers": 64, "memory_limit": "64GB"}, "may take"),
        ({"webhook_hosts": "0.0.0.0/0"}, "webhooks may reach"),
        ({"smtp_url": "smtp://mail.example.com", "smtp_security": "none"}, "in the clear"),
    ):
        found = look("settings", Settings().model_copy(update=changed))
        assert [one.verdict for one in found if words in one.words] == ["warning"], words


def test_a_look_that_fails_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = Settings(home=tmp_path)
    monkeypatch.setattr(machine, "refuse_taken_ports", lambda _settings: 1 / 0)
    assert "ZeroDivisionError" in told(private, "ports").words
    assert told(private, "settings").verdict == "fine"


def test_the_command_tells_it_as_data_and_exits_with_one(private: Settings) -> None:
    private.home.chmod(0o755)
    environment = {**private.environment(), "REPORTGEN_PORT": "1"}
    done = subprocess.run([REPORTGEN, "doctor", "--json"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    body = json.loads(done.stdout)
    assert body["healthy"] is False
    assert {one["check"] for one in body["findings"]} >= {"home", "database", "mail"}
    assert len(EXAMINATIONS) <= len(body["findings"])
