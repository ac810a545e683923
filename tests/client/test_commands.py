"""The commands that ask a service, as a person types them, against a real gateway."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from reportgen_client import Client, ReportgenApiError
from reportgen_dagster.cli.asking import error_of
from reportgen_dagster.cli.credentials import ContextTokens, Credentials
from reportgen_dagster.cli.main import app, main
from reportgen_dagster.errors import AuthenticationError, ContractError, TooManyError
from reportgen_dagster.services import attempts
from tests.client.conftest import PASSWORD, REPORT
from tests.gateway.conftest import INPUT, REFERENCE, RULES, Server, claim_run

REPORTGEN = Path(sys.executable).parent / "reportgen"
Done = subprocess.CompletedProcess[bytes]
Finish = Callable[..., None]


class Person:
    """Somebody at a terminal with files and a configuration of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder / "here"
        self.folder.mkdir()
        self.url = url
        self.email = f"{uuid4().hex}@example.com"
        self.configuration = folder / "configuration" / "reportgen"
        kept = {name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")}
        self.environment = {**kept, "XDG_CONFIG_HOME": str(folder / "configuration"), "COLUMNS": "200"}

    def signs_in(self, *words: str, typed: str = f"{PASSWORD}\n") -> str:
        """Type `reportgen login`, and what it asks for."""
        with patch.dict(os.environ, self.environment, clear=True):
            done = CliRunner().invoke(app, ["login", *words, self.url, "--email", self.email], input=typed)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout

    def registers(self) -> None:
        """Make an account and sign in."""
        typed = f"Ann\n{PASSWORD}\n{PASSWORD}\n"
        assert f"Signed in to {self.url} as {self.email}." in self.signs_in("--register", typed=typed)

    def types(self, *words: object, stdin: bytes = b"", **variables: str) -> Done:
        """Call a command in this process."""
        arguments = ["reportgen", *map(str, words)]
        into, out, err = (io.TextIOWrapper(io.BytesIO(given)) for given in (stdin, b"", b""))
        with (
            chdir(self.folder),
            patch.dict(os.environ, self.environment | variables, clear=True),
            patch.multiple(sys, argv=arguments, stdin=into, stdout=out, stderr=err),
            pytest.raises(SystemExit) as caught,
        ):
            main()
        out.flush()
        err.flush()
        code = int(caught.value.code or 0)
        return Done(arguments, code, out.buffer.getvalue(), err.buffer.getvalue())

    def told(self, *words: object, **variables: str) -> str:
        done = self.types(*words, **variables)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def data(self, *words: object, **variables: str) -> Any:
        return json.loads(self.told(*words, "--json", **variables))

    def refused(self, *words: object, code: int = 2, **variables: str) -> str:
        done = self.types(*words, **variables)
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr.decode()
        return done.stderr.decode()


@pytest.fixture
def stranger(server: Server, tmp_path: Path) -> Person:
    """Somebody who has not signed in."""
    person = Person(tmp_path, server.url)
    (person.folder / "rules.yaml").write_bytes(RULES)
    (person.folder / "input.csv").write_bytes(INPUT)
    (person.folder / "reference.csv").write_bytes(REFERENCE)
    return person


@pytest.fixture
def ann(stranger: Person) -> Person:
    """Somebody who has."""
    stranger.registers()
    return stranger


FILES = ("--rules", "rules.yaml", "--input", "input.csv", "--reference", "reference.csv")


def test_signing_in_keeps_tokens_for_the_user_only_and_no_password(ann: Person) -> None:
    assert stat.S_IMODE(ann.configuration.stat().st_mode) == 0o700
    kept = ann.configuration / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert PASSWORD not in kept.read_text()
    assert ann.told("runs", "list") == "There is no such run.\n"
    assert ann.told("logout") == "Signed out.\n"
    refused = ann.refused("runs", "list")
    assert "You are not signed in under the name default." in refused
    assert "Sign in with `reportgen login`" in refused


def test_a_wrong_password_is_told_in_words(ann: Person) -> None:
    with pytest.raises(AuthenticationError):
        ann.signs_in(typed="wrong\n")
    assert ann.told("runs", "list"), "the session of before is still there"


def test_contexts_have_names(ann: Person) -> None:
    other = ann.email
    ann.email = f"{uuid4().hex}@example.com"
    typed = f"Bob\n{PASSWORD}\n{PASSWORD}\n"
    ann.signs_in("--register", "--context", "bob", typed=typed)
    ann.told("generate", *FILES, "--context", "bob")
    assert len(ann.data("runs", "list", "--context", "bob")["runs"]) == 1
    assert ann.data("runs", "list")["runs"] == []
    assert "Signed in under: bob, default." in ann.refused("runs", "list", "--context", "carl")
    ann.told("logout", "--context", "bob")
    assert ann.data("runs", "list")["runs"] == []
    assert other != ann.email


@pytest.mark.usefixtures("worker")
def test_upload_generate_download(ann: Person) -> None:
    told = ann.told("upload", *FILES)
    assert (
        told == "rules: version 1\ninput: version 1, 25 B, 2 columns\nreference: version 1, 31 B, 2 columns\n"
    )
    done = ann.types("generate", "--output", "report.csv")
    assert (done.returncode, done.stdout) == (0, b"report.csv: succeeded: 2 rows\n")
    assert (ann.folder / "report.csv").read_bytes() == REPORT
    assert ann.types("download", "--output", "-").stdout == REPORT
    run = ann.data("generate", "--wait")
    assert (run["status"], run["rows"]) == ("succeeded", 2)
    assert ann.told("download", run["task_id"], "--output", "again.csv") == "again.csv: succeeded: 2 rows\n"
    assert ann.data("runs", "list", "--limit", "1")["runs"][0]["task_id"] == run["task_id"]


def test_what_is_missing_or_wrong_exits_with_2(ann: Person) -> None:
    assert "Nothing to upload" in ann.refused("upload")
    assert "A file goes with --dataset NAME" in ann.refused("upload", "--dataset", "trades")
    assert "there is no file nowhere.csv" in ann.refused("generate", "--reference", "desks=nowhere.csv")
    assert "There is no run yet." in ann.refused("download", "--output", "report.csv")
    (ann.folder / "rules.yaml").write_text(
        "- {output: a, formula: field1 +}\n- {output: b, formula: no(1)}\n"
    )
    refused = ann.refused("upload", "--rules", "rules.yaml")
    assert "Error: The rules have problems" in refused
    assert "rules.yaml:1:" in refused
    assert "rules.yaml:2:" in refused
    # The gateway of these tests may write its log to the same stream.
    error = json.loads(ann.refused("runs", "show", "0" * 32, "--json").splitlines()[-1])
    assert error["code"] == "not-found"


def test_data_that_allows_no_report_exits_with_3(ann: Person, server: Server) -> None:
    run = ann.data("generate", *FILES)["task_id"]
    error = ContractError("the input has 2 rows; the contract asks for 3")
    assert attempts.fail(server.context, claim_run(server.context, run), error)
    refused = ann.refused("download", run, "--output", "report.csv", code=3)
    assert "Error: A contract is broken" in refused
    assert "the input has 2 rows" in refused
    assert "Correct the data" in refused
    assert "failed: the input has 2 rows" in ann.told("runs", "list")
    assert not (ann.folder / "report.csv").exists()


def test_a_service_that_is_away_exits_with_1(stranger: Person) -> None:
    stranger.url = "http://127.0.0.1:9"
    away = {"REPORTGEN_URL": stranger.url, "REPORTGEN_TOKEN": "rg_pat_none"}
    with patch("reportgen_dagster.cli.asking.PATIENCE_SECONDS", 0):
        assert "does not answer" in stranger.refused("runs", "list", code=1, **away)


def test_errors_of_the_service_are_those_of_all_commands() -> None:
    late = ReportgenApiError(429, {"code": "too-many", "detail": "Too many tries.", "hint": "Wait a minute."})
    unknown = ReportgenApiError(418, {"detail": "I am a teapot."})
    broken = ReportgenApiError(502, {})
    assert isinstance(error_of(late), TooManyError)
    assert [error_of(one).exit_code for one in (late, unknown, broken)] == [2, 2, 1]
    assert error_of(late).to_json()["hint"] == "Wait a minute."


def test_runs_are_listed_shown_and_cancelled(ann: Person) -> None:
    run = ann.data("generate", *FILES)["task_id"]
    listed = ann.told("runs", "list")
    assert run in listed
    assert listed.splitlines()[0].split() == ["RUN", "ACCEPTED", "REPORT", "BY", "OUTCOME"]
    assert json.loads(ann.told("runs", "list", "--output", "json")) == ann.data("runs", "list")
    assert "not ready yet" in ann.refused("download", run, "--output", "report.csv")
    assert ann.told("runs", "cancel", run) == f"run {run} is cancelled\n"
    assert f"{run}: cancelled" in ann.told("runs", "show", run)
    assert "The run was cancelled" in ann.refused("download", run, "--output", "report.csv")


def test_rejects_are_downloaded(ann: Person, finish: Finish) -> None:
    run = ann.data("generate", *FILES)["task_id"]
    finish(run, report=REPORT, rejects=b"_line\n3\n")
    ann.told("runs", "rejects", run, "--output", "rejects.csv")
    assert (ann.folder / "rejects.csv").read_bytes() == b"_line\n3\n"
    assert "1 rejected" in ann.told("runs", "show", run)


def test_schedules_of_the_service(ann: Person) -> None:
    with Client(ann.url) as client:
        client.login(ann.email, PASSWORD)
        client.trigger_schedule(
            input=INPUT, reference=REFERENCE, rules=RULES, cron="0 6 * * 1-5", report_name="daily"
        )
    listed = ann.told("schedules", "list", "--server")
    assert "At 06:00, Monday through Friday" in listed
    name = listed.splitlines()[1].split()[0]
    assert name.startswith("daily/")
    assert ann.told("schedules", "pause", name, "--server") == f"{name}: paused\n"
    (paused,) = ann.data("schedules", "list", "--context", "default")["schedules"]
    assert paused["paused"] is True
    assert "next run: paused" in ann.told("schedules", "show", paused["id"], "--server")
    assert ann.told("schedules", "resume", name, "--server") == f"{name}: runs again\n"
    assert "--user is for this machine" in ann.refused("schedules", "list", "--server", "--user", "a@b.c")
    ann.told("schedules", "delete", name, "--server")
    assert f"There is no schedule {name}" in ann.refused("schedules", "show", name, "--server")


def test_a_program_needs_no_file(ann: Person, tmp_path: Path) -> None:
    (kept,) = json.loads((ann.configuration / "credentials.json").read_text())["contexts"].values()
    elsewhere = {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}
    variables = {"REPORTGEN_URL": ann.url, "REPORTGEN_TOKEN": kept["tokens"]["access"], **elsewhere}
    assert ann.told("runs", "list", **variables) == "There is no such run.\n"
    assert not (tmp_path / "elsewhere").exists()
    alone = {name: text for name, text in variables.items() if name != "REPORTGEN_URL"}
    assert "REPORTGEN_URL is not" in ann.refused("runs", "list", **alone)
    nobody = {"REPORTGEN_URL": "http://127.0.0.1:1", **elsewhere}
    assert "not signed in to http://127.0.0.1:1" in ann.refused("runs", "list", **nobody)


def test_commands_at_the_same_time_renew_the_tokens_once(ann: Person) -> None:
    credentials = Credentials(ann.configuration)
    kept = credentials.read()["default"]
    credentials.put("default", replace(kept, tokens=replace(kept.tokens, access="over", renew_at=None)))
    found: list[list[object]] = []
    begin = threading.Barrier(4)

    def command() -> None:
        with Client(ann.url, tokens=ContextTokens(credentials, "default")) as client:
            begin.wait()
            found.append(list(client.runs()))

    threads = [threading.Thread(target=command) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[]] * 4
    assert ann.told("runs", "list")


def test_the_program_itself_signs_in_with_a_token(ann: Person) -> None:
    token = credentials_of(ann)
    environment = {**ann.environment, "XDG_CONFIG_HOME": str(ann.folder), "NO_COLOR": "1"}
    command = [REPORTGEN, "login", ann.url, "--token-stdin"]
    done = subprocess.run(command, input=f"{token}\n", env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"Signed in to {ann.url} with a token.\n"), done.stderr
    refused = subprocess.run(command, input="rg_pat_none\n", env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "\x1b" not in refused.stderr


def credentials_of(person: Person) -> str:
    return Credentials(person.configuration).read()["default"].tokens.access
