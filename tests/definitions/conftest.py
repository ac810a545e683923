"""What the tests of the Dagster side share: a catalog with an account, the trade example, and a Dagster instance in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.test_utils import instance_for_test

from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.services import accounts, runs, schedules, uploads
from reportgen_dagster.services.context import Context

EXAMPLE = Path(__file__).parents[2] / "rules" / "trade"
RULES = uploads.rules_text((EXAMPLE / "rules.yaml").read_bytes(), "rules.yaml", None)


@pytest.fixture(autouse=True)
def environment(context: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the test's catalog the one that Dagster's side finds in its environment."""
    for name, value in context.settings.environment().items():
        monkeypatch.setenv(name, value)
    context_of_process.cache_clear()
    yield
    context_of_process().close()
    context_of_process.cache_clear()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def stored() -> Iterator[DagsterInstance]:
    """An instance that another process can open, too, as GraphQL and code locations need it."""
    with instance_for_test() as instance:
        yield instance


class Ann:
    """An account, and what its owner does through the services."""

    def __init__(self, context: Context) -> None:
        self.context = context
        signed_in = accounts.register(context, email="ann@example.com", name="Ann", password="pass123")
        self.id = signed_in.user["id"] if isinstance(signed_in.user, dict) else signed_in.user.id

    def files(self, **bodies: bytes) -> dict[str, uploads.Upload]:
        contents = {name: (EXAMPLE / f"{name}.csv").read_bytes() for name in ("input", "reference")} | bodies
        return {
            name: uploads.receive(self.context, f"{name}.csv", [body], role=name)
            for name, body in contents.items()
        }

    def accept(self, formats: list[str] | None = None, **bodies: bytes) -> str:
        files = self.files(**bodies)
        return runs.accept_run(self.context, self.id, files=files, rules=RULES, formats=formats).id

    def run(self, run_id: str) -> runs.RunView:
        return runs.find_run(self.context, self.id, run_id)

    def report(self, run_id: str) -> str:
        return runs.report_file(self.context, self.id, run_id).path.read_text()

    def schedule(self, name: str = "trades", cron: str = "* * * * *") -> schedules.ScheduleView:
        view, _ = schedules.put_schedule(
            self.context,
            self.id,
            report_name=name,
            cron=cron,
            timezone="Europe/Berlin",
            files=self.files(),
            rules=RULES,
        )
        return view


@pytest.fixture
def ann(context: Context) -> Ann:
    return Ann(context)
