"""Looking at the servers of an installation. One that is embedded may not run; one that is named must answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import celery
import httpx2
import redis
from sqlalchemy import text

from reportgen_dagster.catalog import restoring
from reportgen_dagster.catalog.session import Catalog, head_revision
from reportgen_dagster.errors import ReportgenError
from reportgen_dagster.identity import locations, new_id, utc_now
from reportgen_dagster.services import mail
from reportgen_dagster.settings import Settings
from reportgen_dagster.storage.opening import open_store
from reportgen_dagster.supervisor.doctor.findings import Finding, fine, not_running, problem, warning
from reportgen_dagster.supervisor.home import Home
from reportgen_dagster.supervisor.readiness import gateway_url, why_not_ready

ANSWER_SECONDS = 5.0
LEAST_CONNECTIONS = 100
SKEW = timedelta(seconds=5)  # leases and tokens allow for this much
_CURE = "Look at its lines in the output of the service, and whether its address is right."
_DAGSTER = """
query Health {
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError { __typename ... on PythonError { message } } } }
  }
}
"""


def database(settings: Settings) -> Iterator[Finding]:
    """Look whether the catalog answers, has this release's tables, and agrees about the time."""
    if settings.database_url is None:
        yield not_running("database")
        return
    catalog = Catalog(settings.catalog_url)
    try:
        with catalog.reading() as session:
            if restoring.is_empty(session):
                yield warning("database", "it answers and is empty", "`reportgen up` makes its tables.")
                return
            revision = restoring.revision(session)
            release = str(session.scalar(text("SHOW server_version")))
            most = int(str(session.scalar(text("SHOW max_connections"))))
            there = session.scalar(text("SELECT clock_timestamp()"))
            skew = abs(utc_now() - there) if there is not None else timedelta()
    except ReportgenError as error:
        yield problem(
            "database", error.detail, "Start the server that REPORTGEN_DATABASE_URL names, or correct it."
        )
        return
    finally:
        catalog.close()
    head = head_revision()
    if revision != head:
        cure = (
            "Start the service: `prepare` migrates it."
            if revision < head
            else "Install the later release again."
        )
        yield problem("database", f"its tables are of revision {revision}, this release's of {head}", cure)
    if skew > SKEW:
        words = f"its clock differs by {skew.total_seconds():.0f} s from this machine's"
        yield problem("database", words, "Set both clocks by NTP: tokens and leases go by them.")
    if most < LEAST_CONNECTIONS:
        words = f"it takes {most} connections"
        yield warning("database", words, f"Set max_connections to {LEAST_CONNECTIONS} or more.")
    yield fine("database", f"PostgreSQL {release} answers")


def broker(settings: Settings) -> Iterator[Finding]:
    """Look whether the broker answers."""
    if settings.broker_url is None:
        yield not_running("broker")
        return
    if silence := _silence(settings.broker_url.get_secret_value()):
        yield problem("broker", silence, "Start the server that REPORTGEN_BROKER_URL names, or correct it.")
    else:
        yield fine("broker", "it answers")


def _silence(broker_url: str) -> str:
    """Ask the broker for a sign of life; return why there is none, empty if there is."""
    try:
        with redis.Redis.from_url(
            broker_url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return f"it does not answer ({type(error).__name__})"
    return ""


def storage(settings: Settings) -> Iterator[Finding]:
    """Look whether a file can be stored, read and removed."""
    if not settings.storage_url and not settings.storage_path.exists():
        yield fine("storage", f"{settings.storage_path} is made at the first start")
        return
    try:
        store = open_store(settings.storage_url, settings.storage_path)
        store.ping()
        with store.new_blob() as blob:
            blob.write(f"examined {new_id()}".encode())
            digest = blob.finish().digest
        is_whole = store.verify(digest)
        store.remove(digest, older_than_seconds=0)
    except ReportgenError as error:
        yield problem("storage", error.detail, error.case_hint or _CURE)
        return
    if is_whole:
        yield fine(
            "storage", f"{settings.storage_url or settings.storage_path} takes files and gives them back"
        )
    else:
        yield problem("storage", "a file that was stored comes back as another", "Do not use this storage.")


def dagster(settings: Settings) -> Iterator[Finding]:
    """Look whether the webserver answers, the daemon lives and every code location is loaded."""
    try:
        answer = httpx2.post(settings.dagster_graphql_url, json={"query": _DAGSTER}, timeout=ANSWER_SECONDS)
        data: dict[str, Any] = answer.json()["data"]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        yield (
            problem("dagster", "the webserver does not answer", _CURE)
            if _is_up(settings)
            else not_running("dagster")
        )
        return
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    silent = [one["daemonType"] for one in statuses if one["required"] and not one["healthy"]]
    if silent:
        words = f"the daemon gives no sign of life for {', '.join(silent).lower()}"
        yield problem("dagster", words, "Restart the process `daemon`; until then nothing runs by itself.")
    entries = {
        entry["name"]: entry["locationOrLoadError"] for entry in data["workspaceOrError"]["locationEntries"]
    }
    for name in locations(settings.shards):
        loaded = entries.get(name) or {}
        if loaded.get("__typename") != "RepositoryLocation":
            words = f"the code location {name} is not loaded: {str(loaded.get('message', 'unknown')).strip()[:300]}"
            yield problem(
                "dagster", words, "Restart the process `code-server`; all processes need the same SHARDS."
            )
    yield fine("dagster", "the webserver answers")


def worker(settings: Settings) -> Iterator[Finding]:
    """Look whether a worker answers through the broker."""
    if settings.broker_url is None:
        yield not_running("worker")
        return
    broker_url = settings.broker_url.get_secret_value()
    if _silence(broker_url):
        yield problem("worker", "without the broker it cannot be asked", "Mend the broker first.")
        return
    answers = celery.Celery(broker=broker_url).control.ping(timeout=1)
    if answers:
        yield fine("worker", f"{len(answers)} answer")
    else:
        yield problem("worker", "none answers: accepted runs wait", "Start the process `worker`.")


def gateway(settings: Settings) -> Iterator[Finding]:
    """Look whether the gateway says that it is ready."""
    reason = why_not_ready(settings)
    if not reason:
        yield fine("gateway", f"{gateway_url(settings)} is ready")
    elif _is_up(settings):
        yield problem("gateway", reason, _CURE)
    else:
        yield not_running("gateway")


def smtp(settings: Settings) -> Iterator[Finding]:
    """Look whether the mail server takes our connection and, where there is one, our user."""
    if not settings.smtp_url:
        yield fine("mail", "none is sent (REPORTGEN_SMTP_URL)")
        return
    try:
        mail.greet(settings)
    except ReportgenError as error:
        cure = error.case_hint or "Correct REPORTGEN_SMTP_URL, REPORTGEN_SMTP_SECURITY or the password."
        yield problem("mail", error.detail, cure)
    else:
        yield fine("mail", "the server takes our connection")


def _is_up(settings: Settings) -> bool:
    """Tell whether the service should answer: `up` runs, or Dagster is a server of its own."""
    return Home(settings.home).runtime() is not None or bool(settings.dagster_url)
