"""`reportgen datasets`, `rulesets`, `reports` and `schedules`, as a person types them beside a running service."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from reportgen_dagster.catalog import datasets as catalog
from reportgen_dagster.catalog.tables import User
from reportgen_dagster.cli.main import main
from reportgen_dagster.engine.profile import ColumnProfile, Profile
from reportgen_dagster.errors import BadDataError
from reportgen_dagster.services import attempts, report_runs, schedules
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.rulesets import put_ruleset
from tests.services.conftest import RULES, World, fits
from tests.services.delivering import SECRET
from tests.services.named import make_parts, make_report

REPORTGEN = Path(sys.executable).parent / "reportgen"
Done = subprocess.CompletedProcess[bytes]


class Terminal:
    """Types commands of one installation."""

    def __init__(self, context: Context, folder: Path) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")}
        self._environment = {**context.settings.environment(), **kept, "COLUMNS": "200"}
        self.folder = folder

    def __call__(self, *words: object, stdin: bytes = b"") -> Done:
        """Call a command in this process, which saves it a second; `started` starts the program itself."""
        arguments = ["reportgen", *map(str, words)]
        into, out, err = (io.TextIOWrapper(io.BytesIO(given)) for given in (stdin, b"", b""))
        with (
            chdir(self.folder),
            patch.dict(os.environ, self._environment, clear=True),
            patch.multiple(sys, argv=arguments, stdin=into, stdout=out, stderr=err),
            pytest.raises(SystemExit) as caught,
        ):
            main()
        out.flush()
        err.flush()
        code = int(caught.value.code or 0)
        return Done(arguments, code, out.buffer.getvalue(), err.buffer.getvalue())

    def told(self, *words: object, stdin: bytes = b"") -> str:
        done = self(*words, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        return done.stdout.decode()

    def data(self, *words: object, stdin: bytes = b"") -> Any:
        return json.loads(self.told(*words, "--json", stdin=stdin))

    def refused(self, *words: object, stdin: bytes = b"", code: int = 2) -> str:
        done = self(*words, stdin=stdin)
        assert (done.returncode, done.stdout, b"Traceback" in done.stderr) == (code, b"", False)
        return done.stderr.decode()

    @contextmanager
    def started(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        command = [REPORTGEN, *map(str, words)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=self.folder, env=self._environment, stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def world(context: Context) -> World:
    """An installation whose only account is Ann's."""
    with context.catalog.transaction() as session:
        ann = User(email="ann@example.com", name="Ann", password_hash="-")
        session.add(ann)
        session.flush()
        return World(context, ann.id, "")


@pytest.fixture
def terminal(world: World, tmp_path: Path) -> Terminal:
    folder = tmp_path / "here"
    folder.mkdir()
    return Terminal(world.context, folder)


def test_a_dataset_from_its_first_version_to_its_deletion(terminal: Terminal) -> None:
    first, second = b"key,price\r\nA,1\r\n", b"\xef\xbb\xbfkey,price\nB,2"
    (terminal.folder / "monday.csv").write_bytes(first)
    assert "trades: version 1 of" in terminal.told("datasets", "add", "trades", "monday.csv")
    assert terminal.data("datasets", "add", "trades", "-", stdin=second)["number"] == 2
    again = terminal.data("datasets", "add", "trades", "-", stdin=second)
    assert (again["number"], again["filename"], again["columns"]) == (2, "trades.csv", ["key", "price"])

    terminal.told("datasets", "get", "trades", "--version", "1", "--output", "copy.csv")
    assert (terminal.folder / "copy.csv").read_bytes() == first
    assert terminal("datasets", "get", "trades", "--output", "-").stdout == second
    assert sorted(path.name for path in terminal.folder.iterdir()) == ["copy.csv", "monday.csv"]

    due = ("--cron", "0 6 * * 1-5", "--timezone", "Europe/Berlin", "--within", "2h")
    words = "At 06:00, Monday through Friday, Europe/Berlin, within 2h"
    assert words in terminal.told("datasets", "expect", "trades", *due)
    assert words in terminal.told("datasets", "list")
    assert terminal.data("datasets", "show", "trades")["expected"]["within_seconds"] == 7200
    assert terminal.data("datasets", "expect", "trades", "--never")["expected"] is None
    assert [one["number"] for one in terminal.data("datasets", "versions", "trades")["versions"]] == [2, 1]
    assert terminal.told("datasets", "delete", "trades") == "trades: deleted\n"
    assert terminal.data("datasets", "list") == {"datasets": []}


def test_what_is_wrong_with_a_dataset_is_told_in_lines_and_exits_with_2(terminal: Terminal) -> None:
    assert "nowhere.csv cannot be read: No such file" in terminal.refused(
        "datasets", "add", "trades", "nowhere.csv"
    )
    assert "the file is empty" in terminal.refused("datasets", "add", "trades", "-")
    terminal.told("datasets", "add", "trades", "-", stdin=b"key\nA\n")
    assert "Did you mean trades?" in terminal.refused("datasets", "show", "trade")
    assert "no version 2" in terminal.refused("datasets", "get", "trades", "--version", "2", "--output", "-")
    assert "cannot be written" in terminal.refused("datasets", "get", "trades", "--output", "no/copy.csv")
    assert "--cron or --never" in terminal.refused("datasets", "expect", "trades")
    soon = ("datasets", "expect", "trades", "--cron", "0 6 * * *", "--within", "soon")
    assert "'soon' is not a span of time" in terminal.refused(*soon)
    error = json.loads(terminal.refused("datasets", "delete", "trade", "--json"))
    assert (error["code"], error["hint"]) == ("not-found", "Did you mean trades?")


def test_a_file_that_only_rules_can_read_is_taken_with_a_note(terminal: Terminal) -> None:
    told = terminal.told("datasets", "add", "twins", "-", stdin=b"a,a\n1,2\n")
    assert "note: only rules that say how this file is written can use it: " in told


def test_the_profile_of_a_version_is_shown_once_there_is_one(world: World, terminal: Terminal) -> None:
    make_parts(world)
    show = ("datasets", "show", "trades")
    assert "rows:" not in terminal.told(*show)
    column = ColumnProfile("price", "integer", nulls=0, distinct=2, least="1", greatest="2")
    profile = Profile(
        2, 1, distinct_is_estimated=False, columns=(column,), preview="", first_rows=(), decisions=()
    )
    profiled(world, profile.to_json())
    assert "  rows: 2, 1 unreadable\n" in terminal.told(*show)
    assert "  price   integer  0      2         1     2\n" in terminal.told(*show)
    assert terminal.data(*show)["latest"]["profile"]["columns"][0]["greatest"] == "2"
    profiled(world, {"error": BadDataError("the file ends within quotes").to_json()})
    assert "cannot be read as it is: the file ends within quotes" in terminal.told(*show)


def profiled(world: World, profile: dict[str, Any]) -> None:
    with world.context.catalog.transaction() as session:
        dataset = catalog.find(session, world.ann, "trades")
        assert dataset is not None
        catalog.put_profile(session, catalog.versions(session, dataset.id)[0].id, profile)


def test_rulesets_are_checked_kept_and_printed(terminal: Terminal) -> None:
    (terminal.folder / "rules.yaml").write_text(RULES.text)
    assert terminal.told("rulesets", "put", "doubled", "rules.yaml").startswith("doubled: version 1 of ")
    title = b'{"version": 1, "title": "Prices", "steps": [{"derive": {"double": "price * 2"}}]}'
    put = terminal.data("rulesets", "put", "doubled", "-", stdin=title)
    assert (put["number"], put["title"]) == (2, "Prices")
    assert terminal.told("rulesets", "show", "doubled", "--version", "1") == RULES.text
    assert terminal.data("rulesets", "show", "doubled")["text"] == title.decode()
    assert "Prices" in terminal.told("rulesets", "list")
    numbers = [one["number"] for one in terminal.data("rulesets", "versions", "doubled")["versions"]]
    assert numbers == [2, 1]
    wrong = b"- {output: a, formula: maxx(1)}\n- {output: b, formula: 1 +}\n"
    refusal = terminal.refused("rulesets", "put", "doubled", "-", stdin=wrong)
    assert "rules.yaml:1:" in refusal
    assert "did you mean `max`?" in refusal
    assert "rules.yaml:2:" in refusal
    assert terminal.told("rulesets", "delete", "doubled") == "doubled: deleted\n"


def test_a_report_follows_or_pins_and_tells_when_it_runs(world: World, terminal: Terminal) -> None:
    make_report(world, "other")
    made_of = ("--ruleset", "doubled", "--input", "trades@1", "--reference", "reference=products")
    by_itself = (
        "--on-new-data",
        "--settle",
        "5m",
        "--fresh-within",
        "1d",
        "--format",
        "xlsx",
        "--format",
        "csv",
        "--keep-days",
        "7",
        "--keep-runs",
        "3",
    )
    put = terminal.data("reports", "put", "daily", *made_of, *by_itself)
    assert put["ruleset"] == {"name": "doubled", "version": None}
    assert put["inputs"] == {
        "input": {"name": "trades", "version": 1},
        "reference": {"name": "products", "version": None},
    }
    assert (put["on_new_data"], put["settle_seconds"], put["fresh_within_seconds"]) == (True, 300, 86_400)

    assert put["formats"] == ["xlsx", "csv"]
    assert (put["retention_days"], put["keep_runs"]) == (7, 3)

    night = ("--name", "night", "--cron", "30 6 * * *", "--timezone", "Europe/Berlin")
    terminal.told("schedules", "add", "daily", *night, "--missed", "all", "--unchanged", "skip")
    shown = terminal.told("reports", "show", "daily")
    assert "input: trades@1\n  reference: products\n" in shown
    assert "  makes xlsx, csv\n" in shown
    assert "  keeps files for 7 days, those of its last 3 successes longer\n" in shown
    assert "daily/night: At 06:30, Europe/Berlin (30 6 * * *)" in shown
    assert "missed times: all; unchanged data: skip" in shown
    (schedule,) = terminal.data("reports", "show", "daily")["schedules"]
    moments = [datetime.fromisoformat(text) for text in schedule["next_runs"]]
    assert len(moments) == 10
    assert {(at.hour, at.minute) for at in moments} == {(6, 30)}
    assert all(before.date() < after.date() for before, after in pairwise(moments))

    listed = terminal.told("reports", "list").splitlines()
    assert [line.split()[0] for line in listed] == ["REPORT", "daily", "other"]
    assert "1 schedule, new data" in listed[1]
    assert "Reports are made of the dataset trades: daily, other." in terminal.refused(
        "datasets", "delete", "trades"
    )
    assert terminal.told("reports", "delete", "daily") == "daily: deleted\n"
    assert terminal.data("schedules", "list") == {"schedules": []}


def test_secrets_are_granted_and_taken_back(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**terminal._environment, "REPORTGEN_SECRET_PARTNER": SECRET}
    monkeypatch.setattr(terminal, "_environment", environment)
    email = "ann@example.com"
    assert "Nobody" in terminal.told("secrets", "list")
    assert "may sign with partner" in terminal.told("secrets", "grant", "partner", email)
    terminal.told("secrets", "grant", "partner", email)
    assert terminal.data("secrets", "list") == {"grants": [{"name": "partner", "email": email}]}
    assert "There is no secret `other`" in terminal.refused("secrets", "grant", "other", email)
    assert "no account" in terminal.refused("secrets", "grant", "partner", "nobody@example.com")
    assert "not sign with partner any more" in terminal.told("secrets", "revoke", "partner", email)
    assert "anyway" in terminal.refused("secrets", "revoke", "partner", email)


def test_deliveries_are_put_shown_and_sent_anew(
    world: World, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_report(world, "other")
    monkeypatch.setattr(
        terminal, "_environment", {**terminal._environment, "REPORTGEN_SECRET_PARTNER": SECRET}
    )
    (terminal.folder / "to.yaml").write_text(
        "- {email: {to: [ann@example.com, ben@example.com], formats: [csv]}, on: [failure]}\n"
        "- webhook: {url: 'https://example.com/hook', secret: partner}\n"
    )
    put = ("reports", "put", "daily", "--ruleset", "doubled", "--input", "trades", "--reference", "products")
    told = terminal.told(*put, "--deliveries", "to.yaml")
    assert "  email to ann@example.com, ben@example.com (csv) on failure\n" in told
    assert "  webhook to https://example.com/hook, signed with `partner`\n" in told
    shown = terminal.data("reports", "show", "daily")["deliveries"]
    assert shown[1] == {"webhook": {"url": "https://example.com/hook", "secret": "partner"}}
    refusal = terminal.refused(*put, "--deliveries", "-", stdin=b"- {email: {to: [nobody]}}\n- {fax: 1}\n")
    assert "deliveries[0].email.to[0]" not in refusal, "shapes are told before what they hold"
    assert "deliveries[1].fax" in refusal
    assert "a list of destinations is needed" in terminal.refused(*put, "--deliveries", "-", stdin=b"a: 1")
    assert "-:1:2  this is neither JSON nor YAML" in terminal.refused(*put, "--deliveries", "-", stdin=b"[")
    assert "is not UTF-8" in terminal.refused(*put, "--deliveries", "-", stdin=b"\xff")

    assert "There is no such delivery." in terminal.told("deliveries", "list")
    run_id = report_runs.run_report(world.context, world.ann, "daily").id
    attempts.fail(world.context, world.claim(run_id), BadDataError("The last line is cut off."))
    listed = terminal.data("deliveries", "list", "--report", "daily")["deliveries"]
    assert [(one["channel"], one["run_id"], one["state"]) for one in listed].count(
        ("email", run_id, "pending")
    ) == 2
    world.sql(
        'UPDATE deliveries SET state = \'dead\', last_error = \'{"detail": "gone", "hint": "Mend it."}\''
    )
    assert terminal.told("deliveries", "list", "--state", "dead").count("dead: gone") == 3
    one = listed[0]["id"]
    assert "Mend it." in terminal.told("deliveries", "show", one)
    assert terminal.data("deliveries", "show", one)["error"]["detail"] == "gone"
    assert "pending" in terminal.told("deliveries", "redeliver", one)
    assert len(terminal.data("deliveries", "redeliver", "--dead")["deliveries"]) == 2
    assert "Name a delivery, or give --dead" in terminal.refused("deliveries", "redeliver")
    assert "there are pending, delivered, dead" in terminal.refused("deliveries", "list", "--state", "lost")
    assert "There is no such delivery." in terminal.refused("deliveries", "show", "x")


def test_what_is_wrong_with_a_report_is_told_at_once(world: World, terminal: Terminal) -> None:
    make_report(world)
    put = ("reports", "put", "daily", "--ruleset")
    refusal = terminal.refused(*put, "doubled@7", "--input", "trade", "--reference", "nosuch=products")
    assert "ruleset  The ruleset doubled has no version 7; the latest is 1." in refusal
    assert "inputs.input  There is no dataset trade. Did you mean trades?" in refusal
    twice = ("--reference", "products", "--reference", "trades")
    assert "Two datasets are given for reference" in terminal.refused(
        *put, "doubled", "--input", "trades", *twice
    )
    desk = ("--reference", "products", "--parameter", "desk=FX")
    assert "parameters.desk" in terminal.refused(*put, "doubled", "--input", "trades", *desk)
    assert "minute" in terminal.refused("schedules", "add", "daily", "--cron", "61 * * * *")
    assert "missed: there are skip, last, all" in terminal.refused(
        "schedules", "add", "daily", "--cron", "1 * * * *", "--missed", "some"
    )


def test_reports_and_schedules_are_paused_and_resumed(world: World, terminal: Terminal) -> None:
    make_report(world)
    terminal.told("schedules", "add", "daily", "--cron", "0 6 * * *")
    schedule = terminal.data("schedules", "show", "daily/main")
    assert terminal.data("schedules", "pause", schedule["id"])["paused"]
    assert "paused" in terminal.told("schedules", "list", "--report", "daily")
    assert terminal.data("schedules", "resume", "daily/main")["next_run"] == schedule["next_run"]
    assert terminal.told("reports", "pause", "daily") == "daily: paused\n"
    assert "its report is paused" in terminal.told("schedules", "resume", "daily/main")
    assert not terminal.data("reports", "resume", "daily")["paused"]
    assert "no schedule mian" in terminal.refused("schedules", "delete", "daily/mian")
    assert terminal.told("schedules", "delete", "daily/main") == "daily/main: deleted\n"
    assert schedules.list_schedules(world.context, world.ann) == []


def waiting_run(process: subprocess.Popen[str], world: World) -> str:
    """Return the id of the run that a waiting command tells."""
    assert process.stderr is not None
    line = process.stderr.readline()
    (run,) = report_runs.report_runs(world.context, world.ann, "daily", limit=1)
    assert line == f"daily: run {run.id} is accepted\n"
    return run.id


def test_a_run_is_waited_for_and_its_file_written(world: World, terminal: Terminal) -> None:
    make_report(world)
    accepted = terminal.data("reports", "run", "daily", "--date", "2024-01-31")
    assert (accepted["state"], accepted["run_date"], accepted["report_name"]) == (
        "accepted",
        "2024-01-31",
        "daily",
    )
    assert "No run of the report daily has made it yet" in terminal.refused(
        "reports", "get", "daily", "--output", "-"
    )
    with terminal.started("reports", "run", "daily", "--wait") as process:
        run_id = waiting_run(process, world)
        world.publish(world.claim(run_id))
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"daily: run {run_id} succeeded: 2 rows\n")
    assert terminal("reports", "get", "daily", "--output", "-").stdout == b"total\n2\n4\n"
    assert terminal("reports", "get", "daily", "--output", "-", "--format", "csv").stdout == b"total\n2\n4\n"
    assert "has made csv, not xlsx" in terminal.refused(
        "reports", "get", "daily", "--output", "-", "--format", "xlsx"
    )
    assert "succeeded: 2 rows" in terminal.told("reports", "runs", "daily")
    assert [run["id"] for run in terminal.data("reports", "runs", "daily")["runs"]] == [
        run_id,
        accepted["id"],
    ]


def test_the_exit_code_tells_how_a_run_ended(world: World, terminal: Terminal) -> None:
    make_report(world)
    with terminal.started("reports", "run", "daily", "--wait") as process:
        claim = world.claim(waiting_run(process, world))
        attempts.fail(world.context, claim, BadDataError("The last line is cut off."))
        out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert told.startswith("Error: The data does not allow this report\n  The last line is cut off.\n")
    with terminal.started("reports", "run", "daily", "--wait") as process:
        claim = world.claim(waiting_run(process, world), "d" * 32)
        assert attempts.cancel(world.context, "d" * 32)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert told.startswith("Error: The run was cancelled\n")


def test_the_only_account_need_not_be_named(context: Context, tmp_path: Path) -> None:
    terminal = Terminal(context, tmp_path)
    assert "There is no account yet." in terminal.refused("datasets", "list")
    with context.catalog.transaction() as session:
        people = [User(email=f"{name}@example.com", name=name, password_hash="-") for name in ("ann", "bob")]
        session.add_all(people)
        session.flush()
        world = World(context, people[0].id, people[1].id)
    put_ruleset(context, world.ann, "doubled", RULES, check=fits)
    assert "There are several accounts." in terminal.refused("rulesets", "list")
    shown = terminal.data("rulesets", "list", "--user", "Ann@example.com")
    assert [one["name"] for one in shown["rulesets"]] == ["doubled"]
    assert terminal.data("rulesets", "list", "--user", "bob@example.com") == {"rulesets": []}
    assert "no ruleset doubled" in terminal.refused(
        "rulesets", "show", "doubled", "--user", "bob@example.com"
    )
    assert "no account eve@example.com" in terminal.refused("rulesets", "list", "--user", "eve@example.com")


def test_without_a_running_service_the_commands_say_so(tmp_path: Path) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("REPORTGEN_")}
    environment = {**kept, "REPORTGEN_HOME": str(tmp_path)}
    done = subprocess.run(
        [REPORTGEN, "reports", "list"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Start it with `reportgen up`" in done.stderr


def test_names_may_end_as_a_version_does(world: World, terminal: Terminal) -> None:
    make_report(world)
    for content in (b"key,price\nA,1\n", b"key,price\nB,2\n"):
        terminal.told("datasets", "add", "trades@1", "-", stdin=content)
    made_of = ("--ruleset", "doubled", "--reference", "products", "--input")
    followed = terminal.data("reports", "put", "daily", *made_of, "trades@1@latest")
    assert followed["inputs"]["input"] == {"name": "trades@1", "version": None}
    pinned = terminal.data("reports", "put", "daily", *made_of, "trades@1@2")
    assert pinned["inputs"]["input"] == {"name": "trades@1", "version": 2}
