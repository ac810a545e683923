"""Reloading on a real Dagster: a code server and a webserver, with the gateway's reloader called directly."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx2
import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api_gateway.background import Reloader
from api_gateway.dagster_client import DagsterClient
from api_gateway.health.readiness import Readiness
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.services import definitions, reports, schedules
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor import services
from reportgen_dagster.supervisor.children import GRACE_SECONDS
from reportgen_dagster.supervisor.ports import free_port
from reportgen_dagster.supervisor.prepare import prepare
from tests.conftest import database_beside
from tests.definitions.conftest import Ann

ASSETS = "{ assetNodes { assetKey { path } } }"
SEEN_SECONDS = 30
START_SECONDS = 90


class Dagster:
    """What of the service reloads: the code server and the webserver, as `reportgen up` starts them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: services.Service) -> None:
        """Start a service without waiting."""
        with (self.settings.home / "servers.log").open("ab") as log:
            self._running[service.name] = subprocess.Popen(
                services.local_command(service, self.settings),
                env=services.local_environment(self.settings, service),
                stdout=log,
                stderr=log,
                cwd=self.settings.home,
            )

    def stop(self, service: services.Service) -> None:
        """End a service."""
        _end([self._running.pop(service.name)])

    def shown(self) -> set[str]:
        """Return the names of the reports that the UI shows."""
        answer = httpx2.post(self.settings.dagster_graphql_url, json={"query": ASSETS}, timeout=30)
        keys = [node["assetKey"]["path"] for node in answer.json()["data"]["assetNodes"]]
        return {key[2] for key in keys if key[1] == "reports"}

    def end(self) -> None:
        """End what still runs."""
        _end(list(self._running.values()))


def _end(servers: list[subprocess.Popen[bytes]]) -> None:
    """Ask servers to end, and kill what is left, as `reportgen up` does: a code server in the middle of a reload goes on."""
    family = [psutil.Process(server.pid) for server in servers]
    family += [child for one in family for child in one.children(recursive=True)]
    for server in servers:
        server.terminate()
    for left in psutil.wait_procs(family, timeout=GRACE_SECONDS)[1]:
        left.kill()
    for server in servers:
        server.wait()


@pytest.fixture(scope="module")
def dagster(postgres_url: str) -> Iterator[Dagster]:
    with tempfile.TemporaryDirectory(prefix="rg-") as home:
        settings = Settings(
            home=Path(home),
            database_url=SecretStr(database_beside(postgres_url, "reloads")),
            broker_url=SecretStr("redis://127.0.0.1:9/0"),
            dagster_port=free_port(),
            code_server_port=free_port(),
            shards=1,
        )
        prepare(settings)
        servers = Dagster(settings)
        try:
            servers.start(services.code_server(0))
            servers.start(services.WEBSERVER)
            wait(lambda: _unloaded(settings) == {}, START_SECONDS, "Dagster has loaded its definitions")
            yield servers
        finally:
            servers.end()


@pytest.fixture(scope="module")
def ann(dagster: Dagster) -> Iterator[Ann]:
    context = Context.open(dagster.settings)
    yield Ann(context)
    context.close()


class Gateway:
    """The part of a gateway that reloads, on an event loop of its own for each call, noting when it reloaded."""

    def __init__(self, settings: Settings) -> None:
        self.context = Context.open(settings)
        self.reloads: list[tuple[float, float]] = []
        self._settings = settings
        self._looked_at = 0.0

    def try_to_reload(self) -> None:
        """Do what the gateway does each second."""
        asyncio.run(self._try())

    async def _try(self) -> None:
        client = _NotingClient(self._settings.dagster_graphql_url, self.reloads)
        try:
            await Reloader(self.context, client).reload_if_changed()
        finally:
            await client.close()

    def warnings(self) -> list[str]:
        """Return what `/readyz` warns of."""
        return asyncio.run(self._warnings())

    async def _warnings(self) -> list[str]:
        client = DagsterClient(self._settings.dagster_graphql_url)
        try:
            return (await Readiness(self.context, client).look())[1]
        finally:
            await client.close()


class _NotingClient(DagsterClient):
    """The real client, which also notes when reloads began and ended."""

    def __init__(self, url: str, reloads: list[tuple[float, float]]) -> None:
        super().__init__(url)
        self._reloads = reloads

    async def reload(self, location: str) -> None:
        began = time.monotonic()
        try:
            await super().reload(location)
        finally:
            self._reloads.append((began, time.monotonic()))


def _unloaded(settings: Settings) -> dict[str, str] | None:
    async def ask() -> dict[str, str]:
        client = DagsterClient(settings.dagster_graphql_url)
        try:
            return await client.unloaded(["reports"])
        finally:
            await client.close()

    try:
        return asyncio.run(ask())
    except ReportgenError:
        return None


def wait(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def _let_it_rest(context: Context) -> None:
    """Let the last reload look as if it was long ago."""
    with context.catalog.transaction() as session:
        session.execute(text("UPDATE loaded_definitions SET reloaded_at = reloaded_at - interval '1 hour'"))


@pytest.fixture
def gateway(dagster: Dagster) -> Iterator[Gateway]:
    one = Gateway(dagster.settings)
    yield one
    one.context.close()


def test_a_new_report_and_its_removal_are_seen_in_time(dagster: Dagster, ann: Ann, gateway: Gateway) -> None:
    def is_seen(*, there: bool) -> bool:
        gateway.try_to_reload()
        return ("trades" in dagster.shown()) is there

    ann.schedule("trades")
    wait(lambda: is_seen(there=True), SEEN_SECONDS, "a new report is seen")
    _let_it_rest(gateway.context)
    reports.delete_report(ann.context, ann.id, "trades")
    wait(lambda: is_seen(there=False), SEEN_SECONDS, "a deleted report is gone")


def test_a_failed_reload_is_told_once_and_healed_by_the_next(
    dagster: Dagster, ann: Ann, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="api_gateway.background")
    dagster.stop(services.code_server(0))
    loaded = definitions.everything(ann.context).fingerprint
    ann.schedule("while_it_is_away")

    def has_failed(times: int) -> bool:
        _let_it_rest(gateway.context)
        gateway.try_to_reload()
        return len(gateway.reloads) >= times

    wait(lambda: has_failed(3), 90, "three reloads failed")
    (warning,) = gateway.warnings()
    assert warning.startswith("definitions: reports (Dagster does not reload reports")
    assert "Traceback" not in warning
    told = [record for record in caplog.records if "not those of the catalog" in record.getMessage()]
    assert len(told) == 1
    with ann.context.catalog.transaction() as session:
        kept = session.scalar(text("SELECT fingerprint FROM loaded_definitions"))
    assert kept == loaded

    dagster.start(services.code_server(0))

    def is_healed() -> bool:
        gateway.try_to_reload()
        return gateway.warnings() == [] and "while_it_is_away" in dagster.shown()

    wait(is_healed, START_SECONDS, "it is healed")
    assert definitions.changed_locations(ann.context) == []


def test_of_two_gateways_one_reloads_at_a_time_and_not_more_often_than_one_alone(
    dagster: Dagster, ann: Ann
) -> None:
    view = ann.schedule("busy")
    gateways = [Gateway(dagster.settings), Gateway(dagster.settings)]
    is_over = threading.Event()

    def work(one: Gateway) -> None:
        while not is_over.is_set():
            one.try_to_reload()

    threads = [threading.Thread(target=work, args=(one,)) for one in gateways]
    for thread in threads:
        thread.start()

    def has_reloaded_thrice() -> bool:
        schedules.pause(ann.context, ann.id, view.id)
        schedules.resume(ann.context, ann.id, view.id)
        schedules.add_schedule(
            ann.context, ann.id, "busy", name="other", cron=f"{int(time.time()) % 60} 3 * * *"
        )
        return sum(len(one.reloads) for one in gateways) >= 3

    try:
        wait(has_reloaded_thrice, 90, "three reloads")
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        for one in gateways:
            one.context.close()
    reloads = sorted(reload for one in gateways for reload in one.reloads)
    pauses = [later[0] - earlier[1] for earlier, later in pairwise(reloads)]
    assert min(pauses) >= definitions.LEAST_PAUSE_SECONDS - 0.1
